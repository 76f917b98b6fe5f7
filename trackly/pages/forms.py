"""Owns how forms of these pages look, every field with its label, help and errors in one template; and what they offer."""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.forms.renderers import TemplatesSetting

from trackly.pages.visits import Visit

# Of one field: rows, or (value, words).
Offered = QuerySet[Any] | Iterable[tuple[Any, str]]

_CLASSES: dict[type[forms.Widget], str] = {
    forms.CheckboxInput: "form-check-input",
    forms.CheckboxSelectMultiple: "form-check-input",
    forms.RadioSelect: "form-check-input",
    forms.Select: "form-select",
    forms.SelectMultiple: "form-select",
}


def within_reach(day: date) -> None:
    """Validator of a day or moment: at the ends of the calendar there is no day before or after, nor the same in another zone."""
    if not 2000 <= day.year < 2100:
        raise ValidationError("Choose a day between 2000 and 2099.")


class DayField(forms.DateField):
    """An optional day to look for."""

    default_validators = [within_reach]

    def __init__(self, label: str) -> None:
        super().__init__(label=label, required=False, widget=forms.DateInput(attrs={"type": "date"}))


class _Styled(forms.BaseForm):
    # Looks in the project's templates, where Django's own renderer does not.
    default_renderer = TemplatesSetting
    template_name = "pages/_form.html"

    def __init__(self, *args: Any, offers: Mapping[str, Offered] | None = None, **kwargs: Any) -> None:
        """`offers`: field -> what may be chosen in it, where that depends on the account."""
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        for name, offer in (offers or {}).items():
            self._offer(name, offer)
        for field in self.fields.values():
            kind = next((kind for kind in _CLASSES if isinstance(field.widget, kind)), None)
            own = field.widget.attrs.get("class", "")
            field.widget.attrs["class"] = f"{own} {_CLASSES[kind] if kind else 'form-control'}".strip()

    def _offer(self, name: str, offer: Offered) -> None:
        field = self.fields[name]
        if isinstance(field, forms.ModelChoiceField):
            assert isinstance(offer, QuerySet)
            field.queryset = offer
        else:
            assert isinstance(field, forms.ChoiceField)
            field.choices = list(offer)


class Form(_Styled, forms.Form):
    """`{{ form }}` in a template shows it whole; `{% include "pages/_field.html" with field=form.x %}` one field."""


class ModelForm(_Styled, forms.ModelForm):
    """The same, of a row."""


def typed(visit: Visit) -> Mapping[str, Any] | None:
    """What a form was sent with; None while it is only shown."""
    return visit.request.POST if visit.request.method == "POST" else None
