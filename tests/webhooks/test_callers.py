"""Who calls us, how their requests stood by the hour, and who is silent for longer than usual."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.factories import RequestTotalFactory
from webhooks.inbound.callers import Caller, by_hour, callers

pytestmark = pytest.mark.django_db
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# A Friday afternoon.
LAST = datetime(2026, 11, 20, 16, 40, tzinfo=UTC)


def calls(moments: Iterable[datetime], party_id: int = 1, **fields: Any) -> None:
    for moment in moments:
        RequestTotalFactory(party_id=party_id, last_at=moment, **fields)


def only(now: datetime, **more: Any) -> Caller:
    (caller,) = callers(now, **more)
    return caller


def hourly(last: datetime, hours: int) -> list[datetime]:
    return [last - n * HOUR for n in range(hours)]


def office_hours(last: datetime, days: int) -> list[datetime]:
    """Nine to five, Monday to Friday."""
    return [moment for moment in hourly(last, days * 24) if moment.weekday() < 5 and 9 <= moment.hour < 17]


def test_who_calls_every_hour_is_silent_after_an_hour_and_some() -> None:
    calls(hourly(LAST, 48))
    assert only(LAST + timedelta(minutes=59)).usual_quiet is None
    caller = only(LAST + timedelta(minutes=61))
    assert (caller.usual_quiet, caller.quiet_for, caller.last_at) == (timedelta(0), timedelta(minutes=61), LAST)
    assert caller.is_silent
    assert not only(LAST + HOUR).is_silent


@pytest.mark.parametrize(("later", "is_silent"), [
    (15 * HOUR, False), (DAY, False), (2 * DAY + 15 * HOUR, False), (2 * DAY + 17 * HOUR + 21 * HOUR / 60, True),
])  # fmt: skip
def test_nights_and_the_weekend_of_who_keeps_office_hours_are_no_silence(later: timedelta, is_silent: bool) -> None:
    calls(office_hours(LAST, 14))
    caller = only(LAST + later)
    assert caller.usual_quiet == 2 * DAY + 16 * HOUR
    assert caller.is_silent is is_silent


def test_who_called_in_fewer_than_24_hours_has_no_habits_and_is_never_silent() -> None:
    calls(hourly(LAST, 23))
    caller = only(LAST + 30 * DAY)
    assert (caller.usual_quiet, caller.is_silent, caller.quiet_for) == (None, False, 30 * DAY)
    calls([LAST - 100 * HOUR])
    assert only(LAST + DAY).is_silent is False
    assert only(LAST + 5 * DAY).is_silent is True


def test_two_standings_of_one_hour_are_one_hour_of_calling() -> None:
    for standing in ("accepted", "unreadable"):
        calls(hourly(LAST, 23), standing=standing)
    assert only(LAST + DAY).usual_quiet is None


def test_who_fell_silent_weeks_ago_is_still_listed_as_silent() -> None:
    calls(hourly(LAST, 48))
    assert only(LAST + 60 * DAY).is_silent


def test_what_named_nobody_is_listed_and_never_silent() -> None:
    calls(hourly(LAST, 48), party_id=0)
    assert only(LAST + DAY).is_silent is False


def test_the_silent_stand_first_then_who_called_last() -> None:
    calls(hourly(LAST, 30), party_id=1)
    calls([LAST + HOUR], party_id=2)
    calls([LAST + 2 * HOUR], party_id=3)
    calls([LAST + 2 * HOUR], party_id=3, source="postback", slug="acme")
    calls(hourly(LAST - HOUR, 30), party_id=4)
    now = LAST + 3 * HOUR
    assert [caller.party_id for caller in callers(now)] == [1, 4, 3, 3, 2]
    assert [caller.party_id for caller in callers(now, limit=2)] == [1, 4]
    assert callers(now, limit=0) == []


def test_hours_of_a_caller_are_counted_by_standing_the_running_hour_last() -> None:
    now = LAST + timedelta(minutes=5)
    calls([now], n=5)
    # Of another account: the credentials were moved.
    calls([now], n=2, account_id=7)
    calls([now - 2 * HOUR], n=3, standing="bad_signature")
    calls([now - 3 * HOUR], n=99)
    calls([now - HOUR], n=0, standing="failed")
    calls([now], party_id=2)
    caller = next(caller for caller in callers(now, hours=3) if caller.party_id == 1)
    assert caller.hours == {"accepted": (0, 0, 7), "bad_signature": (3, 0, 0)}
    assert by_hour(now, hours=3) == {"accepted": (0, 0, 8), "bad_signature": (3, 0, 0)}


def test_an_hour_ahead_of_our_clock_counts_as_the_running_one() -> None:
    calls([LAST + HOUR])
    caller = only(LAST, hours=2)
    assert (caller.hours, caller.quiet_for) == ({"accepted": (0, 1)}, timedelta(0))


def test_hours_left_empty_by_a_replay_are_not_its_last_call() -> None:
    calls([LAST - HOUR])
    calls([LAST], n=0)
    assert only(LAST).last_at == LAST - HOUR
    calls([LAST], n=0, party_id=2)
    assert only(LAST).party_id == 1


def test_nobody_ever_called() -> None:
    assert callers(LAST) == []
    assert by_hour(LAST) == {}


def test_callers_cost_the_same_statements_however_many(django_assert_num_queries: Any) -> None:
    for party_id in range(1, 6):
        calls(hourly(LAST, 25), party_id=party_id)
    with django_assert_num_queries(3):
        assert len(callers(LAST + DAY)) == 5
