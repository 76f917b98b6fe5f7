"""POST /send: a message in the queue, once for one key."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.db import connections

from sendinglists.models import Link, Message, SendingList
from tests import factories
from tests.api.conftest import Answer, Caller, caller

pytestmark = pytest.mark.django_db
TEXT = {"to": "+1 (415) 555-0101", "body": "hello", "campaign": "summer"}


def test_a_message_is_queued_and_answered_201(us: Caller, our_list: SendingList) -> None:
    status, said = us.post("send", TEXT | {"list_id": our_list.id})
    row = Message.objects.get()
    assert (status, said) == (201, {"success": True, "message_id": row.public_id, "status": "queued"})
    assert (row.to, row.body, row.campaign, row.sending_list, row.account) == (
        "+14155550101", "hello", "summer", our_list, us.account,
    )  # fmt: skip
    assert row.due_at is not None
    assert us.get(f"messages/{row.public_id}")[1]["status"] == "queued"


@pytest.mark.parametrize("to", ["4155550152", "(415) 555-0173", "415-555-0174", "14155550101", "+4155550152"])
def test_a_recipient_without_its_country_gets_nothing(us: Caller, our_list: SendingList, to: str) -> None:
    """It would be read as a number of another country, for whom no opt-out of this person holds."""
    status, said = us.post("send", TEXT | {"to": to, "list_id": our_list.id})
    assert (status, said["code"]) == (400, "invalid_phone")
    assert "Write it with + and the country code, such as +14155550101." in said["error"]
    assert not Message.objects.exists()


def test_a_list_is_named_by_its_number_too(us: Caller, them: Caller, our_list: SendingList) -> None:
    other = factories.ProviderAccountFactory(account=them.account)
    factories.SendingListFactory(provider_account=other, number=our_list.number)
    assert us.post("send/", TEXT | {"list_number": "1 800 555 0142"})[0] == 201
    assert Message.objects.get().sending_list == our_list


def test_a_number_of_two_lists_is_not_guessed(us: Caller, our_list: SendingList) -> None:
    party = factories.ProviderAccountFactory(account=us.account)
    factories.SendingListFactory(provider_account=party, number=our_list.number)
    status, said = us.post("send", TEXT | {"list_number": our_list.number})
    assert (status, said["code"]) == (409, "ambiguous_list")


@pytest.mark.parametrize("lacking", [{}, {"list_id": None}])
def test_without_a_list_nothing_is_sent(us: Caller, lacking: dict[str, Any]) -> None:
    status, said = us.post("send", TEXT | lacking)
    assert status == 400
    assert said["code"] in ("missing_list_identifier", "missing_list_id")


@pytest.mark.parametrize(("text", "code"), [
    (" \n ", "missing_body"), ("see {{link}}", "missing_offer"), ("see https://{click_id}.example.com/", "invalid_link"),
])  # fmt: skip
def test_a_text_that_makes_no_sense_is_400_with_its_cause(
    us: Caller, our_list: SendingList, text: str, code: str
) -> None:
    status, said = us.post("send", TEXT | {"list_id": our_list.id, "body": text})
    assert (status, said["code"]) == (400, code)
    assert said["error"]
    assert not Message.objects.exists()


@pytest.mark.parametrize("standing", ["paused", "suspended"])
def test_a_list_that_does_not_send_is_said_so(us: Caller, our_list: SendingList, standing: str) -> None:
    SendingList.objects.update(status=standing)
    status, said = us.post("send", TEXT | {"list_id": our_list.id})
    assert (status, said["code"]) == (422, "list_inactive")


def test_a_deleted_list_is_not_there(us: Caller, our_list: SendingList) -> None:
    SendingList.objects.update(status="deleted")
    assert us.post("send", TEXT | {"list_id": our_list.id})[0] == 404


def test_addresses_are_wrapped_unless_it_is_asked_not_to(us: Caller, our_list: SendingList) -> None:
    address = "https://shop.example.com/sale"
    us.post("send", TEXT | {"list_id": our_list.id, "body": f"see {address}"})
    link = Link.objects.get()
    assert Message.objects.get().body == f"see https://hooks.example.com/c/{link.code}"
    us.post("send", TEXT | {"list_id": our_list.id, "body": f"see {address}", "wrap_links": False})
    assert Link.objects.count() == 1
    assert Message.objects.order_by("-id")[0].body == f"see {address}"


def test_an_offer_is_linked_where_the_text_says(us: Caller, them: Caller, our_list: SendingList) -> None:
    offer = factories.OfferFactory(connection__account=us.account)
    body = TEXT | {"list_id": our_list.id, "body": "see {{link}}"}
    assert us.post("send", body | {"offer_id": offer.id})[0] == 201
    assert Link.objects.get().offer == offer
    theirs = factories.OfferFactory(connection__account=them.account)
    status, said = us.post("send", body | {"offer_id": theirs.id})
    assert (status, said["code"]) == (404, "offer_not_found")


def test_a_repeated_key_makes_one_message_and_gets_the_same_answer(us: Caller, our_list: SendingList) -> None:
    body = TEXT | {"list_id": our_list.id}
    first = us.post("send", body, Idempotency_Key="order-1")
    again = us.post("send", body, Idempotency_Key="order-1")
    assert (first[0], again[0]) == (201, 200)
    assert first[1] == again[1]
    assert Message.objects.count() == 1
    assert us.post("send", body)[0] == 201


def test_a_key_used_for_other_content_is_refused(us: Caller, our_list: SendingList) -> None:
    body = TEXT | {"list_id": our_list.id}
    us.post("send", body, Idempotency_Key="order-1")
    status, said = us.post("send", body | {"body": "other"}, Idempotency_Key="order-1")
    assert (status, said["code"]) == (409, "idempotency_key_reused")
    assert Message.objects.count() == 1


def test_two_accounts_may_use_one_key(us: Caller, them: Caller, our_list: SendingList) -> None:
    theirs = factories.SendingListFactory(provider_account__account=them.account)
    ids = {
        us.post("send", TEXT | {"list_id": our_list.id}, Idempotency_Key="1")[1]["message_id"],
        them.post("send", TEXT | {"list_id": theirs.id}, Idempotency_Key="1")[1]["message_id"],
    }
    assert len(ids) == 2


@pytest.mark.parametrize("key", ["", "a b", "é", "x" * 101, "a\x7f"])
def test_a_key_of_another_shape_is_refused(us: Caller, our_list: SendingList, key: str) -> None:
    status, said = us.post("send", TEXT | {"list_id": our_list.id}, Idempotency_Key=key)
    assert (status, said["code"]) == (400, "invalid_idempotency_key")


@pytest.mark.django_db(transaction=True)
def test_one_key_in_several_requests_at_once_makes_one_message() -> None:
    us = caller(factories.AccountFactory())
    own = factories.SendingListFactory(provider_account__account=us.account)
    gate = Barrier(4)

    def send(n: int) -> Answer:
        try:
            gate.wait(timeout=10)
            return us.post(
                "send", TEXT | {"list_id": own.id, "body": "see https://a.example.com/"}, Idempotency_Key="k"
            )
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(send, range(4)))
    assert sorted(status for status, _ in answers) == [200, 200, 200, 201]
    assert {said["message_id"] for _, said in answers} == {Message.objects.get().public_id}


def test_a_test_is_marked_and_left_out_of_the_list(us: Caller, our_list: SendingList) -> None:
    us.post("send", TEXT | {"list_id": our_list.id, "is_test": True})
    assert us.get("messages")[1]["data"] == []
    assert [row["is_test"] for row in us.get("messages?include_tests=true")[1]["data"]] == [True]
