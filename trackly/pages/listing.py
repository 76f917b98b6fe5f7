"""Owns the lists: newest first, turned by cursors, filtered by a form in the address, and read again every two seconds when live.

Nothing is counted and nothing sorted that no index sorts. What an index serves is looked for in all rows of the account; any
other filter looks among its newest rows, and the page says so: a word that no row has must not read everything to find out.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpResponse, QueryDict

from trackly import cursors
from trackly.pages.forms import Form
from trackly.pages.visits import Visit
from trackly.showing import Shown

ROWS = 50
# Among so many newest rows a filter without an index looks.
NEWEST = 20_000
# Parameters of the address that filter nothing.
_TURNING = ("before", "after", "live")


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a list."""

    title: str
    show: Callable[[Any], Shown]
    is_number: bool = False
    is_minor: bool = False
    """Left out on a phone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """By what a list is turned, the newest first. A place in it is one number, above 0."""

    fields: tuple[str, ...] = ("pk",)
    """Together unique, the coarsest first, as an index has them."""
    place: Callable[[Any], int] = attrgetter("pk")
    """Of a row."""
    values: Callable[[int], tuple[Any, ...]] = lambda place: (place,)
    """What the fields hold at a place."""

    def newest_first(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.order_by(*(f"-{name}" for name in self.fields))

    def oldest_first(self, rows: QuerySet[Any]) -> QuerySet[Any]:
        return rows.order_by(*self.fields)

    def older(self, place: int) -> Q:
        return self._beyond("lt", self.values(place))

    def newer(self, place: int) -> Q:
        return self._beyond("gt", self.values(place))

    def _beyond(self, which: str, values: tuple[Any, ...]) -> Q:
        """(a, b) < (x, y), as an index on (a, b) is read: its first part bounds it."""
        (name, *names), (value, *rest) = self.fields, values
        met = Q(**{f"{name}__{which}": value})
        if names:
            # The last field decides alone: no list has three.
            met = Q(**{f"{name}__{which}e": value}) & (met | Q(**{f"{names[0]}__{which}": rest[0]}))
        return met


BY_ID = Order()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What one list shows, and how it is filtered."""

    noun: str
    """What one row is called, in lower case; also names the cursor."""
    nouns: str
    columns: Sequence[Column]
    empty: str
    """What it means that there is none yet, and what to do."""
    form: type[Form] = Form
    """Its cleaned values filter; a field without an entry in `lookups` is read by `narrow`."""
    lookups: Mapping[str, str] = field(default_factory=dict)
    """Field of the form -> look-up."""
    indexed: frozenset[str] = frozenset()
    """Fields of the form that an index serves, so that all rows are looked through."""
    selective: frozenset[str] = frozenset()
    """Fields by which an index finds so few rows that the other filters look through all of these."""
    narrow: Callable[[QuerySet[Any], Mapping[str, Any], Visit], QuerySet[Any]] | None = None
    """What lookups cannot say: gets the rows and the form's values."""
    order: Order = BY_ID
    is_big: bool = True
    is_live: bool = False
    """It may be read again by itself while it is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One page of a list, for pages/_list.html."""

    listing: Listing
    form: Form
    rows: list[tuple[str, list[tuple[Column, Shown]]]]
    """(where a row leads, its cells)."""
    newer: str = ""
    older: str = ""
    """Addresses of the pages before and after; '' when there is none."""
    reach: str = ""
    """Among how many newest rows was looked, as it is told; '': all."""
    is_filtered: bool = False
    is_live: bool = False
    switch: str = ""
    """The address that begins or ends the live reading."""
    path: str = ""
    again: str = ""
    """What a live list asks for."""


def list_page(
    visit: Visit,
    listing: Listing,
    rows: QuerySet[Any],
    *,
    leads: Callable[[Any], str] | None = None,
    template: str = "pages/list.html",
    context: Mapping[str, Any] | None = None,
    form: Form | None = None,
    complete: Callable[[list[Any]], None] | None = None,
) -> HttpResponse:
    """The list of these rows (already the account's) as this person asked for it; to htmx, only the table.

    `leads` tells a row's address; `complete` fetches what all rows of a sheet need besides.
    """
    sheet = read(visit, listing, rows, leads=leads, form=form, complete=complete)
    if visit.wants_part:
        return visit.render("pages/_rows.html", {"sheet": sheet})
    return visit.render(template, {"sheet": sheet, "title": listing.nouns.capitalize(), **(context or {})})


