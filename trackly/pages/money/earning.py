"""Owns what conversions earned in a time: by status, currency and proof, whole or in parts; in one currency by the owner's rates.

Read from the rows through the index conversion_earned, which alone answers for what came with the token. A hit that takes
money back stands in it with its own word; the sale it takes from says as what it counts, so those rows are looked up, and
the unverified, which somebody may have accepted.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from django.db import connection

from postbacks.verdicts import ConversionStatus
from trackly.models import Account, ExchangeRate
from trackly.pages.money.asked import Span

_PARTS = {
    "day": "0",
    "offer": "c.offer_id",
    "connection": "c.connection_id",
    "list": "c.sending_list_id",
}
_FILTERS = {"connection": "connection_id", "offer": "offer_id", "list": "sending_list_id"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What the sales of one status, currency and proof add up to in one part, or what was taken back of them."""

    part: Any
    """A day, or the id of an offer, connection or list; None: of none."""
    status: str
    currency: str
    is_trusted: bool
    takes: bool
    """It is what took money back from sales of this status."""
    rows: int
    amount: Decimal


@dataclass(slots=True)
class Sum:
    """Sales and their money in one currency, by status."""

    n: dict[str, int]
    amounts: dict[str, Decimal]

    @property
    def approved(self) -> Decimal:
        return self.amounts[ConversionStatus.APPROVED]

    def shown(self) -> list[tuple[str, int, Decimal]]:
        return [(status, self.n[status], self.amounts[status]) for status in ConversionStatus.values]


def nothing() -> Sum:
    return Sum(n=defaultdict(int), amounts=defaultdict(Decimal))


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """What was found in one reading: by day, and by what else was asked for."""

    days: list[Entry]
    parts: list[Entry]


def read(account: Account, span: Span, *, split: str, only: dict[str, str], is_trusted: bool | None = None) -> Earned:
    """`only`: ids by which it is narrowed, of connection, offer and list."""
    chosen = {name: int(value) for name, value in only.items() if value}
    # Told apart by where they begin: to ask for the day of each row in its zone takes longer than to read it.
    all_days = span.days
    midnights = [datetime.combine(day, time(), span.zone) for day in all_days[1:]]
    values: dict[str, Any] = {
        "account": account.pk,
        "since": span.since,
        "until": span.until,
        "midnights": midnights,
        **chosen,
    }
    shape = _BY_CLICK if span.by_click else _BY_POSTBACK
    statement = _STATEMENT.format(
        **shape,
        **(_DAYS if split == "day" else _DAYS_AND_PARTS),
        part=_PARTS[split],
        narrow="".join(f" AND c.{_FILTERS[name]} = %({name})s" for name in chosen),
    )
    if span.by_click:
        values |= {"first": place_of(account, span.since) - SLACK, "last": place_of(account, span.until) + SLACK}
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows = cursor.fetchall()
    days: list[Entry] = []
    parts: list[Entry] = []
    for of_days, day, part, *rest in rows:
        entry = Entry(part=part if of_days else all_days[day], **dict(zip(_COLUMNS, rest, strict=True)))
        if is_trusted in (None, entry.is_trusted):
            (parts if of_days else days).append(entry)
    return Earned(days=days, parts=days if split == "day" else parts)


