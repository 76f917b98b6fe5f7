"""Owns the rows a measurement of the pages needs: a month of a busy installation, made by SQL in well under a minute."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.db import connection, models
from django.db.backends.utils import CursorWrapper

from postbacks.models import Click, Conversion, NetworkConnection, Offer
from sendinglists.models import (
    Contact,
    Link,
    Message,
    ProviderAccount,
    SendingList,
    Subscription,
    SubscriptionChange,
    Suppression,
)
from trackly import partitions
from trackly.models import Account, AuditEntry, HourlyTotal, WorkerRun
from trackly.signing import token_hash
from webhooks.inbound.models import DeliveryEvent, InboundRequest, ParkedReport, RefusalTally, Reply, RequestTotal

ACCOUNTS, DAYS = 20, 30
REQUESTS, EVENTS, MESSAGES, CLICKS, CONVERSIONS, CONTACTS = 1_000_000, 1_000_000, 500_000, 200_000, 100_000, 100_000

# One account holds every second row and nineteen share the others, or it holds them alone; each has one party, connection, list
# and offer, in its order.
_ACCOUNT = "((%(first)s::bigint[])[CASE WHEN %(alone)s OR n %% 2 = 0 THEN 1 ELSE 2 + n / 2 %% 19 END])"
# The n-th of so many, evenly over the days.
_AT = f"date_trunc('milliseconds', %(now)s - ({{of}} - n) * (interval '{DAYS} days' / {{of}}))"
_UID = "(lpad(to_hex((extract(epoch FROM {at}) * 1000)::bigint), 12, '0') || '7' || left(md5(n::text), 3) || '8' || right(md5(n::text), 15))::uuid"  # noqa: E501
_PHONE = "'+1415' || lpad((n %% 1000000)::text, 7, '0')"


def populate(now: datetime, *, is_alone: bool = False) -> None:
    """Everything below, and fresh statistics; `is_alone`: all of it in the first account."""
    partitions.ensure(now - timedelta(days=DAYS + 1), now + partitions.AHEAD)
    places = _people(now) | {"alone": is_alone}
    with connection.cursor() as cursor, _quick(cursor):
        for model, n, columns in (*_messages(), *_network(), *_requests(), *_said(), *_totals()):
            with _without_indexes(cursor, model._meta.db_table):
                _fill(cursor, model, n, columns, places)
        cursor.execute("VACUUM (ANALYZE)")


@contextmanager
def _quick(cursor: CursorWrapper) -> Iterator[None]:
    """Foreign keys are not looked up where the role may leave that; what is made here refers to what is there."""
    cursor.execute("SET maintenance_work_mem = '256MB'")
    cursor.execute("SELECT usesuper FROM pg_user WHERE usename = current_user")
    is_super = cursor.fetchone()[0]
    if is_super:
        cursor.execute("SET session_replication_role = replica")
    yield
    cursor.execute("RESET maintenance_work_mem")
    if is_super:
        cursor.execute("RESET session_replication_role")


@contextmanager
def _without_indexes(cursor: CursorWrapper, table: str) -> Iterator[None]:
    """Made again at once and in order afterwards: several times as fast as row by row."""
    query = (
        "SELECT indexrelid::regclass::text, replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') FROM pg_index"
        " WHERE indrelid = %s::regclass AND NOT indisunique"
    )
    cursor.execute(query, [table])
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    for _, made in indexes:
        cursor.execute(made)


def _people(now: datetime) -> dict[str, object]:
    """What %(name)s stands for in the expressions: the ids of each kind, in the order of their accounts."""
    accounts = Account.objects.bulk_create(Account(name=f"Account {n:02d}") for n in range(ACCOUNTS))
    parties = ProviderAccount.objects.bulk_create(
        ProviderAccount.with_settings(
            settings={}, account=account, provider="infobip", name="Main", callback_token=f"t{n}"
        )
        for n, account in enumerate(accounts)
    )
    lists = SendingList.objects.bulk_create(
        SendingList(account=party.account, provider_account=party, name="Main", number="+18005550142")
        for party in parties
    )
    connections = NetworkConnection.objects.bulk_create(
        NetworkConnection(
            account=account,
            network="tune",
            name="TUNE",
            postback_token=f"p{n}",
            postback_token_hash=token_hash(f"p{n}"),
        )
        for n, account in enumerate(accounts)
    )
    offers = Offer.objects.bulk_create(
        Offer(account=item.account, connection=item, name="Offer", destination="https://network.example.com/aff_c")
        for item in connections
    )
    WorkerRun.objects.create(host="host", pid=1, version="1", started_at=now, beat_at=now)
    groups = {"first": accounts, "party": parties, "list": lists, "connection": connections, "offer": offers}
    return {name: [row.pk for row in rows] for name, rows in groups.items()} | {"now": now}


def _of(name: str) -> str:
    """The id of the account's own party, list, connection or offer."""
    return _ACCOUNT.replace("%(first)s", f"%({name})s")


