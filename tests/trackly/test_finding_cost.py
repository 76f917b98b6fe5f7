"""What a search costs: few queries, and none that reads a whole table."""

import re
from typing import Any
from urllib.parse import quote

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests import factories
from trackly.signing import new_token
from trackly.totals import hour_of
from webhooks.inbound.models import RequestTotal

UID = "0198b2c0-1111-7abc-8def-0123456789ab"
# So many rows of each that reading all of a table is never the cheapest plan.
ROWS = 10_000
BIG = {
    "sendinglists_message": """(public_id, reference, account_id, provider_account_id, campaign, "to", body, provider_message_id,
        cost_currency, is_test, is_external, created_at, status, status_detail, status_code, status_mark, error_status,
        error_mark, error_vendor_code, error_code, error_text, reason)
        SELECT lpad(n::text, 8, '0'), 'reference' || n, %(account)s, %(party)s, '', '+1415' || (1000000 + n), '', 'vendor' || n,
        '', false, false, now(), 'sent', '', '', '', '', '', '', '', '', ''""",
    "sendinglists_contact": "(account_id, phone, created_at) SELECT %(account)s, '+1415' || (1000000 + n), now()",
    "sendinglists_suppression": """(account_id, brand, phone, is_active, decided_at, cause)
        SELECT %(account)s, '', '+1415' || (1000000 + n), true, now(), ''""",
    "sendinglists_link": """(account_id, code, destination, campaign, is_test, created_at)
        SELECT %(account)s, 'code' || n, 'https://example.com/', '', false, now()""",
    "postbacks_click": """(click_id, account_id, link_id, at, address, user_agent, bot, is_test, is_counted, is_tallied)
        SELECT 'click' || n, %(account)s, %(link)s, now(), '', '', '', false, false, true""",
    "postbacks_conversion": """(request_uid, item, received_at, network, account_id, click_id, click_ref, click_text,
        transaction_id, event, event_name, offer_ref, status_word, status, payout_text, currency, stated_currency, flags, verdict,
        detail, refusal, kind, ordinal, is_verified, is_accepted, is_test, is_late, query, reply)
        SELECT gen_random_uuid(), 0, now(), 'tune', %(account)s, (SELECT id FROM postbacks_click WHERE click_id = 'click' || n),
        '', '', 'tx' || n, '', '', '', '', 'approved', '', '', '', '{}', 'recorded', '', '', '', 0, false, false, false, false,
        '', ''""",
    "webhooks_inboundrequest": """(uid, received_at, source, slug, account_id, party_id, proof, method, host, path, query,
        headers, body, peer, is_secure, refusal, answer_status, answer, ids, items, state, attempts, due_at, outcome, last_error,
        version)
        SELECT gen_random_uuid(), now(), 'webhook', 'sandbox', %(account)s, %(party)s, '', 'POST', '', '', '', '', '', '', true,
        '', 200, '', ARRAY['vendor' || n, 'reply' || n, '+1415' || (1000000 + n)], 1, 'done', 0, now(), '', '', ''""",
    "webhooks_reply": """(account_id, provider_account_id, key, sender, recipient, text, decision, received_at, request_uid)
        SELECT %(account)s, %(party)s, 'reply' || n, '+1415' || (1000000 + n), '', '', 'reply', now(), gen_random_uuid()""",
    "webhooks_parkedreport": """(provider, party_id, message_key, fingerprint, status, report, error, received_at, request_uid)
        SELECT 'sandbox', 0, 'vendor' || n, decode(md5(n::text), 'hex'), 'sent', '', '', now(), gen_random_uuid()""",
    "webhooks_deliveryevent": """(account_id, message_id, fingerprint, status, vendor_status, vendor_code, reason, error_code,
        error_text, received_at, request_uid)
        SELECT %(account)s, (SELECT id FROM sendinglists_message WHERE reference = 'reference' || n), '', 'sent', '', '', '', '',
        '', now(), gen_random_uuid()""",
}
# Read from its end, or through the totals: no walk over rows.
_FROM_AN_END = re.compile(r"'parked', '', ''|webhooks_requesttotal")


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


