"""Owns every retry schedule. Pages and docs read these tables and never restate them."""

from datetime import datetime, timedelta

# Inbound processing: the product's public promise, at once and then these waits; after the last, failed.
INBOUND = (timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30))

# Sending, where the provider certainly did not take it; after the last it is given up. 21 minutes: a text that is later than
# STALE, not for the speed of its list but because sending stood still, was written for another moment.
SENDING = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=15))
STALE = timedelta(minutes=30)
# Asking for a message without a final status: first after RECONCILE_AFTER, then these waits. Two days is when Infobip
# forgets its logs, and longer than a carrier's validity.
ASKING = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=18), timedelta(hours=24))
# Configuration that failed for now, and callbacks of a provider on this machine.
SETUP = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=10), timedelta(hours=1))
ECHO = (timedelta(seconds=1), timedelta(seconds=5), timedelta(seconds=30))


def next_attempt_at(schedule: tuple[timedelta, ...], attempts: int, now: datetime) -> datetime | None:
    """When to try again after `attempts` failed tries (1 or more); None when the schedule is used up."""
    return now + schedule[attempts - 1] if attempts <= len(schedule) else None
