"""Owns which page of an account tells about a row, and its address."""

from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

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
    # Whatever a search finds.
    "": ("", "find"),
}
# Table -> a filter as stories name it -> the same in the form of the account's list.
_FILTERS = {
    # The stories ask messages for a number, clicks for the code of a link, conversions for the id of a click.
    "sendinglists.message": {"q": "phone"},
    "postbacks.click": {"q": "code"},
    "postbacks.conversion": {"q": "click", "connection__id__exact": "connection"},
    # Of all requests only those that name something are listed: the rest is in nobody's way.
    "webhooks.inboundrequest": {"q": "q"},
    "webhooks.failedwebhook": {"q": "q", "party_id": "party_id", "source": "source"},
    "": {"q": "q"},
}
# What the account's list leaves out unless it is asked for, and the story counts.
_WITH = {"sendinglists.message": {"tests": "with"}, "postbacks.click": {"who": "all"}}
# Their pages show no other account's rows.
_OF_ACCOUNT = "account__id__exact"


def address(account: Account, name: str, *args: Any, **query: Any) -> str:
    """The address of an account's page, by its name in the URL table."""
    path = reverse(f"pages:{name}", args=[account.public_id, *args])
    return f"{path}?{urlencode(query)}" if query else path


def way(account: Account, to: To) -> str:
    """Where people of this account find what a story speaks of; '' when no page of theirs tells about it."""
    one, many = _PAGES.get(to.model, ("", ""))
    if to.key:
        return address(account, one, to.name) if one else ""
    asked = _asked(to) if many else None
    return "" if asked is None else address(account, many, **asked)


def _asked(to: To) -> dict[str, str] | None:
    """The filter in the words of the account's list. None: it has no such filter, and unfiltered it would show something else."""
    words = _FILTERS.get(to.model, {})
    named = [(name, value) for name, value in to.query if name != _OF_ACCOUNT]
    if any(name not in words for name, _ in named):
        return None
    return {words[name]: value for name, value in named} | (_WITH.get(to.model, {}) if named else {})
