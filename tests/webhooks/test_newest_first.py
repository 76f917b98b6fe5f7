"""Lists of requests are read from an index in their order, in every partition: none sorts a table to show 50 rows."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.db.models import Q, QuerySet

from trackly import partitions
from webhooks.inbound.models import FAILED, InboundRequest

pytestmark = pytest.mark.django_db
NEWEST_FIRST = ("-received_at", "-uid")


def plan(rows: QuerySet[InboundRequest]) -> str:
    """How the first page is read when there is any way around sorting."""
    with connection.cursor() as cursor:
        # What cannot be had otherwise is sorted all the same.
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
    return rows.order_by(*NEWEST_FIRST)[:51].explain()


@pytest.mark.parametrize("which", [Q(), Q(source="webhook"), Q(slug="sandbox"), Q(state="done")])
def test_newest_requests_of_both_sources_are_read_from_the_key(which: Q) -> None:
    text = plan(InboundRequest.objects.filter(which))
    assert "Sort  (" not in text
    assert "pkey" in text


def test_newest_failures_are_read_from_the_index_of_failures() -> None:
    """Its condition is that of the list, word for word as far as the planner can tell."""
    text = plan(InboundRequest.objects.filter(FAILED))
    assert "Sort  (" not in text
    scans = [line for line in text.splitlines() if "Scan" in line]
    assert scans
    assert all("received_at_uid_idx" in line for line in scans), text


def test_newest_requests_of_an_account_are_sorted_only_among_those_of_one_moment() -> None:
    text = plan(InboundRequest.objects.filter(account=1))
    assert "Incremental Sort" in text
    assert "Sort  (" not in text.replace("Incremental Sort  (", "")


def test_partition_made_later_has_the_key_and_the_index_of_failures_attached() -> None:
    begin = datetime(2031, 5, 6, tzinfo=UTC)
    made = partitions.ensure(begin, begin + timedelta(hours=1))
    assert made == ["inbound_webhook_20310506", "inbound_postback_203105"]
    for table in made:
        assert {"inbound_failed", "webhooks_inboundrequest_pkey"} <= roots_of_indexes(table)
    assert "inbound_webhook_20310506_received_at_uid_idx" in plan(InboundRequest.objects.filter(FAILED))


def roots_of_indexes(table: str) -> set[str]:
    """The indexes of the whole inbox that those of this partition are part of."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_partition_root(indexrelid)::regclass::text FROM pg_index WHERE indrelid = %s::regclass", [table]
        )
        return {name for (name,) in cursor.fetchall()}
