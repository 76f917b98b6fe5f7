"""Owns what a readable hit means next to the others of its click: a new sale, a word about one that stands, money taken back.

Pure, as judging.py, which asks it once an amount may count.
"""

from decimal import Decimal

from postbacks.cases import (
    STANDING,
    Case,
    Rule,
    agrees,
    duplicate_rule,
    is_trusted,
    is_within,
    marked_sale,
    of_one_event,
    peers_of,
    say_status,
    status_said,
)
from postbacks.models import Conversion
from postbacks.verdicts import ConversionStatus, Verdict
from webhooks.statuses import fingerprint

Kind = Conversion.Kind

STATUS_ONLY = "Only the status; the other amount was ignored by the connection's rule."
# Hits that were weighed against a counted one; a held or unmapped hit was not, and may be repeated in earnest.
WEIGHED = frozenset({Verdict.RECORDED, Verdict.UPDATED, Verdict.UPSELL, Verdict.DUPLICATE, Verdict.DUPLICATE_DIFFERS})
_CHANGES = frozenset({Verdict.RECORDED, Verdict.UPDATED, Verdict.UPSELL})


def takes_back(hit: Conversion) -> bool:
    return hit.payout is not None and hit.payout < 0


def promote(hit: Conversion, case: Case) -> None:
    """Let a repetition count as a further sale, because a person says that it is one."""
    hit.verdict, hit.detail = _upsell(hit, case)[0], "Counted as a further sale by hand."


def count(hit: Conversion, case: Case) -> tuple[Verdict, str]:
    """A positive or zero amount: new, or weighed against what stands."""
    target = _target(hit, _counted(peers_of(hit, case)), case)
    sale = marked_sale(hit, target, case)
    if sale is not None:
        return _as_test(hit, sale)
    if target is None:
        return _record(hit, case)
    hit.original = target
    return _weigh(hit, target, case) if is_trusted(hit) else _weigh_unverified(hit, target, case)


def _target(hit: Conversion, rows: list[Conversion], case: Case) -> Conversion | None:
    """The counted conversion this hit speaks of; None when it is a new one."""
    agreeing = [row for row in rows if agrees(hit, row)]
    if hit.transaction_id:
        same = [row for row in (*agreeing, *rows) if row.transaction_id == hit.transaction_id]
        # The same sale reported without its transaction id moments before (or after) is the same sale.
        nameless = [row for row in _near(hit, agreeing, case) if not row.transaction_id]
        return next(iter(same or nameless), None)
    return next(iter(_near(hit, agreeing, case) or agreeing or rows), None)


def _as_test(hit: Conversion, sale: Conversion) -> tuple[Verdict, str]:
    hit.original, hit.is_test = sale, True
    return Verdict.TEST, "It speaks of a sale that was marked as a test."


def _record(hit: Conversion, case: Case) -> tuple[Verdict, str]:
    assert hit.payout is not None
    if is_trusted(hit):
        return _record_trusted(hit, case)
    ceiling = hit.offer.ceiling if hit.offer and hit.offer.ceiling is not None else None
    if hit.payout <= 0:
        return Verdict.HELD, "Without the token only a positive amount counts by itself."
    if ceiling is not None and hit.payout > ceiling:
        return Verdict.HELD, f"Without the token at most {ceiling.normalize():f} counts by itself on this offer."
    _enter(hit, Kind.CONVERSION, case)
    return Verdict.RECORDED, ""


def _record_trusted(hit: Conversion, case: Case) -> tuple[Verdict, str]:
    """A new one; what somebody said of it without the token counts no more."""
    _enter(hit, Kind.CONVERSION, case)
    unverified = [row for row in _counted(of_one_event(hit, case)) if not is_trusted(row)]
    claim = _target(hit, unverified, case)
    if claim is None:
        return Verdict.RECORDED, ""
    _retire(claim, hit)
    return Verdict.RECORDED, "It takes the place of an unverified hit."


def _retire(claim: Conversion, by: Conversion) -> None:
    claim.kind, claim.ordinal, claim.key, claim.original = Kind.NONE, 0, None, by
    claim.verdict, claim.detail = Verdict.DUPLICATE, "The same came with the token since, and that counts."


