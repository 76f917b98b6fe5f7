"""Opt-outs, opt-ins and suppressions by the API: what they close, what they open, and what was wrong with single numbers."""

import pytest

from sendinglists.models import Contact, SendingList, Subscription, SubscriptionChange, Suppression
from tests import factories
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db
PHONE, OTHER = "+14155550101", "+14155550102"
BAD = {
    "code": "invalid_phone",
    "error": "Not a whole phone number. Write it with + and the country code, such as +14155550101.",
}


def closed(us: Caller) -> set[tuple[str, str]]:
    rows = Suppression.objects.filter(account=us.account, is_active=True)
    return set(rows.values_list("phone", "brand"))


def test_an_opt_out_closes_the_list_and_says_whence(us: Caller, our_list: SendingList) -> None:
    assert us.post("contacts/opt-out", {"phone": "+1 415 555 0101", "list_id": our_list.id}) == (
        200,
        {"success": True, "success_count": 1, "error_count": 0, "errors": []},
    )
    row = Subscription.objects.get()
    assert (row.state, row.contact.phone, row.sending_list) == ("opted_out", PHONE, our_list)
    assert SubscriptionChange.objects.get().origin == "api"
    shown = us.get("contacts/%2B14155550101")[1]["lists"][0]
    assert (shown["list_id"], shown["state"]) == (our_list.id, "opted_out")
    assert shown["since"] is not None


def test_an_opt_out_without_a_list_closes_the_account(us: Caller) -> None:
    us.post("contacts/opt-out", {"phone": PHONE})
    assert closed(us) == {(PHONE, "")}


def test_good_numbers_are_opted_out_whatever_the_others_are(us: Caller, our_list: SendingList) -> None:
    phones = [PHONE, "555", OTHER, None, 5, "\x00", PHONE]
    status, said = us.post("contacts/opt-out", {"phones": phones, "list_id": our_list.id})
    assert (status, said["success_count"], said["error_count"]) == (200, 2, 4)
    assert said["errors"] == [{"index": index, **BAD} for index in (1, 3, 4, 5)]
    assert Subscription.objects.filter(state="opted_out").count() == 2


@pytest.mark.parametrize("path", ["contacts/opt-out", "suppressions"])
@pytest.mark.parametrize(("body", "status", "code"), [
    ({}, 400, "missing_phone"), ({"phone": PHONE, "phones": []}, 400, "missing_phone"), ({"phone": "555"}, 400, "invalid_phone"),
    ({"phones": PHONE}, 400, "invalid_phones"), ({"phones": {}}, 400, "invalid_phones"),
    ({"phones": None}, 400, "missing_phones"),
    ({"phones": [PHONE] * 1_001}, 413, "too_many_records"),
])  # fmt: skip
def test_what_is_no_list_of_numbers_is_refused_whole(
    us: Caller, path: str, body: dict[str, object], status: int, code: str
) -> None:
    answered, said = us.post(path, body)
    assert (answered, said["code"]) == (status, code)
    assert closed(us) == set()


def test_an_opt_in_undoes_an_opt_out_of_the_list(us: Caller, our_list: SendingList) -> None:
    us.post("contacts/opt-out", {"phone": PHONE, "list_id": our_list.id})
    assert us.post("contacts/opt-in", {"phone": PHONE, "list_id": our_list.id}) == (
        200,
        {"success": True, "still_suppressed": False},
    )
    assert Subscription.objects.get().state == "subscribed"


@pytest.mark.parametrize("brand", ["Acme", "ACME", ""])
def test_an_opt_in_says_when_the_number_stays_closed(us: Caller, our_list: SendingList, brand: str) -> None:
    us.post("suppressions", {"phone": PHONE, "brand": brand})
    status, said = us.post("contacts/opt-in", {"phone": PHONE, "list_id": our_list.id})
    assert (status, said["still_suppressed"]) == (200, True)


def test_suppressions_are_made_shown_and_lifted(us: Caller, our_list: SendingList) -> None:
    assert us.post("suppressions", {"phones": [PHONE, "x", OTHER], "cause": "asked by mail"})[1]["success_count"] == 2
    assert us.post("suppressions", {"phone": PHONE, "brand": "Acme"})[0] == 200
    rows = us.get("suppressions")[1]["data"]
    assert {(row["phone"], row["brand"], row["cause"]) for row in rows} == {
        (PHONE, "", "asked by mail"), (OTHER, "", "asked by mail"), (PHONE, "Acme", "API"),
    }  # fmt: skip
    assert len(us.get("suppressions?phone=%2B14155550101")[1]["data"]) == 2
    assert [row["brand"] for row in us.get("suppressions?brand=ACME")[1]["data"]] == ["Acme"]
    assert len(us.get("suppressions?brand=")[1]["data"]) == 2
    assert us.delete("suppressions/%2B14155550101?brand=Acme") == (200, {"success": True})
    assert closed(us) == {(PHONE, ""), (OTHER, "")}
    assert us.delete("suppressions/%2B14155550101") == (200, {"success": True})
    status, said = us.delete("suppressions/%2B14155550101")
    assert (status, said["code"]) == (404, "suppression_not_found")
    assert [row["phone"] for row in us.get("suppressions")[1]["data"]] == [OTHER]


def test_suppressions_come_as_csv(us: Caller, our_list: SendingList) -> None:
    file = '\ufeffPhone, Brand,cause\r\n+14155550101,,"asked, by mail"\r\n\r\n555,,\r\n'
    file += "+1-415-555-0102, acme \r\n415-555-0102,Acme\r\n"
    status, said = us.post("suppressions", file.encode(), "text/csv; charset=utf-8")
    assert (status, said) == (
        200,
        {"success": True, "success_count": 2, "error_count": 2, "errors": said["errors"]},
    )
    assert [(wrong["index"], wrong["code"]) for wrong in said["errors"]] == [
        (1, "invalid_phone"), (3, "invalid_phone"),
    ]  # fmt: skip
    assert said["errors"][1]["error"].startswith("Line 6: '415-555-0102' is no whole phone number.")
    assert closed(us) == {(PHONE, ""), (OTHER, "Acme")}
    assert Suppression.objects.get(phone=PHONE).cause == "asked, by mail"


