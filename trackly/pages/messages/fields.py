"""Owns the fields by which lists of this part are filtered: a phone in any spelling, a time from and to, one of the lists."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet

from sendinglists.models import SendingList
from trackly.pages.forms import Form, within_reach
from trackly.pages.visits import Visit
from trackly.phones import e164

Choices = Iterable[tuple[Any, str]]
# More would fill the page; whoever has more finds them by the list's own page.
MOST_LISTS = 500


class PhoneField(forms.CharField):
    """E.164 of whatever spelling is typed; '' for nothing."""

    def __init__(self, label: str = "Phone") -> None:
        widget = forms.TextInput(attrs={"type": "search", "inputmode": "tel", "autocomplete": "off"})
        super().__init__(label=label, max_length=64, required=False, widget=widget)

    def clean(self, value: Any) -> str:
        return e164(super().clean(value))


class TextField(forms.CharField):
    """A word that must be met exactly."""

    def __init__(self, label: str, *, max_length: int = 200) -> None:
        widget = forms.TextInput(attrs={"type": "search", "autocomplete": "off"})
        super().__init__(label=label, max_length=max_length, required=False, widget=widget)


class MomentField(forms.DateTimeField):
    """In the account's time zone."""

    default_validators = [within_reach]

    def __init__(self, label: str) -> None:
        widget = forms.DateTimeInput(attrs={"type": "datetime-local"})
        super().__init__(label=label, required=False, widget=widget)


class ChosenField(forms.ChoiceField):
    """One of these, or any."""

    def __init__(self, label: str, choices: Choices = (), *, anything: str = "Any") -> None:
        super().__init__(label=label, required=False, choices=[("", anything), *choices])


class Filter(Form):
    """What stands in the address of a list. Fields of `hidden` are not there for a viewer: whoever may ask for what is masked
    learns it by asking often.
    """

    hidden: tuple[str, ...] = ("phone",)

    def __init__(self, visit: Visit, **offers: Choices) -> None:
        anything = [("", "Any")]
        super().__init__(visit.request.GET, offers={name: [*anything, *choices] for name, choices in offers.items()})
        for name in () if visit.may_change else self.hidden:
            self.fields.pop(name, None)


class ListFilter(Filter):
    """With a field `list`, one of the account's."""

    def __init__(self, visit: Visit) -> None:
        named = visit.rows(SendingList).order_by("name", "id").values_list("id", "name")[:MOST_LISTS]
        super().__init__(visit, list=[(str(key), name) for key, name in named])


def within(rows: QuerySet[Any], chosen: Mapping[str, Any], name: str) -> QuerySet[Any]:
    """The rows between the moments `since` and `until` of a form, the minute of `until` included."""
    since, until = chosen.get("since"), chosen.get("until")
    if since:
        rows = rows.filter(**{f"{name}__gte": since})
    if until:
        rows = rows.filter(**{f"{name}__lt": _minute_after(until)})
    return rows


def _minute_after(until: datetime) -> datetime:
    return until.replace(second=0, microsecond=0) + timedelta(minutes=1)
