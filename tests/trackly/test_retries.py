"""The retry schedule is the product's public promise."""

from datetime import UTC, datetime, timedelta

from trackly import retries

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def test_inbound_is_tried_again_after_1_5_and_30_minutes_and_given_up_after_36() -> None:
    assert (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30)) == retries.INBOUND
    assert sum(retries.INBOUND, timedelta()) == timedelta(minutes=36)


def test_the_next_attempt_follows_the_failed_ones() -> None:
    waits = [retries.next_attempt_at(retries.INBOUND, attempts, NOW) for attempts in (1, 2, 3, 4, 5)]
    minutes = [at and (at - NOW) // timedelta(minutes=1) for at in waits]
    assert minutes == [1, 5, 30, None, None]
