"""Owns the timeline of a message: reports matched, entered once, and the message's state raised to the greatest of them."""

from collections import Counter, defaultdict
from datetime import datetime
from typing import cast
from uuid import UUID

import msgspec
from django.db import connection, transaction

from sendinglists import subscriptions
from sendinglists.models import SubscriptionChange
from sendinglists.subscriptions import Decided
from trackly.columns import columns
from trackly.totals import Key, Totals, hour_of
from webhooks.inbound.known import Known
from webhooks.statuses import Decision, Heard, Origin, Reason, Report, Status, fingerprint

SWEEP_LIMIT = 1_000


# What came of the items of each request, in the words of its outcome line.
Tally = dict[UUID | None, Counter[str]]


def apply_reports(heard: list[Heard], tally: Tally, totals: Totals) -> list[Decided]:
    """Enter a batch of reports; the opt-outs their error codes imply. What came of each is counted into `tally`."""
    if not heard:
        return []
    matched, unmatched = _divide(heard, tally)
    _park(unmatched, tally)
    return _apply(matched, tally, totals)


def hear(heard: list[Heard]) -> None:
    """Enter what we learned by ourselves (an answer, a poll, an import) within the caller's transaction.

    What names no message is left out: who asked knew it, so it was deleted since.
    """
    totals, tally = Totals(), cast(Tally, defaultdict(Counter))
    matched, _ = _divide(heard, tally)
    subscriptions.decide(_apply(matched, tally, totals), totals)
    totals.write()


def sweep(now: datetime, *, since: datetime) -> int:
    """Join parked reports received since then with messages known by now; how many found theirs.

    This, and not the look at arrival, is what guarantees a match: of two transactions that commit at the same moment
    neither may have seen the other.
    """
    totals = Totals()
    # Their requests were told what came of them when they came.
    tally: Tally = defaultdict(Counter)
    with transaction.atomic():
        heard = _unpark(since)
        matched, _ = _divide(list(heard.values()), tally) if heard else ([], [])
        subscriptions.decide(_apply(matched, tally, totals), totals)
        totals.write()
        taken = {id(item) for _, item in matched}
        done = [key for key, item in heard.items() if id(item) in taken]
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM webhooks_parkedreport WHERE id = ANY(%s)", [done])
    return len(done)


def _unpark(since: datetime) -> dict[int, Heard]:
    """Parked reports whose message is known, by id; locked. What cannot be read any more is set aside with the cause."""
    with connection.cursor() as cursor:
        cursor.execute(_SWEEP, [since, SWEEP_LIMIT])
        rows = cursor.fetchall()
        heard = {}
        for key, provider, party_id, account_id, report, received_at, request_uid in rows:
            try:
                said = msgspec.json.decode(bytes(report), type=Report)
            except msgspec.MsgspecError as error:
                cursor.execute("UPDATE webhooks_parkedreport SET error = %s WHERE id = %s", [str(error)[:200], key])
                continue
            heard[key] = Heard(
                report=said,
                provider=provider,
                party_id=party_id,
                account_id=account_id,
                received_at=received_at,
                request_uid=request_uid,
            )
    return heard


def _divide(heard: list[Heard], tally: Tally) -> tuple[list[tuple[Known, Heard]], list[Heard]]:
    """Lock the messages spoken of; (what matched one, what may still find one). What names another's message is neither."""
    known = _lock(heard)
    matched: list[tuple[Known, Heard]] = []
    unmatched: list[Heard] = []
    for item in heard:
        message = _match(item, known)
        if message is not None:
            matched.append((message, item))
        elif item.report.message_key in known.by_reference:
            tally[item.request_uid]["wrong_account"] += 1
        else:
            unmatched.append(item)
    return matched, unmatched


def _apply(matched: list[tuple[Known, Heard]], tally: Tally, totals: Totals) -> list[Decided]:
    return _raise_states(_enter(matched, tally, totals), totals)


class _Index:
    """Messages of a batch by the names a provider may use for them."""

    def __init__(self, messages: list[Known]) -> None:
        self.by_reference = {message.reference: message for message in messages}
        self.by_vendor_id = {
            (message.provider_account_id, message.provider_message_id): message
            for message in messages
            if message.provider_message_id
        }
        self.by_public_id = {message.public_id: message for message in messages}


def _lock(heard: list[Heard]) -> _Index:
    keys = list({item.report.message_key for item in heard})
    named = list({(item.party_id, item.report.message_key) for item in heard if item.party_id})
    public = list({(item.party_id, item.report.public_id) for item in heard if item.party_id and item.report.public_id})
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [keys, *_pair(named), *_pair(public)])
        return _Index([Known(*row) for row in cursor.fetchall()])


def _pair(entries: list[tuple[int, str]]) -> tuple[list[int], list[str]]:
    return [party for party, _ in entries], [key for _, key in entries]


