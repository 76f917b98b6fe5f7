"""Owns adopt(): a report about a message we did not send makes one, for the lists whose owners want that.

The message is marked external and begins as queued; the sweep that follows joins its reports, as it does for any other.
"""

from datetime import datetime, timedelta

import msgspec
from django.db import connection, transaction

from sendinglists.imports import enter
from sendinglists.models import Message
from trackly.phones import e164
from webhooks.statuses import Report

# The answer to a send, or an import, names its message by then.
PATIENCE = timedelta(seconds=60)
LIMIT = 1_000


def adopt(now: datetime, since: datetime) -> int:
    """Make messages of reports received since then that wait for one, LIMIT reports at most; how many were made.

    Only for the list whose own number sent it, and that of the provider account the report spoke for. What carries a name
    of ours was sent by us and is waited for.
    """
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_WAITING, [since, now - PATIENCE, LIMIT])
            rows = cursor.fetchall()
        made: dict[tuple[int, str], Message] = {}
        for account_id, party_id, list_id, number, key, said, received_at in rows:
            message = _message(account_id, party_id, list_id, key, said, received_at)
            if message is None or message[0] != number:
                continue
            kept = made.setdefault((party_id, key), message[1])
            kept.sent_at = min(kept.sent_at or received_at, message[1].sent_at or received_at)
        return len(enter([made[name] for name in sorted(made)]))


def _message(
    account_id: int, party_id: int, list_id: int, key: str, said: bytes, received_at: datetime
) -> tuple[str, Message] | None:
    """(our number that sent it, the message); None where the report cannot be read, which the sweep finds out."""
    try:
        report = msgspec.json.decode(bytes(said), type=Report)
    except msgspec.MsgspecError:
        return None
    at = min(report.at or received_at, received_at)
    return e164(report.sender), Message(
        account_id=account_id,
        provider_account_id=party_id,
        sending_list_id=list_id,
        provider_message_id=key,
        to=e164(report.to),
        created_at=received_at,
        sent_at=at,
        is_external=True,
    )


# The report is read as text and not as JSON: one that is none must hold up nothing. Numbers are compared by their digits,
# as vendors print them with and without the plus; what cannot be adopted does not come up, so it takes nobody's place.
_WAITING = """
SELECT list.account_id, parked.party_id, list.id, list.number, parked.message_key, parked.report, parked.received_at
FROM webhooks_parkedreport parked
JOIN sendinglists_sendinglist list ON list.provider_account_id = parked.party_id AND list.records_external
JOIN sendinglists_provideraccount party ON party.id = parked.party_id AND party.provider = parked.provider
CROSS JOIN LATERAL (SELECT encode(parked.report, 'escape') AS said) text
CROSS JOIN LATERAL (
    -- Most reports are of other numbers, and a look for the last digits is cheap.
    SELECT CASE WHEN strpos(said, right(list.number, 4)) > 0
                THEN regexp_replace(substring(said FROM '"sender":"([^"]*)"'), '[^0-9]', '', 'g') END AS digits
) ours
WHERE parked.received_at >= %s AND parked.received_at <= %s AND parked.error = ''
  AND (parked.account_id IS NULL OR parked.account_id = list.account_id) AND party.account_id = list.account_id
  AND ours.digits IN (ltrim(list.number, '+'), '00' || ltrim(list.number, '+')) AND ours.digits <> ''
  AND substring(said FROM '"public_id":"([^"]*)"') = '' AND said ~ '"to":"[^"0-9]*[0-9]{5}'
  AND NOT EXISTS (SELECT FROM sendinglists_message message
                  WHERE message.provider_account_id = parked.party_id
                    AND message.provider_message_id = parked.message_key AND message.provider_message_id <> '')
ORDER BY parked.received_at, parked.id
LIMIT %s
"""
