"""Owns what pages say of those who call us: when each called last, how its requests stood by the hour, who is silent.

Read from the totals alone. A request that still waits is in none of them: while no worker runs, everybody falls silent.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Max

from trackly.columns import columns
from trackly.totals import hour_of
from webhooks.inbound.models import RequestTotal, Source

HOUR = timedelta(hours=1)
# What is usual is learned from so long before the last call. A week, and a day more: the weekend before counts as a whole.
LEARNED = timedelta(days=8)
# Who called in fewer hours than this has no habits yet.
ENOUGH_HOURS = 24
# standing -> how many requests in each hour, the running one last. What nobody has is left out.
Hours = Mapping[str, tuple[int, ...]]
# Source, provider or network, and id.
Who = tuple[str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """One provider account or connection that ever called; with party_id 0, all that came for a slug and named none."""

    source: str
    slug: str
    party_id: int
    last_at: datetime
    quiet_for: timedelta
    usual_quiet: timedelta | None
    """The longest run of whole hours without a request between two that had some. None: not looked at, because it called
    within the hour, or no habits yet."""
    hours: Hours = field(default_factory=dict)

    @property
    def who(self) -> Who:
        return self.source, self.slug, self.party_id

    @property
    def is_silent(self) -> bool:
        """True when it has been quiet for longer than it usually is."""
        return self.usual_quiet is not None and self.quiet_for > self.usual_quiet + HOUR


def callers(now: datetime, *, hours: int = 48, limit: int = 100) -> list[Caller]:
    """Who called since totals are kept, the first `limit`: what is silent stands first, then who called last."""
    with connection.cursor() as cursor:
        cursor.execute(_LAST)
        last = {(source, slug, party_id): last_at for source, slug, party_id, last_at in cursor.fetchall()}
    shown = sorted(_known(last, now), key=lambda caller: (caller.is_silent, caller.last_at), reverse=True)[:limit]
    counts = _counts([caller.who for caller in shown], now, hours)
    return [replace(caller, hours=counts.get(caller.who, {})) for caller in shown]


def callers_of(whose: Sequence[Who], now: datetime) -> dict[Who, Caller]:
    """Those of these that ever called, without their hours."""
    if not whose:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_LAST_OF, columns(whose))
        last = {(source, slug, party_id): last_at for source, slug, party_id, last_at in cursor.fetchall()}
    return {caller.who: caller for caller in _known(last, now)}


def last_called(provider_account_id: int) -> datetime | None:
    """When the provider account called last; None: never."""
    totals = RequestTotal.objects.filter(source=Source.WEBHOOK, party_id=provider_account_id)
    # An hour has a row for each standing; the newest hour holds the newest call.
    newest = totals.order_by("-hour").values_list("hour", flat=True).first()
    return totals.filter(hour=newest).aggregate(at=Max("last_at"))["at"] if newest else None


def by_hour(now: datetime, *, hours: int = 24) -> Hours:
    """How all requests of the last `hours` stood."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_HOUR, [hour_of(now), hour_of(now) - (hours - 1) * HOUR])
        return {standing: _spread(places, n, hours) for standing, places, n in cursor.fetchall()}


def _known(last: Mapping[Who, datetime], now: datetime) -> list[Caller]:
    """By when each called last."""
    usual = _habits({who: at for who, at in last.items() if who[2] and now - at > HOUR})
    return [
        Caller(
            source=who[0],
            slug=who[1],
            party_id=who[2],
            last_at=last_at,
            quiet_for=max(now - last_at, timedelta(0)),
            usual_quiet=usual.get(who),
        )
        for who, last_at in last.items()
    ]


def _habits(quiet: dict[Who, datetime]) -> dict[Who, timedelta]:
    """The usual quiet of each that has habits."""
    if not quiet:
        return {}
    whose = columns((*who, hour_of(at)) for who, at in quiet.items())
    with connection.cursor() as cursor:
        cursor.execute(_QUIET, (*whose, LEARNED.days, ENOUGH_HOURS))
        return {(source, slug, party_id): gap - HOUR for source, slug, party_id, gap in cursor.fetchall()}


