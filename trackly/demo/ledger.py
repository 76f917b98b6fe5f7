"""Owns the ledger printed at the end: each line as expected from what was sent, and as found in the tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from trackly.demo.book import ENTERED, HTTP, REPEATED, REVENUE, STILL_PARKED, Book

TOTALS = "Hourly totals of the demo account"


@dataclass(frozen=True, slots=True)
class Entry:
    section: str
    words: str
    expected: Decimal
    found: Decimal

    @property
    def agrees(self) -> bool:
        return self.expected == self.found


@dataclass(frozen=True, slots=True)
class Ledger:
    entries: tuple[Entry, ...]

    @property
    def wrong(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if not entry.agrees)

    @property
    def summary(self) -> str:
        """What was found, in one sentence."""
        by = {(entry.section, entry.words): entry.found for entry in self.entries}
        sent = {words: n for (section, words), n in by.items() if section == HTTP}
        acknowledged = sum(n for words, n in sent.items() if words.endswith(("acknowledged", "redirected")))
        items = [by.get(line, Decimal(0)) for line in (ENTERED, REPEATED, STILL_PARKED)]
        return (
            "In short: {:,} requests sent, {:,} of them acknowledged; of the delivery reports in them {:,} counted,"
            " {:,} were duplicates, {:,} stay parked."
        ).format(sum(sent.values()), acknowledged, *items)

    def __str__(self) -> str:
        lines = [*_table(self.entries), "", self.summary]
        if not self.wrong:
            return "\n".join([*lines, "It adds up."])
        return "\n".join([*lines, f"It does not add up: {len(self.wrong)} lines differ.", *_table(self.wrong)])


def compare(expected: Book, found: Book) -> Ledger:
    """Every line that was expected or found, and what the hourly totals grew by."""
    words = Book()
    for line in (*expected.lines, *found.lines):
        words.lines[line] = Decimal(0)
    zero = Decimal(0)
    entries = [Entry(*line, expected.lines.get(line, zero), found.lines.get(line, zero)) for line in words]
    return Ledger((*entries, *_totals(expected, found)))


def _totals(expected: Book, found: Book) -> Iterator[Entry]:
    """One line for those that grew by what was expected; those that did not, each by its name."""
    ours, theirs, nothing = expected.totals, found.totals, (0, Decimal(0))
    right = {key for key in ours if theirs.get(key) == ours[key]}
    yield Entry(TOTALS, "kinds that grew by exactly these numbers", Decimal(len(ours)), Decimal(len(right)))
    for kind, currency in sorted((ours.keys() | theirs.keys()) - right):
        (n, amount), (grew_n, grew_amount) = (book.get((kind, currency), nothing) for book in (ours, theirs))
        yield Entry(TOTALS, f"{kind} {currency}".strip(), Decimal(n), Decimal(grew_n))
        yield Entry(TOTALS, f"{kind} {currency}, amount", amount, grew_amount)


def _table(entries: tuple[Entry, ...]) -> Iterator[str]:
    width = max((len(entry.words) for entry in entries), default=0) + 2
    section = ""
    for entry in entries:
        if entry.section != section:
            section = entry.section
            yield f"\n{section:<{width + 2}}  {'expected':>10}  {'found':>10}"
        numbers = "  ".join(f"{_shown(entry, value):>10}" for value in (entry.expected, entry.found))
        yield f"  {entry.words:<{width}}  {numbers}{'' if entry.agrees else '  <- differs'}"


def _shown(entry: Entry, value: Decimal) -> str:
    is_money = entry.section == REVENUE or entry.words.endswith(", amount")
    return f"{value:,.2f}" if is_money else f"{value:,.0f}"
