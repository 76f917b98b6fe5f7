"""Measures reports applied per second by one worker, with many messages known, beside the ordinary way."""

import time
from datetime import UTC, datetime
from random import Random

from django.db import connection

from bench import ordinary
from bench.load import callback
from bench.table import Line
from sendinglists.models import Message, ProviderAccount
from trackly.management.commands import work
from trackly.models import Account
from trackly.signing import new_uid
from webhooks.inbound.models import DeliveryEvent, InboundRequest, time_of

KNOWN = 100_000
REPORTS = 40_000
ORDINARY_REPORTS = 2_000


def measure() -> list[Line]:
    """One report a request, each about another message, shuffled."""
    account = Account.objects.create(name="Applied")
    party = ProviderAccount.objects.create(account=account, provider="infobip", name="Applied")
    _messages(party)
    references = list(Message.objects.values_list("reference", flat=True))
    Random(7).shuffle(references)
    _requests(party, references[:ORDINARY_REPORTS])
    began = time.perf_counter()
    slow = ordinary.apply(ORDINARY_REPORTS) / (time.perf_counter() - began)

    _requests(party, references[ORDINARY_REPORTS : ORDINARY_REPORTS + REPORTS])
    began = time.perf_counter()
    while work.work(datetime.now(UTC)):
        pass
    fast = REPORTS / (time.perf_counter() - began)
    if DeliveryEvent.objects.count() != REPORTS + ORDINARY_REPORTS:
        raise SystemExit("Not every report was applied; the figure means nothing.")
    note = f"{KNOWN:,} known messages, batches as configured, {REPORTS:,} and {ORDINARY_REPORTS:,} reports"
    return [
        Line(what="reports applied a second, one worker", per_second=fast, note=note),
        Line(what="", per_second=slow),
    ]


def _messages(party: ProviderAccount) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO sendinglists_message (public_id, reference, account_id, provider_account_id, campaign, "to", body,
                provider_message_id, cost_currency, is_test, is_external, created_at, status, status_detail, status_code,
                status_mark, error_status, error_mark, error_vendor_code, error_code, error_text, reason)
            SELECT to_char(n, 'FM00000000'), left(md5(n::text), 26), %s, %s, '', '+4179302' || n, 'Hello',
                'vendor-' || n, '', false, false, now(), 'queued', '', '', '', '', '', '', '', '', ''
            FROM generate_series(1, %s) n
            """,
            [party.account_id, party.id, KNOWN],
        )
        cursor.execute("ANALYZE sendinglists_message")


def _requests(party: ProviderAccount, references: list[str]) -> None:
    """As receiving leaves them."""
    columns = (
        "uid, received_at, due_at, source, slug, account_id, party_id, proof, method, host, path, query, headers, body,"
        " peer, is_secure, refusal, answer_status, answer, ids, items, state, attempts, outcome, last_error, version"
    )
    headers = b"host: hooks.example.com\r\ncontent-type: application/json\r\nuser-agent: Apache-HttpClient\r\n"
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {InboundRequest._meta.db_table} ({columns}) FROM STDIN") as copy,
    ):
        for n, reference in enumerate(references):
            uid = new_uid(int(time.time() * 1000))
            at = time_of(uid)
            copy.write_row(
                (uid, at, at, "webhook", "infobip", party.account_id, party.id, "token", "POST", b"hooks.example.com",
                 b"/api/webhook-feedbacks/infobip/~1", b"", headers, callback(reference, n), "203.0.113.7", True, "", 200,
                 b'{"status":"accepted"}', [reference, "+41793026727"], 1, "waiting", 0, "", "", "")
            )  # fmt: skip
