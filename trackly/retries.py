"""Owns every retry schedule. Pages and docs read these tables and never restate them."""

from datetime import datetime, timedelta

# Inbound processing: the product's public promise, at once and then these waits; after the last, failed.
INBOUND = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))


def next_attempt_at(schedule: tuple[timedelta, ...], attempts: int, now: datetime) -> datetime | None:
    """When to try again after `attempts` failed tries (1 or more); None when the schedule is used up."""
    return now + schedule[attempts - 1] if attempts <= len(schedule) else None
