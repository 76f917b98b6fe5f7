"""Owns the figures of an account's overview: spans of time, their hours or days in the account's zone, and the sums in them.

Everything is read from the hourly totals. A message counts in the hour it was made, whatever becomes of it later; a click in the
hour it was opened; a reply and a postback in the hour they came; an opt-out at the time its provider gives.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db import connection

from trackly.pages.kinds import NOT_SENT, SENT
from trackly.totals import ZERO, hour_of
from webhooks.statuses import Status

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
APPROVED, UNVERIFIED = ("conversion",), ("conversion_unverified",)
PENDING = ("conversion_pending", "conversion_pending_unverified")
REJECTED = ("conversion_rejected", "conversion_rejected_unverified")
_KINDS = [
    "message", *(f"message_{status}" for status in Status), *APPROVED, *UNVERIFIED, *PENDING, *REJECTED, "click", "bot_click",
    "counted_click", "reply", "opt_out",
]  # fmt: skip
# First openings of a message by a person; an opening of a link without a message has no list.
CLICKED = "clicked_message"


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What the page looks back over."""

    key: str
    words: str
    days: int
    """So many days of the account's zone, today included; 0: the last 24 hours."""


SPANS = (
    Span(key="24h", words="24 hours", days=0), Span(key="7d", words="7 days", days=7),
    Span(key="30d", words="30 days", days=30),
)  # fmt: skip


