"""Owns what people do to judged hits: accept, reject, promote, assign, match with a click, mark as a test; each is audited.

A decision is kept in the row, where neither a sweep nor a replay of the hit's request undoes it. Each stands for one thing
only: who accepts or assigns a hit vouches for its sender, who matches one says which click it means and nothing about who
sent it, so that a hit without the token counts as unverified, or is held, after it was matched. Who rejects a sale overrides
the network: its later words are kept beside it and stand when somebody approves the sale again. Accepting, assigning and
matching a hit that was rejected before it counted takes the rejection back.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from postbacks import conversions
from postbacks.cases import (
    ASSIGNED,
    MARKED,
    MATCHED,
    PROMOTED,
    REJECTED,
    STANDING,
    Case,
    reject_sale,
    status_of,
    status_said,
    unreject,
)
from postbacks.conversions import Books, Cases, lock_clicks, lock_stored, rejudge, settle
from postbacks.judging import NAMES_NO_CLICK, beyond_click, fill_in, is_settled, revive
from postbacks.models import Click, Conversion, NetworkConnection
from postbacks.verdicts import ConversionStatus, Verdict
from postbacks.weighing import STATUS_ONLY, restate, takes_back
from postbacks.weighing import promote as count_as_further
from trackly.models import AuditEntry

Kind = Conversion.Kind

ACCEPTABLE = (Verdict.HELD, Verdict.BAD_SECRET, Verdict.IP_NOT_ALLOWED, Verdict.PLAIN_HTTP)
PROMOTABLE = frozenset({Verdict.DUPLICATE, Verdict.DUPLICATE_DIFFERS})


class CannotCorrect(Exception):
    """Why a hit cannot be corrected this way, in a sentence for the person who tried."""


def accept(queryset: QuerySet[Conversion], *, user: Any, now: datetime) -> list[int]:
    """Let held and refused hits count as if they had come with the token; the ids of those that were judged again."""
    accepted: list[int] = []
    for ids in _chunks(queryset.filter(verdict__in=ACCEPTABLE)):
        # Asked again: another person may have accepted them since.
        chunk = Conversion.objects.filter(id__in=ids, verdict__in=ACCEPTABLE)
        with transaction.atomic():
            hits = rejudge(chunk, now, is_accepted=True)
            AuditEntry.objects.bulk_create(_entry(hit, user, "accepted", _judged(hit)) for hit in hits)
        accepted += [hit.pk for hit in hits]
    return accepted


@transaction.atomic
def assign(hit: Conversion, connection: NetworkConnection, *, user: Any, now: datetime) -> Verdict:
    """Give an unrouted hit, or one with a wrong token, to this connection as if it had carried its token; what it is judged now.

    It is accepted, not verified: the person vouches for it. Raises CannotCorrect.
    """
    clicks = lock_clicks({hit.click_ref})
    row = _locked(hit)
    _check_assignable(row, connection)
    books = Books([row])
    row.connection, row.bound_account = connection, connection.account
    unreject(row)
    row.is_accepted, row.flags = True, [*row.flags, ASSIGNED]
    settle([row], clicks, books, now)
    _entry(row, user, "assigned", f"To connection {connection.pk}, {connection}. {_judged(row)}").save()
    return Verdict(row.verdict)


def _check_assignable(row: Conversion, connection: NetworkConnection) -> None:
    if row.network != connection.network:
        raise CannotCorrect(f"The hit came from {row.network}; {connection} is a connection to {connection.network}.")
    if is_settled(row):
        raise CannotCorrect(f"The hit is settled already: {_label(row).lower()}.")
    if row.account_id not in (None, connection.account_id):
        raise CannotCorrect("The hit belongs to another account than this connection.")
    if row.account_id is not None and row.verdict != Verdict.BAD_SECRET:
        raise CannotCorrect("The hit belongs to an account already, and no wrong token keeps it from counting.")


@transaction.atomic
def match(hit: Conversion, click: Click, *, user: Any, now: datetime) -> Verdict:
    """Let a hit whose click id is unknown or unusable mean this click; what it is judged now.

    What it came with stays in click_text and query. Whatever else speaks against it, an unreadable payout for one, still
    does. An unrouted hit gets the account of the click. Raises CannotCorrect.
    """
    clicks = lock_clicks({click.click_id, hit.click_ref})
    row = _locked(hit)
    _check_matchable(row, click, clicks)
    books = Books([row])
    unreject(row)
    row.click_ref, row.flags = click.click_id, [*row.flags, MATCHED]
    row.verdict, row.detail = beyond_click(row)
    row.save(update_fields=["click_ref"])
    settle([row], clicks, books, now)
    _entry(row, user, "matched", f"With click {click.click_id}. {_judged(row)}").save()
    return Verdict(row.verdict)


def _check_matchable(row: Conversion, click: Click, clicks: dict[str, Click]) -> None:
    if row.verdict not in NAMES_NO_CLICK or row.click_id is not None:
        raise CannotCorrect(f"Only a hit whose click is not known can be matched; this one is: {_label(row).lower()}.")
    if row.account_id not in (None, click.account_id):
        raise CannotCorrect("The click belongs to another account than the hit.")
    if row.verdict == Verdict.UNKNOWN_CLICK and clicks.get(row.click_ref, click) != click:
        raise CannotCorrect("The click it names is known by now; it is judged with that one within seconds.")


@transaction.atomic
def reject(hit: Conversion, *, user: Any, now: datetime, reason: str = "") -> None:
    """Count a sale as rejected, whatever the network says; let a hit that does not count yet never do so by itself.

    Raises CannotCorrect.
    """
    clicks = lock_clicks({hit.click_ref})
    row = _locked(hit)
    _check_rejectable(row)
    was = f"{_judged(row)} Status: {row.get_status_display().lower()}." if row.kind else _judged(row)
    if row.kind:
        sale, _, books = _among_others(row, clicks)
        reject_sale(sale)
        books.close()
    else:
        books = Books([row])
        row.flags = [*row.flags, REJECTED]
        settle([row], clicks, books, now)
    _entry(row, user, "rejected", f"{reason}. {was}" if reason else was).save()


def _check_rejectable(row: Conversion) -> None:
    if REJECTED in row.flags:
        raise CannotCorrect("It was rejected already.")
    if row.verdict == Verdict.TEST:
        raise CannotCorrect("It is a test and counts in no total.")
    if row.kind == Kind.ADJUSTMENT:
        raise CannotCorrect("It takes money back from another conversion: reject that one, or mark this as a test.")
    if row.kind and row.status not in STANDING:
        raise CannotCorrect(f"It is {row.get_status_display().lower()} already.")
    if not row.kind and is_settled(row):
        raise CannotCorrect(f"It does not count by itself, it is settled: {_label(row).lower()}.")


@transaction.atomic
def approve(hit: Conversion, *, user: Any, now: datetime) -> None:
    """Take the rejection by hand back; what the network said meanwhile stands. Raises CannotCorrect."""
    clicks = lock_clicks({hit.click_ref})
    row = _locked(hit)
    if REJECTED not in row.flags or (not row.kind and is_settled(row)):
        raise CannotCorrect("Nobody rejected it by hand, or another hit has taken its place since.")
    if row.kind:
        row, _, books = _among_others(row, clicks)
        unreject(row)
        books.close()
    else:
        books = Books([row])
        unreject(row)
        settle([row], clicks, books, now)
    _entry(row, user, "approved", f"{_judged(row)} Status: {row.get_status_display().lower()}.").save()


@transaction.atomic
def promote(hit: Conversion, *, user: Any, now: datetime) -> None:
    """Let a repetition count as a further sale of its click. Who does so vouches for it, as who accepts. Raises CannotCorrect."""
    clicks = lock_clicks({hit.click_ref})
    row = _locked(hit)
    _check_promotable(row)
    was = _judged(row)
    row, case, books = _among_others(row, clicks)
    row.is_accepted |= not row.is_verified
    unreject(row)
    row.flags, row.judged_at = [*row.flags, PROMOTED], now
    count_as_further(row, case)
    revive(row, case)
    books.close()
    _entry(row, user, "promoted", f"To a further sale. {was}").save()


def _check_promotable(row: Conversion) -> None:
    if row.verdict not in PROMOTABLE or row.click_id is None:
        raise CannotCorrect(f"Only a duplicate can become a further sale; this one is: {_label(row).lower()}.")
    if takes_back(row):
        raise CannotCorrect("It takes money back, so it is no sale.")
    if row.status not in STANDING:
        raise CannotCorrect(f"The network says it is {row.get_status_display().lower()}, so it is no sale.")


def _among_others(row: Conversion, clicks: dict[str, Click]) -> tuple[Conversion, Case, Books]:
    """The settled hit as one of all hits of its locked click, and the books of them all: a change of it moves its adjustments."""
    cases = Cases([], clicks)
    books = Books([])
    books.open(cases.earlier)
    same = next(one for one in cases.earlier if one.pk == row.pk)
    return same, cases.of(same), books


def mark_as_test(hits: QuerySet[Conversion], *, user: Any, now: datetime, reason: str = "") -> int:
    """Take hits out of every total as tests; how many are tests now that were none, adjustments of them included.

    What took money from a marked sale is marked with it, and what a marked hit took from or changed in another sale is
    given back. Duplicates of a marked hit stay duplicates, and its upsells, which are sales of their own, stay counted:
    none of them takes its place. Nor does a later hit that speaks of the marked sale; it is a test as well (cases.py says
    when it does). Marked hits are judged no more: a replay, a mended token or an acceptance leaves them tests.
    """
    return sum(_mark(ids, user, now, reason) for ids in _chunks(hits.exclude(verdict=Verdict.TEST)))


@transaction.atomic
def _mark(ids: list[int], user: Any, now: datetime, reason: str) -> int:
    refs = dict(Conversion.objects.filter(id__in=ids).values_list("id", "click_ref"))
    clicks = lock_clicks(set(refs.values()))
    # One matched by hand in between names a click that is not locked here.
    locked = [row for row in lock_stored(id__in=ids) if row.click_ref == refs[row.pk] and row.verdict != Verdict.TEST]
    cases = Cases([], clicks)
    known = {row.pk: row for row in cases.earlier}
    chosen = {row.pk: known.get(row.pk, row) for row in locked}
    taking = [row for row in cases.earlier if row.kind == Kind.ADJUSTMENT and row.original_id in chosen]
    chosen |= {row.pk: row for row in taking}
    books = Books([])
    books.open({**known, **chosen}.values())
    taken_back = {row.original_id for row in chosen.values() if row.verdict == Verdict.ADJUSTED}
    updates = [row for row in chosen.values() if row.verdict == Verdict.UPDATED]
    updated = {row.original_id for row in updates}
    # A word that changed the status alone leaves the amount as it is.
    repriced = {row.original_id for row in updates if row.reported_payout is not None and row.detail != STATUS_ONLY}
    entries = [_mark_one(row, user, now, reason) for row in chosen.values()]
    for sale in [row for row in cases.earlier if row.kind and row.pk in taken_back | updated]:
        _give_back(sale, cases, is_updated=sale.pk in updated, is_repriced=sale.pk in repriced)
    books.close()
    AuditEntry.objects.bulk_create(entries)
    return len(entries)


def _mark_one(row: Conversion, user: Any, now: datetime, reason: str) -> AuditEntry:
    was = _judged(row) + (f" Kind: {row.kind} of conversion {row.original_id}." if row.kind and row.original_id else "")
    row.kind, row.ordinal, row.key, row.judged_at = Kind.NONE, 0, None, now
    row.detail = f"Marked as a test by hand; before that it was: {_label(row).lower()}."
    row.verdict, row.is_test, row.flags = Verdict.TEST, True, [*row.flags, MARKED]
    return _entry(row, user, "marked as test", f"{reason}. {was}" if reason else was)


def _give_back(sale: Conversion, cases: Cases, *, is_updated: bool, is_repriced: bool) -> None:
    """Let a sale stand as the hits say that are left of it: its own word, what updated it since, its adjustments."""
    case = cases.of(sale)
    words = [row for row in case.earlier if row.original_id == sale.pk and row.verdict == Verdict.UPDATED]
    amounts = [row for row in words if row.reported_payout is not None and row.detail != STATUS_ONLY]
    if is_repriced and amounts:
        sale.payout, sale.currency = amounts[-1].payout, amounts[-1].currency
    elif is_repriced:
        sale.payout, sale.currency = sale.reported_payout, sale.stated_currency
        fill_in(sale, case)
    status = words[-1].status if words else status_of(sale, case)
    if status is not None and (is_updated or status_said(sale) == ConversionStatus.REVERSED):
        restate(sale, status, case.earlier)


def _chunks(queryset: QuerySet[Conversion]) -> Iterator[list[int]]:
    """The ids of the whole queryset as it was, a chunk at a time: correcting changes what it holds."""
    ids = list(queryset.order_by("received_at", "id").values_list("id", flat=True))
    for start in range(0, len(ids), conversions.SWEEP_LIMIT):
        yield ids[start : start + conversions.SWEEP_LIMIT]


def _locked(hit: Conversion) -> Conversion:
    """The hit as it is now, locked; its click was locked before it."""
    row = lock_stored(id=hit.pk).get()
    if row.click_ref != hit.click_ref:
        raise CannotCorrect("Somebody matched this hit with a click a moment ago.")
    return row


def _label(hit: Conversion) -> str:
    return str(Verdict(hit.verdict).label)


def _judged(hit: Conversion) -> str:
    return f"Judged: {_label(hit).lower()}."


def _entry(hit: Conversion, user: Any, verb: str, detail: str) -> AuditEntry:
    return AuditEntry(user=user, account_id=hit.account_id, verb=verb, target=f"conversion {hit.pk}", detail=detail)
