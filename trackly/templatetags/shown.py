"""Owns the template filter by which a value of a story becomes HTML."""

from django import template
from django.utils.safestring import SafeString

from trackly.showing import Raw, Shown, show

register = template.Library()


@register.simple_tag
def shown(value: Shown, is_revealed: bool = False) -> SafeString:
    return show(value, is_revealed=is_revealed)


@register.filter
def as_raw(text: str) -> Raw:
    return Raw(text)
