"""Owns what the pages of signing in ask for: forms that are not ours dressed like ours, and what this service offers."""

from django import forms, template
from django.conf import settings

register = template.Library()
_LABELS = {
    "email": "E-mail address",
    "username": "User name",
    "password1": "New password",
    "password2": "The same password again",
}


@register.filter
def dressed(form: forms.BaseForm) -> forms.BaseForm:
    """The form with the classes of our fields. The label says what a field is, so nothing stands in it before it is filled."""
    form.label_suffix = ""
    for name, field in form.fields.items():
        is_box = isinstance(field.widget, forms.CheckboxInput)
        wrong = " is-invalid" if form.is_bound and name in form.errors else ""
        field.widget.attrs["class"] = ("form-check-input" if is_box else "form-control") + wrong
        field.widget.attrs.pop("placeholder", None)
        field.label = _LABELS.get(name) or str(field.label).capitalize()
    return form


@register.simple_tag
def is_signup_open() -> bool:
    return bool(settings.SIGNUP_OPEN)


@register.simple_tag
def has_mail() -> bool:
    return bool(settings.HAS_MAIL)
