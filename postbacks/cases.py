"""Owns Case: what one hit is judged by, the terms its connection, offer and account set, and how it compares with others.

A sale that somebody marked as a test stays known to judging: what speaks of it later is a test as well, by the rules by which a
repetition of a counted one is found. A hit speaks of it when it names its transaction. Without a transaction id it must say
an amount that was said of it before, and under the rule 'add' do so near in time. Where it fits a conversion that counts as
well or better, it speaks of that one. With the token, only what is trusted binds: marking a stranger's hit hides no sale.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from postbacks.models import Click, Conversion, NetworkConnection
from postbacks.verdicts import ConversionStatus, Verdict
from trackly.models import Account

Rule = NetworkConnection.DuplicateRule

DEFAULT_ATTRIBUTION_WINDOW = timedelta(days=90)
DEFAULT_DUPLICATE_WINDOW = timedelta(minutes=10)
# What an adjustment takes back; a rejected conversion stays rejected.
STANDING = frozenset({ConversionStatus.APPROVED, ConversionStatus.PENDING})
# Flags of what people decided about a hit; judging it again keeps them.
ASSIGNED = "assigned_by_hand"
MATCHED = "matched_by_hand"
MARKED = "marked_as_test"
REJECTED = "rejected_by_hand"
PROMOTED = "promoted_by_hand"
# Beside REJECTED: what the network's words make of the sale all the same, for when the person thinks better of it.
_OTHERWISE = "otherwise_"


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
    """The earlier hits of this click that matter(), oldest first; judge() may change them."""


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


def status_said(sale: Conversion) -> str:
    """What the network's words make of it, whatever a person decided."""
    said = (flag.removeprefix(_OTHERWISE) for flag in sale.flags if flag.startswith(_OTHERWISE))
    return next(said, sale.status)


def say_status(sale: Conversion, status: str) -> None:
    """The network's words make this of it; one that was rejected by hand stays rejected."""
    if status_said(sale) == status:
        return
    if REJECTED in sale.flags:
        sale.flags = [*_without_otherwise(sale), f"{_OTHERWISE}{status}"]
    else:
        sale.status = status


def reject_sale(sale: Conversion) -> None:
    sale.flags = [*sale.flags, REJECTED, f"{_OTHERWISE}{sale.status}"]
    sale.status = ConversionStatus.REJECTED


def unreject(hit: Conversion) -> None:
    """Forget that a person rejected it, if one did; what the network said since stands."""
    if REJECTED in hit.flags:
        hit.status = status_said(hit)
        hit.flags = [flag for flag in _without_otherwise(hit) if flag != REJECTED]


def _without_otherwise(hit: Conversion) -> list[str]:
    return [flag for flag in hit.flags if not flag.startswith(_OTHERWISE)]


def attribution_window(case: Case) -> timedelta:
    offer = case.click.offer if case.click else None
    if offer is not None and offer.attribution_window is not None:
        return offer.attribution_window
    return case.connection.attribution_window if case.connection else DEFAULT_ATTRIBUTION_WINDOW


def duplicate_rule(case: Case) -> str:
    return case.connection.duplicate_rule if case.connection else Rule.IGNORE


def is_trusted(hit: Conversion) -> bool:
    return hit.is_verified or hit.is_accepted


def is_of_test(hit: Conversion) -> bool:
    """True when it was marked as a test by hand, or speaks of a sale that was."""
    return hit.verdict == Verdict.TEST and (MARKED in hit.flags or hit.original_id is not None)


def of_one_event(hit: Conversion, case: Case) -> list[Conversion]:
    """Earlier hits about the same event from the same network."""
    return [row for row in case.earlier if row.event == hit.event and row.network == hit.network and row is not hit]


def peers_of(hit: Conversion, case: Case) -> list[Conversion]:
    """Those of them that it is weighed against."""
    rows = of_one_event(hit, case)
    return [row for row in rows if is_trusted(row)] if is_trusted(hit) else rows


def agrees(hit: Conversion, row: Conversion) -> bool:
    """The same money; an absent amount says nothing against any."""
    return hit.reported_payout is None or (hit.payout, hit.currency) == (row.payout, row.currency)


def is_within(hit: Conversion, row: Conversion, case: Case) -> bool:
    window = case.connection.duplicate_window if case.connection else DEFAULT_DUPLICATE_WINDOW
    return abs(hit.received_at - row.received_at) <= window


def marked_sale(hit: Conversion, target: Conversion | None, case: Case) -> Conversion | None:
    """The sale marked as a test that the hit speaks of; None when there is none, or `target`, which counts, fits as well."""
    peers = peers_of(hit, case)
    marked = [row for row in peers if MARKED in row.flags]
    words = {row.pk: [word for word in peers if row.pk in (word.pk, word.original_id)] for row in marked}
    meant = [row for row in marked if _is_meant(hit, row, words[row.pk], case)]
    best = max(meant, key=lambda row: _fit(hit, row, words[row.pk]), default=None)
    if best is None or (target is not None and _fit(hit, target, [target]) >= _fit(hit, best, words[best.pk])):
        return None
    return best


def _is_meant(hit: Conversion, sale: Conversion, words: list[Conversion], case: Case) -> bool:
    """Whether the hit speaks of this sale; `words` are all hits that did, its own among them."""
    if hit.transaction_id and sale.transaction_id:
        return hit.transaction_id == sale.transaction_id
    same = [word for word in words if _is_same_money(hit, word)]
    if _is_negative(hit):
        return bool(same) and not hit.transaction_id
    adds = duplicate_rule(case) == Rule.ADD and hit.reported_payout is not None and hit.status in STANDING
    # Another transaction, or under this rule a further sale, may well have the same amount.
    if hit.transaction_id or adds:
        same = [word for word in same if is_within(hit, word, case)]
    return bool(same)


def _fit(hit: Conversion, sale: Conversion, words: list[Conversion]) -> tuple[bool, bool]:
    is_named = bool(hit.transaction_id) and hit.transaction_id == sale.transaction_id
    return is_named, any(_is_same_money(hit, word) for word in words)


def _is_same_money(hit: Conversion, word: Conversion) -> bool:
    """The amount as it stands, as it was said (an update changes what stands), or the whole of it taken back."""
    if word.payout is None:
        return False
    if agrees(hit, word) or (hit.reported_payout, hit.stated_currency) == (word.reported_payout, word.stated_currency):
        return True
    return _is_negative(hit) and (word.payout, word.currency) == (-(hit.payout or 0), hit.currency)


def _is_negative(hit: Conversion) -> bool:
    return hit.payout is not None and hit.payout < 0