def place_of(account: Account, at: datetime) -> int:
    """The id of the account's first click after this moment, or somewhat over it. No index sorts clicks by time, but ids rise
    with it (a click may be written some moments after a later one): the place is found by halving, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(_PLACE, {"account": account.pk, "at": at})
        (place,) = cursor.fetchone()
    return int(place)


# So many places a click may stand from where its time belongs.
SLACK = 1_000
_PLACE = """
WITH RECURSIVE search(low, high) AS (
  SELECT 0::bigint, coalesce((SELECT max(id) FROM postbacks_click WHERE account_id = %(account)s), 0) + 1
  UNION ALL
  SELECT CASE WHEN coalesce(near.at, '-infinity') <= %(at)s THEN middle ELSE low END,
         CASE WHEN coalesce(near.at, '-infinity') <= %(at)s THEN high ELSE middle END
  FROM search, LATERAL (SELECT (low + high) / 2 AS middle) AS half
  LEFT JOIN LATERAL (
    SELECT at FROM postbacks_click WHERE account_id = %(account)s AND id <= middle ORDER BY id DESC LIMIT 1
  ) AS near ON true
  WHERE high - low > 1
)
SELECT min(high) FROM search
"""
_DAYS = {"of_days": "0", "of_parts": "NULL", "sets": "(day, status, currency, is_trusted, takes)"}
_DAYS_AND_PARTS = {
    "of_days": "grouping(day)",
    "of_parts": "part",
    "sets": "(day, status, currency, is_trusted, takes), (part, status, currency, is_trusted, takes)",
}
_BY_POSTBACK = {
    "at": "c.received_at",
    "join": "",
    "time": "c.received_at >= %(since)s AND c.received_at < %(until)s",
}
_BY_CLICK = {
    "at": "k.at",
    "join": "JOIN postbacks_click k ON k.id = c.click_id",
    # A conversion comes after its click; the places of clicks bound what is joined, their times decide.
    "time": "c.received_at >= %(since)s AND c.click_id >= %(first)s AND c.click_id < %(last)s"
    " AND k.id >= %(first)s AND k.id < %(last)s AND k.at >= %(since)s AND k.at < %(until)s",
}
_COLUMNS = ("status", "currency", "is_trusted", "takes", "rows", "amount")
# In turn: what came with the token, from the index alone; what did not; what takes money back. Those last stand in the index by
# their amount, and are reached by their clicks.
_STATEMENT = """
WITH earned AS (
  SELECT {at} AS at, {part} AS part, c.status, c.currency, true AS is_trusted, false AS takes, c.payout
  FROM postbacks_conversion c {join}
  WHERE c.account_id = %(account)s AND c.kind <> '' AND NOT c.is_test AND {time}{narrow}
    AND c.is_verified AND c.payout >= 0
  UNION ALL
  SELECT {at}, {part}, c.status, c.currency, c.is_accepted, false, c.payout
  FROM postbacks_conversion c {join}
  WHERE c.account_id = %(account)s AND c.kind <> '' AND NOT c.is_test AND {time}{narrow}
    AND NOT c.is_verified AND c.payout >= 0
  UNION ALL
  SELECT {at}, {part}, o.status, c.currency, o.is_verified OR o.is_accepted, true, c.payout
  FROM postbacks_conversion c {join}
  JOIN postbacks_conversion o ON o.id = c.original_id
  WHERE c.account_id = %(account)s AND c.kind = 'adjustment' AND NOT c.is_test AND {time}{narrow}
    AND c.click_id = ANY (ARRAY(
      SELECT c.click_id FROM postbacks_conversion c
      WHERE c.account_id = %(account)s AND c.kind <> '' AND NOT c.is_test AND c.received_at >= %(since)s AND c.payout < 0))
), placed AS (
  SELECT width_bucket(at, %(midnights)s::timestamptz[]) AS day, part, status, currency, is_trusted, takes, payout FROM earned
)
SELECT {of_days}, day, {of_parts}, status, currency, is_trusted, takes, count(*), sum(payout)
FROM placed GROUP BY GROUPING SETS ({sets})
"""


def add(total: Sum, entry: Entry, rate: Decimal = Decimal(1)) -> None:
    # Of what was reversed nothing is left: what it had been worth is told.
    if not (entry.takes and entry.status == ConversionStatus.REVERSED):
        total.amounts[entry.status] += entry.amount * rate
    total.n[entry.status] += 0 if entry.takes else entry.rows


def by_currency(found: Iterable[Entry]) -> dict[str, Sum]:
    totals: dict[str, Sum] = defaultdict(nothing)
    for entry in found:
        add(totals[entry.currency], entry)
    return dict(sorted(totals.items()))


def by_part(found: Iterable[Entry]) -> dict[tuple[Any, str], Sum]:
    """(part, currency) -> what it earned."""
    totals: dict[tuple[Any, str], Sum] = defaultdict(nothing)
    for entry in found:
        add(totals[entry.part, entry.currency], entry)
    return dict(totals)


def in_own_currency(account: Account, days: list[Entry]) -> Sum | None:
    """Entries by day in the account's currency, each by the rate of its day; None where a rate is missing or none is needed."""
    foreign = {entry.currency for entry in days} - {account.currency}
    if not foreign:
        return None
    rates: dict[str, list[tuple[date, Decimal]]] = defaultdict(list)
    known = ExchangeRate.objects.filter(account=account, currency__in=foreign).order_by("valid_from")
    for currency, day, rate in known.values_list("currency", "valid_from", "rate"):
        rates[currency].append((day, rate))
    total = nothing()
    for entry in days:
        rate_then = Decimal(1) if entry.currency == account.currency else _rate_of(rates[entry.currency], entry.part)
        if rate_then is None:
            return None
        add(total, entry, rate_then)
    return total


def _rate_of(rates: list[tuple[date, Decimal]], day: date) -> Decimal | None:
    place = bisect_right(rates, day, key=lambda known: known[0])
    return rates[place - 1][1] if place else None