def _match(item: Heard, known: _Index) -> Known | None:
    key = item.report.message_key
    message = known.by_reference.get(key)
    if message is not None and message.provider == item.provider and _may_speak(item, message):
        return message
    if not item.party_id:
        return None
    message = known.by_vendor_id.get((item.party_id, key)) or known.by_public_id.get(item.report.public_id)
    if message is None or message.provider_account_id != item.party_id:
        return None
    is_named = message.provider_message_id == key or message.is_spoken_of_by(item.report)
    return message if is_named else None


def _may_speak(item: Heard, message: Known) -> bool:
    if item.party_id:
        return message.provider_account_id == item.party_id
    return item.account_id is None or message.account_id == item.account_id


def _enter(matched: list[tuple[Known, Heard]], tally: Tally, totals: Totals) -> list[tuple[Known, Heard, bytes]]:
    """Insert the events; those that were not there yet."""
    marked = [(message, item, item.mark) for message, item in matched]
    unique = {(message.id, mark): (message, item, mark) for message, item, mark in reversed(marked)}
    fresh: set[tuple[int, bytes]] = set()
    if unique:
        arrays = columns(_event(*entry) for entry in reversed(unique.values()))
        with connection.cursor() as cursor:
            cursor.execute(_INSERT_EVENTS, arrays)
            fresh = {(message_id, bytes(mark)) for message_id, mark in cursor.fetchall()}
    seen: set[tuple[int, bytes]] = set()
    for message, item, mark in marked:
        key = (message.id, mark)
        is_new = key in fresh and key not in seen
        seen.add(key)
        tally[item.request_uid]["new" if is_new else "duplicate"] += 1
        if not message.is_test and item.origin == Origin.CALLBACK:
            kind = "report" if is_new else "report_duplicate"
            totals.add(Key(message.account_id, hour_of(item.received_at), kind, message.list_id or 0))
    return [entry for key, entry in unique.items() if key in fresh]


def _event(message: Known, item: Heard, mark: bytes) -> tuple[object, ...]:
    report = item.report
    return (
        message.account_id, message.id, mark, report.status.value, report.vendor_status, report.vendor_code, report.at,
        report.reason.value if report.reason else "", report.error_code, report.error_text,
        item.received_at, item.origin.value, item.request_uid,
    )  # fmt: skip


def _raise_states(fresh: list[tuple[Known, Heard, bytes]], totals: Totals) -> list[Decided]:
    before = {message.id: message.status for message, _, _ in fresh}
    changed = {message.id: message for message, _, _ in fresh}
    for message, item, mark in fresh:
        message.hear(item, mark)
    for message in changed.values():
        _count_move(message, before[message.id], totals)
    if changed:
        arrays = columns(_state(changed[key]) for key in sorted(changed))
        with connection.cursor() as cursor:
            cursor.execute(_UPDATE_MESSAGES, arrays)
    # Ours names an opt-out that was entered before, by whoever decided it; as another decision it might undo a later START.
    told = [entry for entry in fresh if entry[1].report.reason == Reason.OPT_OUT and entry[1].origin != Origin.OURS]
    return [_opt_out(*entry) for entry in told]


def _state(message: Known) -> tuple[object, ...]:
    return (
        message.id, message.status, message.status_detail, message.status_at, message.status_code, message.status_mark,
        message.error_status, message.error_at, message.error_vendor_code, message.error_mark, message.error_code,
        message.error_text, message.reason, message.segments, message.cost, message.cost_currency,
        message.provider_message_id, message.sent_at,
    )  # fmt: skip


def _count_move(message: Known, before: str, totals: Totals) -> None:
    """Messages are counted by state in the hour they were made, so that the states of an hour add up to its messages."""
    if message.is_test or message.status == before:
        return
    for status, n in ((before, -1), (message.status, 1)):
        # Queued is where every message starts; sending counts those.
        if status != Status.QUEUED:
            key = Key(message.account_id, hour_of(message.created_at), f"message_{status}", message.list_id or 0)
            totals.add(key, n)


def _opt_out(message: Known, item: Heard, mark: bytes) -> Decided:
    """A provider's opt-out code tells of a decision before the message was sent, so it counts at the send time."""
    return Decided(
        account_id=message.account_id,
        list_id=message.list_id,
        phone=message.to,
        decision=Decision.OPT_OUT,
        at=message.sent_at or message.handed_at or message.created_at,
        origin=SubscriptionChange.Origin.VENDOR_CODE,
        is_proven=True,
        fingerprint=fingerprint(("vendor_code", str(message.id), mark.hex())),
        request_uid=item.request_uid,
        is_test=message.is_test,
    )


