"""Owns the contract of an SMS provider's adapter.

How to add a provider: copy the nearest one here to `<slug>.py`, or to a package `<slug>/` whose __init__ holds the adapter where
one file would be long; capture samples into tests/samples/webhooks/<slug>/, write tests/webhooks/providers/test_<slug>.py and a
fake in tests/fakes/<slug>.py. Nothing else names it: URL, choices, account form, redaction and admin filter are read from the
registry. An adapter is pure: no ORM, settings, clock, network or logging. It verifies and parses what the provider sends, and
describes as dialogues (trackly/calls.py) how to send, ask, check and configure.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Any, ClassVar, TypeVar

from trackly.calls import Dialogue
from trackly.payloads import BadPayload
from trackly.raw import RawRequest
from webhooks.orders import Asked, Checked, Echo, Hook, Sent, Step, Text
from webhooks.statuses import Item, Report

__all__ = [
    "BadPayload",
    "BadSignature",
    "Config",
    "Field",
    "Provider",
    "bounded",
    "fields_of",
    "text_of",
    "time_of",
    "unsigned",
]

# One credential set: field name -> value. Several may be valid at once while credentials rotate.
Config = Mapping[str, str]
Verify = Callable[[RawRequest, Config], None]
T = TypeVar("T")

# The largest batch a vendor documents is Infobip's, of 2,000. Four megabytes of zeros are two million items, and an item
# costs a hundred times what its bytes do.
MAX_ITEMS = 5_000


class BadSignature(Exception):
    """The request does not prove who sent it; the text says what was wrong, never what would have been right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One setting of a provider account; the form, the redaction and the set-up text follow from it."""

    name: str
    label: str
    secret: bool = False
    required: bool = False
    default: str = ""
    choices: tuple[str, ...] = ()
    help: str = ""
    pattern: str = ""
    """A regular expression the whole of it must match; '' takes anything."""
    hosts: tuple[str, ...] = ()
    """It is a base URL, https, on one of these hosts ('*.api.example.com'); PROVIDER_HOSTS adds some. Changing it demands
    every secret again, or whoever may edit could have them sent to a host of his own."""
    is_minted: bool = False
    """Left empty, it gets a random value: the provider learns it from us."""


class Provider:
    """What an adapter says about its vendor. A subclass sets the class attributes and writes verify and parse."""

    slug: str = ""
    """Its file's name; set by the registry."""
    name: ClassVar[str]
    docs: ClassVar[str]
    """The vendor's page this was written from."""
    config: ClassVar[tuple[Field, ...]] = ()
    methods: ClassVar[tuple[str, ...]] = ("POST",)
    reply: ClassVar[tuple[str, bytes]] = ("application/json", b'{"status":"accepted"}')
    """Content type and body of the 200."""
    token_suffices: ClassVar[bool] = True
    """False where the vendor always signs, so that a leaked callback URL proves nothing."""
    alarms: ClassVar[Mapping[str, str]] = {}
    """What the vendor's own console says about us (its code or its words) -> what that means here, and where to look."""
    secret_headers: ClassVar[frozenset[str]] = frozenset({"authorization", "cookie"})
    """Lower-case names whose values are never stored in the clear."""

    can_ask: ClassVar[bool] = False
    """True where the state of a message can be asked for."""
    max_characters: ClassVar[int] = 1_600
    """The longest text it takes."""

    def verify(self, request: RawRequest, config: Config, *, now: datetime) -> None:
        """Return when the request proves that it comes from the holder of `config`; raise BadSignature, and nothing else."""
        raise NotImplementedError("a provider says how it signs, or `verify = unsigned`")

    def parse(self, request: RawRequest) -> list[Item]:
        """What the request says, in its order; raises BadPayload only when the envelope itself is unreadable."""
        raise NotImplementedError

    def send(self, text: Text, config: Config) -> Dialogue[Sent]:
        """One SMS handed over. Only what certainly was not accepted is Verdict.LATER or REFUSED; a 5xx is UNCLEAR."""
        raise NotImplementedError

    def ask(self, asked: Asked, config: Config) -> Dialogue[list[Report]]:
        """What the provider knows of a message by now; empty when it knows nothing. Only where can_ask."""
        raise NotImplementedError

    def check(self, config: Config) -> Dialogue[Checked]:
        """Try the credentials, changing nothing; raises CannotUse."""
        raise NotImplementedError

    def steps(self, config: Config, hook: Hook) -> tuple[Step, ...]:
        """What is to be configured at the provider so that callbacks reach us, in order; empty: nothing is."""
        raise NotImplementedError

    def echoes(self, text: Text) -> tuple[Echo, ...]:
        """Callbacks to be made from this machine for a text that was accepted; empty for a provider out in the world."""
        return ()

    def echo_headers(self, body: bytes, config: Config, *, now: datetime) -> tuple[tuple[str, str], ...]:
        """The headers, signature included, with which an echo is posted now."""
        raise NotImplementedError

    def names(self, request: RawRequest) -> str:
        """The vendor's own account id named by the request, by which the bare URL finds its account; '' for none."""
        return ""

    def known_as(self, config: Config) -> str:
        """The vendor's account id of this credential set, to be found by `names`; '' for none."""
        return ""

    def secret_header_names(self, config: Config) -> frozenset[str]:
        """Lower-case names of headers whose values this credential set makes secret."""
        return self.secret_headers


def unsigned(self: Provider, request: RawRequest, config: Config, *, now: datetime) -> None:
    """The vendor signs nothing: only the token in its callback URL can prove a request."""
    raise BadSignature("this provider does not sign its requests; use the callback URL with the token")


def bounded(items: list[T]) -> list[T]:
    """The items of an envelope, before anything is made of them; raises BadPayload when they are more than MAX_ITEMS."""
    if len(items) > MAX_ITEMS:
        raise BadPayload(f"more than {MAX_ITEMS} items in one request")
    return items


def text_of(value: object) -> str:
    """A JSON scalar as text, so that 3 and "3" are one; '' for None; raises BadPayload for an object or a list."""
    if isinstance(value, str):
        # An id of nothing but NUL must count as missing, not become empty when it is stored.
        return value.replace("\x00", "")
    if value is None:
        return ""
    if isinstance(value, (int, float)):
        return str(value)
    raise BadPayload("a list or an object where a text or a number is documented")


def fields_of(value: object) -> dict[str, Any]:
    """A JSON object; empty for null, '' and a missing one; raises BadPayload for anything else."""
    if isinstance(value, dict):
        return value
    if value is None or value == "":
        return {}
    raise BadPayload("a list, a text or a number where an object is documented")


def time_of(text: str, zone: tzinfo = UTC) -> datetime | None:
    """An ISO 8601 time in UTC, read in `zone` where it names none; None when it is none or not of this century."""
    try:
        at = datetime.fromisoformat(text)
        at = (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)
    # The last days of year 9999 overflow on their way to UTC.
    except (ValueError, OverflowError):
        return None
    # A report from the year 9999 would outrank every later one of its message.
    return at if 2000 <= at.year < 2100 else None