def _counts(whose: list[Who], now: datetime, hours: int) -> Mapping[Who, Hours]:
    counts: dict[Who, dict[str, tuple[int, ...]]] = defaultdict(dict)
    if not whose:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_COUNTS, [hour_of(now), *columns(whose), hour_of(now) - (hours - 1) * HOUR])
        for source, slug, party_id, standing, places, n in cursor.fetchall():
            counts[source, slug, party_id][standing] = _spread(places, n, hours)
    return counts


def _spread(places: list[int], counts: list[int], hours: int) -> tuple[int, ...]:
    """Counts by hour; each place is how many hours ago."""
    spread = [0] * hours
    for place, n in zip(places, counts, strict=True):
        # An account that changed makes two rows of an hour; a clock ahead of ours, one in the future.
        spread[-1 - max(place, 0)] += n
    return tuple(spread)


# To the last hour of each: some index reads a caller, however many hours it called in. Zeros are left behind by what was
# replayed and then stood otherwise.
_NEWEST = """
SELECT caller.source, caller.slug, caller.party_id, newest.last_at
FROM caller CROSS JOIN LATERAL (
    SELECT hour FROM webhooks_requesttotal total
    WHERE total.source = caller.source AND total.slug = caller.slug AND total.party_id = caller.party_id AND n > 0
    ORDER BY hour DESC LIMIT 1
) latest CROSS JOIN LATERAL (
    SELECT max(last_at) AS last_at FROM webhooks_requesttotal total
    WHERE total.source = caller.source AND total.slug = caller.slug AND total.party_id = caller.party_id
      AND total.hour = latest.hour AND n > 0
) newest
"""
# From one caller to the next along the unique index.
_LAST = f"""
WITH RECURSIVE caller AS (
    (SELECT source, slug, party_id FROM webhooks_requesttotal ORDER BY source, slug, party_id LIMIT 1)
    UNION ALL
    SELECT following.* FROM caller CROSS JOIN LATERAL (
        SELECT source, slug, party_id FROM webhooks_requesttotal total
        WHERE (total.source, total.slug, total.party_id) > (caller.source, caller.slug, caller.party_id)
        ORDER BY source, slug, party_id LIMIT 1
    ) following
)
{_NEWEST}
"""
_LAST_OF = f"""
WITH caller AS (SELECT * FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS named (source, slug, party_id))
{_NEWEST}
"""
# From the index alone, so with the zeros: somebody did call then.
_QUIET = """
SELECT caller.source, caller.slug, caller.party_id, habit.gap
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::timestamptz[]) AS caller (source, slug, party_id, last_hour)
CROSS JOIN LATERAL (
    SELECT max(gap) AS gap, count(*) AS hours
    FROM (SELECT hour - lag(hour) OVER (ORDER BY hour) AS gap FROM (
        SELECT DISTINCT hour FROM webhooks_requesttotal total
        WHERE total.source = caller.source AND total.slug = caller.slug AND total.party_id = caller.party_id
          AND hour BETWEEN caller.last_hour - make_interval(days => %s) AND caller.last_hour
    ) AS active) AS gaps
) AS habit
WHERE habit.hours >= %s
"""
_PLACE = "((date_part('epoch', %s::timestamptz) - date_part('epoch', hour)) / 3600)::int"
_COUNTS = f"""
SELECT total.source, total.slug, total.party_id, standing, array_agg({_PLACE}), array_agg(n)
FROM unnest(%s::text[], %s::text[], %s::bigint[]) AS caller (source, slug, party_id)
JOIN webhooks_requesttotal total USING (source, slug, party_id)
WHERE hour >= %s AND n > 0
GROUP BY total.source, total.slug, total.party_id, standing
"""
_BY_HOUR = f"""
SELECT standing, array_agg(place), array_agg(n) FROM (
    SELECT standing, {_PLACE} AS place, sum(n)::bigint AS n
    FROM webhooks_requesttotal WHERE hour >= %s AND n > 0 GROUP BY standing, hour
) AS counted GROUP BY standing
"""
