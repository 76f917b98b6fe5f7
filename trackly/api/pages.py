"""Owns cursor pages: newest first by id, so that rows made meanwhile neither shift nor repeat what is read."""

from collections.abc import Callable
from typing import Any

from django.db.models import Model, QuerySet

from trackly import cursors
from trackly.api.errors import Problem

DEFAULT, MOST = 50, 100


def page(
    rows: QuerySet[Any], *, noun: str, cursor: str, limit: int, show: Callable[[list[Any]], list[Any]]
) -> dict[str, Any]:
    """{"data": …, "next_cursor": …}; the cursor is null on the last page."""
    if cursor:
        rows = rows.filter(id__lt=_open(cursor, noun))
    # One more than asked for tells whether there is another page.
    found: list[Model] = list(rows.order_by("-id")[: limit + 1])
    has_more = len(found) > limit
    shown = found[:limit]
    return {"data": show(shown), "next_cursor": cursors.make(shown[-1].pk, noun) if has_more else None}


def _open(cursor: str, noun: str) -> int:
    try:
        return cursors.read(cursor, noun)
    except cursors.BadCursor as error:
        said = (
            "The cursor is not one of this list. Take next_cursor of the page before, unchanged, or begin without one."
        )
        raise Problem(400, "invalid_cursor", said) from error