def read(
    visit: Visit,
    listing: Listing,
    rows: QuerySet[Any],
    *,
    leads: Callable[[Any], str] | None = None,
    form: Form | None = None,
    complete: Callable[[list[Any]], None] | None = None,
) -> Sheet:
    """One page of these rows."""
    asked = visit.request.GET
    form = form if form is not None else listing.form(asked)
    chosen = _chosen(form)
    reach = _reach(listing, chosen)
    found = _narrowed(visit, listing, newest(rows, reach, listing.order) if reach else rows, chosen)
    shown, newer, older = _turned(found, asked, listing)
    if complete is not None:
        complete(shown)
    is_live = listing.is_live and "live" in asked and not newer
    return Sheet(
        listing=listing,
        form=form,
        rows=[(leads(row) if leads else "", [(item, item.show(row)) for item in listing.columns]) for row in shown],
        newer=_address(asked, after=cursors.make(newer, listing.noun)) if newer else "",
        older=_address(asked, before=cursors.make(older, listing.noun)) if older else "",
        reach=f"{reach:,}" if reach else "",
        is_filtered=bool(chosen),
        is_live=is_live,
        switch="" if not listing.is_live else _address(asked) if is_live else _address(asked, live="1"),
        path=visit.request.path,
        again=visit.request.get_full_path() if is_live else "",
    )


def filtered(visit: Visit, listing: Listing, rows: QuerySet[Any], form: Form) -> QuerySet[Any]:
    """All rows that the list would show with this filter, on whichever of its pages."""
    chosen = _chosen(form)
    reach = _reach(listing, chosen)
    return _narrowed(visit, listing, newest(rows, reach, listing.order) if reach else rows, chosen)


def newest(rows: QuerySet[Any], n: int, order: Order = BY_ID) -> QuerySet[Any]:
    """The newest n of these; their end is found in an index alone."""
    first = order.fields[0]
    end = list(order.newest_first(rows).values_list(first, flat=True)[n : n + 1])
    return rows.filter(**{f"{first}__gt": end[0]}) if end else rows


def _chosen(form: Form) -> dict[str, Any]:
    """A value that makes no sense filters nothing; the form says what is wrong with it."""
    form.is_valid()
    return {name: value for name, value in form.cleaned_data.items() if value not in (None, "", [])}


def _reach(listing: Listing, chosen: Mapping[str, Any]) -> int:
    """Among how many newest rows is looked; 0: all."""
    is_served = not chosen.keys() - listing.indexed or chosen.keys() & listing.selective
    return 0 if is_served or not listing.is_big else NEWEST


def _narrowed(visit: Visit, listing: Listing, rows: QuerySet[Any], chosen: Mapping[str, Any]) -> QuerySet[Any]:
    met = Q()
    for name, lookup in listing.lookups.items():
        if name in chosen:
            met &= Q(**{lookup: chosen[name]})
    rows = rows.filter(met)
    return listing.narrow(rows, chosen, visit) if listing.narrow else rows


def _turned(rows: QuerySet[Any], asked: QueryDict, listing: Listing) -> tuple[list[Any], int, int]:
    """The rows of the page; the places before and after which others stand, 0 for none."""
    order, noun = listing.order, listing.noun
    before, after = _place(asked, "before", noun), _place(asked, "after", noun)
    if after:
        # One more than is shown tells whether there are still newer ones.
        found = list(order.oldest_first(rows.filter(order.newer(after)))[: ROWS + 1])
        shown = found[:ROWS][::-1]
        if len(found) > ROWS:
            return shown, order.place(shown[0]), order.place(shown[-1])
        # What came meanwhile belongs to the first page, whole.
        before = 0
    found = list(order.newest_first(rows.filter(order.older(before)) if before else rows)[: ROWS + 1])
    shown = found[:ROWS]
    newer = (order.place(shown[0]) if shown else before - 1) if before else 0
    return shown, newer, order.place(shown[-1]) if len(found) > ROWS else 0


def _place(asked: QueryDict, name: str, noun: str) -> int:
    """0 where none is named, or one of another list: then it begins at the beginning."""
    cursor = asked.get(name)
    try:
        return cursors.read(cursor, noun) if isinstance(cursor, str) and cursor else 0
    except cursors.BadCursor:
        return 0


def _address(asked: QueryDict, **turn: str) -> str:
    """The same filters, turned."""
    kept = asked.copy()
    for name in _TURNING:
        kept.pop(name, None)
    for name in [name for name, value in kept.items() if not value]:
        del kept[name]
    kept.update(turn)
    return f"?{kept.urlencode()}"
