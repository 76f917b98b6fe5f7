"""Owns how forms of these pages look: every field with its label, help and errors, in one template."""

from typing import Any

from django import forms
from django.forms.renderers import TemplatesSetting

_CLASSES: dict[type[forms.Widget], str] = {
    forms.CheckboxInput: "form-check-input",
    forms.CheckboxSelectMultiple: "form-check-input",
    forms.RadioSelect: "form-check-input",
    forms.Select: "form-select",
    forms.SelectMultiple: "form-select",
}


class _Styled(forms.BaseForm):
    # Looks in the project's templates, where Django's own renderer does not.
    default_renderer = TemplatesSetting
    template_name = "pages/_form.html"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            kind = next((kind for kind in _CLASSES if isinstance(field.widget, kind)), None)
            own = field.widget.attrs.get("class", "")
            field.widget.attrs["class"] = f"{own} {_CLASSES[kind] if kind else 'form-control'}".strip()


class Form(_Styled, forms.Form):
    """`{{ form }}` in a template shows it whole; `{% include "pages/_field.html" with field=form.x %}` one field."""


class ModelForm(_Styled, forms.ModelForm):
    """The same, of a row."""