def _weigh_unverified(hit: Conversion, target: Conversion, case: Case) -> tuple[Verdict, str]:
    """Without the token nothing that stands is changed."""
    if agrees(hit, target) and hit.status == status_said(target):
        if hit.transaction_id in ("", target.transaction_id):
            return Verdict.DUPLICATE, ""
        if not is_trusted(target):
            _attach(hit, target, case)
            return Verdict.DUPLICATE, ""
    return Verdict.HELD, "Without the token it may not change or add to a conversion that already counts."


def _weigh(hit: Conversion, target: Conversion, case: Case) -> tuple[Verdict, str]:
    """Two words of the network about one conversion."""
    if _was_heard(hit, case):
        return _repeat(hit, case)
    _attach(hit, target, case)
    is_outdated = _is_outdated(hit, target, case)
    moves = not is_outdated and _moves_status(hit, target)
    if not agrees(hit, target):
        return _differ(hit, target, case, moves=moves, is_outdated=is_outdated)
    if moves:
        say_status(target, hit.status)
        return Verdict.UPDATED, ""
    return _repeat(hit, case)


def _moves_status(hit: Conversion, target: Conversion) -> bool:
    # Once taken back, only another adjustment or a word for it speaks to that, not a late 'approved'.
    if status_said(target) == ConversionStatus.REVERSED and hit.status in STANDING:
        return False
    return hit.status != status_said(target)


def _is_outdated(hit: Conversion, target: Conversion, case: Case) -> bool:
    """True when a later word of the network has already had its effect on the target."""
    words = [row for row in peers_of(hit, case) if row.verdict in _CHANGES and target in (row, row.original)]
    return any(row.received_at > hit.received_at for row in words)


def _repeat(hit: Conversion, case: Case) -> tuple[Verdict, str]:
    """The same amount again. Without a transaction id, later than the window, it may be a further sale."""
    adds = duplicate_rule(case) == Rule.ADD and not hit.transaction_id and hit.reported_payout is not None
    if adds and hit.status in STANDING and not _is_near_any(hit, case):
        return _upsell(hit, case)
    return Verdict.DUPLICATE, ""


def _differ(hit: Conversion, target: Conversion, case: Case, *, moves: bool, is_outdated: bool) -> tuple[Verdict, str]:
    """Another amount: the connection's rule decides; a new status word is heard under every rule."""
    rule = duplicate_rule(case)
    if rule == Rule.ADD and not moves:
        return _upsell(hit, case)
    if rule == Rule.UPDATE and is_outdated:
        return Verdict.DUPLICATE, "A later amount stands already."
    if rule == Rule.UPDATE:
        target.payout, target.currency = hit.payout, hit.currency
        restate(target, hit.status, peers_of(hit, case))
        return Verdict.UPDATED, ""
    if moves:
        say_status(target, hit.status)
        return Verdict.UPDATED, STATUS_ONLY
    return Verdict.DUPLICATE_DIFFERS, ""


def _upsell(hit: Conversion, case: Case) -> tuple[Verdict, str]:
    _enter(hit, Kind.UPSELL, case)
    return Verdict.UPSELL, ""


def adjust(hit: Conversion, case: Case) -> tuple[Verdict, str]:
    """A negative amount: a row of its own beside the conversion it corrects; its identity includes the amount."""
    if not is_trusted(hit):
        return Verdict.HELD, "Without the token nothing is taken back."
    peers = peers_of(hit, case)
    original = _original(hit, _counted(peers))
    sale = marked_sale(hit, original, case)
    if sale is not None:
        return _as_test(hit, sale)
    if original is None:
        return Verdict.NEGATIVE_PAYOUT, ""
    hit.original = original
    if any(_is_same_adjustment(hit, row) for row in peers if row.kind == Kind.ADJUSTMENT):
        return Verdict.DUPLICATE, ""
    _enter(hit, Kind.ADJUSTMENT, case, amount=hit.payout)
    restate(original, status_said(original), [*peers, hit])
    return Verdict.ADJUSTED, ""