@pytest.mark.parametrize(
    "number", ["4155550101", "(415) 555-0101", "415-555-0101", "14155550101", "+4155550152", "+1415555010"]
)
def test_a_number_that_lacks_its_country_closes_and_opens_nothing(
    us: Caller, our_list: SendingList, number: str
) -> None:
    for path in ("contacts/opt-out", "contacts/opt-in", "suppressions"):
        status, said = us.post(path, {"phone": number, "list_id": our_list.id})
        assert (status, said["code"]) == (400, "invalid_phone")
        assert "Write it with + and the country code" in said["error"]
    for path in ("contacts/opt-out", "suppressions"):
        assert us.post(path, {"phones": [number]})[1]["errors"] == [{"index": 0, **BAD}]
    assert not Contact.objects.exists()
    assert closed(us) == set()


@pytest.mark.parametrize("number", ["+4155550152", "+15550101"])
def test_what_was_closed_in_another_way_is_found_and_opened_again(us: Caller, number: str) -> None:
    """A provider may name a number that nobody could enter."""
    factories.SuppressionFactory(account=us.account, phone=number)
    path = number.replace("+", "%2B")
    assert us.get(f"contacts/{path}")[0] == 200
    for query in (path, number):
        assert len(us.get(f"suppressions?phone={query}")[1]["data"]) == 1
    assert us.get(f"contacts/{number[1:]}")[1]["code"] == "invalid_phone"
    assert us.get(f"suppressions?phone={number[1:]}")[1]["code"] == "invalid_phone"
    assert us.delete(f"suppressions/{path}") == (200, {"success": True})


@pytest.mark.parametrize("brand", ["Acme", "ACME", " acme "])
def test_a_brand_is_known_in_any_case_and_kept_as_the_list_has_it(
    us: Caller, our_list: SendingList, brand: str
) -> None:
    assert us.post("suppressions", {"phone": PHONE, "brand": brand})[1]["success_count"] == 1
    assert closed(us) == {(PHONE, "Acme")}
    assert us.delete(f"suppressions/%2B14155550101?brand={brand.strip().lower()}")[0] == 200
    assert closed(us) == set()


def test_a_brand_that_no_list_has_is_refused_and_the_brands_there_are_are_named(
    us: Caller, them: Caller, our_list: SendingList
) -> None:
    for name in ("Zeta", "Beta", "Beta ", "Delta", "Eta", "Gamma"):
        factories.SendingListFactory(provider_account=our_list.provider_account, brand=name)
    factories.SendingListFactory(provider_account=our_list.provider_account, brand="Gone", status="deleted")
    factories.SendingListFactory(provider_account__account=them.account, brand="Theirs")
    words = "None of your lists has the brand '{}'. There are: Acme, Beta, Delta, Eta, Gamma and more."
    for brand in ("Acmee", "Theirs", "Gone"):
        assert us.post("suppressions", {"phones": [PHONE, OTHER], "brand": brand}) == (
            404,
            {"error": words.format(brand), "code": "brand_not_found"},
        )
    said = us.post("suppressions", f"phone,brand\n{PHONE},Acmee\n{OTHER},Acme\n".encode(), "text/csv")[1]
    error = f"Line 2: {words.format('Acmee')}"
    assert said["errors"] == [{"index": 0, "code": "brand_not_found", "error": error}]
    assert closed(us) == {(OTHER, "Acme")}


def test_without_any_brand_it_is_said_how_to_close_the_account(us: Caller) -> None:
    status, said = us.post("suppressions", {"phone": PHONE, "brand": "Acme"})
    assert (status, said["code"]) == (404, "brand_not_found")
    assert "None of your lists has a brand" in said["error"]


@pytest.mark.parametrize(("file", "status", "code"), [
    (b"", 400, "missing_phone"), (b"number\n1\n", 400, "invalid_csv"), (b"phone\n\xff\n", 400, "invalid_csv"),
    (b"phone\n\x00\n", 400, "invalid_csv"), (b"phone\n" + b"1" * 200_000, 400, "invalid_csv"),
    (b"phone\n" + b"+14155550101\n" * 1_001, 413, "too_many_records"), (b"\n\n", 400, "invalid_csv"),
])  # fmt: skip
def test_what_is_no_such_file_is_refused_whole(us: Caller, file: bytes, status: int, code: str) -> None:
    answered, said = us.post("suppressions", file, "text/csv")
    assert (answered, said["code"]) == (status, code)
    assert closed(us) == set()


def test_another_accounts_list_is_not_there(us: Caller, them: Caller, our_list: SendingList) -> None:
    for path in ("contacts/opt-out", "contacts/opt-in"):
        status, said = them.post(path, {"phone": PHONE, "list_id": our_list.id})
        assert (status, said["code"]) == (404, "list_not_found")
    assert not SubscriptionChange.objects.exists()


def test_who_opted_out_is_no_contact_of_the_list_any_more(us: Caller, our_list: SendingList) -> None:
    contact = factories.ContactFactory(account=us.account, phone=PHONE)
    factories.SubscriptionFactory(contact=contact, sending_list=our_list)
    us.post("contacts/opt-out", {"phone": PHONE, "list_id": our_list.id})
    assert us.get(f"lists/{our_list.id}")[1]["contact_count"] == 0
