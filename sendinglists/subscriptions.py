"""Owns opt-outs and opt-ins: decide() enters decisions once and moves subscriptions and suppressions to the latest of them.

Latest by the provider's time (else ours); ties opt out. So any order of arrival ends in the same state.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from django.db import connection, transaction
from django.db.models import QuerySet

from sendinglists.models import SendingList, Subscription, SubscriptionChange
from trackly.models import AuditEntry
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


def _warn(fresh: list[Decided]) -> None:
    """Anybody who knows the account id could be closing its lists; a person should look."""
    unproven = Counter(item.account_id for item in fresh if not item.is_proven)
    for account_id, n in unproven.items():
        logger.warning("opt-outs without proof", account=account_id, n=n)


def _subscriptions(decisions: list[Decided]) -> dict[tuple[str, int | None], int]:
    """(phone, list) -> subscription, made where missing and locked in the order of ids."""
    if not decisions:
        return {}
    people = sorted({(item.account_id, item.phone) for item in decisions})
    places = sorted({(item.account_id, item.phone, item.list_id) for item in decisions})
    with connection.cursor() as cursor:
        cursor.execute(_MAKE_CONTACTS, [list(column) for column in zip(*people, strict=True)])
        columns = [list(column) for column in zip(*places, strict=True)]
        cursor.execute(_MAKE_SUBSCRIPTIONS, columns)
        cursor.execute(_LOCK_SUBSCRIPTIONS, columns)
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
        cursor.execute(_INSERT_CHANGES, [list(column) for column in zip(*values, strict=True)])
        return [rows[subscription, bytes(mark)] for subscription, mark in cursor.fetchall()]


def _move(fresh: list[Decided], subscriptions: dict[tuple[str, int | None], int]) -> None:
    latest: dict[int, Decided] = {}
    for item in fresh:
        key = subscriptions[item.phone, item.list_id]
        if key not in latest or _order(item) > _order(latest[key]):
            latest[key] = item
    if not latest:
        return
    states = [
        (key, _STATE[item.decision], item.at, item.decision == Decision.OPT_OUT) for key, item in sorted(latest.items())
    ]
    with connection.cursor() as cursor:
        cursor.execute(_MOVE, [list(column) for column in zip(*states, strict=True)])


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
        cursor.execute(_SUPPRESS, [list(column) for column in zip(*rows, strict=True)])


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
