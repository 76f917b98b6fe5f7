"""What sending tells the operator: each end is counted once, after its commit, and a message can be followed through the log."""

import asyncio
import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import transaction
from prometheus_client.parser import text_string_to_metric_families

from sendinglists import setup
from sendinglists.models import Contact, Echo, Message, SendingList
from sendinglists.sending import LEASE, Handed, Sending
from tests import factories
from tests.fakes.acme import OURS, SETTINGS, FakeAcme
from tests.fakes.server import FakeServer, Fault, Response, Seen, as_json
from tests.sendinglists.wire import FakeWire, wired
from trackly import metrics
from trackly.outgoing import Client
from trackly.retries import ECHO, SETUP
from webhooks.inbound import timeline
from webhooks.inbound.unheard import unheard
from webhooks.orders import Sent

# Counted is what was committed.
pytestmark = pytest.mark.django_db(transaction=True)
Dispatch = Callable[..., int]
Grown = Callable[[str], dict[tuple[str, ...], float]]
NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
SECOND = timedelta(seconds=1)
A, B, C, D, E = (f"+1415555010{n}" for n in range(1, 6))


@pytest.fixture
def wire(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWire]:
    with wired(settings, monkeypatch) as fake:
        yield fake


@pytest.fixture
def line(wire: FakeWire) -> SendingList:
    return factories.SendingListFactory(provider_account=factories.ProviderAccountFactory(provider="wire"))


@pytest.fixture
def grown() -> Grown:
    """What was counted since the test began under a name: label values in the order of their names' alphabet -> how many."""

    def counts() -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(metrics.counted().decode())
        found = [sample for family in families for sample in family.samples]
        return {(s.name, *(s.labels[name] for name in sorted(s.labels))): s.value for s in found}

    before = counts()

    def run(name: str) -> dict[tuple[str, ...], float]:
        grown = {key: value - before.get(key, 0) for key, value in counts().items() if key[0] == name}
        return {key[1:]: n for key, n in grown.items() if n}

    return run


def due(line: SendingList, to: str = A, **more: Any) -> Message:
    Contact.objects.get_or_create(account=line.account, phone=to)
    fields = {"sending_list": line, "to": to, "body": "Bottom secret", "due_at": NOW, "created_at": NOW} | more
    return factories.MessageFactory(**fields)


def sending() -> Sending:
    return Sending(hear=timeline.hear, unheard=unheard)


def call(jobs: list[Handed]) -> list[tuple[Handed, Sent]]:
    async def run() -> list[tuple[Handed, Sent]]:
        async with Client() as client:
            return [(job, await sending().do(job, client)) for job in jobs]

    return asyncio.run(run())


def lines(caplog: pytest.LogCaptureFixture, *, about: str = "") -> list[dict[str, Any]]:
    """What we logged ourselves; about one message, where one is named."""
    events = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    return [event for event in events if about in str(event)]


# --- sends


def test_every_end_of_a_try_is_counted_with_its_cause(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, grown: Grown
) -> None:
    for to in (A, B, C, D, E):
        due(line, to)
    wire.answers |= {
        B: as_json({"error": "9", "reason": "invalid_number"}, 400),
        C: as_json({"error": "429", "reason": "throttled"}, 429),
        D: as_json({"error": "402", "reason": "credit"}, 429),
        E: as_json({}, 500),
    }
    dispatch(NOW)
    assert grown("trackly_sends_total") == {
        ("", "wire", "accepted"): 1,
        ("invalid_number", "wire", "refused"): 1,
        ("throttled", "wire", "later"): 1,
        ("credit", "wire", "later"): 1,
        ("other", "wire", "unclear"): 1,
    }


def test_what_we_say_ourselves_is_the_cause_where_the_provider_said_nothing(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, grown: Grown, settings: Any
) -> None:
    wire.faults.append(Fault(kind="drop_after"))
    due(line, A)
    dispatch(NOW)
    wire.answers[B] = Response(body=b"no JSON")
    due(line, B)
    dispatch(NOW)
    settings.OUTGOING_ROUTES = {"https://api.wire.example": "http://127.0.0.1:1"}
    due(line, C)
    dispatch(NOW)
    assert grown("trackly_sends_total") == {
        ("no_answer", "wire", "unclear"): 1,
        ("not_understood", "wire", "unclear"): 1,
        ("not_reached", "wire", "later"): 1,
    }


def test_what_is_dropped_is_counted_by_its_cause(line: SendingList, dispatch: Dispatch, grown: Grown) -> None:
    due(line, A)
    contact = Contact.objects.get(phone=A)
    factories.SubscriptionFactory(sending_list=line, contact=contact, state="opted_out")
    due(line, B, due_at=NOW - timedelta(hours=1))
    due(line, C)
    dispatch(NOW)
    assert grown("trackly_sends_total") == {
        ("contact_blocked", "wire", "dropped"): 1,
        ("stale", "wire", "dropped"): 1,
        ("", "wire", "accepted"): 1,
    }


def test_a_send_whose_worker_died_is_counted_as_unclear_once(line: SendingList, grown: Grown) -> None:
    due(line)
    sending().claim(NOW, 8)
    for seconds in (1, 2):
        sending().expire(NOW + LEASE + seconds * SECOND)
    assert grown("trackly_sends_total") == {("no_answer", "wire", "unclear"): 1}


