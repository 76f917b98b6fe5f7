"""Owns the only vocabulary past an SMS adapter: what a provider can tell us, as frozen values, and how a status moves.

The state of a message is the maximum over the set of its reports, never a sequence of overwrites: any permutation of them,
with any repetitions, ends in the same state.
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db.models import TextChoices

from trackly.text import clean


class Status(TextChoices):
    UNKNOWN = "unknown", "Unknown word"
    QUEUED = "queued", "Queued"
    ACCEPTED = "accepted", "Accepted"
    SENDING = "sending", "Sending"
    SENT = "sent", "Sent"
    EXPIRED = "expired", "Expired"
    DELIVERED = "delivered", "Delivered"
    UNDELIVERED = "undelivered", "Undelivered"
    FAILED = "failed", "Failed"
    REJECTED = "rejected", "Rejected"
    CANCELED = "canceled", "Canceled"
    READ = "read", "Read"
    DROPPED = "dropped", "Not sent"


class Reason(TextChoices):
    OPT_OUT = "opt_out", "The recipient opted out"
    SPAM = "spam", "Filtered as spam"
    INVALID_NUMBER = "invalid_number", "The number is not valid"
    UNREACHABLE = "unreachable", "The phone could not be reached"
    BLOCKED = "blocked", "Blocked by carrier or provider"
    CREDIT = "credit", "Not enough credit"
    EXPIRED = "expired", "Ran out of time"
    THROTTLED = "throttled", "Too many messages"
    REGISTRATION = "registration", "The sender is not registered"
    LIST_CLOSED = "list_closed", "The list does not send"
    STALE = "stale", "It could not be sent in time"
    OTHER = "other", "Another reason"


class Origin(TextChoices):
    """Where an entry of a timeline came from."""

    CALLBACK = "callback", "Callback of the provider"
    ANSWER = "answer", "Answer to our send"
    ASKED = "asked", "Asked of the provider"
    IMPORT = "import", "Imported"
    OURS = "ours", "Decided here"


class Decision(TextChoices):
    """What an inbound message decides about a subscription."""

    OPT_OUT = "opt_out", "Opt-out"
    OPT_IN = "opt_in", "Opt-in"
    HELP = "help", "Help"
    NONE = "reply", "Reply"


# Tier: how far along. Expired stands below the carrier's own verdicts because a late receipt corrects it.
TIER = {
    Status.UNKNOWN: 0,
    Status.QUEUED: 1,
    Status.ACCEPTED: 1,
    Status.SENDING: 2,
    Status.SENT: 3,
    Status.EXPIRED: 4,
    Status.DELIVERED: 5,
    Status.UNDELIVERED: 5,
    Status.FAILED: 5,
    Status.REJECTED: 5,
    Status.CANCELED: 5,
    Status.DROPPED: 5,
    Status.READ: 6,
}
# Between reports of one tier and one moment; 0 where the tier has a single status.
PRECEDENCE = {
    Status.DELIVERED: 5,
    Status.UNDELIVERED: 4,
    Status.FAILED: 3,
    Status.REJECTED: 2,
    Status.CANCELED: 1,
}
FINAL = frozenset(status for status, tier in TIER.items() if tier >= 4)
# Sorts before every real time: a report without a time never outranks one with.
NO_TIME = datetime.min.replace(tzinfo=UTC)


class Rank(NamedTuple):
    """What reports of one message are compared by. Our own receive time takes no part."""

    tier: int
    at: datetime
    precedence: int
    vendor_code: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One thing a provider said about one message."""

    message_key: str
    """What the provider calls the message: the reference we gave it, or its own id."""
    status: Status
    vendor_status: str
    """The vendor's own word, for people; kept also when we do not know it."""
    vendor_code: str = ""
    """The vendor's code, the last tie-breaker between reports."""
    at: datetime | None = None
    """The provider's time of the status; None when it sends none. Aware."""
    reason: Reason | None = None
    error_code: str = ""
    """The vendor's error code; '' or '0' mean none and are both ''."""
    error_text: str = ""
    to: str = ""
    """The recipient as the vendor wrote it."""
    sender: str = ""
    """Our number as the vendor wrote it."""
    public_id: str = ""
    """Our own name of the message where the callback URL carries it; finds a message whose send was never answered."""
    segments: int | None = None
    price: Decimal | None = None
    currency: str = ""
    identity: tuple[str, ...] = ()
    """The vendor's own fields that make two reports the same one; a retry repeats them."""

    def __post_init__(self) -> None:
        for name, limit in (("message_key", 200), ("vendor_status", 100), ("vendor_code", 32), ("error_code", 32)):
            object.__setattr__(self, name, clean(getattr(self, name), limit))
        object.__setattr__(self, "error_text", clean(self.error_text, 500))
        object.__setattr__(self, "to", clean(self.to, 32))
        object.__setattr__(self, "sender", clean(self.sender, 32))
        object.__setattr__(self, "public_id", clean(self.public_id, 8))
        object.__setattr__(self, "currency", clean(self.currency, 3))

    @property
    def fingerprint(self) -> bytes:
        """32 bytes, the same for every repetition of this report."""
        return fingerprint(self.identity or (self.vendor_status, self.vendor_code, self.error_code))

    @property
    def has_error(self) -> bool:
        return self.reason is not None or bool(self.error_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One report and who was allowed to make it."""

    report: Report
    provider: str
    party_id: int
    """The provider account it may speak about; 0: any of the provider's, but by our reference only."""
    account_id: int | None
    """A bound on top of it; None: none."""
    received_at: datetime
    request_uid: UUID | None
    """The request it came in; None: it came in none, see `origin`."""
    origin: Origin = Origin.CALLBACK

    @property
    def mark(self) -> bytes:
        """32 bytes, the same for every repetition. What we asked for is another entry than what was called back: they may
        differ in their times, and one must not hide the other by coming first."""
        said = self.report.fingerprint
        return said if self.origin == Origin.CALLBACK else fingerprint((self.origin.value, said.hex()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One inbound SMS."""

    key: str
    """The vendor's id of the inbound message, or a hash of its parts where it has none; a retry repeats it."""
    sender: str
    """The person's number as the vendor wrote it."""
    recipient: str
    """Our number, as the vendor wrote it."""
    text: str
    at: datetime | None = None
    decision: Decision | None = None
    """The vendor's own classification; None when it makes none and our keywords decide."""
    reference: str = ""
    """The message this answers, where the vendor says so."""
    is_message: bool = True
    """False for a vendor's block-list event: a decision without a text message."""

    def __post_init__(self) -> None:
        for name, limit in (("key", 200), ("sender", 32), ("recipient", 32), ("text", 4000), ("reference", 200)):
            object.__setattr__(self, name, clean(getattr(self, name), limit))


@dataclass(frozen=True, slots=True, kw_only=True)
class Unreadable:
    """One item of an otherwise readable batch that made no sense; it is kept and explained, its siblings count."""

    index: int
    cause: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "cause", clean(self.cause, 500))


Item = Report | Reply | Unreadable


def rank(status: Status, at: datetime | None, vendor_code: str, mark: bytes) -> Rank:
    """The place of one report among the reports of its message."""
    return Rank(TIER[status], at or NO_TIME, PRECEDENCE.get(status, 0), vendor_code, mark)


def fingerprint(parts: tuple[str, ...]) -> bytes:
    """A hash of the parts that no other split of the same characters shares."""
    joined = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(joined.encode("utf-8", "surrogatepass")).digest()
