"""Owns judge(): what one postback means next to every earlier postback of its click. Pure: rows in memory, no queries.

The caller holds the lock on the click and passes every earlier hit; so no two judgements of one click overlap, and a hit that
comes again finds its first coming. Amounts are compared as money (number and currency), never as text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from postbacks.models import Click, Conversion, NetworkConnection
from postbacks.verdicts import BY_REQUEST, ConversionStatus, Verdict
from trackly.models import Account
from webhooks.statuses import fingerprint

Rule = NetworkConnection.DuplicateRule
Kind = Conversion.Kind

DEFAULT_ATTRIBUTION_WINDOW = timedelta(days=90)
DEFAULT_DUPLICATE_WINDOW = timedelta(minutes=10)
# Hits that were weighed against a counted one; a held or unmapped hit was not, and may be repeated in earnest.
_WEIGHED = frozenset({Verdict.RECORDED, Verdict.UPDATED, Verdict.UPSELL, Verdict.DUPLICATE, Verdict.DUPLICATE_DIFFERS})


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
    """Every earlier hit of this click, oldest first; judge() may change them."""


def judge(hit: Conversion, case: Case) -> None:
    """Set the hit's verdict and what follows from it, on it and on the earlier hits it changes."""
    _clear(hit)
    verdict, detail = _before_money(hit, case)
    if verdict is None:
        verdict, detail = _money(hit, case)
    if verdict is None:
        assert hit.payout is not None
        verdict, detail = _adjust(hit, case) if hit.payout < 0 else _count(hit, case)
    hit.verdict, hit.detail = verdict, detail[:300]
    if verdict == Verdict.RECORDED:
        _revive(hit, case)


Judgement = tuple[Verdict | None, str]


def _clear(hit: Conversion) -> None:
    hit.kind, hit.ordinal, hit.key, hit.original = Kind.NONE, 0, None, None
    hit.payout, hit.is_late = hit.reported_payout, False


def _before_money(hit: Conversion, case: Case) -> Judgement:
    """Verdicts that need no look at the amount."""
    if case.click is not None:
        hit.click, hit.is_test = case.click, case.click.is_test
        hit.offer, hit.message, hit.sending_list = case.click.offer, case.click.message, case.click.sending_list
    hit.account = hit.bound_account or case.account
    if hit.verdict in BY_REQUEST:
        return Verdict(hit.verdict), hit.detail
    if case.click is None:
        return Verdict.UNKNOWN_CLICK, ""
    if hit.bound_account is not None and hit.bound_account != case.account:
        # Kept for the URL's account; nothing of the other account's click may show in it.
        hit.click = hit.offer = hit.message = hit.sending_list = None
        hit.is_test = False
        return Verdict.WRONG_ACCOUNT, ""
    hit.connection = case.connection
    if hit.refusal and not hit.is_accepted:
        return Verdict(hit.refusal), ""
    return (Verdict.TEST, "The click is a test.") if hit.is_test else (None, "")


def _money(hit: Conversion, case: Case) -> Judgement:
    """Amount, currency, status and lateness; a verdict where one of them rules the hit out."""
    assert case.click is not None
    assert case.account is not None
    connection, offer = case.connection, case.click.offer
    if hit.payout is None and offer is not None:
        hit.payout = offer.default_payout
    hit.payout = hit.payout if hit.payout is not None else Decimal(0)
    hit.currency = hit.currency or (connection.currency if connection else "") or case.account.currency
    if abs(hit.payout) > case.account.payout_ceiling:
        return Verdict.BAD_PAYOUT, f"Over the account's ceiling of {case.account.payout_ceiling.normalize():f}."
    status = status_of(hit, case)
    if status is None:
        return Verdict.STATUS_UNMAPPED, f"The word '{hit.status_word}' is not mapped."
    hit.status = status
    hit.is_late = hit.received_at - case.click.at > _attribution_window(case)
    if hit.is_late and connection is not None and connection.excludes_late:
        return Verdict.EXPIRED_CLICK, ""
    if connection is not None and connection.token_only and not _is_trusted(hit):
        return Verdict.HELD, "This connection accepts its URL with the token only."
    return None, ""


def status_of(hit: Conversion, case: Case) -> ConversionStatus | None:
    """What the network's status word means to this connection; None when nobody said."""
    if not hit.status_word:
        return ConversionStatus.APPROVED
    own = case.connection.status_words if case.connection else {}
    word = own.get(hit.status_word)
    return ConversionStatus(word) if word else case.statuses.get(hit.status_word)


def _attribution_window(case: Case) -> timedelta:
    offer = case.click.offer if case.click else None
    if offer is not None and offer.attribution_window is not None:
        return offer.attribution_window
    return case.connection.attribution_window if case.connection else DEFAULT_ATTRIBUTION_WINDOW


