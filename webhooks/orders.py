"""Owns the vocabulary of what we ask of a provider, as frozen values: a text to send, what it answered, what to configure.

What a provider tells us is in webhooks/statuses.py; an adapter turns the one into dialogues and their answers into the other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import TextChoices

from trackly.calls import Dialogue
from trackly.text import clean
from webhooks.statuses import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """One SMS to send."""

    reference: str
    """Our name of it for the provider, 26 characters; a secret between the two of us."""
    public_id: str
    """Our name of it for people, 8 characters; no secret."""
    sender: str
    """The list's number: E.164, or a short code of digits."""
    to: str
    """E.164."""
    body: str
    callback_url: str
    """Where its reports go."""


class Verdict(TextChoices):
    """What the answer to a send means for the message."""

    ACCEPTED = "accepted", "Accepted"
    REFUSED = "refused", "Refused for good"
    LATER = "later", "Not taken now; sending it again is safe"
    UNCLEAR = "unclear", "Perhaps accepted; it must not be sent again"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a provider answered to a text."""

    verdict: Verdict
    report: Report
    """What it says about the message, in the words of a delivery report; the cause and the fix stand in its error_text."""
    provider_message_id: str = ""
    retry_after: timedelta | None = None
    """How long it asked us to wait; None: it did not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A message whose state is asked for."""

    reference: str
    provider_message_id: str
    """'' where its send was never answered."""
    sender: str
    to: str
    sent_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A number of the customer at the provider."""

    number: str
    """E.164, or a short code of digits."""
    name: str = ""
    can_receive: bool = True

    def __post_init__(self) -> None:
        for name, limit in (("number", 32), ("name", 100)):
            object.__setattr__(self, name, clean(getattr(self, name), limit))


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What a provider says about credentials that it takes."""

    said: str
    """Whose they are and what they may do, in a sentence."""
    numbers: tuple[Number, ...] | None = None
    """None: the provider has no way to list them, they are typed."""
    warnings: tuple[str, ...] = ()


class CannotUse(Exception):
    """The provider does not take these credentials, or answers what it must not; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """What the provider is to be told about us."""

    url: str
    """Where callbacks go."""
    name: str
    """What to call ours there: URL-safe, at most 100 characters, the same at every time."""
    numbers: tuple[str, ...]
    """Those of the lists, E.164 or short codes."""


class StepState(TextChoices):
    WAITING = "waiting", "Not done yet"
    DONE = "done", "Done"
    WARNING = "warning", "Done, with a warning"
    BY_HAND = "by_hand", "To be done by hand"
    FAILED = "failed", "Failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a step ended."""

    state: StepState
    said: str
    """What was found or done, in a sentence; never a secret."""
    fix: str = ""
    """What a person should do now; '' when nothing is."""
    is_temporary: bool = False
    """Failed for now: busy or away, and worth another try."""

    def __post_init__(self) -> None:
        # It may quote what a provider answered, and is stored.
        for name in ("said", "fix"):
            object.__setattr__(self, name, clean(getattr(self, name), 1_000))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to configure at the provider. Each of the three may be begun any number of times."""

    key: str
    """Stable and unique within the provider account, at most 100 characters: 'subscription', 'number +18005550142'."""
    title: str
    do: Callable[[], Dialogue[Outcome]]
    undo: Callable[[], Dialogue[Outcome]]
    """Takes back only what is ours: what somebody else set since is left as it is, and said."""
    look: Callable[[], Dialogue[Outcome]]
    """Whether it still is as do() leaves it; changes nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """A callback that a provider living on this machine makes by itself."""

    after: timedelta
    body: bytes
