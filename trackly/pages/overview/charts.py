"""Owns the overview's pictures: lines through the hours or days of a span, and the same numbers as rows of a table."""

from dataclasses import dataclass
from typing import Any

from trackly.pages.kinds import DELIVERED, FAILED, SENT
from trackly.pages.overview.numbers import APPROVED, Sums
from trackly.showing import money
from trackly.totals import ZERO

# So many currencies are told apart by colour; the table has all of them.
_TONES = ("good", "note", "wait", "plain", "bad")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One picture."""

    key: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, tuple[str, ...]]]
    """(hour or day, its numbers), the newest first."""
    data: dict[str, Any]
    """For pages.js."""
    described: str
    """The picture in words."""
    empty: str
    """Why there is nothing to draw; '' when there is."""


def charts(sums: Sums) -> list[Chart]:
    counts = (
        ("messages", "Messages", (("Sent", SENT, "note"), ("Delivered", DELIVERED, "good"), ("Failed", FAILED, "bad"))),
        (
            "effects",
            "Clicks and conversions",
            (("Clicks by people", ("click",), "note"), ("Conversions", APPROVED, "good")),
        ),
    )
    drawn = [_counts(sums, key, title, series) for key, title, series in counts]
    return [*drawn, _money(sums)]


def _counts(sums: Sums, key: str, title: str, groups: tuple[tuple[str, tuple[str, ...], str], ...]) -> Chart:
    series = [(name, sums.series(kinds), tone) for name, kinds, tone in groups]
    said = ", ".join(f"{name.lower()} {sum(values):,}" for name, values, _ in series)
    cells = [tuple(f"{n:,}" for n in column) for column in zip(*(values for _, values, _ in series), strict=True)]
    names = tuple(name for name, _, _ in groups)
    return _chart(sums, key, title, names, cells, [(name, list(values), tone) for name, values, tone in series], said)


def _money(sums: Sums) -> Chart:
    currencies = sums.currencies(*APPROVED)
    amounts = {currency: sums.amounts(APPROVED, currency) for currency in currencies}
    names = tuple(currency or "No currency" for currency in currencies)
    said = ", ".join(money(sum(values, ZERO), currency) for currency, values in amounts.items())
    cells = [tuple(money(amount, "") for amount in column) for column in zip(*amounts.values(), strict=True)]
    tones = zip(names, amounts.values(), _TONES, strict=False)
    drawn = [(name, [float(amount) for amount in values], tone) for name, values, tone in tones]
    return _chart(sums, "revenue", "Revenue", names, cells, drawn, said, unit="money")


def _chart(
    sums: Sums, key: str, title: str, names: tuple[str, ...], cells: list[tuple[str, ...]],
    drawn: list[tuple[str, list[Any], str]], said: str, unit: str = "",
) -> Chart:  # fmt: skip
    labels, words = sums.window.labels, sums.window.span.words
    by = "day" if sums.window.span.days else "hour"
    is_empty = not any(any(values) for _, values, _ in drawn)
    return Chart(
        key=f"chart-{key}",
        title=title,
        columns=names,
        rows=list(zip(labels, cells, strict=True))[::-1] if cells else [],
        data={
            "labels": labels,
            "unit": unit,
            "series": [{"name": name, "values": values, "tone": tone} for name, values, tone in drawn],
        },
        described=f"{title} of the last {words}, {by} by {by}: {said}",
        empty=_EMPTY[key].format(words=words) if is_empty else "",
    )


_EMPTY = {
    "messages": "No message was made in these {words}.",
    "effects": "Nobody clicked and nothing was sold in these {words}.",
    "revenue": "No revenue was approved in these {words}.",
}
