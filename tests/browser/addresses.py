"""Owns which of an account's pages are photographed: every page of the URL table, with rows of the demo account."""

import json
from collections.abc import Iterator
from typing import Any

from django.db import models
from django.urls import URLPattern, reverse

from postbacks.models import Click, Conversion, NetworkConnection, Offer
from postbacks.verdicts import Verdict
from sendinglists.models import Contact, Link, LinkDomain, Message, ProviderAccount, SendingList
from trackly.models import Account
from trackly.pages import urls
from webhooks.inbound.models import InboundRequest, State
from webhooks.statuses import Status

# What is no page: a browser keeps it as a file.
_FILES = ("conversions_csv", "request_text")


def tell() -> None:
    """Prints a dictionary: name of a page -> its path."""
    account = Account.objects.get(name="Demo account")
    pages = [page for part in urls.urlpatterns for page in part.url_patterns if isinstance(page, URLPattern)]
    print(json.dumps({name: path for page in pages for name, path in _of(account, page)}))


def _of(account: Account, page: URLPattern) -> Iterator[tuple[str, str]]:
    names = list(page.pattern.converters)
    # Of a page of several parameters, one is a verb: a button.
    if "GET" not in getattr(page.callback, "methods", ()) or len(names) > 1 or page.name in _FILES:
        return
    # Of messages, only tests have that page.
    name = "test" if page.name == "test_message" else "".join(names[:1])
    for value in _values(account, name) if names else [None]:
        args = [account.public_id] if value is None else [account.public_id, value]
        yield str(page.name), reverse(f"pages:{page.name}", args=args)


def _values(account: Account, name: str) -> list[Any]:
    """What fills the parameter of that name: the row that shows most. Empty where the demo has none."""

    def newest(model: type[models.Model], **lookup: Any) -> Any:
        rows = model._default_manager.filter(account=account, **lookup)
        return rows.order_by("-received_at" if model is InboundRequest else "-pk").first()

    match name:
        case "message":
            row, field = newest(Message, status=Status.DELIVERED), "public_id"
        case "test":
            row, field = newest(Message, is_test=True), "public_id"
        case "code":
            row, field = newest(Link, offer__isnull=False), "code"
        case "click":
            row, field = newest(Click, message__isnull=False), "click_id"
        case "uid":
            row, field = newest(InboundRequest, state=State.REFUSED), "uid"
        case "conversion":
            row = newest(Conversion, verdict=Verdict.DUPLICATE_DIFFERS)
            return [f"{row.request_uid}-{row.item}"] if row else []
        case _:
            row, field = newest(_ROWS[name]) if name in _ROWS else None, "pk"
    return [str(getattr(row, field))] if row else []


_ROWS: dict[str, type[models.Model]] = {
    "list_id": SendingList,
    "credentials_id": ProviderAccount,
    "contact_id": Contact,
    "offer_id": Offer,
    "connection_id": NetworkConnection,
    "domain_id": LinkDomain,
}
