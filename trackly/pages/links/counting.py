"""Owns how openings are counted for pages: always bounded, because one link may have been opened a million times.

Clicks have an index by link and id and one by account and id; none by time. What is new is therefore found from the newest
clicks of the account, or of the link, backwards.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, Sum

from postbacks.models import Conversion
from sendinglists.models import Link
from trackly.models import Account, HourlyTotal
from trackly.pages.listing import NEWEST
from trackly.totals import hour_of

# Openings of one link that are counted on its page, and those counted for each row of a list.
MOST = 10_000
MOST_IN_LIST = 1_000
# Why an opening is taken for a machine's, in words.
REASONS = {
    "prefetch": "loaded ahead by a browser",
    "preview": "preview in a message app",
    "headless": "browser without a person",
    "crawler": "crawler",
    "library": "program",
    "head": "only asked whether it is there",
    "no_user_agent": "no browser named",
}
WEEK = timedelta(days=7)
SPANS = (("24 hours", timedelta(hours=24)), ("7 days", WEEK), ("30 days", timedelta(days=30)))


@dataclass(frozen=True, slots=True)
class Openings:
    """Of one link, or offer."""

    people: int = 0
    machines: int = 0
    is_more: bool = False
    """There are more than were counted: these are the least there can be."""

    def told(self, n: int) -> str:
        return f"{n:,}+" if self.is_more else f"{n:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCounts:
    people: int
    first: int
    """First openings of their message by a person; of a link without a message every opening by a person."""
    tests: int
    """Of all of these: in no total."""
    machines: list[tuple[str, int]]
    """(why, how many), the most frequent first."""
    n: int
    is_more: bool

    @property
    def by_machines(self) -> int:
        return sum(n for _, n in self.machines)


def openings(link_ids: Sequence[int]) -> dict[int, Openings]:
    """Of the links of one page of a list, each counted up to MOST_IN_LIST."""
    if not link_ids:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_OPENINGS, [list(link_ids), MOST_IN_LIST + 1])
        rows = cursor.fetchall()
    return {link_id: Openings(people, n - people, n > MOST_IN_LIST) for link_id, people, n in rows}


_OPENINGS = """
SELECT asked.id, opened.people, opened.n FROM unnest(%s::bigint[]) AS asked(id), LATERAL (
    SELECT count(*) FILTER (WHERE bot = '') AS people, count(*) AS n
    FROM (SELECT bot FROM postbacks_click WHERE link_id = asked.id ORDER BY id DESC LIMIT %s) found
) opened
"""


def count_link(link: Link) -> LinkCounts:
    """Its openings, up to MOST of them."""
    with connection.cursor() as cursor:
        cursor.execute(_OF_LINK, [link.pk, MOST + 1])
        rows = cursor.fetchall()
    machines: Counter[str] = Counter()
    for bot, _, _, n in rows:
        machines[bot] += n
    people = machines.pop("", 0)
    return LinkCounts(
        people=people,
        first=sum(n for _, is_counted, _, n in rows if is_counted),
        tests=sum(n for _, _, is_test, n in rows if is_test),
        machines=[(REASONS.get(bot, bot), n) for bot, n in machines.most_common()],
        n=sum(row[3] for row in rows),
        is_more=sum(row[3] for row in rows) > MOST,
    )


_OF_LINK = """
SELECT bot, is_counted, is_test, count(*)
FROM (SELECT bot, is_counted, is_test FROM postbacks_click WHERE link_id = %s ORDER BY id DESC LIMIT %s) found
GROUP BY bot, is_counted, is_test
"""


def offers_of_week(account: Account, now: datetime) -> tuple[dict[int, Openings], dict[int, int]]:
    """What each offer had in seven days: openings, among the account's NEWEST clicks; and conversions that count."""
    with connection.cursor() as cursor:
        cursor.execute(_BY_OFFER, [account.pk, NEWEST + 1, now - WEEK])
        clicks = cursor.fetchall()
    is_more = sum(n for _, _, n in clicks) > NEWEST
    earned = Conversion.objects.filter(account=account, received_at__gte=now - WEEK, is_test=False).exclude(kind="")
    conversions = dict(earned.exclude(kind=Conversion.Kind.ADJUSTMENT).values_list("offer").annotate(n=Count("*")))
    return {offer_id: Openings(people, n - people, is_more) for offer_id, people, n in clicks}, conversions


_BY_OFFER = """
SELECT offer_id, count(*) FILTER (WHERE bot = ''), count(*)
FROM (SELECT offer_id, bot, is_test, at FROM postbacks_click WHERE account_id = %s ORDER BY id DESC LIMIT %s) found
WHERE at >= %s AND NOT is_test AND offer_id IS NOT NULL GROUP BY offer_id
"""


def totals(account: Account, now: datetime) -> list[tuple[str, dict[str, int]]]:
    """(span, kind -> how many) for people, first openings and machines, from the hourly totals; tests stand in none."""
    kinds = ("click", "counted_click", "bot_click")
    hours = HourlyTotal.objects.filter(
        account=account, kind__in=kinds, hour__gt=hour_of(now - SPANS[-1][1]), hour__lte=now
    )
    rows = list(hours.values_list("hour", "kind").annotate(n=Sum("n")))
    return [
        (span, {kind: sum(n for hour, of, n in rows if of == kind and hour > now - lasts) for kind in kinds})
        for span, lasts in SPANS
    ]


def ids_between(account: Account, begin: datetime, end: datetime) -> tuple[int, int]:
    """(last id before, last id within) this time, of the account. At the ends stand some of moments before and after."""
    slack = timedelta(minutes=1)
    with connection.cursor() as cursor:
        cursor.execute(_AT, {"account": account.pk, "at": begin - slack})
        first = cursor.fetchone()[0]
        cursor.execute(_AT, {"account": account.pk, "at": end + slack})
        last = cursor.fetchone()[0]
    return first, last


# The highest id whose click came before a moment, by halving: each step is one look into the index of account and id.
_AT = """
WITH RECURSIVE halved(low, high) AS (
    SELECT 0::bigint, coalesce((SELECT id FROM postbacks_click WHERE account_id = %(account)s ORDER BY id DESC LIMIT 1), 0)
  UNION ALL
    SELECT CASE WHEN seen.at >= %(at)s THEN halved.low ELSE middle.id END,
           CASE WHEN seen.at >= %(at)s THEN seen.id - 1 ELSE halved.high END
    FROM halved CROSS JOIN LATERAL (SELECT (halved.low + halved.high + 1) / 2 AS id) middle
    LEFT JOIN LATERAL (
        SELECT id, at FROM postbacks_click WHERE account_id = %(account)s AND id <= middle.id AND id > halved.low
        ORDER BY id DESC LIMIT 1
    ) seen ON true
    WHERE halved.low < halved.high
)
SELECT high FROM halved ORDER BY high - low LIMIT 1
"""
