"""The pages of contacts, and what a person decides for a number there."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from sendinglists import sheets
from sendinglists.models import Contact, SendingList, Subscription, Suppression
from tests import factories
from tests.pages.conftest import Person
from trackly.models import AuditEntry
from trackly.pages.messages import closing

OUT, IN = Subscription.State.OPTED_OUT, Subscription.State.SUBSCRIBED


@pytest.fixture
def sending_list(owner: Person) -> SendingList:
    return factories.SendingListFactory(account=owner.account, provider_account__account=owner.account, name="Promo",
                                        brand="Acme")  # fmt: skip


@pytest.fixture
def contact(owner: Person) -> Contact:
    return factories.ContactFactory(account=owner.account, phone="+14155550173")


def subscribe(contact: Contact, sending_list: SendingList, state: str = IN) -> Subscription:
    decided = factories.now() - timedelta(days=1)
    return factories.SubscriptionFactory(contact=contact, sending_list=sending_list, state=state, decided_at=decided)


def of(contact: Contact) -> bytes:
    return f"/contacts/{contact.pk}/".encode()


def test_contacts_tell_their_lists_and_are_found_by_phone_and_by_state(
    owner: Person, contact: Contact, sending_list: SendingList
) -> None:
    subscribe(contact, sending_list, OUT)
    other = factories.ContactFactory(account=owner.account)
    closed = factories.ContactFactory(account=owner.account)
    factories.SuppressionFactory(account=owner.account, phone=closed.phone)
    answer = owner.get("contacts")
    assert b"Promo (opted out)" in answer.content
    assert all(of(row) in answer.content for row in (contact, other, closed))
    found = owner.get("contacts", phone="001 415 555 0173")
    assert of(contact) in found.content
    assert of(other) not in found.content
    out = owner.get("contacts", state="out")
    assert [of(row) in out.content for row in (contact, other, closed)] == [True, False, True]
    wholly = owner.get("contacts", state="closed")
    assert [of(row) in wholly.content for row in (contact, other, closed)] == [False, False, True]


def test_a_closed_number_that_is_no_contact_is_found_by_its_phone(owner: Person, rival: Person) -> None:
    factories.SuppressionFactory(account=owner.account, phone="+14155550199", cause="asked by mail")
    assert b"asked by mail" in owner.get("contacts", phone="+14155550199").content
    assert b"asked by mail" not in rival.get("contacts", phone="+14155550199").content


def test_who_is_opted_out_by_hand_stays_so_and_the_history_names_how(
    member: Person, contact: Contact, sending_list: SendingList
) -> None:
    held = subscribe(contact, sending_list)
    answer = member.client.post(member.url("contact_opt_out", contact.pk), {"where": str(sending_list.pk)}, follow=True)
    held.refresh_from_db()
    assert held.state == OUT
    assert b"Opted out of Promo" in answer.content
    assert held.subscriptionchange_set.get().origin == "person"
    entry = AuditEntry.objects.get(verb="opted out")
    assert (entry.user, entry.target, entry.detail) == (member.user, f"contact {contact.pk}", "of Promo")


def test_the_whole_account_is_closed_to_a_number(member: Person, contact: Contact) -> None:
    member.post("contact_opt_out", contact.pk, where="account")
    assert Suppression.objects.get(phone=contact.phone, brand="").is_active


def test_an_opt_in_demands_how_consent_was_given(member: Person, contact: Contact, sending_list: SendingList) -> None:
    held = subscribe(contact, sending_list, OUT)
    refused = member.post("contact_opt_in", contact.pk, where=str(sending_list.pk), consent="")
    assert b"This field is required" in refused.content
    held.refresh_from_db()
    assert held.state == OUT
    member.post("contact_opt_in", contact.pk, where=str(sending_list.pk), consent="signed up again")
    held.refresh_from_db()
    assert held.state == IN
    assert AuditEntry.objects.get(verb="opted in").detail == "to Promo; consent: signed up again"


def test_an_opt_in_says_that_the_number_is_still_closed(
    member: Person, contact: Contact, sending_list: SendingList
) -> None:
    subscribe(contact, sending_list, OUT)
    factories.SuppressionFactory(account=member.account, phone=contact.phone)
    data = {"where": str(sending_list.pk), "consent": "signed up again"}
    answer = member.client.post(member.url("contact_opt_in", contact.pk), data, follow=True)
    assert b"still closed for the whole account" in answer.content


def test_a_list_of_another_account_cannot_be_chosen(member: Person, contact: Contact) -> None:
    theirs = factories.SendingListFactory()
    for name in ("contact_opt_out", "contact_opt_in"):
        answer = member.post(name, contact.pk, where=str(theirs.pk), consent="yes")
        assert b"tk-error" in answer.content
    assert not Subscription.objects.exists()


def test_a_number_is_closed_for_a_brand_and_opened_again(
    member: Person, contact: Contact, sending_list: SendingList
) -> None:
    wrong = member.post("contact_suppress", contact.pk, brand="Nobody", cause="asked by mail")
    assert b"There are: Acme" in wrong.content
    assert b"asked by mail" in wrong.content
    assert not Suppression.objects.exists()
    member.post("contact_suppress", contact.pk, brand="acme", cause="asked by mail")
    held = Suppression.objects.get(brand="Acme", phone=contact.phone)
    assert held.is_active
    member.post("contact_lift", contact.pk, where=str(held.pk), cause="asked to come back")
    held.refresh_from_db()
    assert not held.is_active
    assert list(AuditEntry.objects.order_by("id").values_list("verb", flat=True)) == ["closed", "opened"]


def test_a_suppression_of_another_account_cannot_be_lifted(member: Person, contact: Contact) -> None:
    theirs = factories.SuppressionFactory(phone=contact.phone)
    member.post("contact_lift", contact.pk, where=str(theirs.pk), cause="x")
    theirs.refresh_from_db()
    assert theirs.is_active


def test_a_viewer_decides_nothing(viewer: Person, contact: Contact) -> None:
    assert b"Close the number" not in viewer.get("contact", contact.pk).content
    for name in ("contact_opt_out", "contact_opt_in", "contact_suppress", "contact_lift"):
        assert viewer.post(name, contact.pk, where="account", cause="x").status_code == 403
    assert viewer.get("contacts_close").status_code == 403
    assert not Suppression.objects.exists()


# --- some numbers, a file of them


def test_typed_numbers_are_closed_at_once(member: Person) -> None:
    data = {"phones": "+14155550173\n0014155550174\n", "brand": "", "cause": "asked by mail"}
    answer = member.client.post(member.url("contacts_close"), data, follow=True)
    assert b"2 numbers closed for the whole account" in answer.content
    assert set(Suppression.objects.values_list("phone", flat=True)) == {"+14155550173", "+14155550174"}


def test_of_typed_numbers_none_is_closed_when_one_is_wrong(member: Person) -> None:
    answer = member.post("contacts_close", phones="+14155550173\n555-0174", brand="", cause="asked")
    assert b"No whole phone number: &#x27;555-0174&#x27;" in answer.content
    assert b"+14155550173" in answer.content
    assert not Suppression.objects.exists()


def upload(person: Person, text: str | bytes) -> Any:
    file = SimpleUploadedFile("numbers.csv", text.encode() if isinstance(text, str) else text, "text/csv")
    return person.client.post(person.url("contacts_close_file"), {"file": file})


def test_a_file_closes_its_good_lines_and_names_the_wrong_ones(member: Person, sending_list: SendingList) -> None:
    answer = upload(
        member,
        "phone,brand,reason\n+14155550173,,asked\n12,,\n+14155550174,Acme,\n+14155550175,Nobody,\n",
    )
    words = answer.content.decode()
    assert "2 numbers closed, 2 wrong" in words
    assert "Line 3:" in words
    assert "Line 5:" in words
    closed = set(Suppression.objects.values_list("phone", "brand", "cause"))
    assert closed == {("+14155550173", "", "asked"), ("+14155550174", "Acme", "Imported file")}
    assert AuditEntry.objects.get().detail == "2 from a file"


@pytest.mark.parametrize(
    ("file", "said"),
    [("number\n+14155550173\n", b"first line"), (b"\xff\xfep\x00", b"UTF-16"), ("", b"empty"),
     ("phone,phone\n", b"twice")],
)  # fmt: skip
def test_a_file_that_cannot_be_read_closes_nothing_and_says_why(member: Person, file: Any, said: bytes) -> None:
    answer = upload(member, file)
    assert said in answer.content
    assert not Suppression.objects.exists()


def test_a_large_file_is_told_part_by_part_and_its_lines_keep_their_numbers(
    member: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(closing, "MOST_ROWS", 3)
    lines = [f"+1415555{n:04d}" for n in range(1000, 1010)]
    # In the second part, and a value with a line break over the end of the first.
    lines[4] = "12"
    lines[2] = f'"{lines[2]}","two\nlines"'
    answer = upload(member, "phone,reason\n" + "\n".join(lines) + "\n")
    words = b"".join(answer.streaming_content).decode()
    assert "Part 1 of 4: 3 numbers closed, 0 wrong." in words
    assert "Part 4 of 4: 9 numbers closed, 1 wrong." in words
    assert "Line 7:" in words
    assert words.rstrip().endswith("</html>")
    assert Suppression.objects.count() == 9


def test_a_file_of_more_lines_than_are_taken_closes_nothing(member: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing, "MOST_LINES", 2)
    answer = upload(member, "phone\n+14155550173\n+14155550174\n+14155550175\n")
    assert b"divide it" in answer.content
    assert not Suppression.objects.exists()


def test_a_full_part_is_taken_whole(member: Person) -> None:
    lines = [f"+1415555{n:04d}" for n in range(1000, 1000 + sheets.MOST_ROWS + 1)]
    words = b"".join(upload(member, "phone\n" + "\n".join(lines)).streaming_content).decode()
    assert "1,001 numbers closed." in words


def test_the_page_of_a_contact_is_named_by_its_number_masked_for_who_may_only_look(
    member: Person, viewer: Person, contact: Contact
) -> None:
    assert "<h1>+14155550173</h1>" in member.get("contact", contact.pk).content.decode()
    seen = viewer.get("contact", contact.pk).content.decode()
    assert "<h1>+141••••••73</h1>" in seen
    assert "14155550173" not in seen