def _original(hit: Conversion, rows: list[Conversion]) -> Conversion | None:
    """What a negative amount takes from: by transaction id, then the one it takes back wholly."""
    assert hit.payout is not None
    whole = [row for row in rows if (row.payout, row.currency) == (-hit.payout, hit.currency)]
    if not hit.transaction_id:
        return next(iter([*whole, *reversed(rows)]), None)
    named = [row for row in (*whole, *rows) if row.transaction_id == hit.transaction_id]
    alone = rows if len(rows) == 1 and not rows[0].transaction_id else []
    return next(iter(named or alone), None)


def _is_same_adjustment(hit: Conversion, row: Conversion) -> bool:
    # What a retry would be credited to may have changed since: another sale came, or got this transaction id.
    is_same = hit.transaction_id in ("", row.transaction_id) or row.original == hit.original
    return is_same and (row.payout, row.currency) == (hit.payout, hit.currency)


def restate(target: Conversion, status: str, peers: list[Conversion]) -> None:
    """Give it this status, or 'reversed' where its adjustments leave nothing of it. Other currencies take part in no sum."""
    amounts = [
        row.payout or Decimal(0)
        for row in peers
        if row.kind == Kind.ADJUSTMENT and row.original == target and row.currency == target.currency
    ]
    is_taken_back = bool(amounts) and (target.payout or Decimal(0)) + sum(amounts) <= 0
    say_status(target, ConversionStatus.REVERSED if is_taken_back and status in STANDING else status)


def _counted(rows: list[Conversion]) -> list[Conversion]:
    return [row for row in rows if row.kind in (Kind.CONVERSION, Kind.UPSELL)]


def _was_heard(hit: Conversion, case: Case) -> bool:
    """True when exactly this was said before."""
    return any(
        row.verdict in WEIGHED
        # The first hit may have been given a transaction id since, so a nameless one is compared with all.
        and hit.transaction_id in ("", row.transaction_id)
        and row.status_word == hit.status_word
        and row.reported_payout == hit.reported_payout
        and row.stated_currency == hit.stated_currency
        for row in peers_of(hit, case)
    )


def _near(hit: Conversion, rows: list[Conversion], case: Case) -> list[Conversion]:
    """Those it is near to, or to a repetition of them: retries come in chains longer than the window."""
    heard = [row for row in (*rows, *peers_of(hit, case)) if is_within(hit, row, case)]
    repeated = [row.original for row in heard if row.verdict == Verdict.DUPLICATE and not takes_back(row)]
    spoken_of = {id(row) for row in (*heard, *repeated)}
    return [row for row in rows if id(row) in spoken_of]


def _is_near_any(hit: Conversion, case: Case) -> bool:
    """Near any hit that said this amount, counted or not."""
    peers = peers_of(hit, case)
    return any(row.verdict in WEIGHED and agrees(hit, row) and is_within(hit, row, case) for row in peers)


def _attach(hit: Conversion, target: Conversion, case: Case) -> None:
    """The transaction id of a repetition becomes that of the conversion it repeats; what claimed it without the token ends."""
    if not hit.transaction_id or target.transaction_id:
        return
    target.transaction_id = hit.transaction_id
    target.key = _key(target)
    for row in _counted(of_one_event(hit, case)):
        if is_trusted(target) and not is_trusted(row) and row.transaction_id == target.transaction_id:
            _retire(row, target)


def _enter(hit: Conversion, kind: Kind, case: Case, *, amount: Decimal | None = None) -> None:
    """Let the hit count. Its key is the database's own guard against counting it twice."""
    hit.kind, hit.key = kind, _key(hit, amount)
    # Counted through all hits of the event: a key may change (a transaction id becomes known), the ordinal never does.
    hit.ordinal = 1 + max((row.ordinal for row in of_one_event(hit, case) if row.kind), default=-1)


def _key(hit: Conversion, amount: Decimal | None = None) -> bytes:
    assert hit.click is not None
    parts = (str(hit.click.account_id), hit.network, hit.click.click_id, hit.transaction_id, hit.event)
    return fingerprint((*parts, "" if amount is None else f"{amount.normalize():f} {hit.currency}"))