def _park(parked: list[Heard], tally: Tally) -> None:
    for item in parked:
        tally[item.request_uid]["parked, its message is not known yet"] += 1
    if not parked:
        return
    rows = {
        (item.report.message_key, item.provider, item.party_id, item.report.fingerprint): (
            item.provider, item.account_id, item.party_id, item.report.message_key, item.report.fingerprint,
            item.report.status.value, msgspec.json.encode(item.report), item.received_at, item.request_uid,
        )
        for item in parked
    }  # fmt: skip
    arrays = columns(rows[key] for key in sorted(rows))
    with connection.cursor() as cursor:
        cursor.execute(_INSERT_PARKED, arrays)


_LOCK = """
SELECT message.id, message.account_id, message.provider_account_id, party.provider, message.reference,
       message.provider_message_id, message.sending_list_id, message.to, message.is_test, message.created_at,
       message.sent_at, message.handed_at, message.public_id, message.status, message.status_detail,
       message.status_at, message.status_code,
       message.status_mark, message.error_status, message.error_at, message.error_vendor_code, message.error_mark,
       message.error_code, message.error_text, message.reason, message.segments, message.cost, message.cost_currency
FROM sendinglists_message message
JOIN sendinglists_provideraccount party ON party.id = message.provider_account_id
WHERE message.id IN (
    SELECT id FROM sendinglists_message WHERE reference = ANY(%s::text[])
    UNION
    SELECT named.id FROM unnest(%s::bigint[], %s::text[]) AS spoken (party_id, key)
    JOIN sendinglists_message named
      ON named.provider_account_id = spoken.party_id AND named.provider_message_id = spoken.key
     AND named.provider_message_id <> ''
    UNION
    SELECT named.id FROM unnest(%s::bigint[], %s::text[]) AS spoken (party_id, public_id)
    JOIN sendinglists_message named
      ON named.provider_account_id = spoken.party_id AND named.public_id = spoken.public_id
)
ORDER BY message.id
FOR NO KEY UPDATE OF message
"""
_INSERT_EVENTS = """
INSERT INTO webhooks_deliveryevent (account_id, message_id, fingerprint, status, vendor_status, vendor_code, at, reason,
                                    error_code, error_text, received_at, origin, request_uid)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bytea[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
                     %s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::uuid[])
ON CONFLICT (message_id, fingerprint) DO NOTHING
RETURNING message_id, fingerprint
"""
_UPDATE_MESSAGES = """
UPDATE sendinglists_message message
SET status = new.status, status_detail = new.status_detail, status_at = new.status_at, status_code = new.status_code,
    status_mark = new.status_mark, error_status = new.error_status, error_at = new.error_at,
    error_vendor_code = new.error_vendor_code, error_mark = new.error_mark, error_code = new.error_code,
    error_text = new.error_text, reason = new.reason, segments = new.segments, cost = new.cost,
    cost_currency = new.cost_currency, provider_message_id = new.provider_message_id, sent_at = new.sent_at
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::timestamptz[], %s::text[], %s::bytea[], %s::text[],
            %s::timestamptz[], %s::text[], %s::bytea[], %s::text[], %s::text[], %s::text[], %s::smallint[],
            %s::numeric[], %s::text[], %s::text[], %s::timestamptz[])
     AS new (id, status, status_detail, status_at, status_code, status_mark, error_status, error_at, error_vendor_code,
             error_mark, error_code, error_text, reason, segments, cost, cost_currency, provider_message_id, sent_at)
WHERE message.id = new.id
"""
_INSERT_PARKED = """
INSERT INTO webhooks_parkedreport (provider, account_id, party_id, message_key, fingerprint, status, report, received_at,
                                   request_uid, error)
SELECT *, '' FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::text[], %s::bytea[], %s::text[], %s::bytea[],
                         %s::timestamptz[], %s::uuid[])
ON CONFLICT (message_key, provider, party_id, fingerprint) DO NOTHING
"""
_SWEEP = """
SELECT parked.id, parked.provider, parked.party_id, parked.account_id, parked.report, parked.received_at,
       parked.request_uid
FROM webhooks_parkedreport parked
WHERE parked.received_at >= %s AND parked.error = '' AND (
    EXISTS (SELECT FROM sendinglists_message message
            JOIN sendinglists_provideraccount party ON party.id = message.provider_account_id
            WHERE message.reference = parked.message_key AND party.provider = parked.provider
              AND (message.provider_account_id = parked.party_id
                   OR parked.party_id = 0 AND (parked.account_id IS NULL OR parked.account_id = message.account_id)))
    OR EXISTS (SELECT FROM sendinglists_message message
               WHERE message.provider_account_id = parked.party_id AND message.provider_message_id = parked.message_key
                 AND message.provider_message_id <> ''))
ORDER BY parked.id LIMIT %s
FOR UPDATE OF parked SKIP LOCKED
"""