def _is_trusted(hit: Conversion) -> bool:
    return hit.is_verified or hit.is_accepted


def _count(hit: Conversion, case: Case) -> tuple[Verdict, str]:
    """A positive or zero amount: new, or weighed against what stands."""
    rows = [row for row in _peers(hit, case) if row.kind in (Kind.CONVERSION, Kind.UPSELL)]
    target = _target(hit, rows, case)
    if target is None:
        return _record(hit, case)
    hit.original = target
    if not _is_trusted(hit):
        return _weigh_unverified(hit, target)
    if not _is_trusted(target):
        return _take_over(hit, target)
    return _weigh(hit, target, case)


def _target(hit: Conversion, rows: list[Conversion], case: Case) -> Conversion | None:
    """The counted conversion this hit speaks of; None when it is a new one."""
    if hit.transaction_id:
        same = [row for row in rows if row.transaction_id == hit.transaction_id]
        if same:
            return same[0]
        # The same sale reported without its transaction id moments before (or after) is the same sale.
        nameless = [row for row in rows if not row.transaction_id and _is_near(hit, row, case) and _agrees(hit, row)]
        return nameless[0] if nameless else None
    agreeing = [row for row in rows if _agrees(hit, row)]
    near = [row for row in agreeing if _is_near(hit, row, case)]
    return next(iter(near or agreeing or rows), None)


def _record(hit: Conversion, case: Case) -> tuple[Verdict, str]:
    assert hit.payout is not None
    if not _is_trusted(hit):
        ceiling = hit.offer.ceiling if hit.offer and hit.offer.ceiling is not None else None
        if hit.payout <= 0:
            return Verdict.HELD, "Without the token only a positive amount counts by itself."
        if ceiling is not None and hit.payout > ceiling:
            return Verdict.HELD, f"Without the token at most {ceiling.normalize():f} counts by itself on this offer."
    _enter(hit, Kind.CONVERSION, case)
    return Verdict.RECORDED, ""


def _weigh_unverified(hit: Conversion, target: Conversion) -> tuple[Verdict, str]:
    """Without the token nothing that stands is changed."""
    if _agrees(hit, target) and hit.status == target.status:
        if hit.transaction_id in ("", target.transaction_id):
            return Verdict.DUPLICATE, ""
        if not _is_trusted(target):
            _attach(hit, target)
            return Verdict.DUPLICATE, ""
    return Verdict.HELD, "Without the token it may not change or add to a conversion that already counts."


def _take_over(hit: Conversion, target: Conversion) -> tuple[Verdict, str]:
    """The token's word replaces what somebody said without it."""
    is_same = _agrees(hit, target) and hit.status == target.status
    if hit.reported_payout is not None:
        target.payout, target.currency = hit.payout, hit.currency
    target.status, target.is_verified = hit.status, True
    _attach(hit, target)
    return (Verdict.DUPLICATE, "It confirms an unverified hit.") if is_same else (Verdict.UPDATED, "")


def _weigh(hit: Conversion, target: Conversion, case: Case) -> tuple[Verdict, str]:
    """Two words of the network about one conversion."""
    if _was_heard(hit, case):
        return Verdict.DUPLICATE, ""
    if hit.transaction_id and not target.transaction_id:
        _attach(hit, target)
    moves = _moves_status(hit, target)
    if _agrees(hit, target):
        if moves:
            target.status = hit.status
            return Verdict.UPDATED, ""
        return _repeat(hit, target, case)
    return _differ(hit, target, case, moves=moves)


def _moves_status(hit: Conversion, target: Conversion) -> bool:
    # Reversed by an adjustment: only another adjustment or a word for it speaks to that, not a late 'approved'.
    if target.status == ConversionStatus.REVERSED and hit.status == ConversionStatus.APPROVED:
        return False
    return hit.status != target.status


def _repeat(hit: Conversion, target: Conversion, case: Case) -> tuple[Verdict, str]:
    """The same amount again. Without a transaction id, later than the window, it may be a further sale."""
    adds = _rule(case) == Rule.ADD and not hit.transaction_id and hit.reported_payout is not None
    if adds and not _is_near_any(hit, case):
        return _upsell(hit, case)
    return Verdict.DUPLICATE, ""


def _differ(hit: Conversion, target: Conversion, case: Case, *, moves: bool) -> tuple[Verdict, str]:
    """Another amount: the connection's rule decides; a new status word is heard under every rule."""
    rule = _rule(case)
    if rule == Rule.ADD and not moves:
        return _upsell(hit, case)
    if rule == Rule.UPDATE:
        target.payout, target.currency, target.status = hit.payout, hit.currency, hit.status
        return Verdict.UPDATED, ""
    if moves:
        target.status = hit.status
        return Verdict.UPDATED, "Only the status; the other amount was ignored by the connection's rule."
    return Verdict.DUPLICATE_DIFFERS, ""


