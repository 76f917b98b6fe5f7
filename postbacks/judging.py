"""Owns judge(): what one postback means next to every earlier postback of its click. Pure: rows in memory, no queries.

The caller holds the lock on the click and passes every earlier hit; so no two judgements of one click overlap, and a hit that
comes again finds its first coming. Amounts are compared as money (number and currency), never as text.

What came with the token (or was accepted) is weighed against its like alone: verified money is the same whatever anybody sends
without the token. Hits may be judged late (replayed, accepted, mapped, by a slower worker): an older word undoes no newer one.
Of contradicting amounts under the rule 'ignore' the one judged first stands, even when it came second.
"""

from dataclasses import replace
from decimal import Decimal

from postbacks.cases import (
    STANDING,
    Case,
    Rule,
    agrees,
    attribution_window,
    duplicate_rule,
    is_of_test,
    is_trusted,
    is_within,
    marked_sale,
    of_one_event,
    own_currency,
    peers_of,
    status_of,
)
from postbacks.models import Conversion
from postbacks.verdicts import BY_REQUEST, ConversionStatus, Verdict
from webhooks.statuses import fingerprint

Kind = Conversion.Kind

# Everybody who got a message holds a click id; every hit of a click is weighed against those before it.
UNVERIFIED_PER_CLICK = 100
STATUS_ONLY = "Only the status; the other amount was ignored by the connection's rule."
DEFAULT_NOT_APPLIED = "default_payout_not_applied"
# Hits that were weighed against a counted one; a held or unmapped hit was not, and may be repeated in earnest.
_WEIGHED = frozenset({Verdict.RECORDED, Verdict.UPDATED, Verdict.UPSELL, Verdict.DUPLICATE, Verdict.DUPLICATE_DIFFERS})
_CHANGES = frozenset({Verdict.RECORDED, Verdict.UPDATED, Verdict.UPSELL})
# Had their effect or were answered: never judged again, or a replay of an old word would be heard as a new one.
SETTLED = _WEIGHED | {Verdict.ADJUSTED}
# What later hits are judged by; the others of a click need not be loaded, and a stranger can make any number of those.
MATTERS = SETTLED | {Verdict.NEGATIVE_PAYOUT}
# Where a person may say which click is meant.
NAMES_NO_CLICK = frozenset(
    {
        Verdict.UNKNOWN_CLICK,
        Verdict.MISSING_CLICK_ID,
        Verdict.MALFORMED_CLICK_ID,
        Verdict.LITERAL_MACRO,
        Verdict.TOO_LONG,
    }
)


def is_settled(hit: Conversion) -> bool:
    return hit.verdict in SETTLED or is_of_test(hit)


def matters(hit: Conversion) -> bool:
    return hit.verdict in MATTERS or is_of_test(hit)


def judge(hit: Conversion, case: Case) -> None:
    """Set the hit's verdict and what follows from it, on it and on the earlier hits it changes."""
    _clear(hit)
    verdict, detail = _before_money(hit, case)
    if verdict is None:
        verdict, detail = _money(hit, case)
    if verdict is None:
        verdict, detail = _adjust(hit, case) if _takes_back(hit) else _count(hit, case)
    hit.verdict, hit.detail = verdict, detail[:300]
    if verdict in _WEIGHED and is_trusted(hit) and not _takes_back(hit):
        _revive(hit, case)


def _takes_back(hit: Conversion) -> bool:
    return hit.payout is not None and hit.payout < 0


Judgement = tuple[Verdict | None, str]


def _clear(hit: Conversion) -> None:
    hit.kind, hit.ordinal, hit.key, hit.original = Kind.NONE, 0, None, None
    hit.payout, hit.is_late = hit.reported_payout, False
    hit.flags = [flag for flag in hit.flags if flag != DEFAULT_NOT_APPLIED]


def _before_money(hit: Conversion, case: Case) -> Judgement:
    """Verdicts that need no look at the amount."""
    hit.account = hit.bound_account or case.account
    # Kept for the URL's account: nothing of another account's click may show in it.
    click = case.click if hit.account == case.account else None
    hit.click, hit.offer = click, click.offer if click else None
    hit.message, hit.sending_list = (click.message, click.sending_list) if click else (None, None)
    hit.is_test = hit.verdict == Verdict.TEST or (click is not None and click.is_test)
    if _is_ruled_out(hit):
        return Verdict(hit.verdict), hit.detail
    if click is None:
        return (Verdict.UNKNOWN_CLICK if case.click is None else Verdict.WRONG_ACCOUNT), ""
    hit.connection = case.connection
    if hit.refusal and not hit.is_accepted:
        return Verdict(hit.refusal), ""
    return (Verdict.TEST, "The click is a test.") if hit.is_test else (None, "")


def _is_ruled_out(hit: Conversion) -> bool:
    """True when the request alone decided. A readable amount was over a ceiling, which may have been raised since."""
    return hit.verdict in BY_REQUEST and not (hit.verdict == Verdict.BAD_PAYOUT and hit.reported_payout is not None)


