"""Asking: a message without a final status is asked for by the schedule, until one is known or the schedule is used up."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sendinglists.asking import Asking
from sendinglists.models import Message, SendingList
from tests.factories import MessageFactory, ProviderAccountFactory, SendingListFactory
from tests.fakes.server import Fault, Response
from tests.faults.processes import at_once
from tests.sendinglists.wire import FakeWire, Wire, wired
from trackly.models import HourlyTotal
from trackly.retries import ASKING
from webhooks.inbound import timeline
from webhooks.inbound.models import DeliveryEvent
from webhooks.statuses import Origin, Reason, Status

pytestmark = pytest.mark.django_db
Dispatch = Callable[..., int]
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.fixture
def wire(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWire]:
    with wired(settings, monkeypatch) as fake:
        yield fake


@pytest.fixture
def line(wire: FakeWire) -> SendingList:
    return SendingListFactory(provider_account=ProviderAccountFactory(provider="wire"))


def sent(line: SendingList, **more: Any) -> Message:
    fields = {"sending_list": line, "ask_at": NOW, "sent_at": NOW, "handed_at": NOW, "provider_message_id": "w-1"}
    return MessageFactory(**(fields | more))


def again(message: Message) -> Message:
    return Message.objects.get(id=message.id)


def asking() -> Asking:
    return Asking(hear=timeline.hear)


def test_what_the_provider_knows_is_entered_as_asked(line: SendingList, wire: FakeWire, dispatch: Dispatch) -> None:
    message = sent(line)
    wire.known[message.reference] = [{"status": "sent"}, {"status": "undelivered", "error": "7", "reason": "spam"}]
    assert dispatch(NOW) == 1
    row = again(message)
    assert (row.status, row.reason, row.error_code, row.ask_at) == (Status.UNDELIVERED, Reason.SPAM, "7", None)
    assert set(DeliveryEvent.objects.values_list("origin", "request_uid")) == {(Origin.ASKED, None)}
    assert dict(HourlyTotal.objects.values_list("kind", "n")) == {"message_undelivered": 1}


def test_a_provider_that_hangs_leaves_room_for_questions_to_the_others(line: SendingList, settings: Any) -> None:
    settings.SENDING_SLOTS = 64
    one, other = asking(), SendingListFactory(provider_account=ProviderAccountFactory(provider="wire"))
    for n in range(30):
        sent(line, provider_message_id=f"w-{n}", ask_at=NOW - SECOND)
    theirs = sent(other)
    begun = one.claim(NOW, 16)
    assert len(begun) == 8
    assert [job.row.id for job in one.claim(NOW, 8)] == [theirs.id]
    one.record([(job, []) for job in begun], NOW)
    assert len(one.claim(NOW, 8)) == 8


def test_a_silent_provider_is_asked_by_the_schedule_and_then_no_more(
    line: SendingList, wire: FakeWire, dispatch: Dispatch
) -> None:
    message = sent(line)
    at = NOW
    for n, wait in enumerate(ASKING, start=1):
        assert dispatch(at) == 1
        assert (again(message).ask_at, again(message).asked) == (at + wait, n)
        assert dispatch(at + wait - SECOND) == 0
        at += wait
    assert dispatch(at) == 1
    assert again(message).ask_at is None
    assert not DeliveryEvent.objects.exists()
    assert again(message).status == Status.QUEUED


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="drop_before"),
        Fault(kind="drop_after"),
        Fault(kind="instead", response=Response(body=b"<html>")),
    ],
    ids=["not reached", "not answered", "not understood"],
)
def test_a_question_without_an_answer_enters_nothing_and_is_put_again(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, fault: Fault
) -> None:
    message = sent(line)
    wire.known[message.reference] = [{"status": "delivered"}]
    wire.faults.append(fault)
    dispatch(NOW)
    assert not DeliveryEvent.objects.exists()
    assert again(message).ask_at == NOW + ASKING[0]
    dispatch(NOW + ASKING[0])
    assert (again(message).status, again(message).ask_at) == (Status.DELIVERED, None)


def test_a_worker_that_dies_over_a_question_costs_that_question_alone(line: SendingList) -> None:
    message = sent(line)
    assert len(asking().claim(NOW, 8)) == 1
    assert asking().claim(NOW, 8) == []
    assert (again(message).ask_at, again(message).asked) == (NOW + ASKING[0], 1)
    assert len(asking().claim(NOW + ASKING[0], 8)) == 1


@pytest.mark.parametrize(
    "close",
    [
        lambda message: Message.objects.update(status=Status.DELIVERED),
        lambda message: Message.objects.update(status=Status.EXPIRED),
        lambda message: type(message.provider_account).objects.update(removed_at=NOW),
        lambda message: type(message.account).objects.update(status="deleted"),
        lambda message: type(message.provider_account).objects.update(provider="gone"),
    ],
    ids=["delivered", "expired", "removed", "account deleted", "provider gone"],
)
def test_what_is_final_or_cannot_be_asked_for_is_struck_off(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, close: Callable[[Message], Any]
) -> None:
    message = sent(line)
    close(message)
    assert dispatch(NOW) == 0
    assert again(message).ask_at is None
    assert wire.requests == []


def test_a_provider_that_cannot_be_asked_is_not(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = sent(line)
    monkeypatch.setattr(Wire, "can_ask", False)
    assert dispatch(NOW) == 0
    assert again(message).ask_at is None


def test_a_send_that_was_never_answered_learns_its_name_and_time_when_it_is_asked_about(
    line: SendingList, wire: FakeWire, dispatch: Dispatch
) -> None:
    """Also where the provider knows it by its own name only."""
    message = sent(line, sent_at=None, provider_message_id="")
    wire.known[message.reference] = [{"status": "sent", "key": "w-77"}]
    dispatch(NOW)
    row = again(message)
    assert (row.status, row.provider_message_id, row.sent_at) == (Status.SENT, "w-77", NOW)


def test_an_answer_about_another_message_changes_neither(line: SendingList, wire: FakeWire, dispatch: Dispatch) -> None:
    message, other = sent(line), sent(line, provider_message_id="w-2", ask_at=None)
    stranger = sent(
        SendingListFactory(provider_account=ProviderAccountFactory(provider="wire")),
        provider_message_id="w-3",
        ask_at=None,
    )
    wire.known[message.reference] = [
        {"status": "failed", "key": "w-3"},
        {"status": "failed", "key": stranger.reference},
    ]
    dispatch(NOW)
    assert [again(one).status for one in (message, other, stranger)] == [Status.QUEUED] * 3


def test_a_test_message_is_asked_for_and_counted_nowhere(line: SendingList, wire: FakeWire, dispatch: Dispatch) -> None:
    message = sent(line, is_test=True)
    wire.known[message.reference] = [{"status": "delivered"}]
    dispatch(NOW)
    assert again(message).status == Status.DELIVERED
    assert not HourlyTotal.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_workers_never_put_one_question(line: SendingList) -> None:
    for n in range(20):
        sent(line, provider_message_id=f"w-{n}")
    given: list[Any] = at_once([lambda: asking().claim(NOW, 8)] * 4)
    ids = [question.row.id for questions in given for question in questions]
    assert len(ids) == len(set(ids)) == 20
    assert set(Message.objects.values_list("asked", flat=True)) == {1}
