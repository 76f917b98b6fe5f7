"""The state of a message is the greatest of its reports: in any order, with any repetitions, split over any batches."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sendinglists.models import Message
from tests.factories import MessageFactory
from tests.webhooks.calls import report, tell
from trackly.models import HourlyTotal
from trackly.signing import new_uid
from trackly.totals import Totals
from webhooks.inbound.models import DeliveryEvent
from webhooks.inbound.timeline import apply_reports
from webhooks.statuses import Heard, Reason, Report, Status

pytestmark = pytest.mark.django_db
WorkOff = Callable[[], int]
HOUR = datetime(2026, 11, 23, 9, tzinfo=UTC)
STATE = [
    "status", "status_detail", "status_at", "status_code", "status_mark", "error_status", "error_at", "error_mark",
    "error_vendor_code", "error_code", "error_text", "reason", "segments", "cost", "cost_currency",
]  # fmt: skip
TIMES = st.none() | st.integers(0, 3).map(lambda seconds: HOUR + timedelta(seconds=seconds))
PRICES = st.none() | st.sampled_from(
    [Decimal("0.0067"), Decimal("0.00670004"), Decimal("0.00670001"), Decimal(1), Decimal("0E-9")]
)


@st.composite
def a_report(draw: st.DrawFn) -> Report:
    status, at, code = draw(st.sampled_from(Status)), draw(TIMES), draw(st.sampled_from(["", "1", "2"]))
    error = draw(st.sampled_from(["", "", "30003", "30005"]))
    one = Report(
        message_key="v-1",
        status=status,
        vendor_status=f"the vendor's {status}",
        vendor_code=code,
        at=at,
        error_code=error,
        error_text=f"text of {error}" if error else "",
        reason=draw(st.sampled_from([Reason.UNREACHABLE, Reason.OTHER, Reason.SPAM])) if error else None,
        segments=draw(st.none() | st.integers(0, 3)),
        price=draw(PRICES),
        currency=draw(st.sampled_from(["USD", "EUR"])),
    )
    # Whatever differs makes another report, as the vendors' own fields do.
    parts = (one.status, code, str(at), error, str(one.reason), str(one.segments), str(one.price), one.currency)
    return replace(one, identity=parts)


@contextmanager
def undone() -> Iterator[None]:
    """Whatever happens inside did not happen."""
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def apply(message: Message, batches: list[list[Report]]) -> tuple[Any, ...]:
    """What the tables say after these batches: state, events, totals."""
    with undone():
        for batch in batches:
            totals = Totals()
            apply_reports([heard(message, item) for item in batch], defaultdict(Counter), totals)
            totals.write()
        state = Message.objects.filter(id=message.id).values(*STATE).get()
        state |= {name: bytes(state[name]) for name in ("status_mark", "error_mark")}
        events = {bytes(mark) for mark in DeliveryEvent.objects.values_list("fingerprint", flat=True)}
        rows = HourlyTotal.objects.exclude(n=0).values_list("kind", "hour", "list_id", "n")
        return state, events, set(rows)


def heard(message: Message, item: Report) -> Heard:
    return Heard(
        report=item,
        provider="sandbox",
        party_id=message.provider_account_id,
        account_id=message.account_id,
        received_at=HOUR,
        request_uid=new_uid(0),
    )


@st.composite
def two_tellings(draw: st.DrawFn) -> tuple[list[list[Report]], list[list[Report]]]:
    """The same reports twice: in another order, and split otherwise."""
    told = draw(st.lists(a_report(), min_size=1, max_size=6))
    told += draw(st.lists(st.sampled_from(told), max_size=3))
    return _split(draw, told), _split(draw, draw(st.permutations(told)))


def _split(draw: st.DrawFn, told: list[Report]) -> list[list[Report]]:
    cuts = sorted(draw(st.sets(st.integers(1, len(told)))))
    return [told[a:b] for a, b in zip([0, *cuts], [*cuts, len(told)], strict=True) if a < b]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tellings=two_tellings())
def test_any_order_repetition_and_split_ends_in_the_same_state_and_totals(
    message: Message, tellings: tuple[list[list[Report]], list[list[Report]]]
) -> None:
    once, again = (apply(message, batches) for batches in tellings)
    assert once == again
    state, events, totals = once
    told = [item for batch in tellings[0] for item in batch]
    assert events == {item.fingerprint for item in told}
    counted = {kind: n for kind, _, _, n in totals}
    assert counted["report"] == len(events)
    assert counted.get("report_duplicate", 0) == len(told) - len(events)
    # Queued is where every message starts and is counted by sending.
    states = {kind: n for kind, n in counted.items() if kind.startswith("message_")}
    assert states == ({} if state["status"] == "queued" else {f"message_{state['status']}": 1})


def after(message: Message, work_off: WorkOff, *told: dict[str, Any]) -> Message:
    for item in told:
        tell(message.provider_account, item)
        work_off()
    message.refresh_from_db()
    return message


NINE, TEN = "2026-11-23T09:00:00Z", "2026-11-23T10:00:00Z"


def test_late_sent_report_does_not_undo_delivered(message: Message, work_off: WorkOff) -> None:
    assert (
        after(message, work_off, report("v-1", "delivered", at=NINE), report("v-1", "sent", at=TEN)).status
        == "delivered"
    )


def test_undelivered_with_a_later_provider_time_follows_delivered(message: Message, work_off: WorkOff) -> None:
    told = report("v-1", "delivered", at=NINE), report("v-1", "undelivered", at=TEN)
    assert after(message, work_off, *told).status == "undelivered"


def test_delivered_wins_over_undelivered_of_the_same_time(message: Message, work_off: WorkOff) -> None:
    told = report("v-1", "undelivered", at=NINE), report("v-1", "delivered", at=NINE)
    assert after(message, work_off, *told).status == "delivered"
    assert after(message, work_off, *reversed(told)).status == "delivered"


def test_report_with_a_time_wins_over_one_without(message: Message, work_off: WorkOff) -> None:
    told = report("v-1", "failed", at=NINE), report("v-1", "delivered")
    assert after(message, work_off, *told).status == "failed"


def test_report_from_the_future_has_no_time_and_outranks_no_later_one(message: Message, work_off: WorkOff) -> None:
    told = report("v-1", "failed", at="2099-01-01T00:00:00Z"), report("v-1", "delivered", at=NINE)
    assert after(message, work_off, *told).status == "delivered"
    assert set(message.deliveryevent_set.values_list("vendor_status", "at")) == {
        ("failed", None),
        ("delivered", datetime(2026, 11, 23, 9, tzinfo=UTC)),
    }


@pytest.mark.parametrize(("ahead", "is_believed"), [(timedelta(hours=23), True), (timedelta(hours=25), False)])
def test_provider_clock_may_be_a_day_ahead(
    ahead: timedelta, is_believed: bool, message: Message, work_off: WorkOff
) -> None:
    at = datetime.now(UTC) + ahead
    after(message, work_off, report("v-1", at=at.isoformat()))
    assert message.deliveryevent_set.get().at == (at if is_believed else None)


def test_parked_report_from_the_future_has_no_time_when_its_message_is_known(
    message: Message, work_off: WorkOff
) -> None:
    tell(message.provider_account, report("v-late", at="2099-01-01T00:00:00Z"))
    work_off()
    Message.objects.update(provider_message_id="v-late")
    work_off()
    assert message.deliveryevent_set.get().at is None


def test_expired_is_corrected_by_an_earlier_delivered(message: Message, work_off: WorkOff) -> None:
    told = report("v-1", "expired", at=TEN), report("v-1", "delivered", at=NINE)
    assert after(message, work_off, *told).status == "delivered"


def test_read_stands_above_everything(message: Message, work_off: WorkOff) -> None:
    told = report("v-1", "read", at=NINE), report("v-1", "failed", at=TEN)
    assert after(message, work_off, *told).status == "read"


def test_error_text_stays_after_delivery(message: Message, work_off: WorkOff) -> None:
    failed = report("v-1", "undelivered", at=NINE, error="unreachable", text="The phone is off")
    after(message, work_off, failed, report("v-1", "delivered", at=TEN))
    assert (message.status, message.reason, message.error_text) == ("delivered", "unreachable", "The phone is off")


def test_unknown_word_is_kept_and_moves_nothing(message: Message, work_off: WorkOff) -> None:
    after(message, work_off, report("v-1", "teleported"))
    assert (message.status, message.deliveryevent_set.get().vendor_status) == ("queued", "teleported")


def test_duplicates_are_counted_and_make_no_event(message: Message, work_off: WorkOff) -> None:
    tell(message.provider_account, report("v-1", at=NINE), report("v-1", at=NINE))
    work_off()
    after(message, work_off, report("v-1", at=NINE))
    assert message.deliveryevent_set.count() == 1
    totals = dict(HourlyTotal.objects.filter(list_id=message.sending_list_id).values_list("kind", "n"))
    assert totals == {"report": 1, "report_duplicate": 2, "message_delivered": 1}


def test_states_of_an_hour_add_up_to_its_messages_that_left_the_queue(message: Message, work_off: WorkOff) -> None:
    hour = HOUR + timedelta(minutes=59)
    for key in ("a", "b", "c", "d"):
        MessageFactory(sending_list=message.sending_list, provider_message_id=key, created_at=hour)
    for batch in (
        [("a", "sent"), ("b", "accepted")],
        [("a", "delivered"), ("b", "failed"), ("c", "sent"), ("a", "sent")],
    ):
        tell(message.provider_account, *(report(key, status) for key, status in batch))
        work_off()
    moved = HourlyTotal.objects.filter(kind__startswith="message_", hour=HOUR)
    assert {row.kind: row.n for row in moved if row.n} == {
        "message_delivered": 1,
        "message_failed": 1,
        "message_sent": 1,
    }
    assert moved.aggregate(n=Sum("n"))["n"] == 3


def test_test_message_stands_in_no_total(message: Message, work_off: WorkOff) -> None:
    Message.objects.update(is_test=True)
    after(
        message, work_off, report("v-1", "sent"), report("v-1"), report("v-1"), report("v-1", "failed", error="opt_out")
    )
    assert message.deliveryevent_set.count() == 3
    assert not HourlyTotal.objects.exists()
