"""queue(): a text waits to be sent with its contact, its tracked links and its total; or it is refused, with the reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import Model

from sendinglists.models import Contact, Link, Message, SendingList
from sendinglists.queueing import CannotQueue, Draft, queue
from tests.factories import OfferFactory, SendingListFactory
from tests.faults.processes import at_once
from trackly.models import HourlyTotal
from webhooks.statuses import Status

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
TO = "+14155550101"
OURS = "https://hooks.example.com/c/"


@pytest.fixture
def line() -> SendingList:
    return SendingListFactory()


def draft(line: SendingList, body: str = "Hello", **more: Any) -> Draft:
    return Draft(**({"sending_list": line, "to": TO, "body": body} | more))


def queued(line: SendingList, body: str = "Hello", **more: Any) -> Message:
    message, is_new = queue(draft(line, body, **more), now=NOW)
    assert is_new
    return message


def refusal(line: SendingList, body: str = "Hello", **more: Any) -> str:
    with pytest.raises(CannotQueue) as refused:
        queue(draft(line, body, **more), now=NOW)
    assert not Message.objects.filter(created_at=NOW, idempotency_key="").exists()
    assert not Link.objects.exists()
    assert refused.value.said.endswith(".")
    return refused.value.code


def code_in(text: str) -> str:
    return text.partition(OURS)[2][:7]


def test_a_text_waits_in_its_list_from_now_on(line: SendingList) -> None:
    message = Message.objects.get(id=queued(line, campaign="spring").id)
    assert (message.status, message.due_at, message.tries, message.sent_at) == (Status.QUEUED, NOW, 0, None)
    assert (message.account, message.provider_account) == (line.account, line.provider_account)
    assert (message.sending_list, message.to, message.body, message.campaign) == (line, TO, "Hello", "spring")


def test_a_text_for_later_waits_until_then(line: SendingList) -> None:
    later = NOW + timedelta(hours=3)
    assert queued(line, due_at=later).due_at == later


def test_its_contact_is_made_once(line: SendingList) -> None:
    queued(line)
    queued(line)
    assert list(Contact.objects.values_list("account", "phone")) == [(line.account_id, TO)]


def test_it_is_counted_in_its_hour_and_a_test_is_not(line: SendingList) -> None:
    queued(line)
    queued(line)
    queued(line, is_test=True)
    (total,) = HourlyTotal.objects.all()
    assert (total.kind, total.hour, total.list_id, total.n) == ("message", NOW.replace(minute=0), line.id, 2)


@pytest.mark.parametrize(
    ("text", "address", "left"),
    [
        ("Go to https://shop.example/a?b=c#d now", "https://shop.example/a?b=c#d", "Go to # now"),
        ("Go to http://shop.example/a.", "http://shop.example/a", "Go to #."),
        ("(see https://shop.example/a)", "https://shop.example/a", "(see #)"),
        ("see https://shop.example/a_(b), or", "https://shop.example/a_(b)", "see #, or"),
        ('"https://shop.example/"!', "https://shop.example/", '"#"!'),
        ("HTTPS://SHOP.example/A?!", "HTTPS://SHOP.example/A", "#?!"),
        ("看https://shop.example/a，谢谢", "https://shop.example/a", "看#，谢谢"),
        ("https://shop.example/a😀", "https://shop.example/a", "#😀"),
        ("https://shop.example/?c={click_id}.", "https://shop.example/?c={click_id}", "#."),
    ],
)
def test_an_address_becomes_a_link_of_its_own_and_the_sentence_keeps_its_signs(
    line: SendingList, text: str, address: str, left: str
) -> None:
    message = queued(line, text, campaign="spring")
    link = Link.objects.get()
    assert message.body == left.replace("#", f"{OURS}{link.code}")
    assert (link.destination, link.message, link.account, link.campaign) == (address, message, line.account, "spring")
    assert link.is_test is False


def test_the_same_address_twice_is_one_link_and_another_is_another(line: SendingList) -> None:
    body = queued(line, "https://a.example https://b.example https://a.example.").body
    first, second, third = body.split()
    assert third == first + "."
    assert first != second
    assert Link.objects.count() == 2


def test_our_own_short_links_stay_as_they_are(line: SendingList) -> None:
    assert queued(line, f"{OURS}abc2345").body == f"{OURS}abc2345"
    assert not Link.objects.exists()


@pytest.mark.parametrize("text", ["see https://… there", "https://", "ftp://a.example and a.example", "plain"])
def test_what_is_no_web_address_stays_as_it_is(line: SendingList, text: str) -> None:
    assert queued(line, text).body == text


def test_addresses_stay_where_links_are_not_wanted(line: SendingList) -> None:
    assert queued(line, "https://a.example/ä ok", wrap_links=False).body == "https://a.example/ä ok"
    assert not Link.objects.exists()


def test_the_placeholder_becomes_the_link_of_the_offer_even_where_addresses_stay(line: SendingList) -> None:
    offer = OfferFactory(account=line.account)
    body = queued(line, "{{link}} or {{ link }}, https://a.example", offer_id=offer.id, wrap_links=False).body
    link = Link.objects.get()
    assert (link.offer_id, link.destination) == (offer.id, "")
    assert body == f"{OURS}{link.code} or {OURS}{link.code}, https://a.example"


def test_links_of_a_test_are_tests(line: SendingList) -> None:
    assert queued(line, "https://a.example", is_test=True).is_test
    assert Link.objects.get().is_test


@pytest.mark.parametrize(
    ("body", "more", "code"),
    [
        ("", {}, "missing_body"),
        (" \n\x00", {}, "missing_body"),
        ("x" * 1601, {}, "body_too_long"),
        ("{{link}}", {}, "missing_offer"),
        ("Hello", {"offer_id": 1}, "missing_link_placeholder"),
        ("{{link}}", {"offer_id": 10**9}, "unknown_offer"),
        ("https://user@a.example", {}, "invalid_link"),
        ("https://a.example/{name}", {}, "invalid_link"),
        ("https://a.example/ärger", {}, "invalid_link"),
        ("https://a.example/{{link}}", {}, "invalid_link"),
        ("https://a.example/?click_id=7", {}, "invalid_link"),
        (f"https://a.example/{'x' * 2000}", {}, "invalid_link"),
        ("Hello", {"to": "4155550101"}, "invalid_to"),
        ("Hello", {"to": "+1415555010１"}, "invalid_to"),
        ("Hello", {"to": ""}, "invalid_to"),
        ("Hello", {"campaign": "x" * 101}, "invalid_campaign"),
        ("Hello", {"idempotency_key": "x" * 101}, "invalid_idempotency_key"),
        ("Hello", {"idempotency_key": "a\x00"}, "invalid_idempotency_key"),
    ],
)
def test_a_bad_draft_is_refused_with_the_reason(line: SendingList, body: str, more: dict[str, Any], code: str) -> None:
    assert refusal(line, body, **more) == code


def test_the_length_is_that_of_the_text_with_its_short_links(line: SendingList) -> None:
    long = f"https://a.example/{'x' * 1_900}"
    assert len(queued(line, f"{'y' * 1_560} {long}").body) == 1_561 + len(OURS) + 7
    Link.objects.all().delete()
    Message.objects.all().delete()
    assert refusal(line, f"{'y' * 1_565} {long}") == "body_too_long"


def test_an_offer_of_another_account_is_unknown(line: SendingList) -> None:
    assert refusal(line, "{{link}}", offer_id=OfferFactory().id) == "unknown_offer"


@pytest.mark.parametrize("state", ["paused", "suspended", "deleted"])
def test_a_list_that_is_not_active_takes_nothing(line: SendingList, state: str) -> None:
    line.status = state
    assert refusal(line) == "list_inactive"


@pytest.mark.parametrize("state", ["suspended", "deleted"])
def test_an_account_that_is_not_active_sends_nothing(line: SendingList, state: str) -> None:
    line.account.status = state
    assert refusal(line) == "list_inactive"


def test_a_list_whose_provider_account_was_removed_takes_nothing(line: SendingList) -> None:
    line.provider_account.removed_at = NOW
    assert refusal(line) == "list_inactive"


def test_a_list_whose_provider_is_no_more_takes_nothing(line: SendingList) -> None:
    line.provider_account.provider = "gone"
    assert refusal(line) == "list_inactive"


def test_the_sandbox_takes_nothing_where_it_is_off(line: SendingList, settings: Any) -> None:
    settings.SANDBOX_ENABLED = False
    assert refusal(line) == "sandbox_disabled"


def test_links_without_a_public_address_are_refused_and_texts_without_links_are_not(
    line: SendingList, settings: Any
) -> None:
    settings.PUBLIC_BASE_URL = ""
    assert refusal(line, "https://a.example") == "no_public_address"
    assert queued(line, "https://a.example", wrap_links=False).body == "https://a.example"


def test_a_repeated_key_gives_the_first_message_and_makes_nothing(line: SendingList) -> None:
    once = draft(line, "https://a.example", idempotency_key="order-7")
    first, is_new = queue(once, now=NOW)
    assert is_new
    # What became of the list since makes no difference to what was asked for before.
    line.status = "paused"
    again, is_new = queue(once, now=NOW + timedelta(days=1))
    assert (again.id, is_new) == (first.id, False)
    counts = {model: model.objects.count() for model in (Message, Link, Contact)}
    assert counts == {Message: 1, Link: 1, Contact: 1}
    assert HourlyTotal.objects.get().n == 1


@pytest.mark.parametrize(
    "change",
    [
        {"body": "Bye"},
        {"to": "+14155550102"},
        {"campaign": "spring"},
        {"wrap_links": False},
        {"is_test": True},
        {"due_at": NOW},
        {"sending_list": None},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_key_used_for_another_text_is_a_conflict(line: SendingList, change: dict[str, Any]) -> None:
    once = draft(line, idempotency_key="order-7")
    queue(once, now=NOW)
    if "sending_list" in change:
        change = {"sending_list": SendingListFactory(provider_account=line.provider_account)}
    with pytest.raises(CannotQueue) as refused:
        queue(replace(once, **change), now=NOW)
    assert (refused.value.code, refused.value.status) == ("idempotency_key_reused", 409)
    assert Message.objects.count() == 1


def test_a_key_belongs_to_its_account(line: SendingList) -> None:
    queued(line, idempotency_key="order-7")
    queued(SendingListFactory(), "Something else", idempotency_key="order-7")


@pytest.mark.django_db(transaction=True)
def test_one_key_used_by_many_at_the_same_moment_makes_one_message(line: SendingList) -> None:
    once = draft(line, "https://a.example", idempotency_key="order-7")

    def ask() -> tuple[int, bool]:
        message, is_new = queue(once, now=NOW)
        return message.pk, is_new

    given: list[Any] = at_once([ask] * 6)
    assert len({pk for pk, _ in given}) == 1
    assert sorted(is_new for _, is_new in given) == [False] * 5 + [True]
    assert (Message.objects.count(), Link.objects.count(), HourlyTotal.objects.get().n) == (1, 1, 1)


def test_nothing_is_left_of_a_draft_that_fails_in_the_middle(
    line: SendingList, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> list[Model]:
        raise RuntimeError("in the middle")

    monkeypatch.setattr("sendinglists.queueing._links", fail)
    with pytest.raises(RuntimeError):
        queue(draft(line), now=NOW)
    assert not Message.objects.exists()
    assert not Contact.objects.exists()
    assert not connection.needs_rollback