def _messages() -> list[tuple[type[models.Model], int, dict[str, str]]]:
    message = {
        "public_id": "to_char(n, 'FM00000000')",
        "reference": "left(md5(n::text), 26)",
        "account_id": _ACCOUNT,
        "provider_account_id": _of("party"),
        "sending_list_id": _of("list"),
        "to": _PHONE,
        "body": "repeat('Hello from us. ', 8)",
        "provider_message_id": "'vendor-' || n",
        "created_at": _AT.format(of=MESSAGES),
        "status": "CASE WHEN n %% 20 = 0 THEN 'failed' WHEN n %% 50 = 1 THEN 'sent' ELSE 'delivered' END",
        "error_code": "CASE WHEN n %% 20 = 0 THEN '30003' ELSE '' END",
        "reason": "CASE WHEN n %% 20 = 0 THEN 'unreachable' ELSE '' END",
        # Rare and old: the filter that finds nothing near the end of the table.
        "is_test": "n < 100",
    }
    contact = {"account_id": _ACCOUNT, "phone": _PHONE, "created_at": _AT.format(of=CONTACTS)}
    subscription = {
        "account_id": _ACCOUNT,
        "contact_id": "n",
        "sending_list_id": _of("list"),
        "state": "CASE WHEN n %% 20 = 0 THEN 'opted_out' ELSE 'subscribed' END",
    }
    change = {
        "account_id": _ACCOUNT,
        "subscription_id": "n",
        "decision": "'opt_out'",
        "at": _AT.format(of=CONTACTS),
        "origin": "'reply'",
        "fingerprint": "decode(md5(n::text), 'hex')",
        "is_proven": "n > 50",
    }
    suppression = {
        "account_id": _ACCOUNT,
        "phone": _PHONE,
        "is_active": "n > 10",
        "decided_at": _AT.format(of=CONTACTS),
    }
    return [
        (Message, MESSAGES, message),
        (Contact, CONTACTS, contact),
        (Subscription, CONTACTS, subscription),
        (SubscriptionChange, CONTACTS, change),
        (Suppression, CONTACTS // 10, suppression),
    ]


def _network() -> list[tuple[type[models.Model], int, dict[str, str]]]:
    link = {
        "account_id": _ACCOUNT,
        "code": "'c' || n",
        "offer_id": _of("offer"),
        "message_id": "n",
        "created_at": _AT.format(of=CLICKS),
    }
    click = {
        "click_id": "'click' || md5(n::text)",
        "account_id": _ACCOUNT,
        "link_id": "n",
        "offer_id": _of("offer"),
        "message_id": "n",
        "sending_list_id": _of("list"),
        "at": _AT.format(of=CLICKS),
        "address": "'203.0.113.7'",
        "user_agent": "'Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/140.0 Mobile Safari/537.36'",
        "bot": "CASE WHEN n %% 5 = 0 THEN 'preview' WHEN n < 50 THEN 'head' ELSE '' END",
        "is_counted": "n %% 5 <> 0",
        "is_tallied": "true",
        "is_test": "n < 100",
    }
    conversion = {
        "request_uid": _UID.format(at=_AT.format(of=CONVERSIONS)),
        "received_at": _AT.format(of=CONVERSIONS),
        "network": "'tune'",
        # Every hundredth belongs to nobody; every tenth names a click nobody knows.
        "account_id": f"CASE WHEN n %% 100 = 99 THEN NULL ELSE {_ACCOUNT} END",
        "connection_id": _of("connection"),
        "click_id": "CASE WHEN n %% 10 = 9 THEN NULL ELSE n END",
        "message_id": "n",
        "offer_id": _of("offer"),
        "sending_list_id": _of("list"),
        "click_ref": "'click' || md5(n::text)",
        "click_text": "'click' || md5(n::text)",
        "transaction_id": "'tx-' || n",
        "payout": "1.5",
        "currency": "'USD'",
        "is_verified": "n %% 4 > 0",
        "verdict": "CASE WHEN n %% 10 = 9 THEN 'unknown_click' WHEN n < 20 THEN 'held' ELSE 'recorded' END",
        "kind": "CASE WHEN n %% 10 = 9 THEN '' ELSE 'conversion' END",
        "key": "decode(md5(n::text), 'hex')",
        "query": "'click_id=1&payout=1.5'::bytea",
        "is_late": "n < 30",
    }
    return [(Link, CLICKS, link), (Click, CLICKS, click), (Conversion, CONVERSIONS, conversion)]


def _requests() -> list[tuple[type[models.Model], int, dict[str, str]]]:
    at = _AT.format(of=REQUESTS)
    # Of a thousand: 20 refused, 2 failed, 1 discarded; of the postbacks a tenth judged and not counted; the last ones wait.
    state = "CASE WHEN n > %(requests)s - 30 THEN 'waiting' WHEN n %% 1000 < 20 THEN 'refused' WHEN n %% 1000 < 22 THEN 'failed' WHEN n %% 1000 = 22 THEN 'discarded' ELSE 'done' END"  # noqa: E501
    # Some as rare as they are in life, and the rarest of them long ago.
    refusal = "CASE WHEN n %% 1000 < 20 AND n < 100000 THEN 'plain_http' WHEN n %% 1000 < 20 THEN 'bad_signature' WHEN n %% 100 = 30 THEN 'unknown_click' ELSE '' END"  # noqa: E501
    row = {
        "uid": _UID.format(at=at),
        "received_at": at,
        "due_at": at,
        "processed_at": at,
        "account_id": _ACCOUNT,
        "source": "CASE WHEN n %% 10 = 0 THEN 'postback' ELSE 'webhook' END",
        "slug": "CASE WHEN n %% 10 = 0 THEN 'tune' WHEN n %% 4 = 1 THEN 'twilio' ELSE 'infobip' END",
        "party_id": f"CASE WHEN n %% 10 = 0 THEN {_of('connection')} ELSE {_of('party')} END",
        "proof": "'token'",
        "method": "'POST'",
        "host": "'hooks.example.com'::bytea",
        "path": "'/api/webhook-feedbacks/infobip/~1'::bytea",
        "headers": "convert_to(repeat('content-type: application/json' || chr(13), 5), 'UTF8')",
        "body": "convert_to('{\"results\": [' || repeat(md5(n::text), 16) || ']}', 'UTF8')",
        "peer": "'203.0.113.7'",
        "is_secure": "true",
        "refusal": refusal,
        "answer_status": "200",
        "answer": "'{}'::bytea",
        "ids": f"ARRAY[left(md5((n %% {MESSAGES} + 1)::text), 26), {_PHONE}]",
        "items": "1",
        "state": state,
        "attempts": "1",
        "outcome": "'1 report: delivered'",
    }
    return [(InboundRequest, REQUESTS, row)]


def _said() -> list[tuple[type[models.Model], int, dict[str, str]]]:
    came = {"received_at": _AT.format(of=EVENTS), "request_uid": _UID.format(at=_AT.format(of=EVENTS))}
    event = came | {
        # Two a message: accepted, then final.
        "account_id": _ACCOUNT.replace("n ", "((n + 1) / 2) "),
        "message_id": "(n + 1) / 2",
        "fingerprint": "decode(md5(n::text), 'hex')",
        "at": _AT.format(of=EVENTS),
        "status": "CASE WHEN n %% 2 = 1 THEN 'sent' WHEN n %% 40 = 0 THEN 'failed' ELSE 'delivered' END",
        "vendor_status": "'DELIVERED_TO_HANDSET'",
        "reason": "CASE WHEN n %% 40 = 0 THEN 'unreachable' ELSE '' END",
    }
    few = {
        "received_at": _AT.format(of=CONTACTS),
        "request_uid": _UID.format(at=_AT.format(of=CONTACTS)),
        "account_id": _ACCOUNT,
    }
    parked = few | {
        "provider": "'infobip'",
        "party_id": _of("party"),
        "message_key": "'stranger-' || n",
        "fingerprint": "decode(md5(n::text), 'hex')",
        "status": "'delivered'",
        "report": "'{}'::bytea",
    }
    reply = few | {
        "provider_account_id": _of("party"),
        "sending_list_id": _of("list"),
        "message_id": "n",
        "key": "'reply-' || n",
        "sender": _PHONE,
        "recipient": "'+18005550142'",
        "text": "'What is this?'",
        "at": _AT.format(of=CONTACTS),
        "decision": "CASE WHEN n %% 50 = 0 THEN 'opt_out' ELSE 'reply' END",
    }
    return [(DeliveryEvent, EVENTS, event), (ParkedReport, CONTACTS, parked), (Reply, CONTACTS, reply)]


def _totals() -> list[tuple[type[models.Model], int, dict[str, str]]]:
    """Thirty days of every account's hours, and an audit trail."""
    hour = "date_trunc('hour', %(now)s, 'UTC') - n / {per} * interval '1 hour'"
    kinds = (
        "message_delivered",
        "message_failed",
        "message_sent",
        "report",
        "click",
        "bot_click",
        "conversion",
        "postback_recorded",
    )
    per = ACCOUNTS * len(kinds)
    total = {
        "account_id": f"((%(first)s::bigint[])[1 + n %% {ACCOUNTS}])",
        "hour": hour.format(per=per),
        "n": "1 + n %% 500",
        "list_id": "0",
        "kind": f"((ARRAY{list(kinds)})[1 + n / {ACCOUNTS} %% {len(kinds)}])",
        "connection_id": "0",
        "amount": "1.5",
        "currency": "'USD'",
    }
    standings = ("accepted", "bad_signature", "failed")
    asked = ACCOUNTS * len(standings)
    standing = {
        "hour": hour.format(per=asked),
        "source": "'webhook'",
        "slug": "'infobip'",
        "account_id": f"((%(first)s::bigint[])[1 + n %% {ACCOUNTS}])",
        "party_id": f"((%(party)s::bigint[])[1 + n %% {ACCOUNTS}])",
        "standing": f"((ARRAY{list(standings)})[1 + n / {ACCOUNTS} %% {len(standings)}])",
        "n": "1 + n %% 500",
        "last_at": hour.format(per=asked) + " + interval '1 minute'",
    }
    entry = {"at": _AT.format(of=CONTACTS), "account_id": _ACCOUNT, "verb": "'replayed'", "target": "'request ' || n"}
    tally = {
        "bucket": f"%(now)s - n * interval '{DAYS} days' / 10000",
        "source": "'webhook'",
        "slug": "'infobip'",
        "n": "n",
    }
    return [
        (HourlyTotal, DAYS * 24 * per - 1, total),
        (RequestTotal, DAYS * 24 * asked - 1, standing),
        (AuditEntry, CONTACTS, entry),
        (RefusalTally, 10_000, tally),
    ]


def _fill(
    cursor: CursorWrapper, model: type[models.Model], n: int, columns: dict[str, str], places: dict[str, object]
) -> None:
    """n rows: these columns by their expressions of n, every other empty."""
    rest = {
        field.column: _empty(field)
        for field in model._meta.concrete_fields
        if field.column not in columns and not isinstance(field, models.AutoField)
    }
    values = columns | rest
    names = ", ".join(connection.ops.quote_name(name) for name in values)
    cursor.execute(
        f"INSERT INTO {model._meta.db_table} ({names}) SELECT {', '.join(values.values())} FROM generate_series(1, %(rows)s) n",
        places | {"rows": n, "requests": REQUESTS},
    )


def _empty(field: models.Field) -> str:
    if field.null:
        return "NULL"
    kinds: tuple[tuple[type[models.Field], str], ...] = (
        (ArrayField, "'{}'"),
        (models.BinaryField, "''"),
        (models.BooleanField, "false"),
        (models.DateTimeField, "%(now)s"),
        (models.DecimalField, "0"),
        (models.IntegerField, "0"),
    )
    default = f"'{field.default}'" if isinstance(field.default, str) else "''"
    return next((empty for kind, empty in kinds if isinstance(field, kind)), default)


def began() -> datetime:
    """Now, to the millisecond: a uid holds no more."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)
