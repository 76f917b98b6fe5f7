"""Owns which page of an account tells about a row, and its address."""

from typing import Any
from urllib.parse import urlencode

from django.urls import NoReverseMatch, reverse

from trackly.models import Account
from trackly.showing import To

# Table -> the page of one row, and of the list; '' where there is none.
_PAGES = {
    "sendinglists.message": ("message", "messages"),
    "sendinglists.sendinglist": ("list", "lists"),
    "sendinglists.provideraccount": ("credentials", "lists"),
    "sendinglists.contact": ("contact", "contacts"),
    "sendinglists.link": ("link", "links"),
    "postbacks.click": ("click", "clicks"),
    "postbacks.conversion": ("conversion", "conversions"),
    "postbacks.offer": ("offer", "offers"),
    "postbacks.networkconnection": ("connection", "connections"),
    "webhooks.inboundrequest": ("request", "requests"),
    "webhooks.failedwebhook": ("request", "requests"),
    "webhooks.deliveryevent": ("", "events"),
    "webhooks.reply": ("", "replies"),
}


def address(account: Account, name: str, *args: Any, **query: Any) -> str:
    """The address of an account's page, by its name in the URL table."""
    path = reverse(f"pages:{name}", args=[account.public_id, *args])
    return f"{path}?{urlencode(query)}" if query else path


def way(account: Account, to: To) -> str:
    """Where people of this account find what a story speaks of; '' when no page of theirs tells about it."""
    one, many = _PAGES.get(to.model, ("", ""))
    try:
        if to.key:
            return address(account, one, to.name) if one else ""
        return address(account, many, **dict(to.query)) if many else ""
    except NoReverseMatch:
        return ""
