"""Owns what providers say about messages in the demo: stories of delivery reports, and where each must end."""

from dataclasses import dataclass

from webhooks.statuses import Reason, Status


@dataclass(frozen=True, slots=True)
class Step:
    """One report."""

    word: str
    after_s: int | None
    """By the provider's clock, since the message was made; None: it names no time."""
    code: str = ""
    times: int = 1
    """How often it is sent, word for word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The reports of one message in the order they arrive."""

    weight: int
    steps: tuple[Step, ...]
    ends: Status
    is_early: bool = False
    """They come before the message itself is known."""
    by_vendor_id: bool = False
    """They name the message by the provider's id and not by our reference."""


_QUEUED, _SENT, _DELIVERED = Step("queued", 1), Step("sent", 3), Step("delivered", 9)

# The common ones first: of a small run the rare ones at the end are left out.
STORIES = (
    # In order; the newest first; every report twice; a late 'sent' with a late time.
    Story(weight=34, steps=(_QUEUED, _SENT, _DELIVERED), ends=Status.DELIVERED),
    Story(weight=10, steps=(_DELIVERED, _SENT, _QUEUED), ends=Status.DELIVERED),
    Story(weight=8, steps=(Step("sent", 3, times=2), Step("delivered", 9, times=2)), ends=Status.DELIVERED),
    Story(weight=5, steps=(_QUEUED, _DELIVERED, Step("sent", 240)), ends=Status.DELIVERED),
    Story(weight=6, steps=(_SENT, Step("failed", 6, Reason.INVALID_NUMBER)), ends=Status.FAILED),
    Story(weight=5, steps=(_SENT, Step("undelivered", 45, Reason.UNREACHABLE)), ends=Status.UNDELIVERED),
    Story(weight=3, steps=(_QUEUED, Step("rejected", 2, Reason.OPT_OUT)), ends=Status.REJECTED),
    Story(weight=4, steps=(_SENT, _DELIVERED), ends=Status.DELIVERED, is_early=True),
    Story(weight=5, steps=(_SENT, _DELIVERED), ends=Status.DELIVERED, by_vendor_id=True),
    # Heard nothing more; heard nothing at all.
    Story(weight=3, steps=(_QUEUED, _SENT), ends=Status.SENT),
    Story(weight=2, steps=(), ends=Status.QUEUED),
    Story(weight=2, steps=(_SENT, Step("expired", 300, Reason.EXPIRED), Step("delivered", 420)), ends=Status.DELIVERED),
    Story(weight=2, steps=(_SENT, Step("expired", 300, Reason.EXPIRED)), ends=Status.EXPIRED),
    # A word nobody told us of moves nothing.
    Story(weight=2, steps=(_SENT, Step("handed_to_aggregator", 5)), ends=Status.SENT),
    Story(weight=4, steps=(_SENT, _DELIVERED, Step("read", 200)), ends=Status.READ),
    Story(weight=1, steps=(_DELIVERED, Step("undelivered", 120, Reason.BLOCKED)), ends=Status.UNDELIVERED),
    Story(weight=2, steps=(Step("sent", None), Step("delivered", None)), ends=Status.DELIVERED),
    Story(weight=1, steps=(Step("failed", 4, Reason.SPAM, times=3),), ends=Status.FAILED),
    Story(weight=1, steps=(Step("sent", 3, times=2), _DELIVERED), ends=Status.DELIVERED, is_early=True),
    Story(weight=1, steps=(_QUEUED, Step("canceled", 30)), ends=Status.CANCELED),
)
