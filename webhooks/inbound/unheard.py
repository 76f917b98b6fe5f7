"""Owns the question whose word was acknowledged and is not worked off yet: one of those requests may be a STOP."""

from collections.abc import Collection
from datetime import datetime

from django.db import connection

# With so many requests due nobody knows in time who is named in them, so everybody is taken to be.
BEHIND = 5_000


def unheard(phones: Collection[str], now: datetime) -> set[str]:
    """Those of the phones (E.164) that a waiting request of a provider names, as sender or recipient; all of them while
    the inbox is far behind."""
    with connection.cursor() as cursor:
        cursor.execute(_UNHEARD, [now, BEHIND, now, BEHIND, list(phones)])
        n_due, named = cursor.fetchone()
    return set(phones) if n_due >= BEHIND else set(named)


# What waits is read, in the order of its own index, and not the index of what requests name: that one is made for a person
# who searches, and a probe of it costs milliseconds while it takes in new rows.
_UNHEARD = """
WITH due AS (
    SELECT ids FROM webhooks_inboundrequest WHERE state = 'waiting' AND source = 'webhook' AND due_at <= %s
    ORDER BY due_at LIMIT %s
), later AS (
    SELECT ids FROM webhooks_inboundrequest WHERE state = 'waiting' AND source = 'webhook' AND due_at > %s
    ORDER BY due_at LIMIT %s
)
SELECT (SELECT count(*) FROM due),
       ARRAY(SELECT DISTINCT named.phone
             FROM (SELECT ids FROM due UNION ALL SELECT ids FROM later) AS request
             CROSS JOIN LATERAL unnest(request.ids) AS named (phone)
             WHERE named.phone = ANY(%s::text[]))
"""
