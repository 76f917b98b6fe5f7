"""Sending: what is due is sent once, at the list's speed, to nobody who opted out; what may have gone is never sent again."""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import Count
from hypothesis import given
from hypothesis import strategies as st

from sendinglists import sending as module
from sendinglists.models import Contact, Echo, Message, SendingList, Subscription, SubscriptionChange
from sendinglists.sending import LEASE, Handed, Sending
from sendinglists.subscriptions import Decided, decide, suppress
from sendinglists.turns import BURST, Room, Turn, credit, share_out
from tests.factories import (
    MessageFactory,
    ProviderAccountFactory,
    SendingListFactory,
    SubscriptionFactory,
    SuppressionFactory,
)
from tests.fakes.server import Fault, Response, as_json
from tests.faults.processes import at_once, eventually
from tests.sendinglists.wire import HOME, FakeWire, wired
from trackly.models import HourlyTotal
from trackly.outgoing import Client
from trackly.retries import SENDING, STALE
from trackly.totals import Totals
from webhooks.inbound import timeline
from webhooks.inbound.models import DeliveryEvent
from webhooks.inbound.unheard import unheard
from webhooks.orders import Sent
from webhooks.statuses import Decision, Heard, Origin, Reason, Report, Status

pytestmark = pytest.mark.django_db
Dispatch = Callable[..., int]
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
A, B, C = "+14155550101", "+14155550102", "+14155550103"


@pytest.fixture
def wire(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWire]:
    with wired(settings, monkeypatch) as fake:
        yield fake


@pytest.fixture
def line(wire: FakeWire) -> SendingList:
    return SendingListFactory(provider_account=ProviderAccountFactory(provider="wire"), brand="Acme")


def due(line: SendingList, to: str = A, **more: Any) -> Message:
    Contact.objects.get_or_create(account=line.account, phone=to)
    fields = {"sending_list": line, "to": to, "body": "Hello", "due_at": NOW, "created_at": NOW} | more
    return MessageFactory(**fields)


def again(message: Message) -> Message:
    return Message.objects.get(id=message.id)


def sending() -> Sending:
    return Sending(hear=timeline.hear, unheard=unheard)


def claim(line: Sending | None = None, at: datetime = NOW, free: int = 48) -> list[int]:
    return [job.id for job in (line or sending()).claim(at, free)]


def call(jobs: list[Handed]) -> list[tuple[Handed, Sent]]:
    async def run() -> list[tuple[Handed, Sent]]:
        async with Client() as client:
            return [(job, await sending().do(job, client)) for job in jobs]

    return asyncio.run(run())


def events(message: Message) -> list[tuple[str, str, str]]:
    rows = DeliveryEvent.objects.filter(message=message).order_by("id")
    return list(rows.values_list("origin", "status", "vendor_status"))


# --- What is sent, and how the row stands


def test_a_due_message_is_handed_over_with_everything_its_provider_needs(
    line: SendingList, wire: FakeWire, dispatch: Dispatch
) -> None:
    message = due(line)
    assert dispatch(NOW) == 1
    assert wire.texts == [
        {
            "reference": message.reference,
            "sender": line.number,
            "to": A,
            "body": "Hello",
            "callback_url": f"https://hooks.example.com/api/webhook-feedbacks/wire/{line.provider_account.callback_token}",
        }
    ]


def test_an_accepted_message_is_sent_and_asked_about_later(
    line: SendingList, dispatch: Dispatch, settings: Any
) -> None:
    message = due(line)
    dispatch(NOW)
    row = again(message)
    assert (row.status, row.status_detail, row.provider_message_id) == (Status.ACCEPTED, "accepted", "w-1")
    assert (row.sent_at, row.handed_at, row.tries) == (NOW, NOW, 1)
    assert (row.due_at, row.leased_until, row.ask_at) == (None, None, NOW + settings.RECONCILE_AFTER)
    assert events(message) == [("answer", "accepted", "accepted")]
    event = DeliveryEvent.objects.get()
    assert (event.request_uid, event.received_at) == (None, NOW)


def test_nothing_is_sent_before_its_time_nor_twice(line: SendingList, wire: FakeWire, dispatch: Dispatch) -> None:
    due(line, due_at=NOW + SECOND)
    assert dispatch(NOW) == 0
    assert dispatch(NOW + SECOND) == 1
    assert dispatch(NOW + timedelta(days=1)) == 1  # the question what became of it
    assert len(wire.texts) == 1