def test_an_answer_that_is_rolled_back_is_not_counted_and_then_counted_once(line: SendingList, grown: Grown) -> None:
    due(line)
    worker = sending()
    done = call(worker.claim(NOW, 8))
    with transaction.atomic():
        worker.record(done, NOW)
        transaction.set_rollback(True)
    assert grown("trackly_sends_total") == {}
    worker.record(done, NOW)
    assert grown("trackly_sends_total") == {("", "wire", "accepted"): 1}


def test_the_wait_is_from_due_to_handed_over_and_the_answers_time_beside_it(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, grown: Grown
) -> None:
    due(line, A, due_at=NOW - 40 * SECOND)
    wire.faults.append(Fault(kind="drop_after"))
    dispatch(NOW)
    assert grown("trackly_send_wait_seconds_sum") == {("wire",): 40}
    assert grown("trackly_send_wait_seconds_count") == {("wire",): 1}
    assert grown("trackly_send_answer_seconds_count") == {("wire",): 1}
    assert 0 < grown("trackly_send_answer_seconds_sum")[("wire",)] < 20


# --- questions, steps, callbacks


def test_questions_are_counted_by_what_was_learned(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, grown: Grown, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    known, unknown, silent, odd = (
        due(line, to, due_at=None, ask_at=NOW, sent_at=NOW, handed_at=NOW) for to in (A, B, C, D)
    )
    wire.known[known.reference] = [{"status": "delivered"}]
    wire.faults.append(Fault(kind="drop_before", where=lambda seen: silent.reference in seen.path))
    garbage = Fault(kind="instead", response=Response(body=b"<html>"), where=lambda seen: odd.reference in seen.path)
    wire.faults.append(garbage)
    dispatch(NOW)
    assert grown("trackly_questions_total") == {
        ("wire", "told"): 1,
        ("wire", "nothing"): 1,
        ("wire", "not_answered"): 1,
        ("wire", "not_understood"): 1,
    }
    said = next(event for event in lines(caplog) if event["event"] == "questions put")
    assert (said["n"], said["told"], said["nothing"]) == (2, known.public_id, unknown.public_id)


def test_steps_of_set_up_are_counted_by_how_they_ended(
    acme: FakeAcme, work_through: Callable[..., int], grown: Grown
) -> None:
    row = factories.ProviderAccountFactory(provider="acme", settings=SETTINGS)
    factories.SendingListFactory(provider_account=row, number=OURS)
    at = factories.now()
    setup.want(row, setup.Task.CONFIGURE, at)
    acme.faults.append(Fault(kind="instead", response=Response(status=503)))
    work_through(at + SECOND)
    assert grown("trackly_setup_steps_total") == {("acme", "again"): 1}
    work_through(at + SECOND + SETUP[0])
    assert grown("trackly_setup_steps_total") == {("acme", "again"): 1, ("acme", "done"): 2}


def test_callbacks_of_a_provider_on_this_machine_are_counted_by_result(
    dispatch: Dispatch, grown: Grown, settings: Any
) -> None:
    class Door(FakeServer):
        def answer(self, seen: Seen) -> Response:
            return Response(status=503 if b"refuse" in seen.body else 200)

    with Door() as door:
        settings.PUBLIC_BASE_URL = door.url
        message = factories.MessageFactory()
        Echo.objects.create(message=message, body=b"take", due_at=NOW)
        Echo.objects.create(message=message, body=b"refuse", due_at=NOW)
        at = NOW
        for wait in (*ECHO, SECOND):
            dispatch(at)
            at += wait
    assert grown("trackly_echoes_total") == {("taken",): 1, ("again",): len(ECHO), ("given_up",): 1}


# --- the log


def test_one_message_is_followed_by_its_id_and_its_number_and_text_stand_nowhere(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    message, refused = due(line, A), due(line, B)
    wire.answers[A] = as_json({"error": "429", "reason": "throttled"}, 429)
    wire.answers[B] = as_json({"error": "9"}, 400)
    dispatch(NOW)
    wire.answers[A] = as_json({}, 500)
    dispatch(NOW + timedelta(minutes=1))
    seen = [(event["event"], event["level"]) for event in lines(caplog, about=message.public_id)]
    assert seen == [
        ("sends begun", "info"),
        ("sends answered", "info"),
        ("sends begun", "info"),
        ("sends answered", "info"),
        ("sends unclear, not sent again", "warning"),
    ]
    first = next(event for event in lines(caplog) if event["event"] == "sends answered")
    assert (first["n"], first["later"], first["refused"]) == (2, message.public_id, refused.public_id)
    for secret in ("Bottom secret", A, B, message.reference, A[1:]):
        assert secret not in str(lines(caplog))


def test_an_account_from_which_nothing_is_taken_is_named_once_a_batch_and_a_busy_provider_is_not(
    line: SendingList, wire: FakeWire, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for to in (A, B):
        due(line, to)
        wire.answers[to] = as_json({"error": "401"}, 429)
    due(line, C)
    wire.answers[C] = as_json({"error": "429", "reason": "throttled"}, 429)
    dispatch(NOW)
    found = [event for event in lines(caplog) if event["event"] == "provider takes nothing"]
    assert [(event["party"], event["cause"], event["code"], event["n"]) for event in found] == [
        (line.provider_account_id, "other", "401", 2)
    ]


def test_a_dropped_message_stands_in_the_log_with_its_cause(
    line: SendingList, dispatch: Dispatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    message = due(line, due_at=NOW - timedelta(hours=1))
    dispatch(NOW)
    (said,) = lines(caplog, about=message.public_id)
    assert (said["event"], said["cause"], said["messages"]) == ("sends dropped", "stale", message.public_id)
