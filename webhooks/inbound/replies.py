"""Owns inbound SMS: stored once, given to the list they were sent to, and read for what they decide."""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from django.db import connection

from sendinglists.models import SubscriptionChange
from sendinglists.subscriptions import Decided
from trackly.models import Account
from trackly.phones import e164
from trackly.totals import Key, Totals, hour_of
from webhooks.inbound.timeline import Tally
from webhooks.keywords import DEFAULT, Words, classify
from webhooks.statuses import Decision, Reply, fingerprint


@dataclass(frozen=True, slots=True, kw_only=True)
class HeardReply:
    """One reply and whom it reached."""

    reply: Reply
    party_id: int
    account_id: int
    is_proven: bool
    """False: the owner waived proof. Such opt-outs are applied, opt-ins never."""
    received_at: datetime
    request_uid: UUID

    decision: Decision = Decision.NONE
    """Read from the text by apply_replies(), where the vendor made no classification of its own."""


@dataclass(frozen=True, slots=True)
class _Target:
    """The list a reply was sent to, and the message it answers; None where neither is known."""

    list_id: int | None
    message_id: int | None


def apply_replies(heard: list[HeardReply], tally: Tally, totals: Totals) -> list[Decided]:
    """Store a batch of replies; what they decide. What came of each is counted into `tally`."""
    if not heard:
        return []
    heard = _read(heard)
    targets = _targets(heard)
    fresh = _insert(heard, targets)
    decisions = []
    for item, target in zip(heard, targets, strict=True):
        key = (item.party_id, item.reply.key)
        is_new = key in fresh
        fresh.discard(key)
        if item.reply.is_message:
            tally[item.request_uid]["new reply" if is_new else "duplicate reply"] += 1
            if is_new:
                totals.add(Key(item.account_id, hour_of(item.received_at), "reply", target.list_id or 0))
        # Entered by its own key where a list has it; else the reply is what tells a repetition, which may come years later.
        is_repeated = item.reply.is_message and not is_new and target.list_id is None
        decided = None if is_repeated else _decide(item, target, tally)
        if decided is not None:
            decisions.append(decided)
    return decisions


def _read(heard: list[HeardReply]) -> list[HeardReply]:
    """Each with what it decides. A vendor's own classification wins: it has acted on it."""
    accounts = {item.account_id for item in heard if item.reply.decision is None}
    rows = Account.objects.filter(id__in=accounts).values_list("id", "opt_out_words", "harmless_words", "junk_opts_out")
    words = {id: Words(opt_out, harmless, junk) for id, opt_out, harmless, junk in rows}
    return [
        replace(item, decision=item.reply.decision or classify(item.reply.text, words.get(item.account_id, DEFAULT)))
        for item in heard
    ]


def _decide(item: HeardReply, target: _Target, tally: Tally) -> Decided | None:
    decision, phone = item.decision, e164(item.reply.sender)
    if not phone or decision not in (Decision.OPT_OUT, Decision.OPT_IN):
        return None
    if decision == Decision.OPT_IN and not item.is_proven:
        tally[item.request_uid]["opt-in unproven and ignored"] += 1
        return None
    tally[item.request_uid][decision.label.lower()] += 1
    origin = SubscriptionChange.Origin.REPLY if item.reply.is_message else SubscriptionChange.Origin.BLOCK_LIST
    return Decided(
        account_id=item.account_id,
        list_id=target.list_id,
        phone=phone,
        decision=decision,
        at=item.reply.at or item.received_at,
        origin=origin,
        is_proven=item.is_proven,
        fingerprint=fingerprint((origin.value, str(item.party_id), item.reply.key)),
        request_uid=item.request_uid,
    )


def _targets(heard: list[HeardReply]) -> list[_Target]:
    """By the number it was sent to; else by the message it answers."""
    with connection.cursor() as cursor:
        parties = [item.party_id for item in heard]
        cursor.execute(_FIND_LISTS, [parties, [e164(item.reply.recipient) for item in heard]])
        lists = {(party_id, number): list_id for party_id, number, list_id in cursor.fetchall()}
        cursor.execute(_FIND_MESSAGES, [parties, [item.reply.reference for item in heard]])
        messages = {(party_id, key): (id, list_id) for party_id, key, id, list_id in cursor.fetchall()}
    targets = []
    for item in heard:
        message_id, message_list = messages.get((item.party_id, item.reply.reference), (None, None))
        number = (item.party_id, e164(item.reply.recipient))
        targets.append(_Target(lists.get(number, message_list), message_id))
    return targets


def _insert(heard: list[HeardReply], targets: list[_Target]) -> set[tuple[int, str]]:
    """(party, key) of the replies that were not there yet."""
    rows = {
        (item.party_id, item.reply.key): (
            item.account_id, item.party_id, target.list_id, target.message_id, item.reply.key, e164(item.reply.sender),
            e164(item.reply.recipient), item.reply.text, item.decision.value, item.reply.at, item.received_at,
            item.request_uid,
        )
        for item, target in reversed(list(zip(heard, targets, strict=True)))
        if item.reply.is_message
    }  # fmt: skip
    if not rows:
        return set()
    columns = [list(column) for column in zip(*(rows[key] for key in sorted(rows)), strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_INSERT, columns)
        return set(cursor.fetchall())


_FIND_LISTS = """
SELECT list.provider_account_id, list.number, list.id
FROM sendinglists_sendinglist list
JOIN (SELECT DISTINCT * FROM unnest(%s::bigint[], %s::text[]) AS heard (party_id, number)) AS heard
  ON heard.party_id = list.provider_account_id AND heard.number = list.number
"""
_FIND_MESSAGES = """
SELECT message.provider_account_id, heard.key, message.id, message.sending_list_id
FROM (SELECT DISTINCT * FROM unnest(%s::bigint[], %s::text[]) AS heard (party_id, key) WHERE key <> '') AS heard
JOIN sendinglists_message message ON message.provider_account_id = heard.party_id AND message.reference = heard.key
"""
_INSERT = """
INSERT INTO webhooks_reply (account_id, provider_account_id, sending_list_id, message_id, key, sender, recipient, text,
                            decision, at, received_at, request_uid)
SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::bigint[], %s::bigint[], %s::text[], %s::text[], %s::text[],
                     %s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::uuid[])
ON CONFLICT (provider_account_id, key) DO NOTHING
RETURNING provider_account_id, key
"""
