"""Owns the file of conversions: the filtered list as CSV, for spreadsheets."""

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse

from postbacks.models import Conversion
from trackly.pages.money.asked import Filter, narrowed, reached, rows_of
from trackly.pages.visits import MEMBER, Visit, page

# A cell that begins so is run by a spreadsheet as a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_AT_ONCE = 2_000
HEAD = (
    "received_at", "clicked_at", "verdict", "counts_as", "status", "payout", "currency", "payout_as_it_came", "offer",
    "connection", "network", "list", "transaction_id", "event", "event_name", "click_id", "message_id", "proof", "is_late",
    "is_test",
)  # fmt: skip


@page(sees=MEMBER)
def conversions_csv(visit: Visit) -> HttpResponse:
    """Everything that fits the filter, however many: it is written while it is read."""
    form = Filter(visit)
    rows = narrowed(reached(rows_of(visit), visit, form), form, visit)
    rows = rows.select_related("connection", "offer", "message", "click", "sending_list").order_by("-pk")
    answer = StreamingHttpResponse(_lines(rows.iterator(chunk_size=_AT_ONCE)), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="conversions-{visit.now:%Y-%m-%d}.csv"'
    # Its type in StreamingHttpResponse's place: what a view answers.
    return answer  # type: ignore[return-value]


class _Echo:
    """What the writer of a line gives back instead of writing it."""

    def write(self, line: str) -> str:
        return line


def _lines(rows: Iterator[Conversion]) -> Iterator[str]:
    writer = csv.writer(_Echo())
    yield writer.writerow(HEAD)
    for row in rows:
        yield writer.writerow(_cells(row))


def _cells(row: Conversion) -> list[str]:
    proof = "token" if row.is_verified else "accepted" if row.is_accepted else "none"
    return [
        _moment(row.received_at), _moment(row.click.at if row.click else None), row.verdict, row.kind,
        row.status if row.kind else "", _amount(row.payout), _text(row.currency), _text(row.payout_text), _text(row.offer),
        _text(row.connection), row.network, _text(row.sending_list), _text(row.transaction_id), _text(row.event),
        _text(row.event_name), _text(row.click_text), row.message.public_id if row.message else "", proof,
        "yes" if row.is_late else "no", "yes" if row.is_test else "no",
    ]  # fmt: skip


def _moment(at: datetime | None) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds") if at else ""


def _amount(amount: Decimal | None) -> str:
    """A number that we read, so what begins with a minus is one as well."""
    return "" if amount is None else f"{amount.normalize():f}"


def _text(value: Any) -> str:
    """What strangers and people wrote: nothing of it is run."""
    text = "" if value is None else str(value).replace("\x00", "")
    return f"'{text}" if text.startswith(_FORMULA) else text
