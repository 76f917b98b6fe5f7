"""Owns the writing of hourly totals: differences gathered in a batch, added in the batch's own transaction."""

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from django.db import connection

from trackly.columns import columns

ZERO = Decimal(0)


class Key(NamedTuple):
    """What a total is kept by. 0 and '' mean none."""

    account_id: int
    hour: datetime
    kind: str
    list_id: int = 0
    connection_id: int = 0
    currency: str = ""


class Totals:
    """Differences of one batch. Nothing is written before write()."""

    def __init__(self) -> None:
        self._changes: dict[Key, tuple[int, Decimal]] = {}

    def add(self, key: Key, n: int = 1, amount: Decimal = ZERO) -> None:
        """Count `n` more (or fewer) under this key."""
        before = self._changes.get(key, (0, ZERO))
        self._changes[key] = (before[0] + n, before[1] + amount)

    def write(self) -> None:
        """Add everything to the table in one statement. Keys are sorted, so that two batches lock in one order."""
        rows = [(*key, *change) for key, change in sorted(self._changes.items()) if change != (0, ZERO)]
        if rows:
            with connection.cursor() as cursor:
                cursor.execute(_UPSERT, columns(rows))
        self._changes.clear()


def hour_of(moment: datetime) -> datetime:
    """The beginning of its hour."""
    return moment.replace(minute=0, second=0, microsecond=0)


_UPSERT = """
INSERT INTO trackly_hourlytotal AS total (account_id, hour, kind, list_id, connection_id, currency, n, amount)
SELECT * FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[], %s::bigint[], %s::bigint[], %s::text[],
                     %s::bigint[], %s::numeric[])
ON CONFLICT (account_id, hour, kind, list_id, connection_id, currency)
DO UPDATE SET n = total.n + excluded.n, amount = total.amount + excluded.amount
"""
