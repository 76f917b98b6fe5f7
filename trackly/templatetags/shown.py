"""Owns the template tag by which a value of a story becomes HTML, for whoever reads the page."""

from django import template
from django.template import Context
from django.utils.safestring import SafeString

from trackly.showing import Link, Raw, Shown, To, show, staff_way
from trackly.stories import Story

register = template.Library()


@register.simple_tag(takes_context=True)
def shown(context: Context, value: Shown, is_revealed: bool | None = None) -> SafeString:
    """On an account's page (its `visit` is in the context) rows lead to its own pages, times are in its zone, and numbers are in
    full for whoever may change something; elsewhere it is the staff who read."""
    visit = context.get("visit")
    if visit is None:
        return show(value, is_revealed=bool(is_revealed))
    return show(
        value,
        is_revealed=visit.may_change if is_revealed is None else is_revealed,
        way=visit.way,
        zone=visit.zone,
    )


@register.simple_tag(takes_context=True)
def way(context: Context, to: To | Link | None) -> str:
    """Where it leads for the reader of this page; '' nowhere."""
    visit = context.get("visit")
    match to:
        case Link(url=url):
            return url
        case To():
            return str(visit.way(to)) if visit is not None else staff_way(to)
    return ""


@register.simple_tag(takes_context=True)
def facts(context: Context, story: Story) -> list[tuple[str, Shown]]:
    """What the story knows; without ways to lists that this reader does not have, which say nothing else."""
    return [(label, value) for label, value in story.known_facts if not _is_lost(context, value)]


def _is_lost(context: Context, value: Shown) -> bool:
    return isinstance(value, To) and not value.key and not way(context, value)


@register.filter
def as_raw(text: str) -> Raw:
    return Raw(text)
