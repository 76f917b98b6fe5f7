"""Owns Case: what one hit is judged by, and the terms its connection, offer and account set."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from postbacks.models import Click, Conversion, NetworkConnection
from postbacks.verdicts import ConversionStatus
from trackly.models import Account

Rule = NetworkConnection.DuplicateRule

DEFAULT_ATTRIBUTION_WINDOW = timedelta(days=90)
DEFAULT_DUPLICATE_WINDOW = timedelta(minutes=10)


@dataclass(slots=True, kw_only=True)
class Case:
    """Everything a hit of one click is judged by."""

    click: Click | None
    account: Account | None
    """The click's."""
    connection: NetworkConnection | None
    """The one whose token it carried, else the click's account's at this network."""
    statuses: Mapping[str, ConversionStatus]
    """The network's words."""
    earlier: list[Conversion] = field(default_factory=list)
    """The earlier hits of this click whose verdict is in MATTERS, oldest first; judge() may change them."""


def own_currency(case: Case) -> str:
    """Of money that names none, of ceilings and of defaults."""
    assert case.account is not None
    return ((case.connection.currency if case.connection else "") or case.account.currency).upper()


def status_of(hit: Conversion, case: Case) -> ConversionStatus | None:
    """What the network's status word means to this connection; None when nobody said."""
    if not hit.status_word:
        return ConversionStatus.APPROVED
    own = case.connection.status_words if case.connection else {}
    word = own.get(hit.status_word)
    return ConversionStatus(word) if word in ConversionStatus.values else case.statuses.get(hit.status_word)


def attribution_window(case: Case) -> timedelta:
    offer = case.click.offer if case.click else None
    if offer is not None and offer.attribution_window is not None:
        return offer.attribution_window
    return case.connection.attribution_window if case.connection else DEFAULT_ATTRIBUTION_WINDOW


def duplicate_rule(case: Case) -> str:
    return case.connection.duplicate_rule if case.connection else Rule.IGNORE
