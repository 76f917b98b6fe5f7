"""Owns what was typed into a form, and BoundLate: a form that looks at it only when its choices are the account's own."""

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.datastructures import MultiValueDict

from trackly.pages.visits import Visit


class BoundLate(forms.BaseForm):
    """Stands before Form or ModelForm, which ask for their errors while they are made: too early for a field whose rows or
    rules depend on the visit. `fit` sets those."""

    def __init__(self, visit: Visit, data: Mapping[str, Any] | None = None, **kwargs: Any) -> None:
        super().__init__(None, **kwargs)
        self.fit(visit)
        self.is_bound = data is not None
        self.data = MultiValueDict() if data is None else data
        for name in self.errors:
            if name in self.fields:
                self.fields[name].widget.attrs["class"] += " is-invalid"

    def fit(self, visit: Visit) -> None:
        raise NotImplementedError


def typed(visit: Visit) -> Mapping[str, Any] | None:
    """None while the form is only shown."""
    return visit.request.POST if visit.request.method == "POST" else None
