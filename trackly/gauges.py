"""Owns the gauges of /metrics: asked of the tables when somebody looks. What each means stands in trackly/metrics.py.

Every question is bounded and finds its rows in an index or in the totals, so that millions of rows make no difference.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import Error as DatabaseError
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from psycopg_pool import PoolTimeout

from trackly.partitions import SERIES, Series
from trackly.patience import Patient
from trackly.queued import QUEUED

BOUND = 10_001
# So many rows are read where no index has only those that are wanted.
LOOKED_AT = 50_000
# Two who ask in the same second get one answer.
PATIENCE_S, KEEP_S = 4.0, 1.0


@dataclass(frozen=True, slots=True)
class Gauge:
    """A name, its meaning, and one value asked of the tables; NULL is +Inf."""

    name: str
    meaning: str
    query: str


def _count(rows: str) -> str:
    return f"SELECT count(*) FROM (SELECT FROM {rows} LIMIT {BOUND}) bounded"


def _due(of_each: int) -> str:
    """The due messages of each list, by their times."""
    return (
        "queued CROSS JOIN LATERAL (SELECT message.due_at FROM sendinglists_message message"
        " WHERE message.sending_list_id = queued.list_id AND message.due_at <= now()"
        f" ORDER BY message.due_at LIMIT {of_each}) due"
    )


GAUGES = (
    Gauge(
        "trackly_oldest_due_seconds",
        "How long the oldest due request has been waiting.",
        # The first entry of each partition's index; min() would be planned over all that is due.
        "SELECT coalesce(extract(epoch FROM now() - (SELECT due_at FROM webhooks_inboundrequest"
        " WHERE state = 'waiting' AND due_at <= now() ORDER BY due_at LIMIT 1)), 0)",
    ),
    Gauge(
        "trackly_requests_retrying",
        "Requests that wait for their next try.",
        _count("webhooks_inboundrequest WHERE state = 'waiting' AND due_at > now()"),
    ),
    Gauge(
        "trackly_requests_failed",
        "Received within 24 hours, used up their tries, not dealt with since.",
        # Of the totals: the log of failures may hold a million refused requests beside them.
        "SELECT coalesce(sum(n), 0) FROM webhooks_requesttotal"
        " WHERE standing = 'failed' AND hour > now() - interval '24 hours'",
    ),
    Gauge("trackly_reports_parked", "Reports whose message is not known.", _count("webhooks_parkedreport")),
    Gauge(
        "trackly_conversions_unmatched",
        "Postbacks whose click is not known.",
        _count("postbacks_conversion WHERE verdict = 'unknown_click'"),
    ),
    Gauge(
        "trackly_clicks_untallied",
        "Clicks not yet in the hourly totals.",
        _count("postbacks_click WHERE NOT is_tallied"),
    ),
    Gauge("trackly_messages_due", "Messages to be handed over now.", f"{QUEUED} {_count(_due(BOUND))}"),
    Gauge(
        "trackly_messages_oldest_due_seconds",
        "How long the oldest due message has been due.",
        f"{QUEUED} SELECT coalesce(extract(epoch FROM now() - min(due.due_at)), 0) FROM {_due(1)}",
    ),
    Gauge(
        "trackly_messages_leases_over",
        "Messages in hand whose worker is gone.",
        _count("sendinglists_message WHERE leased_until <= now()"),
    ),
    Gauge(
        "trackly_messages_unclear",
        "Handed over within 24 hours, never answered, not spoken of since.",
        # No index knows them alone. What was asked about already is asked again late, so they stand at the end of this one.
        "SELECT count(*) FROM (SELECT sent_at, handed_at, leased_until, status FROM sendinglists_message"
        f" WHERE ask_at IS NOT NULL ORDER BY ask_at DESC LIMIT {LOOKED_AT}) asked"
        " WHERE sent_at IS NULL AND leased_until IS NULL AND handed_at > now() - interval '24 hours'"
        " AND status IN ('queued', 'unknown')",
    ),
    Gauge(
        "trackly_setups_failed",
        "Provider accounts whose set-up failed.",
        _count("sendinglists_provideraccount WHERE webhook_state = 'failed' AND removed_at IS NULL"),
    ),
    Gauge(
        "trackly_echoes_due",
        "Callbacks of providers on this machine, to be made now.",
        _count("sendinglists_echo WHERE due_at <= now()"),
    ),
    Gauge(
        "trackly_worker_heartbeat_seconds",
        "Since a worker last said that it lives.",
        # Those that run, however long ago they began, and those that ended lately.
        "SELECT extract(epoch FROM now() - max(beat_at)) FROM ("
        "(SELECT beat_at FROM trackly_workerrun WHERE ended_at IS NULL)"
        " UNION ALL (SELECT beat_at FROM trackly_workerrun ORDER BY id DESC LIMIT 100)) beats",
    ),
)


def _ask() -> list[GaugeMetricFamily]:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '2s'")
        found = []
        for gauge in GAUGES:
            cursor.execute(gauge.query)
            (value,) = cursor.fetchone()
            known = math.inf if value is None else float(value)
            found.append(GaugeMetricFamily(gauge.name, gauge.meaning, value=known))
        return [*found, _partitions_ahead(cursor)]


def _partitions_ahead(cursor: CursorWrapper) -> GaugeMetricFamily:
    cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE NOT inhdetachpending")
    attached = {name for (name,) in cursor.fetchall()}
    days = GaugeMetricFamily("trackly_partitions_ahead_days", "Days from now without a gap.", labels=["table"])
    for series in SERIES:
        days.add_metric([series.parent], days_ahead(series, attached, datetime.now(UTC)))
    return days


def days_ahead(series: Series, attached: set[str], now: datetime) -> float:
    """From now to the end of the last partition before the first that is missing; 0 when today's is missing."""
    begin = series.begin(now)
    while series.name(begin) in attached:
        begin = series.end(begin)
    return max((begin - now).total_seconds() / 86_400, 0.0)


ASKED = Patient(_ask, patience_s=PATIENCE_S, keep_s=KEEP_S)


class _Tables(Collector):
    """The gauges; without a database only that there is none."""

    def collect(self) -> Iterator[GaugeMetricFamily]:
        try:
            found = ASKED.get()
        except (DatabaseError, PoolTimeout, TimeoutError):
            found = []
        yield GaugeMetricFamily("trackly_database_up", "1 when the tables answered.", value=1 if found else 0)
        yield from found

    def describe(self) -> list[GaugeMetricFamily]:
        """Nothing: the registry would ask the database for it."""
        return []


REGISTRY = CollectorRegistry()
REGISTRY.register(_Tables())