def _upsell(hit: Conversion, case: Case) -> tuple[Verdict, str]:
    _enter(hit, Kind.UPSELL, case)
    return Verdict.UPSELL, ""


def _adjust(hit: Conversion, case: Case) -> tuple[Verdict, str]:
    """A negative amount: a row of its own beside the conversion it corrects; its identity includes the amount."""
    assert hit.payout is not None
    if not _is_trusted(hit):
        return Verdict.HELD, "Without the token nothing is taken back."
    peers = _peers(hit, case)
    original = _original(hit, [row for row in peers if row.kind in (Kind.CONVERSION, Kind.UPSELL)])
    if original is None:
        return Verdict.NEGATIVE_PAYOUT, ""
    hit.original = original
    made = [row for row in peers if row.kind == Kind.ADJUSTMENT and row.original == original]
    if any((row.payout, row.currency) == (hit.payout, hit.currency) for row in made):
        return Verdict.DUPLICATE, ""
    _enter(hit, Kind.ADJUSTMENT, case, amount=hit.payout)
    assert original.payout is not None
    net = original.payout + hit.payout + sum((row.payout or Decimal(0) for row in made), Decimal(0))
    if net <= 0:
        original.status = ConversionStatus.REVERSED
    return Verdict.ADJUSTED, ""


def _original(hit: Conversion, rows: list[Conversion]) -> Conversion | None:
    if not hit.transaction_id:
        return rows[-1] if rows else None
    named = [row for row in rows if row.transaction_id == hit.transaction_id]
    nameless = [row for row in rows if not row.transaction_id]
    return next(iter(named), None) or (nameless[0] if len(nameless) == 1 and len(rows) == 1 else None)


def _revive(hit: Conversion, case: Case) -> None:
    """Adjustments that came before what they adjust."""
    for row in list(case.earlier):
        if row.verdict == Verdict.NEGATIVE_PAYOUT and row is not hit and row.event == hit.event:
            case.earlier.append(hit)
            judge(row, case)
            case.earlier.remove(hit)


def _peers(hit: Conversion, case: Case) -> list[Conversion]:
    """Earlier hits about the same event from the same network."""
    return [row for row in case.earlier if row.event == hit.event and row.network == hit.network and row is not hit]


def _was_heard(hit: Conversion, case: Case) -> bool:
    """True when exactly this was said before. Without a transaction id and adding, only within the window."""
    same = [
        row
        for row in _peers(hit, case)
        if row.verdict in _WEIGHED
        # The first hit may have been given a transaction id since, so a nameless one is compared with all.
        and hit.transaction_id in ("", row.transaction_id)
        and row.status_word == hit.status_word
        and row.reported_payout == hit.reported_payout
        and row.currency == hit.currency
    ]
    if _rule(case) == Rule.ADD and not hit.transaction_id:
        same = [row for row in same if _is_near(hit, row, case)]
    return bool(same)


def _agrees(hit: Conversion, row: Conversion) -> bool:
    """The same money; an absent amount says nothing against any."""
    return hit.reported_payout is None or (hit.payout, hit.currency) == (row.payout, row.currency)


def _is_near(hit: Conversion, row: Conversion, case: Case) -> bool:
    window = case.connection.duplicate_window if case.connection else DEFAULT_DUPLICATE_WINDOW
    return abs(hit.received_at - row.received_at) <= window


def _is_near_any(hit: Conversion, case: Case) -> bool:
    """Near the counted hit or any repetition of it: retries come in chains longer than the window."""
    peers = _peers(hit, case)
    return any(row.verdict in _WEIGHED and _agrees(hit, row) and _is_near(hit, row, case) for row in peers)


def _attach(hit: Conversion, target: Conversion) -> None:
    """The transaction id of a repetition becomes that of the conversion it repeats."""
    if hit.transaction_id and not target.transaction_id:
        target.transaction_id = hit.transaction_id
        target.key = _key(target)


def _rule(case: Case) -> str:
    return case.connection.duplicate_rule if case.connection else Rule.IGNORE


def _enter(hit: Conversion, kind: Kind, case: Case, *, amount: Decimal | None = None) -> None:
    """Let the hit count. Its key is the database's own guard against counting it twice."""
    hit.kind, hit.key = kind, _key(hit, amount)
    hit.ordinal = sum(
        1 for row in case.earlier if row.key is not None and bytes(row.key) == hit.key and row.kind == kind
    )


def _key(hit: Conversion, amount: Decimal | None = None) -> bytes:
    assert hit.click is not None
    parts = (str(hit.click.account_id), hit.network, hit.click.click_id, hit.transaction_id, hit.event)
    return fingerprint((*parts, "" if amount is None else f"{amount.normalize():f} {hit.currency}"))