def span_named(key: str) -> Span:
    """The span of this key; the shortest for any other word."""
    return next((span for span in SPANS if span.key == key), SPANS[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span as it lies at one moment in one zone."""

    span: Span
    zone: ZoneInfo
    starts: tuple[datetime, ...]
    """Of its hours or days, oldest first, in UTC."""
    running: datetime
    """The hour that is not over. It is in the figures, and in no comparison."""
    before: tuple[datetime, datetime]
    """The span before, up to the same time of day as the last whole hour: like is compared with like."""

    @property
    def labels(self) -> list[str]:
        """One for each hour or day; an hour that the clocks repeat is told apart by its zone's name."""
        local = [start.astimezone(self.zone) for start in self.starts]
        if self.span.days:
            return [f"{day:%a} {day.day} {day:%b}" for day in local]
        twice = {key for key, n in Counter(f"{hour:%d %H:%M}" for hour in local).items() if n > 1}
        return [f"{hour:%H:%M}{f' {hour:%Z}' if f'{hour:%d %H:%M}' in twice else ''}" for hour in local]

    @property
    def has_uneven_days(self) -> bool:
        """True when midnight there is in the middle of an hour of UTC, by which totals are kept."""
        return bool(self.span.days) and any(start != hour_of(start) for start in self.starts)


def window(span: Span, zone: ZoneInfo, now: datetime) -> Window:
    """The span that ends now."""
    running = hour_of(now.astimezone(UTC))
    if not span.days:
        starts = tuple(running - n * HOUR for n in range(23, -1, -1))
        before = (starts[0] - DAY, running - DAY)
    else:
        today = now.astimezone(zone).date()
        starts = tuple(_midnight(today - n * DAY, zone) for n in range(span.days - 1, -1, -1))
        # Days back by the calendar: where the clocks changed in between they are not 24 hours each.
        ended = (running.astimezone(zone) - span.days * DAY).astimezone(UTC)
        before = (_midnight(today - (2 * span.days - 1) * DAY, zone), ended)
    return Window(span=span, zone=zone, starts=starts, running=running, before=before)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class Sums:
    """Counts by kind and money by kind and currency: in the whole span, in each part of it, and what is compared."""

    window: Window
    parts: dict[str, list[int]] = field(default_factory=dict)
    money_parts: dict[tuple[str, str], list[Decimal]] = field(default_factory=dict)
    lists: dict[int, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """By list: the messages of the span, by kind."""
    running: Counter[str] = field(default_factory=Counter)
    before: Counter[str] = field(default_factory=Counter)
    money_running: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    money_before: dict[tuple[str, str], Decimal] = field(default_factory=lambda: defaultdict(Decimal))

    def n(self, *kinds: str) -> int:
        return sum(self.series(kinds))

    def series(self, kinds: Iterable[str]) -> list[int]:
        """One number for each hour or day."""
        found = [self.parts[kind] for kind in kinds if kind in self.parts]
        return [sum(column) for column in zip(*found, strict=True)] if found else [0] * len(self.window.starts)

    def amounts(self, kinds: Iterable[str], currency: str) -> list[Decimal]:
        """The same of money."""
        found = [self.money_parts[kind, currency] for kind in kinds if (kind, currency) in self.money_parts]
        return [sum(column, ZERO) for column in zip(*found, strict=True)] if found else [ZERO] * len(self.window.starts)

    def amount(self, kinds: Iterable[str], currency: str) -> Decimal:
        return sum(self.amounts(kinds, currency), ZERO)

    def currencies(self, *kinds: str) -> list[str]:
        """Those in which these kinds moved any money; the empty one stands for money whose currency nobody named."""
        found = {currency for (kind, currency), parts in self.money_parts.items() if kind in kinds and any(parts)}
        return sorted(found)

    def compared(self, *kinds: str) -> tuple[int, int]:
        """(in the whole hours of the span, in the same of the span before)."""
        return self.n(*kinds) - sum(self.running[kind] for kind in kinds), sum(self.before[kind] for kind in kinds)

    def compared_amounts(self, kinds: tuple[str, ...], currency: str) -> tuple[Decimal, Decimal]:
        """The same of money."""
        running = sum((self.money_running[kind, currency] for kind in kinds), ZERO)
        before = sum((self.money_before[kind, currency] for kind in kinds), ZERO)
        return self.amount(kinds, currency) - running, before

    @property
    def waiting(self) -> int:
        """Messages that have no state yet: they wait for their turn, or for the provider's answer."""
        return max(self.n("message") - self.n(*SENT, *NOT_SENT), 0)

    def _add(self, place: int, kind: str, currency: str, n: int, amount: Decimal | None) -> None:
        """`place` is one of the span's parts, and one more for the running hour, which belongs to the last part."""
        size = len(self.window.starts)
        part = min(place, size - 1)
        is_running = place == size or self.window.starts[part] == self.window.running
        self.parts.setdefault(kind, [0] * size)[part] += n
        if is_running:
            self.running[kind] += n
        if currency or amount:
            self.money_parts.setdefault((kind, currency), [ZERO] * size)[part] += amount or ZERO
            if is_running:
                self.money_running[kind, currency] += amount or ZERO


def sums(account_id: int, span: Window) -> Sums:
    """Everything the page says in numbers, in two statements."""
    found = Sums(span)
    starts = [*span.starts, *([span.running] if span.running > span.starts[-1] else [])]
    with connection.cursor() as cursor:
        asked: dict[str, Any] = {"account": account_id, "kinds": _KINDS, "starts": starts, "until": span.running}
        cursor.execute(_IN_SPAN, asked | {"since": starts[0]})
        for place, kind, list_id, currency, n, amount in cursor.fetchall():
            found._add(place - 1, kind, currency, n, amount)
            if list_id and kind.startswith("message_"):
                found.lists[list_id][kind] += n
            elif list_id and kind == "counted_click":
                found._add(place - 1, CLICKED, "", n, None)
        since, until = span.before
        cursor.execute(_BEFORE, asked | {"since": since, "until": until})
        for kind, currency, n, amount in cursor.fetchall():
            found.before[kind] += n
            if currency or amount:
                found.money_before[kind, currency] += amount or ZERO
    return found


def converted(sums: Sums, kinds: tuple[str, ...], rates: Mapping[str, list[tuple[date, Decimal]]]) -> Decimal | None:
    """The money of these kinds in the account's currency, each day by its own rate; None where a rate is missing.

    `rates`: by currency, (valid from, rate), oldest first; the account's own currency is among them, at 1.
    """
    total = ZERO
    days = [start.astimezone(sums.window.zone).date() for start in sums.window.starts]
    for currency in sums.currencies(*kinds):
        for day, amount in zip(days, sums.amounts(kinds, currency), strict=True):
            rate = next((rate for since, rate in reversed(rates.get(currency, [])) if since <= day), None)
            if amount and rate is None:
                return None
            total += amount * (rate or ZERO)
    return total.quantize(Decimal("0.01"))


_TAKEN = """
FROM trackly_hourlytotal WHERE account_id = %(account)s AND kind = ANY(%(kinds)s) AND hour >= %(since)s
"""
# A bucket for each hour or day. The lists are told apart because the health of each is read from the same rows.
_IN_SPAN = f"""
SELECT width_bucket(hour, %(starts)s::timestamptz[]), kind, list_id, currency, sum(n)::bigint,
       sum(amount) FILTER (WHERE amount <> 0)
{_TAKEN} AND hour <= %(until)s
GROUP BY 1, 2, 3, 4
"""
_BEFORE = f"""
SELECT kind, currency, sum(n)::bigint, sum(amount) FILTER (WHERE amount <> 0)
{_TAKEN} AND hour < %(until)s
GROUP BY 1, 2
"""
