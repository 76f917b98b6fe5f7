"""Owns the totals of requests by how they stand, always in the transaction that lets them stand so.

A request counts in one of them from when it is judged, and in none while it waits. What is stored or worked off counts in the
very statement that writes it: counted(). What moves between states counts through moving(), under its lock.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import QuerySet

from trackly.columns import columns
from webhooks.inbound.models import InboundRequest

_READ = ("received_at", "source", "slug", "account_id", "party_id", "method", "refusal", "state")
LOST_COLUMNS = _READ[:-1]
# Grouped, so that every row of the inbox is written before the first total is locked: those are what workers wait for.
# Sorted, so that all lock them in one order.
_GROUPED = """
SELECT source, slug, coalesce(party_id, 0), date_trunc('hour', received_at, 'UTC'), coalesce(account_id, 0),
       CASE WHEN state IN ('failed', 'discarded') THEN state
            WHEN method = 'HEAD' THEN 'probe'
            WHEN refusal <> '' THEN refusal
            WHEN state = 'over_quota' THEN state
            ELSE 'accepted' END,
       count(*), max(received_at)
FROM {rows} WHERE state <> 'waiting'
GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1, 2, 3, 4, 5, 6
"""
_ADD = """
INSERT INTO webhooks_requesttotal AS total (source, slug, party_id, hour, account_id, standing, n, last_at)
{grouped}
ON CONFLICT (source, slug, party_id, hour, account_id, standing)
DO UPDATE SET n = total.n + excluded.n, last_at = greatest(total.last_at, excluded.last_at)
"""
_ADD_MOVED = _ADD.format(
    grouped="SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::timestamptz[], %s::bigint[], %s::text[],"
    " %s::bigint[], %s::timestamptz[]) ORDER BY 1, 2, 3, 4, 5, 6"
)
# Counts a request that was not kept, by these columns of it.
LOST = _ADD.format(
    grouped=_GROUPED.format(
        rows=f"(VALUES (%s, %s, %s, %s::bigint, %s::bigint, %s, %s, 'over_quota')) AS lost ({', '.join(_READ)})"
    )
)


class _Key(NamedTuple):
    """What a total is kept by."""

    source: str
    slug: str
    party_id: int
    hour: datetime
    account_id: int
    standing: str


def counted(change: str, table: str) -> str:
    """The statement that does this INSERT or UPDATE of the inbox and adds what it wrote to the totals.

    The rows must have counted in none before: they are new, or were waiting.
    """
    read = ", ".join(f"{table}.{name}" for name in _READ)
    return f"WITH written AS ({change} RETURNING {read})" + _ADD.format(grouped=_GROUPED.format(rows="written"))


@contextmanager
def moving(requests: QuerySet[InboundRequest]) -> Iterator[QuerySet[InboundRequest]]:
    """Lock these requests in a transaction, and let the totals follow what is done to them inside.

    The queryset names them by their keys: it is asked again afterwards.
    """
    with transaction.atomic():
        # What the totals hold of a row is known only under its lock: somebody else may be moving it.
        list(requests.order_by("source", "received_at", "uid").select_for_update().values_list("uid"))
        before, _ = _standings(requests)
        yield requests
        after, last = _standings(requests)
        after.subtract(before)
        moved = [(*key, n, last.get(key, key.hour)) for key, n in after.items() if n]
        if moved:
            with connection.cursor() as cursor:
                cursor.execute(_ADD_MOVED, columns(moved))


def _standings(requests: QuerySet[InboundRequest]) -> tuple[Counter[_Key], dict[_Key, datetime]]:
    """How many of the requests count in which total, and the time of the newest there."""
    rows, params = requests.order_by().values(*_READ).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(_GROUPED.format(rows=f"({rows}) AS request"), params)
        found = [(_Key(*row[:6]), *row[6:]) for row in cursor.fetchall()]
    return Counter({key: n for key, n, _ in found}), {key: last_at for key, _, last_at in found}
