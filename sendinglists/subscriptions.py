"""Owns opt-outs and opt-ins: decide() enters decisions once and moves subscriptions and suppressions to the latest of them.

Latest by the provider's time (else ours); ties opt out. So any order of arrival ends in the same state. An opt-in reopens as
much as an opt-out at the same place closes: a START on a list whose STOP closes that list alone leaves a number that was
closed for its brand or for the whole account, by a person or by the API, closed; a START on a list whose STOP closes the
whole account reopens it, whoever closed it.

Whoever decides about a number locks its contact first, and whoever claims a message to it shares that lock: a claim sees the
opt-out, or the opt-out waits until the claim is committed and stands after it. Locks are taken in one order: contacts, then
subscriptions, both by id, then suppressions.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import QuerySet

from sendinglists.models import SendingList, Subscription, SubscriptionChange, Suppression
from trackly.columns import columns
from trackly.models import AuditEntry
from trackly.phones import e164
from trackly.text import clean
from trackly.totals import Key, Totals, hour_of
from webhooks.statuses import Decision, fingerprint

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """One decision about one number."""

    account_id: int
    list_id: int | None
    """None: sent to a number no list has; an opt-out then closes the whole account, because nothing narrower is safe."""
    phone: str
    decision: Decision
    at: datetime
    origin: str
    is_proven: bool
    fingerprint: bytes
    request_uid: UUID | None
    is_test: bool = False


def decide(decisions: list[Decided], totals: Totals) -> None:
    """Enter a batch within the caller's transaction. A repeated decision changes nothing.

    What no list has is entered nowhere, so the caller leaves its repetitions out.
    """
    if not decisions:
        return
    on_lists = [item for item in decisions if item.list_id is not None]
    lock_contacts((item.account_id, item.phone) for item in decisions)
    subscriptions = _subscriptions(on_lists)
    fresh = _enter(on_lists, subscriptions)
    for item in fresh:
        if not item.is_test:
            totals.add(Key(item.account_id, hour_of(item.at), item.decision.value, item.list_id or 0))
    _warn(fresh)
    _move(fresh, subscriptions)
    _suppress(fresh + [item for item in decisions if item.list_id is None])


def undo(changes: QuerySet[SubscriptionChange], *, user: Any, now: datetime) -> int:
    """Take back opt-outs that came without proof, each with an audit entry; how many. Proven ones are left alone."""
    unproven = changes.filter(is_proven=False, decision=Decision.OPT_OUT)
    rows = list(unproven.select_related("subscription__contact").order_by("id"))
    totals = Totals()
    with transaction.atomic():
        decide([_undoing(row, now) for row in rows], totals)
        totals.write()
        AuditEntry.objects.bulk_create(
            AuditEntry(user=user, account_id=row.account_id, verb="undid", target=f"subscription change {row.id}")
            for row in rows
        )
    return len(rows)


def _undoing(row: SubscriptionChange, now: datetime) -> Decided:
    return Decided(
        account_id=row.account_id,
        list_id=row.subscription.sending_list_id,
        phone=row.subscription.contact.phone,
        decision=Decision.OPT_IN,
        at=now,
        origin=SubscriptionChange.Origin.STAFF,
        is_proven=True,
        fingerprint=fingerprint(("undo", str(row.id))),
        request_uid=row.request_uid,
    )


# --- what people and programs ask for, rather than write


def opt_out(
    account_id: int, phones: Iterable[str], *, list_id: int | None, origin: str, at: datetime, user: Any = None
) -> int:
    """How many numbers it closed that were not: for the list and whatever its STOP closes, or for the whole account.

    Repeated, it changes and counts nothing. Raises SendingList.DoesNotExist for a list the account does not have.
    """
    return _settle(account_id, phones, Decision.OPT_OUT, list_id=list_id, origin=origin, at=at, user=user)


def opt_in(account_id: int, phones: Iterable[str], *, list_id: int, origin: str, at: datetime, user: Any = None) -> int:
    """How many numbers it opened, as opt_out() closes them. One that was decided about later than `at` is left alone."""
    return _settle(account_id, phones, Decision.OPT_IN, list_id=list_id, origin=origin, at=at, user=user)


def suppress(account_id: int, phones: Iterable[str], *, brand: str, cause: str, at: datetime) -> int:
    """Close numbers for a brand, '' being the whole account; how many were open. No list's START opens a brand's again
    unless STOP on it closes the brand."""
    return _close(account_id, phones, brand=brand, cause=cause, at=at, is_active=True)


def unsuppress(account_id: int, phones: Iterable[str], *, brand: str, cause: str, at: datetime) -> int:
    """Open them again; how many were closed. What a list was opted out of stays so."""
    return _close(account_id, phones, brand=brand, cause=cause, at=at, is_active=False)


def _settle(
    account_id: int,
    phones: Iterable[str],
    decision: Decision,
    *,
    list_id: int | None,
    origin: str,
    at: datetime,
    user: Any,
) -> int:
    if list_id is not None:
        SendingList.objects.only("id").get(pk=list_id, account_id=account_id)
    asked = [_asked(account_id, phone, decision, list_id, origin, at) for phone in _numbers(phones)]
    totals = Totals()
    with transaction.atomic():
        lock_contacts((item.account_id, item.phone) for item in asked)
        stood = _standing(asked)
        decide([item for item in asked if item.phone not in stood], totals)
        _hold([item for item in asked if item.phone in stood])
        totals.write()
        n = len(_standing(asked) - stood)
        if user is not None and n:
            where = f"sending list {list_id}" if list_id is not None else f"account {account_id}"
            verb = "opted out" if decision == Decision.OPT_OUT else "opted in"
            AuditEntry.objects.create(user=user, account_id=account_id, verb=verb, target=where, detail=f"{n} numbers")
    return n


def _asked(account_id: int, phone: str, decision: Decision, list_id: int | None, origin: str, at: datetime) -> Decided:
    return Decided(
        account_id=account_id,
        list_id=list_id,
        phone=phone,
        decision=decision,
        at=at,
        origin=origin,
        is_proven=True,
        fingerprint=fingerprint((str(origin), decision.value, at.isoformat())),
        request_uid=None,
    )


def _numbers(phones: Iterable[str]) -> list[str]:
    return sorted({e164(phone) for phone in phones} - {""})


def _standing(asked: list[Decided]) -> set[str]:
    """The numbers about which this was decided already, and stands."""
    if not asked:
        return set()
    one, phones = asked[0], [item.phone for item in asked]
    if one.list_id is None:
        return _closed(one.account_id, phones, "")
    rows = Subscription.objects.filter(
        sending_list_id=one.list_id, contact__account_id=one.account_id, contact__phone__in=phones
    )
    held = rows.filter(state=_STATE[one.decision], decided_at__isnull=False)
    return set(held.values_list("contact__phone", flat=True))


def _hold(decisions: list[Decided]) -> None:
    """What stands already gains neither history nor a total, only its time: an older decision heard of late must not undo it."""
    _move(decisions, _subscriptions([item for item in decisions if item.list_id is not None]))
    _suppress(decisions)


def _close(account_id: int, phones: Iterable[str], *, brand: str, cause: str, at: datetime, is_active: bool) -> int:
    numbers, brand = _numbers(phones), clean(brand.strip(), 100)
    if not numbers:
        return 0
    with transaction.atomic():
        lock_contacts((account_id, phone) for phone in numbers)
        before = _closed(account_id, numbers, brand)
        rows = [(account_id, phone, brand, is_active, at, clean(cause, 200), None) for phone in numbers]
        with connection.cursor() as cursor:
            cursor.execute(_SUPPRESS, columns(rows))
        return len(before ^ _closed(account_id, numbers, brand))


def _closed(account_id: int, phones: list[str], brand: str) -> set[str]:
    held = Suppression.objects.filter(account_id=account_id, phone__in=phones, brand=brand, is_active=True)
    return set(held.values_list("phone", flat=True))


# --- entering


def lock_contacts(people: Iterable[tuple[int, str]]) -> None:
    """Make the contacts (account, phone) that are missing and lock all of them, within the caller's transaction."""
    places = sorted(set(people))
    if not places:
        return
    arrays = columns(places)
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_CONTACTS, arrays)
        cursor.execute(_LOCK_CONTACTS, arrays)


