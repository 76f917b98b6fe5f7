"""Owns which states of a message count as sent, delivered and failed, by the kinds of the hourly totals, on every page alike."""

from webhooks.statuses import FINAL, Status

_STATES = tuple(f"message_{status}" for status in Status)
DELIVERED = (f"message_{Status.DELIVERED}", f"message_{Status.READ}")
NOT_SENT = (f"message_{Status.DROPPED}",)
FAILED = tuple(sorted({f"message_{status}" for status in FINAL} - {*DELIVERED, *NOT_SENT}))
# Whatever has a state beyond queued was handed over, unless it was decided here that it must not go.
SENT = tuple(kind for kind in _STATES if kind not in (*NOT_SENT, f"message_{Status.QUEUED}"))
