"""Owns whether what came is worked off right now, and whether anybody is there to do it."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from trackly.showing import lasting

# A worker says every ten seconds that it lives.
DEAD_AFTER, BEHIND_AFTER = timedelta(seconds=60), timedelta(minutes=1)
_FORGOTTEN_AFTER = timedelta(days=30)
_START = "Start one: python manage.py work (or make run, which starts everything)."


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """What waits in the inbox, and the worker that was heard of last."""

    now: datetime
    first_due_at: datetime | None
    """Of all that waits; it may be still to come, where a try failed."""
    beat_at: datetime | None
    """None: no worker ever ran."""
    ended_at: datetime | None

    @property
    def late(self) -> timedelta:
        return max(self.now - self.first_due_at, timedelta(0)) if self.first_due_at else timedelta(0)

    @property
    def worker_alarm(self) -> str:
        """Why nobody works here, and what to do; '' where somebody does."""
        if self.beat_at is None:
            return f"No worker ever ran here: what is accepted waits. {_START}"
        if self.ended_at:
            return f"No worker runs since {self.ended_at:%b %d, %H:%M} UTC: what is accepted waits. {_START}"
        if (silent := self.now - self.beat_at) > DEAD_AFTER:
            said = f"The worker was not heard of for {lasting(silent)}: it died or hangs, and what is accepted waits."
            return f"{said} {_START}"
        return ""


def look(now: datetime) -> Waiting:
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [now - _FORGOTTEN_AFTER])
        first_due_at, beat_at, ended_at = cursor.fetchone()
    return Waiting(now=now, first_due_at=first_due_at, beat_at=beat_at, ended_at=ended_at)


# The first entry of each partition's index. Of the workers that run, the one heard of last; else the one that ended last.
_LOOK = """
SELECT (SELECT due_at FROM webhooks_inboundrequest WHERE state = 'waiting' ORDER BY due_at LIMIT 1), beat_at, ended_at
FROM (VALUES (1)) AS one LEFT JOIN LATERAL (
    SELECT beat_at, ended_at FROM trackly_workerrun WHERE ended_at IS NULL OR beat_at > %s
    ORDER BY ended_at DESC, beat_at DESC LIMIT 1) AS worker ON true
"""