def _warn(fresh: list[Decided]) -> None:
    """Anybody who knows the account id could be closing its lists; a person should look."""
    unproven = Counter(item.account_id for item in fresh if not item.is_proven)
    for account_id, n in unproven.items():
        logger.warning("opt-outs without proof", account=account_id, n=n)


def _subscriptions(decisions: list[Decided]) -> dict[tuple[str, int | None], int]:
    """(phone, list) -> subscription of contacts that are locked, made where missing and locked in the order of ids."""
    if not decisions:
        return {}
    places = columns(sorted({(item.account_id, item.phone, item.list_id or 0) for item in decisions}))
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_SUBSCRIPTIONS, places)
        cursor.execute(_LOCK_SUBSCRIPTIONS, places)
        return {(phone, list_id): id for id, phone, list_id in cursor.fetchall()}


def _enter(decisions: list[Decided], subscriptions: dict[tuple[str, int | None], int]) -> list[Decided]:
    rows = {(subscriptions[item.phone, item.list_id], item.fingerprint): item for item in reversed(decisions)}
    if not rows:
        return []
    values = [
        (item.account_id, subscription, item.decision.value, item.at, item.origin, item.is_proven, item.fingerprint,
         item.request_uid)
        for (subscription, _), item in rows.items()
    ]  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_CHANGES, columns(values))
        return [rows[subscription, bytes(mark)] for subscription, mark in cursor.fetchall()]


