"""Owns the contract of an affiliate network's adapter, and Reported: what a network says about one click, frozen.

How to add a network: copy the nearest file here to `<slug>.py`, add samples in tests/samples/postbacks/<slug>/ and
tests/postbacks/networks/test_<slug>.py. Nothing else names it. An adapter is pure: no ORM, settings, clock or network.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from postbacks.verdicts import ConversionStatus, Verdict
from trackly.payloads import BadPayload
from trackly.raw import RawRequest
from trackly.text import clean

__all__ = ["USUAL_ALIASES", "USUAL_STATUSES", "BadPayload", "Network", "Reported"]

# Field of Reported -> the parameter names users and trackers write, in order of preference. An adapter starts from these.
USUAL_ALIASES: Mapping[str, tuple[str, ...]] = {
    "click_id": ("click_id", "clickid", "cid", "subid", "aff_sub", "sub1"),
    "payout": ("payout", "revenue", "amount", "sum"),
    "currency": ("currency",),
    "transaction_id": ("txid", "conversion_id", "transaction_id", "tid", "txn_id"),
    "event": ("event", "event_id", "goal", "goal_id"),
    "event_name": ("event_name", "goal_name"),
    "status_word": ("status",),
    "offer_ref": ("offer_id", "offer"),
}

# Words whose meaning no network disputes; one that may mean two things ("lead", "sale", "1") is left to the owner.
USUAL_STATUSES: Mapping[str, ConversionStatus] = {
    "approved": ConversionStatus.APPROVED,
    "accepted": ConversionStatus.APPROVED,
    "confirmed": ConversionStatus.APPROVED,
    "pending": ConversionStatus.PENDING,
    "hold": ConversionStatus.PENDING,
    "on hold": ConversionStatus.PENDING,
    "on_hold": ConversionStatus.PENDING,
    "rejected": ConversionStatus.REJECTED,
    "declined": ConversionStatus.REJECTED,
    "canceled": ConversionStatus.REJECTED,
    "cancelled": ConversionStatus.REJECTED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported:
    """One conversion as a network reports it. Texts are cleaned and clamped; nothing here was looked up."""

    click_id: str
    """In lower case; '' when absent or not usable (then `problem` says why)."""
    click_text: str = ""
    """The click id parameter as it came."""
    payout: Decimal | None = None
    """None when absent: the offer's default applies. May be negative (an adjustment) or zero."""
    payout_text: str = ""
    currency: str = ""
    """Three capital letters; '' means the connection's own."""
    transaction_id: str = ""
    """'' means absent; never part of a key then."""
    event: str = ""
    """The network's event or goal id; '' is the base conversion (networks also write 0)."""
    event_name: str = ""
    status_word: str = ""
    """The network's word in lower case; '' means absent, which is approved."""
    offer_ref: str = ""
    flags: tuple[str, ...] = ()
    """Oddities that change nothing but are shown, e.g. 'comma_decimal', 'literal_status'."""
    problem: Verdict | None = None
    """One of verdicts.BY_REQUEST when the request alone rules a conversion out."""
    detail: str = ""
    """One sentence for the network's manager: what is wrong and what to write instead; '' without a problem."""

    def __post_init__(self) -> None:
        limits = {
            "click_id": 64, "click_text": 200, "payout_text": 64, "currency": 3, "transaction_id": 255,
            "event": 100, "event_name": 200, "status_word": 64, "offer_ref": 100, "detail": 300,
        }  # fmt: skip
        for name, limit in limits.items():
            object.__setattr__(self, name, clean(getattr(self, name), limit))


class Network:
    """What an adapter says about its network; the reading of parameters is shared, the words are the network's."""

    slug: str = ""
    """Its file's name; set by the registry."""
    name: ClassVar[str]
    docs: ClassVar[str]
    """The network's page this was written from."""
    click_parameters: ClassVar[tuple[str, ...]]
    """Parameters of the network's tracking link that carry our click id; the first is used for new links."""
    click_macro: ClassVar[str]
    """The network's macro that gives our click id back in a postback, e.g. '{aff_click_id}'."""
    payout_macro: ClassVar[str]
    """The network's macro for the affiliate's payout, e.g. '{payout_amount}'."""
    template: ClassVar[str]
    """The recommended query of a postback URL, with the network's macros."""
    aliases: ClassVar[Mapping[str, tuple[str, ...]]]
    """Field of Reported -> parameter names in order of preference, lower case."""
    statuses: ClassVar[Mapping[str, ConversionStatus]]
    """The network's words, lower case; a connection may override them."""
    macros: ClassVar[Mapping[str, str]] = {}
    """Field of Reported -> the network's macro for it, where the template leaves it out: the owner may add it."""
    other_macros: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Field of Reported -> macros that are accepted besides the recommended one, such as those of an older documentation."""
    known_macros: ClassVar[frozenset[str]] = frozenset()
    """Whatever else the network is known to replace, so that a pasted URL is not blamed for it."""
    console: ClassVar[str] = ""
    """Where in the network's own console a postback URL is pasted, and what to know there; '' when nobody said."""
    tester: ClassVar[str] = ""
    """How the network's own test is run; '' when nobody said."""
    alarms: ClassVar[Mapping[str, str]] = {}
    """What the network's own console says about us -> what that means here, and where to look."""

    def parse(self, request: RawRequest) -> list[Reported]:
        """What the request reports; raises BadPayload only when query and body cannot be read at all."""
        raise NotImplementedError
