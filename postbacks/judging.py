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
    REJECTED,
    Case,
    attribution_window,
    is_of_test,
    is_trusted,
    of_one_event,
    own_currency,
    status_of,
)
from postbacks.models import Conversion
from postbacks.verdicts import BY_REQUEST, Verdict
from postbacks.weighing import WEIGHED, adjust, count, takes_back

Kind = Conversion.Kind

# Everybody who got a message holds a click id; every hit of a click is weighed against those before it.
UNVERIFIED_PER_CLICK = 100
DEFAULT_NOT_APPLIED = "default_payout_not_applied"
# Had their effect or were answered: never judged again, or a replay of an old word would be heard as a new one.
SETTLED = WEIGHED | {Verdict.ADJUSTED}
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
        verdict, detail = adjust(hit, case) if takes_back(hit) else count(hit, case)
    hit.verdict, hit.detail = verdict, detail[:300]
    if verdict in WEIGHED and is_trusted(hit) and not takes_back(hit):
        revive(hit, case)


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
    if hit.is_test:
        return Verdict.TEST, "The click is a test."
    return (Verdict.HELD, "Rejected by hand.") if REJECTED in hit.flags else (None, "")


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


def revive(hit: Conversion, case: Case) -> None:
    """Adjustments that came before what they adjust, or before its transaction id was known."""
    waiting = [row for row in of_one_event(hit, case) if row.verdict == Verdict.NEGATIVE_PAYOUT]
    for row in waiting:
        others = [one for one in case.earlier if one is not hit]
        judge(row, replace(case, connection=row.connection or case.connection, earlier=[*others, hit]))