def _move(fresh: list[Decided], subscriptions: dict[tuple[str, int | None], int]) -> None:
    latest: dict[int, Decided] = {}
    for item in fresh:
        key = subscriptions.get((item.phone, item.list_id))
        if key is None:
            continue
        if key not in latest or _order(item) > _order(latest[key]):
            latest[key] = item
    if not latest:
        return
    states = [
        (key, _STATE[item.decision], item.at, item.decision == Decision.OPT_OUT) for key, item in sorted(latest.items())
    ]
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, columns(states))


def _order(item: Decided) -> tuple[datetime, bool]:
    return (item.at, item.decision == Decision.OPT_OUT)


def _suppress(decisions: list[Decided]) -> None:
    """Close, or reopen, a number for the brand or the account where the list's scope says so."""
    lists = SendingList.objects.in_bulk({item.list_id for item in decisions if item.list_id is not None})
    latest: dict[tuple[int, str, str], Decided] = {}
    for item in decisions:
        brand = _scope(lists.get(item.list_id) if item.list_id else None)
        if brand is None:
            continue
        key = (item.account_id, item.phone, brand)
        if key not in latest or _order(item) > _order(latest[key]):
            latest[key] = item
    if not latest:
        return
    rows = [
        (*key, item.decision == Decision.OPT_OUT, item.at, f"{item.decision.label} by {item.origin}", item.request_uid)
        for key, item in sorted(latest.items())
    ]
    with connection.cursor() as cursor:
        cursor.execute(_SUPPRESS, columns(rows))


def _scope(sending_list: SendingList | None) -> str | None:
    """The brand to close, '' for the whole account, None for the list alone."""
    if sending_list is None or sending_list.opt_out_scope == SendingList.Scope.ACCOUNT:
        return ""
    if sending_list.opt_out_scope == SendingList.Scope.BRAND:
        return sending_list.brand or None
    return None


_STATE = {
    Decision.OPT_OUT: Subscription.State.OPTED_OUT.value,
    Decision.OPT_IN: Subscription.State.SUBSCRIBED.value,
}
# Every row is made or locked in one order: two batches that meet wait for each other in turn and never in a ring.
_MAKE_CONTACTS = """
INSERT INTO sendinglists_contact (account_id, phone, created_at)
SELECT account_id, phone, now() FROM unnest(%s::bigint[], %s::text[]) AS person (account_id, phone)
ON CONFLICT (account_id, phone) DO NOTHING
"""
_LOCK_CONTACTS = """
SELECT FROM unnest(%s::bigint[], %s::text[]) AS person (account_id, phone)
JOIN sendinglists_contact contact ON contact.account_id = person.account_id AND contact.phone = person.phone
ORDER BY contact.id
FOR NO KEY UPDATE OF contact
"""
_MAKE_SUBSCRIPTIONS = """
INSERT INTO sendinglists_subscription (account_id, contact_id, sending_list_id, state)
SELECT place.account_id, contact.id, place.list_id, 'subscribed'
FROM unnest(%s::bigint[], %s::text[], %s::bigint[]) AS place (account_id, phone, list_id)
JOIN sendinglists_contact contact ON contact.account_id = place.account_id AND contact.phone = place.phone
ORDER BY contact.id, place.list_id
ON CONFLICT (contact_id, sending_list_id) DO NOTHING
"""
_LOCK_SUBSCRIPTIONS = """
SELECT subscription.id, contact.phone, subscription.sending_list_id
FROM unnest(%s::bigint[], %s::text[], %s::bigint[]) AS place (account_id, phone, list_id)
JOIN sendinglists_contact contact ON contact.account_id = place.account_id AND contact.phone = place.phone
JOIN sendinglists_subscription subscription
  ON subscription.contact_id = contact.id AND subscription.sending_list_id = place.list_id
ORDER BY subscription.id
FOR NO KEY UPDATE OF subscription
"""
_INSERT_CHANGES = """
INSERT INTO sendinglists_subscriptionchange (account_id, subscription_id, decision, at, origin, is_proven, fingerprint,
                                             request_uid)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::timestamptz[], %s::text[], %s::boolean[],
                     %s::bytea[], %s::uuid[])
ON CONFLICT (subscription_id, fingerprint) DO NOTHING
RETURNING subscription_id, fingerprint
"""
_MOVE = """
UPDATE sendinglists_subscription subscription SET state = new.state, decided_at = new.at
FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::boolean[]) AS new (id, state, at, closes)
WHERE subscription.id = new.id
  AND (subscription.decided_at IS NULL OR subscription.decided_at < new.at
       OR subscription.decided_at = new.at AND new.closes)
"""
_SUPPRESS = """
INSERT INTO sendinglists_suppression AS held (account_id, phone, brand, is_active, decided_at, cause, request_uid)
SELECT * FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::boolean[], %s::timestamptz[], %s::text[], %s::uuid[])
ON CONFLICT (account_id, phone, brand) DO UPDATE
SET is_active = excluded.is_active, decided_at = excluded.decided_at, cause = excluded.cause,
    request_uid = excluded.request_uid
WHERE held.decided_at < excluded.decided_at OR held.decided_at = excluded.decided_at AND excluded.is_active
"""
