"""Owns the template tags of the account's pages: addresses of the account, icons, and the way a table leads on."""

from typing import Any

from django import template
from django.template import Context
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

# What stands in the navigation, in parts: (title of the part, entries); an entry is (name in the URL table, words, icon).
_NAVIGATION: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    ("", (("overview", "Overview", "overview"),)),
    ("Sending", (
        ("lists", "Sending lists", "list"), ("messages", "Messages", "messages"), ("events", "Delivery events", "events"),
        ("replies", "Replies", "replies"), ("contacts", "Contacts", "contacts"),
    )),
    ("Money", (
        ("conversions", "Conversions", "conversions"), ("connections", "Networks", "connections"), ("offers", "Offers", "offers"),
        ("links", "Links", "links"), ("clicks", "Clicks", "clicks"),
    )),
    ("Account", (
        ("requests", "Failed webhooks", "failed"), ("settings", "Settings", "settings"), ("help", "Help", "help"),
    )),
)  # fmt: skip


@register.simple_tag(takes_context=True)
def at(context: Context, name: str, *args: Any, **query: Any) -> str:
    """The address of a page of this account."""
    return str(context["visit"].url(name, *args, **query))


@register.simple_tag
def icon(name: str) -> SafeString:
    """A picture beside words, which say all of it."""
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>',
        static("vendor/tabler-icons/sprite.svg"), name,
    )  # fmt: skip


@register.inclusion_tag("pages/_navigation.html", takes_context=True)
def navigation(context: Context) -> dict[str, Any]:
    """The parts with (address, words, icon, whether it is where one is)."""
    visit, here = context["visit"], context["visit"].request.path
    parts = []
    for title, entries in _NAVIGATION:
        shown = [(visit.url(name), words, picture) for name, words, picture in entries]
        parts.append((title, [(*entry, _is_here(entry[0], here)) for entry in shown]))
    return {"parts": parts}


def _is_here(address: str, here: str) -> bool:
    return here == address or (address.count("/") > 3 and here.startswith(address))
