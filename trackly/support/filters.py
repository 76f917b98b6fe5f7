"""Owns the filters of the admin's lists: none of them asks a table which words stand in it."""

from collections.abc import Callable, Sequence
from copy import copy
from datetime import datetime
from typing import Any

from django.contrib.admin import ChoicesFieldListFilter, FieldListFilter
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.dateparse import parse_datetime
from django.utils.timezone import make_aware
from unfold.contrib.filters.admin import RangeDateTimeFilter

Words = Callable[[], Sequence[tuple[str, str]]]


def known(words: Words) -> type[FieldListFilter]:
    """A filter by these words, for a column that has no choices of its own: Django would read them from all of its rows."""

    class Known(ChoicesFieldListFilter):
        def __init__(self, field: Any, *rest: Any, **more: Any) -> None:
            named = copy(field)
            named.choices = list(words())
            super().__init__(named, *rest, **more)

    return Known


class TimeFilter(RangeDateTimeFilter):
    """From when to when, in UTC; a day without a time is meant from its beginning, or to its end."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        begin, end = self._moment("from", "00:00"), self._moment("to", "23:59:59.999999")
        within = {f"{self.field_path}__gte": begin, f"{self.field_path}__lte": end}
        return queryset.filter(**{name: moment for name, moment in within.items() if moment})

    def _moment(self, which: str, otherwise: str) -> datetime | None:
        """None: none is named, or nothing that is one."""
        day, clock = (self.used_parameters.get(f"{self.field_path}_{which}_{part}") for part in "01")
        try:
            moment = parse_datetime(f"{day} {clock or otherwise}")
        except ValueError:
            return None
        return make_aware(moment) if moment else None