def beyond_click(hit: Conversion) -> tuple[Verdict, str]:
    """What the request alone rules out once somebody has said which click it means: a payout that cannot be read either."""
    if hit.verdict not in NAMES_NO_CLICK:
        return Verdict(hit.verdict), hit.detail
    if hit.reported_payout is None and hit.payout_text:
        return Verdict.BAD_PAYOUT, "Beside the click id, the payout cannot be read."
    return Verdict.WAITING, ""


def _money(hit: Conversion, case: Case) -> Judgement:
    """Amount, currency, status and lateness; a verdict where one of them rules the hit out."""
    assert case.click is not None
    assert case.account is not None
    connection = case.connection
    fill_in(hit, case)
    assert hit.payout is not None
    # The number is held against another currency's too: only a trusted hit comes that far, and it is a bound on slips.
    is_compared = hit.currency == own_currency(case) or is_trusted(hit)
    if is_compared and abs(hit.payout) > case.account.payout_ceiling:
        return Verdict.BAD_PAYOUT, f"Over the account's ceiling of {case.account.payout_ceiling.normalize():f}."
    status = status_of(hit, case)
    if status is None:
        return Verdict.STATUS_UNMAPPED, f"The word '{hit.status_word}' is not mapped."
    hit.status = status
    hit.is_late = hit.received_at - case.click.at > attribution_window(case)
    if hit.is_late and connection is not None and connection.excludes_late:
        return Verdict.EXPIRED_CLICK, ""
    why_held = "" if is_trusted(hit) else _held_unweighed(hit, case)
    return (Verdict.HELD, why_held) if why_held else (None, "")


def fill_in(hit: Conversion, case: Case) -> None:
    """The amount and currency the request left out. A default is an amount of our own currency and fits no other: 0 then."""
    hit.currency = hit.stated_currency = hit.currency or own_currency(case)
    if hit.payout is None:
        default = hit.offer.default_payout if hit.offer else None
        if default is not None and hit.currency != own_currency(case):
            hit.flags, default = [*hit.flags, DEFAULT_NOT_APPLIED], None
        hit.payout = default if default is not None else Decimal(0)


def _held_unweighed(hit: Conversion, case: Case) -> str:
    """Why a hit without the token is not even weighed; '' when it is."""
    if case.connection is not None and case.connection.token_only:
        return "This connection accepts its URL with the token only."
    if hit.currency != own_currency(case):
        return f"Without the token only amounts in {own_currency(case)} count by themselves."
    is_crowded = sum(not is_trusted(row) for row in case.earlier) >= UNVERIFIED_PER_CLICK
    return "Too many hits without the token named this click." if is_crowded else ""


def _count(hit: Conversion, case: Case) -> tuple[Verdict, str]:
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
    if agrees(hit, target) and hit.status == target.status:
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
        target.status = hit.status
        return Verdict.UPDATED, ""
    return _repeat(hit, case)


def _moves_status(hit: Conversion, target: Conversion) -> bool:
    # Once taken back, only another adjustment or a word for it speaks to that, not a late 'approved'.
    if target.status == ConversionStatus.REVERSED and hit.status in STANDING:
        return False
    return hit.status != target.status


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
        target.status = hit.status
        return Verdict.UPDATED, STATUS_ONLY
    return Verdict.DUPLICATE_DIFFERS, ""


def _upsell(hit: Conversion, case: Case) -> tuple[Verdict, str]:
    _enter(hit, Kind.UPSELL, case)
    return Verdict.UPSELL, ""


def _adjust(hit: Conversion, case: Case) -> tuple[Verdict, str]:
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
    restate(original, original.status, [*peers, hit])
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
    target.status = ConversionStatus.REVERSED if is_taken_back and status in STANDING else status


def _revive(hit: Conversion, case: Case) -> None:
    """Adjustments that came before what they adjust, or before its transaction id was known."""
    waiting = [row for row in of_one_event(hit, case) if row.verdict == Verdict.NEGATIVE_PAYOUT]
    for row in waiting:
        judge(row, replace(case, connection=row.connection or case.connection, earlier=[*case.earlier, hit]))


def _counted(rows: list[Conversion]) -> list[Conversion]:
    return [row for row in rows if row.kind in (Kind.CONVERSION, Kind.UPSELL)]


def _was_heard(hit: Conversion, case: Case) -> bool:
    """True when exactly this was said before."""
    return any(
        row.verdict in _WEIGHED
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
    repeated = [row.original for row in heard if row.verdict == Verdict.DUPLICATE and not _takes_back(row)]
    spoken_of = {id(row) for row in (*heard, *repeated)}
    return [row for row in rows if id(row) in spoken_of]


def _is_near_any(hit: Conversion, case: Case) -> bool:
    """Near any hit that said this amount, counted or not."""
    peers = peers_of(hit, case)
    return any(row.verdict in _WEIGHED and agrees(hit, row) and is_within(hit, row, case) for row in peers)


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
