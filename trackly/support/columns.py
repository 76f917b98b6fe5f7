"""Owns the columns of the admin's lists: each a function of a row, with its title."""

from collections.abc import Callable
from typing import Any

from django.contrib.admin import display
from django.db.models import Model
from django.utils.html import format_html
from django.utils.safestring import SafeString

from trackly.showing import badge, moment, money, phone, short, show, tone_of, without_phones

Column = Callable[[Any], Any]


def when(name: str, title: str) -> Column:
    """A time, to the second."""
    return _column(title, lambda row: moment(at) if (at := getattr(row, name)) else None)


def state(name: str, title: str) -> Column:
    """A field with choices, as a badge."""
    return _column(title, lambda row: word_badge(row, name))


def number(name: str, title: str) -> Column:
    """A phone number, masked: a list is no place to reveal it."""
    return _column(title, lambda row: phone(getattr(row, name)) or None)


def text(name: str, title: str, most: int = 60) -> Column:
    """A stranger's text, cut to one line; the row's own numbers are masked in it."""
    return _column(
        title, lambda row: short(without_phones(str(getattr(row, name) or ""), numbers_of(row)), most) or None
    )


def numbers_of(row: Model) -> list[str]:
    """The phone numbers a row holds, or the message it is about, where that was fetched along."""
    rows = (row, row._state.fields_cache.get("message"))
    held = [getattr(of, name, "") for of in rows for name in ("to", "sender", "recipient", "phone")]
    return [*filter(None, held), *(name for name in getattr(row, "ids", ()) if name.startswith("+"))]


def amount(name: str, currency: str, title: str) -> Column:
    return _column(title, lambda row: money(getattr(row, name), getattr(row, currency)) or None)


def mark(name: str, title: str, yes: str) -> Column:
    """A boolean, named only where it is true: a cross in every other row says nothing."""
    return _column(title, lambda row: badge(yes, "note") if getattr(row, name) else None)


def of(title: str, shown: Callable[[Any], Any]) -> Column:
    """Any other."""
    return _column(title, lambda row: show(value) if (value := shown(row)) not in (None, "") else None)


def word_badge(row: Model, name: str) -> SafeString | None:
    word = getattr(row, name)
    label = getattr(row, f"get_{name}_display", lambda: word)()
    return badge(label, tone_of(word)) if word else None


def _column(title: str, shown: Callable[[Any], Any]) -> Column:
    @display(description=title, empty_value=format_html('<span class="tk-none">{}</span>', "–"))
    def column(row: Any) -> Any:
        return shown(row)

    return column