def test_the_oldest_goes_first(line: SendingList) -> None:
    late, early = due(line, A), due(line, B, due_at=NOW - SECOND)
    assert claim(free=1) == [early.id]
    assert claim(free=1) == [late.id]


def test_what_is_claimed_is_leased(line: SendingList) -> None:
    message = due(line)
    claim()
    row = again(message)
    assert (row.due_at, row.handed_at, row.leased_until, row.tries) == (None, NOW, NOW + LEASE, 1)


def test_messages_are_counted_by_the_state_their_answer_gave_them(
    line: SendingList, wire: FakeWire, dispatch: Dispatch
) -> None:
    due(line, A)
    due(line, B)
    due(line, C, is_test=True)
    wire.answers[B] = as_json({"error": "9"}, 400)
    dispatch(NOW)
    assert dict(HourlyTotal.objects.values_list("kind", "n")) == {"message_accepted": 1, "message_rejected": 1}


def test_the_text_and_the_number_stand_in_no_log(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for to in (A, B, C):
        due(line, to, body="Bottom secret")
    wire.answers[A] = Response(body=b"no JSON, but Bottom secret")
    wire.answers[B] = as_json({"error": "9"}, 400)
    wire.faults.append(Fault(kind="drop_after", where=lambda seen: C.encode() in seen.body))
    dispatch(NOW)
    assert "not understood" in caplog.text
    assert "Bottom secret" not in caplog.text
    assert not any(to in caplog.text for to in (A, B, C))


# --- What is not sent


def opted_out(line: SendingList, **more: Any) -> None:
    contact = Contact.objects.get_or_create(account=line.account, phone=A)[0]
    SubscriptionFactory(**({"sending_list": line, "contact": contact, "state": "opted_out"} | more))


def suppressed(line: SendingList, **more: Any) -> None:
    SuppressionFactory(**({"account": line.account, "phone": A} | more))


def set_line(line: SendingList, **fields: Any) -> None:
    SendingList.objects.filter(id=line.id).update(**fields)


def set_party(line: SendingList, **fields: Any) -> None:
    type(line.provider_account).objects.filter(id=line.provider_account_id).update(**fields)


def set_account(line: SendingList, **fields: Any) -> None:
    type(line.account).objects.filter(id=line.account_id).update(**fields)


def behind(line: SendingList, *, last: datetime) -> None:
    """A message two hours over its time, on a list that sent one at `last`."""
    Message.objects.update(due_at=NOW - timedelta(hours=2))
    SendingList.objects.filter(pk=line.pk).update(next_slot_at=last)


BARRIERS: dict[str, tuple[Callable[[SendingList], None], str, Reason, str]] = {
    "opted out": (opted_out, "contact_blocked", Reason.OPT_OUT, "of this list"),
    "closed account": (suppressed, "contact_blocked", Reason.OPT_OUT, "the whole account"),
    "closed brand": (lambda line: suppressed(line, brand="Acme"), "contact_blocked", Reason.OPT_OUT, "brand Acme"),
    "paused": (lambda line: set_line(line, status="paused"), "inactive_list", Reason.LIST_CLOSED, "list is paused"),
    "suspended": (lambda line: set_line(line, status="suspended"), "inactive_list", Reason.LIST_CLOSED, "suspended"),
    "deleted": (lambda line: set_line(line, status="deleted"), "inactive_list", Reason.LIST_CLOSED, "list is deleted"),
    "account suspended": (
        lambda line: set_account(line, status="suspended"), "inactive_list", Reason.LIST_CLOSED, "account is suspended",
    ),
    "account deleted": (
        lambda line: set_account(line, status="deleted"), "inactive_list", Reason.LIST_CLOSED, "account is deleted",
    ),
    "removed": (lambda line: set_party(line, removed_at=NOW), "inactive_list", Reason.LIST_CLOSED, "was removed"),
    "provider gone": (lambda line: set_party(line, provider="gone"), "inactive_list", Reason.LIST_CLOSED, "was removed"),
    "set-up failed": (
        lambda line: set_party(line, webhook_state="failed"), "webhook_not_configured", Reason.LIST_CLOSED, "configure",
    ),
    "set-up taken back": (
        lambda line: set_party(line, webhook_state="removed"), "webhook_not_configured", Reason.LIST_CLOSED, "configure",
    ),
    "stale": (
        lambda line: Message.objects.update(due_at=NOW - STALE - SECOND) and None, "stale", Reason.STALE, "30 minutes",
    ),
    "stood still": (lambda line: behind(line, last=NOW - STALE - SECOND), "stale", Reason.STALE, "30 minutes"),
}  # fmt: skip


@pytest.mark.parametrize("name", BARRIERS)
def test_what_must_not_be_sent_is_dropped_with_the_reason(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, name: str
) -> None:
    close, detail, reason, words = BARRIERS[name]
    message = due(line)
    close(line)
    assert dispatch(NOW) == 0
    assert wire.texts == []
    row = again(message)
    assert (row.status, row.status_detail, row.reason) == (Status.DROPPED, detail, reason)
    assert words in row.error_text
    assert (row.due_at, row.sent_at, row.handed_at, row.leased_until, row.ask_at) == (None, None, None, None, None)
    assert events(message) == [("ours", "dropped", detail)]
    assert dict(HourlyTotal.objects.values_list("kind", "n")) == {"message_dropped": 1}
    assert dispatch(NOW + timedelta(days=1)) == 0


OPEN: dict[str, Callable[[SendingList], None]] = {
    "subscribed": lambda line: opted_out(line, state="subscribed"),
    "opted out elsewhere": lambda line: opted_out(line, sending_list=SendingListFactory(account=line.account)),
    "opened again": lambda line: suppressed(line, is_active=False),
    "another brand": lambda line: suppressed(line, brand="Other"),
    "another account": lambda line: suppressed(SendingListFactory()),
    "another person": lambda line: suppressed(line, phone=B),
    "not configured yet": lambda line: set_party(line, webhook_state="unset"),
    "being configured": lambda line: set_party(line, webhook_state="working"),
    "by hand": lambda line: set_party(line, webhook_state="by_hand"),
    "barely in time": lambda line: Message.objects.update(due_at=NOW - STALE) and None,
    # More to send than its speed lets go: it is late because its owner set that speed.
    "behind its speed": lambda line: behind(line, last=NOW - STALE + SECOND),
}


@pytest.mark.parametrize("name", OPEN)
def test_what_does_not_concern_it_stops_no_message(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, name: str
) -> None:
    due(line)
    OPEN[name](line)
    dispatch(NOW)
    assert wire.sent_to() == [A]


def test_an_opt_out_stands_for_the_number_whatever_list_has_it_now(
    line: SendingList, wire: FakeWire, dispatch: Dispatch
) -> None:
    party = ProviderAccountFactory(provider="wire", account=line.account)
    successor = SendingListFactory(provider_account=party, number=line.number)
    opted_out(line, decided_at=NOW - 2 * SECOND)
    message = due(successor)
    dispatch(NOW)
    assert wire.texts == []
    assert again(message).status_detail == "contact_blocked"
    assert "this number" in again(message).error_text
    opted_out(successor, state="subscribed", decided_at=NOW - SECOND)
    due(successor)
    dispatch(NOW)
    assert wire.sent_to() == [A]


def test_another_account_s_opt_out_of_the_same_number_stops_nothing(
    line: SendingList, wire: FakeWire, dispatch: Dispatch
) -> None:
    opted_out(SendingListFactory(number=line.number), decided_at=NOW)
    due(line)
    dispatch(NOW)
    assert wire.sent_to() == [A]


@pytest.mark.parametrize("brand", ["acme", "ACME", " Acme "])
def test_a_number_is_closed_for_a_brand_in_whatever_case_it_was_written(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, brand: str
) -> None:
    suppress(line.account_id, [A], brand=brand, cause="asked by mail", at=NOW - SECOND)
    message = due(line)
    dispatch(NOW)
    assert wire.texts == []
    assert again(message).status_detail == "contact_blocked"


def test_a_list_without_a_brand_is_closed_by_no_brand(line: SendingList, wire: FakeWire, dispatch: Dispatch) -> None:
    set_line(line, brand="")
    suppressed(line, brand="Acme")
    due(line)
    dispatch(NOW)
    assert wire.sent_to() == [A]


@pytest.mark.parametrize("state", ["failed", "removed"])
def test_a_test_message_goes_while_set_up_is_broken_and_not_to_who_opted_out(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, state: str
) -> None:
    set_party(line, webhook_state=state)
    opted_out(line)
    due(line, A, is_test=True)
    due(line, B, is_test=True)
    dispatch(NOW)
    assert wire.sent_to() == [B]
    assert not HourlyTotal.objects.exists()


def test_the_sandbox_sends_nothing_where_it_is_off(dispatch: Dispatch, settings: Any) -> None:
    message = due(SendingListFactory())
    settings.SANDBOX_ENABLED = False
    dispatch(NOW)
    assert again(message).status_detail == "inactive_list"
    assert "switched off" in again(message).error_text


def test_one_blocked_recipient_stops_nobody_else(line: SendingList, wire: FakeWire, dispatch: Dispatch) -> None:
    opted_out(line)
    due(line, A)
    due(line, B)
    dispatch(NOW)
    assert wire.sent_to() == [B]


def test_a_drop_is_no_decision_of_the_recipient(line: SendingList, dispatch: Dispatch) -> None:
    """Entered as an opt-out at the message's time, it would undo a START that came in between."""
    suppressed(line)
    due(line)
    dispatch(NOW)
    assert not SubscriptionChange.objects.exists()
    assert not Subscription.objects.exists()


def test_a_long_queue_of_a_closed_list_is_dropped_without_waiting(line: SendingList) -> None:
    set_line(line, status="paused", messages_per_minute=60)
    for _ in range(15):
        due(line)
    assert claim() == []
    assert Message.objects.filter(status=Status.DROPPED).count() == 15


# --- How fast


def test_a_list_sends_at_its_speed(line: SendingList) -> None:
    set_line(line, messages_per_minute=60)
    for _ in range(10):
        due(line)
    taken = [len(claim(at=NOW + n * timedelta(milliseconds=250))) for n in range(13)]
    assert taken == [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1]


def test_a_list_sends_a_second_s_worth_at_once_and_saves_up_no_more(line: SendingList) -> None:
    set_line(line, messages_per_minute=600)
    for _ in range(40):
        due(line)
    assert len(claim()) == 10
    assert len(claim()) == 0
    assert len(claim(at=NOW + SECOND / 2)) == 5
    assert len(claim(at=NOW + timedelta(minutes=5))) == 10


def test_what_is_dropped_takes_nothing_from_the_speed(line: SendingList) -> None:
    set_line(line, messages_per_minute=600)
    opted_out(line)
    for _ in range(5):
        due(line, A, due_at=NOW - SECOND)
    for _ in range(12):
        due(line, B)
    assert [len(claim()) for _ in range(3)] == [5, 5, 0]


@given(speed=st.integers(1, 20_000), waits=st.lists(st.integers(0, 3_000), min_size=1, max_size=40))
def test_however_often_it_is_asked_no_minute_holds_more_than_the_speed_and_a_burst(
    speed: int, waits: list[int]
) -> None:
    interval = timedelta(minutes=1) / speed
    turn = Turn(list_id=1, party_id=1, interval=interval, next_slot_at=NOW)
    now, taken = NOW, 0
    for wait in waits:
        now += timedelta(milliseconds=wait)
        turn.next_slot_at = max(turn.next_slot_at, now)
        n = credit(turn, now)
        turn.advance(n)
        taken += n
    assert taken <= (now - NOW + BURST) / interval + 1


# --- Whose turn


def turn(list_id: int, party_id: int, n: int) -> Turn:
    return Turn(list_id=list_id, party_id=party_id, interval=SECOND, next_slot_at=NOW, due=n)


def shares(*turns: Turn, free: int, slots: int = 64, **held: int) -> list[int]:
    share_out(list(turns), free, Room(slots=slots, held={int(key[1:]): n for key, n in held.items()}))
    return [one.take for one in turns]


def test_free_slots_are_shared_evenly_and_what_one_leaves_others_take() -> None:
    assert shares(turn(1, 1, 50), turn(2, 2, 50), turn(3, 3, 2), free=12) == [5, 5, 2]
    assert shares(turn(1, 1, 50), turn(2, 2, 50), turn(3, 3, 50), free=2) == [1, 1, 0]


def test_one_provider_account_gets_half_while_others_wait() -> None:
    assert shares(turn(1, 1, 60), turn(2, 1, 60), turn(3, 2, 1), free=64) == [16, 16, 1]
    assert shares(turn(1, 1, 60), turn(3, 2, 60), free=30, _1=32) == [0, 30]


def test_one_provider_account_alone_leaves_an_eighth_for_whoever_comes_next() -> None:
    assert shares(turn(1, 1, 90), free=64) == [56]
    assert shares(turn(1, 1, 90), free=8, _1=56) == [0]
    assert shares(turn(1, 1, 9), free=1, slots=1) == [1]


def test_a_slow_provider_leaves_slots_to_the_others(line: SendingList) -> None:
    other = SendingListFactory(provider_account=ProviderAccountFactory(provider="wire"))
    one = sending()
    for _ in range(60):
        due(line)
    assert len(claim(one)) == 42
    ids = [due(other).id for _ in range(3)]
    assert claim(one, free=6) == ids
    # Its own came back or were given up: it goes on.
    assert len(claim(one, at=NOW + LEASE)) == 18


def test_a_slow_provider_with_many_lists_hides_nobody_else(line: SendingList) -> None:
    one, party = sending(), line.provider_account
    for many in [line, *(SendingListFactory(provider_account=party) for _ in range(60))]:
        due(many)
        due(many)
    assert len(claim(one)) == 42
    other = SendingListFactory(provider_account=ProviderAccountFactory(provider="wire"), next_slot_at=NOW)
    ids = [due(other).id for _ in range(3)]
    assert claim(one, free=6) == ids


def test_accounts_with_many_lists_take_turns_with_an_account_that_has_one(line: SendingList) -> None:
    for many in [line, *(SendingListFactory(provider_account=line.provider_account) for _ in range(60))]:
        due(many)
    other = SendingListFactory(provider_account=ProviderAccountFactory(provider="wire"), next_slot_at=NOW)
    message = due(other)
    assert message.id in claim()


def test_the_list_that_sent_longest_ago_comes_first(line: SendingList) -> None:
    other = SendingListFactory(provider_account=line.provider_account)
    mine, theirs = [due(line).id for _ in range(2)], [due(other).id for _ in range(2)]
    assert sorted(claim(free=1) + claim(free=1, at=NOW + SECOND)) == [mine[0], theirs[0]]


# --- What the answer means


def test_a_refused_message_is_over(line: SendingList, wire: FakeWire, dispatch: Dispatch) -> None:
    message = due(line)
    wire.answers[A] = as_json({"error": "21211", "reason": "invalid_number"}, 400)
    dispatch(NOW)
    row = again(message)
    assert (row.status, row.reason, row.error_code) == (Status.REJECTED, Reason.INVALID_NUMBER, "21211")
    assert (row.error_text, row.sent_at, row.due_at, row.ask_at) == ("Wire says 21211.", None, None, None)
    assert dispatch(NOW + timedelta(days=1)) == 0


def test_what_was_not_taken_is_sent_again_by_the_schedule_and_then_given_up(
    line: SendingList, wire: FakeWire, dispatch: Dispatch
) -> None:
    message = due(line)
    wire.answers[A] = as_json({"error": "429"}, 429)
    at = NOW
    for wait in SENDING:
        dispatch(at)
        row = again(message)
        assert (row.status, row.due_at, row.sent_at, row.ask_at) == (Status.QUEUED, at + wait, None, None)
        assert dispatch(at + wait - SECOND) == 0
        at += wait
    dispatch(at)
    row = again(message)
    assert (row.status, row.status_detail, row.due_at, row.ask_at) == (Status.FAILED, "given_up", None, None)
    assert (row.error_code, row.error_text) == ("429", "Wire says 429. It was tried 5 times.")
    assert row.sent_at is None
    assert events(message) == [("answer", "queued", "queued")] * 5 + [("ours", "failed", "given_up")]
    assert len(wire.texts) == 5


def test_a_try_that_gets_through_ends_the_trying(line: SendingList, wire: FakeWire, dispatch: Dispatch) -> None:
    message = due(line)
    wire.faults.append(Fault(kind="instead", response=as_json({"error": "429"}, 429)))
    dispatch(NOW)
    at = NOW + SENDING[0]
    dispatch(at)
    row = again(message)
    assert (row.status, row.sent_at, row.tries, row.due_at) == (Status.ACCEPTED, at, 2, None)
    assert len(wire.texts) == 1


@pytest.mark.parametrize(
    ("asked", "waited"), [("3", SENDING[0]), ("40", timedelta(seconds=40)), ("999999", SENDING[-1])]
)
def test_a_longer_wait_the_provider_asks_for_is_kept_within_reason(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, asked: str, waited: timedelta
) -> None:
    message = due(line)
    wire.answers[A] = as_json({"error": "429"}, 429, Retry_After=asked)
    dispatch(NOW)
    assert again(message).due_at == NOW + waited


def test_a_provider_that_cannot_be_reached_is_tried_again(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, settings: Any
) -> None:
    message = due(line)
    settings.OUTGOING_ROUTES = {HOME: "http://127.0.0.1:9"}
    dispatch(NOW)
    row = again(message)
    assert (row.status, row.status_detail, row.due_at) == (Status.QUEUED, "not_reached", NOW + SENDING[0])
    assert "No connection" in row.error_text
    settings.OUTGOING_ROUTES = {HOME: wire.url}
    dispatch(NOW + SENDING[0])
    assert again(message).status == Status.ACCEPTED


def test_an_address_our_own_guard_refuses_is_not_tried_again(
    line: SendingList, dispatch: Dispatch, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = due(line)
    settings.OUTGOING_ROUTES, settings.OUTGOING_ALLOW = {}, []
    monkeypatch.setattr("tests.sendinglists.wire.HOME", "https://127.0.0.1:9")
    dispatch(NOW)
    row = again(message)
    assert (row.status, row.status_detail, row.due_at, row.sent_at) == (Status.FAILED, "not_called", None, None)
    assert "127.0.0.1" in row.error_text


UNCLEAR: dict[str, Fault] = {
    "no answer after it was carried out": Fault(kind="drop_after"),
    "no answer, not carried out": Fault(kind="drop_before"),
    "an error of the provider": Fault(kind="instead", response=as_json({"error": "500"}, 500)),
    "an answer nobody can read": Fault(kind="instead", response=Response(body=b"<html>")),
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_may_have_been_accepted_is_never_sent_again(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, name: str
) -> None:
    message = due(line)
    wire.faults.append(UNCLEAR[name])
    dispatch(NOW)
    row = again(message)
    assert (row.status, row.due_at, row.leased_until, row.sent_at) == (Status.QUEUED, None, None, None)
    assert row.ask_at == NOW + timedelta(minutes=1)
    event = DeliveryEvent.objects.get()
    assert (event.origin, event.status) == (Origin.ANSWER, Status.UNKNOWN)
    if UNCLEAR[name].response.status != 500:
        assert event.error_text.endswith("It may have been accepted, so it is not sent again.")
    n_sent = len(wire.texts)
    sending().expire(NOW + timedelta(days=1))
    for day in range(1, 4):
        dispatch(NOW + timedelta(days=day))
    assert len(wire.texts) == n_sent


def test_a_report_about_a_refused_try_keeps_it_from_being_sent_again(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, settings: Any
) -> None:
    message = due(line)
    wire.answers[A] = as_json({"error": "429"}, 429)
    dispatch(NOW)
    with transaction.atomic():
        timeline.hear([heard(message, Status.SENT)])
    dispatch(NOW + SENDING[0])
    row = again(message)
    assert len(wire.texts) == 1
    assert (row.status, row.sent_at, row.due_at) == (Status.SENT, NOW, None)
    assert row.ask_at == NOW + SENDING[0] + settings.RECONCILE_AFTER


def heard(message: Message, status: Status, **more: Any) -> Heard:
    report = Report(message_key=message.reference, status=status, vendor_status=status.value)
    return Heard(
        report=report, provider="wire", party_id=message.provider_account_id, account_id=None, received_at=NOW,
        request_uid=None, **more,
    )  # fmt: skip


def test_a_report_that_comes_before_the_answer_does_not_bring_it_back(line: SendingList, wire: FakeWire) -> None:
    message = due(line)
    wire.answers[A] = as_json({"error": "429"}, 429)
    one = sending()
    done = call(one.claim(NOW, 1))
    with transaction.atomic():
        timeline.hear([heard(message, Status.SENT)])
    one.record(done, NOW)
    row = again(message)
    assert (row.status, row.due_at, row.leased_until, row.sent_at) == (Status.SENT, None, None, NOW)


def test_a_final_report_that_comes_before_the_answer_leaves_nothing_to_ask(line: SendingList) -> None:
    message = due(line)
    one = sending()
    done = call(one.claim(NOW, 1))
    with transaction.atomic():
        timeline.hear([heard(message, Status.DELIVERED)])
    one.record(done, NOW)
    row = again(message)
    assert (row.status, row.provider_message_id, row.ask_at) == (Status.DELIVERED, "w-1", None)


STATE = [
    "status", "status_detail", "status_at", "provider_message_id", "sent_at", "due_at", "tries", "leased_until", "ask_at",
    "error_code", "error_text", "reason",
]  # fmt: skip


@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_an_answer_recorded_twice_changes_nothing(line: SendingList, wire: FakeWire, status: int) -> None:
    message = due(line)
    wire.answers[A] = as_json({"id": "w-9", "error": "9" if status != 200 else ""}, status)
    one = sending()
    done = call(one.claim(NOW, 1))
    one.record(done, NOW)
    before = Message.objects.values(*STATE).get()
    one.record(done, NOW + SECOND)
    assert Message.objects.values(*STATE).get() == before
    assert len(events(message)) == 1
    # Neither does it when the next try is under way.
    if status == 429:
        claim(at=NOW + SENDING[0])
        one.record(done, NOW + SENDING[0])
        assert again(message).leased_until == NOW + SENDING[0] + LEASE
        assert again(message).due_at is None


def test_an_id_another_message_has_costs_nobody_the_answer(line: SendingList, wire: FakeWire) -> None:
    messages = [due(line, to) for to in (A, B, C)]
    wire.answers[B] = as_json({"id": "w-1"})
    one = sending()
    one.record(call(one.claim(NOW, 3)), NOW)
    rows = [again(message) for message in messages]
    assert [row.provider_message_id for row in rows] == ["w-1", "", "w-3"]
    assert [(row.status, row.sent_at, row.leased_until) for row in rows] == [(Status.ACCEPTED, NOW, None)] * 3


def test_a_try_whose_worker_died_is_marked_and_not_repeated(line: SendingList, dispatch: Dispatch) -> None:
    message = due(line)
    claim()
    assert sending().expire(NOW + LEASE - SECOND) == 0
    assert sending().expire(NOW + LEASE) == 1
    assert sending().expire(NOW + LEASE) == 0
    row = again(message)
    assert (row.due_at, row.leased_until, row.sent_at, row.tries) == (None, None, None, 1)
    assert row.ask_at == NOW + timedelta(minutes=1)
    event = DeliveryEvent.objects.get()
    assert (event.status, event.origin) == (Status.UNKNOWN, Origin.ANSWER)
    assert "ended before the answer came" in event.error_text


def test_an_answer_that_comes_after_its_lease_still_counts(line: SendingList) -> None:
    message = due(line)
    one = sending()
    done = call(one.claim(NOW, 1))
    sending().expire(NOW + LEASE)
    one.record(done, NOW + LEASE + SECOND)
    row = again(message)
    assert (row.status, row.provider_message_id, row.sent_at) == (Status.ACCEPTED, "w-1", NOW)


def test_credentials_that_cannot_be_decrypted_stop_only_their_own_messages(
    line: SendingList, wire: FakeWire, dispatch: Dispatch
) -> None:
    other = SendingListFactory(provider_account=ProviderAccountFactory(provider="wire"))
    waits = due(line, A)
    due(other, B)
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE sendinglists_provideraccount SET credentials = 'x' WHERE id = %s", [line.provider_account_id]
        )
    dispatch(NOW)
    assert wire.sent_to() == [B]
    assert (again(waits).due_at, again(waits).status) == (NOW, Status.QUEUED)


def test_the_sandbox_s_callbacks_wait_once_for_an_accepted_text(dispatch: Dispatch) -> None:
    line = SendingListFactory()
    due(line, A)
    due(line, "+14155550001")
    one = sending()
    done = call(one.claim(NOW, 2))
    one.record(done, NOW)
    one.record(done, NOW)
    assert [echo.due_at - NOW for echo in Echo.objects.order_by("due_at")] == [SECOND / 2, SECOND * 1.5]


# --- At the same moment


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_claim_one_message_and_keep_the_speed_together(line: SendingList) -> None:
    set_line(line, messages_per_minute=1_200)
    other = SendingListFactory(provider_account=line.provider_account)
    for n in range(30):
        due(line, A, due_at=NOW - n * SECOND)
        due(other, B, due_at=NOW - n * SECOND)
    given: list[Any] = at_once([lambda: [sending().claim(NOW, 5) for _ in range(4)]] * 4)
    taken = [job for rounds in given for jobs in rounds for job in jobs]
    assert len({job.id for job in taken}) == len(taken)
    handed = Message.objects.filter(due_at=None).values("sending_list").annotate(n=Count("id"))
    by_list = {row["sending_list"]: row["n"] for row in handed}
    assert by_list[line.id] <= 20
    assert sum(by_list.values()) == len(taken)
    assert set(Message.objects.filter(due_at=None).values_list("tries", flat=True)) == {1}


def stop(line: SendingList) -> None:
    """The recipient's STOP, as it is entered by whatever took it."""
    totals = Totals()
    said = Decided(
        account_id=line.account_id, list_id=line.id, phone=A, decision=Decision.OPT_OUT, at=NOW, origin="reply",
        is_proven=True, fingerprint=b"stop", request_uid=None,
    )  # fmt: skip
    decide([said], totals)
    totals.write()


def waiting() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_a_claim_waits_for_an_opt_out_that_is_being_entered_and_then_obeys_it(line: SendingList) -> None:
    message = due(line)
    is_entered = Event()

    def enter() -> None:
        with transaction.atomic():
            stop(line)
            is_entered.set()
            eventually(waiting, within_s=10)
            time.sleep(0.1)

    def send() -> list[int]:
        assert is_entered.wait(10)
        return claim()

    assert at_once([enter, send]) == [None, []]
    assert again(message).status_detail == "contact_blocked"


@pytest.mark.django_db(transaction=True)
def test_an_opt_out_waits_for_a_claim_under_way_and_closes_what_comes_after(
    line: SendingList, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = due(line)
    is_claimed = Event()
    handing = module._hand_over

    def slowly(*args: Any) -> Any:
        is_claimed.set()
        eventually(waiting, within_s=10)
        # Not committed while the claim holds the person.
        assert not Subscription.objects.filter(state="opted_out").exists()
        return handing(*args)

    monkeypatch.setattr(module, "_hand_over", slowly)

    def enter() -> None:
        assert is_claimed.wait(10)
        with transaction.atomic():
            stop(line)

    assert at_once([claim, enter]) == [[message.id], None]
    monkeypatch.setattr(module, "_hand_over", handing)
    late = due(line)
    assert claim(at=NOW + SECOND) == []
    assert again(late).status_detail == "contact_blocked"


@pytest.mark.django_db(transaction=True)
def test_a_message_a_report_is_being_entered_about_is_left_until_that_is_done(line: SendingList) -> None:
    """It tells that an earlier try went through after all."""
    message = due(line, handed_at=NOW, tries=1)
    is_entered, is_claimed = Event(), Event()

    def enter() -> None:
        with transaction.atomic():
            timeline.hear([heard(message, Status.SENT)])
            is_entered.set()
            assert is_claimed.wait(10)

    def send() -> list[int]:
        assert is_entered.wait(10)
        taken = claim()
        is_claimed.set()
        return taken

    assert at_once([enter, send]) == [None, []]
    assert claim() == []
    assert (again(message).due_at, again(message).tries) == (None, 1)


@pytest.mark.django_db(transaction=True)
def test_claims_of_one_person_s_messages_do_not_wait_for_each_other(line: SendingList) -> None:
    other = SendingListFactory(provider_account=line.provider_account)
    mine, theirs = due(line), due(other)
    with transaction.atomic():
        first = claim(free=1)
        given = at_once([lambda: claim(free=1)])
    assert sorted([*first, *given[0]]) == [mine.id, theirs.id]  # type: ignore[misc]
