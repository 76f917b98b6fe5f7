"""Owns what is known of those who call for this account: when each called last, how its requests stand, what was refused.

Read from the hourly totals of requests, for the account's own provider accounts and connections, each along the unique index.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from postbacks import networks
from trackly.columns import columns
from trackly.stories.standings import REFUSED
from trackly.totals import hour_of
from webhooks import providers
from webhooks.inbound.callers import Caller, Who, callers_of
from webhooks.inbound.models import Source, Standing

# Who stopped so long ago is not missed any more; and as far back failures are looked for that nobody replayed.
LOOKED_BACK = timedelta(days=30)
LET_IN = frozenset([Standing.ACCEPTED.value, Standing.FAILED.value])


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """What one provider account or connection did. Counts are of the last 24 hours, by standing."""

    caller: Caller | None
    """None: it never called."""
    counts: Counter[str] = field(default_factory=Counter)
    last_at: Mapping[str, datetime] = field(default_factory=dict)
    """The newest of these 24 hours, by standing."""
    failed: int = 0
    """That failed in 30 days, and wait for somebody to replay them."""

    @property
    def refused(self) -> Counter[str]:
        return Counter({word: n for word, n in self.counts.items() if word in REFUSED})

    @property
    def let_in(self) -> int:
        return sum(n for word, n in self.counts.items() if word in LET_IN)

    @property
    def ends_refused(self) -> bool:
        """True when the newest request of the day was refused."""
        refused = [at for word, at in self.last_at.items() if word in REFUSED]
        let_in = [at for word, at in self.last_at.items() if word in LET_IN]
        return bool(refused) and (not let_in or max(refused) > max(let_in))

    @property
    def is_silent(self) -> bool:
        return self.caller is not None and self.caller.is_silent and self.caller.quiet_for < LOOKED_BACK


def calls(whose: Sequence[Who], now: datetime) -> dict[Who, Calls]:
    """Of each of these; nobody's are left out."""
    known = callers_of(whose, now)
    found = {who: Calls(caller=known.get(who)) for who in whose}
    if not known:
        return found
    with connection.cursor() as cursor:
        cursor.execute(_CALLS, [*columns(known), hour_of(now) - timedelta(hours=23), hour_of(now - LOOKED_BACK)])
        for *who, words, ns, ats, failed in cursor.fetchall():
            source, slug, party_id = who
            counts, last_at = dict(zip(words, ns, strict=True)), dict(zip(words, ats, strict=True))
            key = (source, slug, party_id)
            found[key] = Calls(caller=known[key], counts=Counter(counts), last_at=last_at, failed=failed)
    return found


def strangers(account_id: int, now: datetime) -> Counter[tuple[str, str]]:
    """(source, cause) of what named the account and was refused within 24 hours before it was known whose it is."""
    slugs = [(Source.WEBHOOK.value, slug) for slug in providers.all_providers()]
    slugs += [(Source.POSTBACK.value, slug) for slug in networks.all_networks()]
    with connection.cursor() as cursor:
        asked: list[Any] = [
            *columns(slugs),
            hour_of(now) - timedelta(hours=23),
            hour_of(now),
            account_id,
            sorted(REFUSED),
        ]
        cursor.execute(_STRANGERS, asked)
        return Counter({(source, word): n for source, word, n in cursor.fetchall()})


_CALLS = """
SELECT party.source, party.slug, party.id, coalesce(day.words, '{}'), coalesce(day.ns, '{}'), coalesce(day.ats, '{}'),
       coalesce(failed.n, 0)::bigint
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS party (source, slug, id)
CROSS JOIN LATERAL (
    SELECT array_agg(standing) AS words, array_agg(n) AS ns, array_agg(last_at) AS ats FROM (
        SELECT standing, sum(n)::bigint AS n, max(last_at) AS last_at FROM webhooks_requesttotal total
        WHERE total.source = party.source AND total.slug = party.slug AND total.party_id = party.id
          AND hour >= %s AND n > 0 GROUP BY standing
    ) AS standings
) AS day
CROSS JOIN LATERAL (
    SELECT sum(n) AS n FROM webhooks_requesttotal total
    WHERE total.source = party.source AND total.slug = party.slug AND total.party_id = party.id
      AND hour >= %s AND standing = 'failed'
) AS failed
"""
# An index look-up for each hour and adapter: what nobody's party is, is everybody's, and may be much.
_STRANGERS = """
SELECT adapter.source, standing, sum(n)::bigint
FROM unnest(%s::text[], %s::text[]) AS adapter (source, slug)
CROSS JOIN generate_series(%s::timestamptz, %s::timestamptz, interval '1 hour') AS running (hour)
CROSS JOIN LATERAL (
    SELECT standing, n FROM webhooks_requesttotal total
    WHERE total.source = adapter.source AND total.slug = adapter.slug AND total.party_id = 0 AND total.hour = running.hour
      AND total.account_id = %s AND standing = ANY(%s) AND n > 0
    -- Without a bound the planner would join, and read the hours of everybody.
    LIMIT 100
) AS refused
GROUP BY 1, 2
"""
