"""Owns the partitions of the raw tables: made ahead, detached and dropped when their time is over.

There is no default partition: rows in one would have to be moved before their own could be made. A partition is created
standalone and attached, which waits for nobody; detaching is concurrent; only then is it dropped.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from django.conf import settings
from django.db import OperationalError, connection
from django.db.backends.utils import CursorWrapper
from psycopg import sql
from psycopg.errors import QueryCanceled

logger = structlog.get_logger(__name__)

AHEAD = timedelta(days=14)
PATIENCE = timedelta(seconds=5)
# Any constants: one process at a time makes partitions, one drops them; a drop that waits holds up no making.
_MAKING, _DROPPING = 7_301_002, 7_301_003


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One table partitioned by received_at."""

    parent: str
    prefix: str
    monthly: bool
    keep: str
    """Name of the setting that says for how many days."""

    def begin(self, moment: datetime) -> datetime:
        """The beginning of the partition this moment lies in."""
        day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return day.replace(day=1) if self.monthly else day

    def end(self, begin: datetime) -> datetime:
        """The end, exclusive, of the partition that begins then."""
        return self.begin(begin + timedelta(days=32)) if self.monthly else begin + timedelta(days=1)

    def name(self, begin: datetime) -> str:
        return f"{self.prefix}_{begin:%Y%m}" if self.monthly else f"{self.prefix}_{begin:%Y%m%d}"


SERIES = (
    Series(parent="inbound_webhook", prefix="inbound_webhook", monthly=False, keep="RETENTION_WEBHOOKS_DAYS"),
    # 400 days kept: months, so that the planner has dozens of partitions to think of and not hundreds.
    Series(parent="inbound_postback", prefix="inbound_postback", monthly=True, keep="RETENTION_POSTBACKS_DAYS"),
)


def ensure(begin: datetime, end: datetime | None = None) -> list[str]:
    """Make every missing partition from `begin` to `end` (default: 14 days on); the names of those made."""
    last = end or begin + AHEAD
    with connection.cursor() as cursor:
        missing = _missing(cursor, begin, last)
        # Nearly always none; then nobody is waited for.
        if not missing:
            return []
        with _impatiently(cursor):
            cursor.execute("SELECT pg_advisory_lock(%s)", [_MAKING])
            try:
                made = [series.name(start) for series, start in missing if _make(cursor, series, start)]
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_MAKING])
    if made:
        logger.info("made partitions", n=len(made), first=made[0], last=made[-1])
    return made


def missing(begin: datetime, end: datetime) -> list[str]:
    """Names of the partitions from `begin` to `end` that there are not."""
    with connection.cursor() as cursor:
        return [series.name(start) for series, start in _missing(cursor, begin, end)]


def _missing(cursor: CursorWrapper, begin: datetime, last: datetime) -> list[tuple[Series, datetime]]:
    wanted = []
    for series in SERIES:
        start = series.begin(begin)
        while start <= last:
            wanted.append((series, start))
            start = series.end(start)
    cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE NOT inhdetachpending")
    attached = {name for (name,) in cursor.fetchall()}
    return [(series, start) for series, start in wanted if series.name(start) not in attached]


@contextmanager
def _impatiently(cursor: CursorWrapper) -> Iterator[None]:
    """Give up on a lock after seconds: a backup holds its snapshot for hours, and this runs where requests are worked off."""
    cursor.execute("SELECT set_config('statement_timeout', %s, false)", [f"{PATIENCE.total_seconds()}s"])
    try:
        yield
    finally:
        cursor.execute("RESET statement_timeout")


def _make(cursor: CursorWrapper, series: Series, begin: datetime) -> bool:
    name = series.name(begin)
    cursor.execute("SELECT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = to_regclass(%s))", [name])
    if cursor.fetchone()[0]:
        return False
    names = {"parent": sql.Identifier(series.parent), "name": sql.Identifier(name)}
    cursor.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {name} (LIKE {parent} INCLUDING ALL)").format(**names))
    cursor.execute(
        sql.SQL("ALTER TABLE {parent} ATTACH PARTITION {name} FOR VALUES FROM ({begin}) TO ({end})").format(
            **names, begin=sql.Literal(begin.isoformat()), end=sql.Literal(series.end(begin).isoformat())
        )
    )
    return True


def expire(now: datetime) -> list[str]:
    """Drop the partitions whose time is over and in which nothing is still due; the names of those dropped.

    Must run outside a transaction: a concurrent detach cannot be part of one. Nothing is done while another process is at it.
    """
    dropped: list[str] = []
    with connection.cursor() as cursor, _impatiently(cursor):
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_DROPPING])
        if not cursor.fetchone()[0]:
            return []
        try:
            _drop_old(cursor, now, dropped)
        except OperationalError as error:
            if not isinstance(error.__cause__, QueryCanceled):
                raise
            # A detach that was interrupted stays pending, and is finished the next time.
            logger.warning("partitions are in use, dropping is tried again later")
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [_DROPPING])
    if dropped:
        logger.info("dropped partitions", names=dropped)
    return dropped


def _drop_old(cursor: CursorWrapper, now: datetime, dropped: list[str]) -> None:
    for series in SERIES:
        oldest = series.begin(now - timedelta(days=getattr(settings, series.keep)))
        for name, tie in _leaves(cursor, series):
            if name < series.name(oldest) and not _has_due(cursor, name):
                _drop(cursor, series, name, tie)
                dropped.append(name)


def _leaves(cursor: CursorWrapper, series: Series) -> list[tuple[str, str]]:
    """(name, tie) by age; a tie is attached, pending (its detach was interrupted) or none (its drop was)."""
    cursor.execute(
        "SELECT relname, CASE WHEN inhrelid IS NULL THEN 'none' WHEN inhdetachpending THEN 'pending' ELSE 'attached' END"
        " FROM pg_class LEFT JOIN pg_inherits ON inhrelid = oid"
        " WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace AND relname ~ %s ORDER BY 1",
        [f"^{series.prefix}_[0-9]+$"],
    )
    return cursor.fetchall()


def _has_due(cursor: CursorWrapper, name: str) -> bool:
    query = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE state = 'waiting')").format(sql.Identifier(name))
    cursor.execute(query)
    return bool(cursor.fetchone()[0])


def _drop(cursor: CursorWrapper, series: Series, name: str, tie: str) -> None:
    names = {"parent": sql.Identifier(series.parent), "name": sql.Identifier(name)}
    if tie != "none":
        how = sql.SQL("FINALIZE" if tie == "pending" else "CONCURRENTLY")
        cursor.execute(sql.SQL("ALTER TABLE {parent} DETACH PARTITION {name} {how}").format(**names, how=how))
    cursor.execute(sql.SQL("DROP TABLE {name}").format(**names))