@pytest.fixture
def much(db: None) -> None:
    message, link = factories.MessageFactory(), factories.LinkFactory()
    ours = {"account": message.account_id, "party": message.provider_account_id, "link": link.pk}
    with connection.cursor() as cursor:
        for table, insert in BIG.items():
            cursor.execute(f"INSERT INTO {table} {insert} FROM generate_series(1, {ROWS}) n", ours)
        # What the autovacuum would have done by then.
        cursor.execute(
            "SELECT gin_clean_pending_list(oid) FROM pg_class WHERE relkind = 'i' AND relname ~ '^inbound_.*_ids_idx$'"
        )
        cursor.execute("ANALYZE")


@pytest.mark.django_db
def test_no_lookup_reads_a_whole_table(staff: Client, much: None) -> None:
    pasted = [
        "vendor77", "+14151000077", "14151000077", "click77", "tx77", "code77", "reference77", "00000077", "reply77", UID,
        "gone-1", new_token(), "reply77 vendor78 tx79 code80", "/api/postbacks/tune/x?click_id=click9&txid=tx9", f"12 {UID}",
    ]  # fmt: skip
    looked_in = set()
    for text in pasted:
        with CaptureQueriesContext(connection) as queries:
            staff.get(reverse("admin:find"), {"q": text})
        for query in queries.captured_queries:
            tables = [table for table in BIG if f'FROM "{table}"' in query["sql"] or f"FROM {table} " in query["sql"]]
            if tables and not _FROM_AN_END.search(query["sql"]):
                looked_in.update(tables)
                assert _walked(query["sql"]) == [], (text, query["sql"])
    assert looked_in == set(BIG)


def _handled(lines: list[str]) -> bool:
    """True when the node of the first line saw any row, those it threw away included."""
    ends = next((at for at, line in enumerate(lines[1:], 1) if line.startswith("->")), len(lines))
    rows = re.search(r"rows=([\d.]+)", lines[0])
    return bool(rows and float(rows[1])) or any("Rows Removed" in line for line in lines[1:ends])


def _walked(sql: str) -> list[str]:
    """The nodes of its plan that go over more than a few rows to find some: of a table, or of an index by a later column."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname, pg_get_indexdef(oid, 1, true) FROM pg_class WHERE relkind = 'i'")
        leading = dict(cursor.fetchall())
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) {sql}")
        lines = [line.strip() for (line,) in cursor.fetchall()]
    walked = []
    for place, (line, below) in enumerate(zip(lines, [*lines[1:], ""], strict=True)):
        many = re.search(r"Rows Removed by Filter: (\d+)|(?:Seq Scan|Index).* rows=(\d+)", line)
        index = re.search(r"(?:Index (?:Only )?Scan(?: Backward)? using|Bitmap Index Scan on) (\S+)", line)
        if many and int(many[1] or many[2]) > 100:
            walked.append(line)
        # An empty partition may be looked at by any index: there is nothing in it to go over.
        if index and _handled(lines[place:]) and not ("Index Cond" in below and leading[index[1].strip('"')] in below):
            walked.append(line)
    return walked


@pytest.mark.django_db
@pytest.mark.parametrize("text", ["14155550101", "ORDER-1", "abcdefghijklmnopqrstuvwxyz", "11200", "everflow", UID])
def test_a_search_asks_at_most_fifteen_times(staff: Client, django_assert_max_num_queries: Any, text: str) -> None:
    message = factories.MessageFactory(to="+14155550101", provider_message_id=text)
    event = factories.DeliveryEventFactory(message=message)
    factories.InboundRequestFactory(ids=[text], party_id=message.provider_account_id)
    RequestTotal.objects.create(
        hour=hour_of(factories.now()), source="webhook", slug="sandbox", party_id=message.provider_account_id,
        standing="accepted", n=1, last_at=factories.now().replace(year=2026, month=1),
    )  # fmt: skip
    url = reverse("admin:find")
    with django_assert_max_num_queries(15):
        staff.get(url, {"q": text})
    event.delete()
    message.delete()
    with django_assert_max_num_queries(15):
        staff.get(url, {"q": text})
    with django_assert_max_num_queries(15):
        staff.get(url, {"q": f"https://h.example/api/webhook-feedbacks/sandbox/{quote(text)}?x={quote(text)}"})
