"""Measures every page of an account that holds a million delivery events and 100,000 conversions, beside the same lists as
Django's generic views read them: counted, and turned by OFFSET.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib.auth import get_user_model
from django.core.paginator import Paginator
from django.db import models
from django.test import Client
from django.test.utils import setup_test_environment
from django.urls import URLPattern, reverse

from bench import population
from bench.opening import Allowed, Took, groups, timed
from bench.table import Line
from postbacks.models import Click, Conversion, NetworkConnection, Offer
from sendinglists.models import Contact, Link, Message, ProviderAccount, SendingList
from trackly.models import Account, Membership
from trackly.pages import urls
from webhooks.inbound.models import DeliveryEvent, InboundRequest

ALLOWED = Allowed(ms=200, queries=20)
HOST = "127.0.0.1"
# Parameter of an address -> the table it names a row of, and how.
_ROWS: dict[str, tuple[type[models.Model], str]] = {
    "list_id": (SendingList, "pk"),
    "credentials_id": (ProviderAccount, "pk"),
    "message": (Message, "public_id"),
    "contact_id": (Contact, "pk"),
    "code": (Link, "code"),
    "click": (Click, "click_id"),
    "conversion": (Conversion, "request_uid"),
    "offer_id": (Offer, "pk"),
    "connection_id": (NetworkConnection, "pk"),
    "uid": (InboundRequest, "uid"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One page as somebody opens it."""

    group: str
    url: str

    def __str__(self) -> str:
        return self.url


def measure() -> list[Line]:
    began = time.perf_counter()
    population.populate(population.began(), is_alone=True)
    filled = time.perf_counter() - began
    # The test client then tells what a template was given: which filters a list has.
    setup_test_environment()
    account = Account.objects.order_by("id")[0]
    client = _signed_in(account)
    plain = list(_plain(account))
    filtered = [asked for page in plain for asked in _filtered(client, page)]
    took = [_open(client, asked) for asked in [*plain, *filtered]]
    worst = max(took, key=lambda item: item.ms)
    ordinary = max(_ordinary(account), key=lambda item: item.ms)
    note = "\n  ".join(
        [
            f"{population.EVENTS:,} events, {population.CONVERSIONS:,} conversions, {population.CLICKS:,} clicks in one account,"
            f" made in {filled:.0f} s; {len(took)} openings, warm",
            *groups(took),
            *(str(item) for item in took if item.is_over and item is not worst),
            f"ordinary: lists alone, first and last page, counted and turned by OFFSET; queries without the HTML; {ordinary}",
        ]
    )
    return [
        Line(what=f"slowest of {len(took)} account pages, ms", ms=worst.ms, note=note),
        Line(what="", ms=ordinary.ms),
    ]


def _signed_in(account: Account) -> Client:
    person = get_user_model().objects.create_user("measured")
    Membership.objects.create(account=account, user=person, role=Membership.Role.OWNER)
    client = Client(SERVER_NAME=HOST)
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def _plain(account: Account) -> Iterator[Asked]:
    """Every page there is; one of a row with the newest and the oldest row."""
    pages: list[URLPattern] = [page for part in urls.urlpatterns for page in part.url_patterns]
    for page in pages:
        if "GET" not in page.callback.methods:
            continue
        names = list(page.pattern.converters)
        if not names:
            yield Asked(group="pages", url=reverse(f"pages:{page.name}", args=[account.public_id]))
        elif len(names) == 1 and names[0] in _ROWS:
            for row in _ends(account, names[0], are_tests=page.name == "test_message"):
                yield Asked(group="a row's page", url=reverse(f"pages:{page.name}", args=[account.public_id, row]))


def _ends(account: Account, name: str, *, are_tests: bool) -> Iterator[Any]:
    model, field = _ROWS[name]
    rows = model._default_manager.filter(account=account, **({"is_test": True} if are_tests else {}))
    order = "received_at" if model is InboundRequest else "pk"
    for row in (rows.order_by(f"-{order}").first(), rows.order_by(order).first()):
        if row is not None:
            value = getattr(row, field)
            yield f"{value}-{row.item}" if isinstance(row, Conversion) else value


def _filtered(client: Client, page: Asked) -> Iterator[Asked]:
    """A list with each choice of each of its filters, and with a word that no row has."""
    answer = client.get(page.url)
    sheet = answer.context.get("sheet") if answer.status_code == 200 and answer.context else None
    if sheet is None:
        return
    for name, field in sheet.form.fields.items():
        for value in _values(field):
            yield Asked(group=f"{sheet.listing.nouns}, one filter", url=f"{page.url}?{urlencode({name: value})}")
    if sheet.older:
        yield Asked(group=f"{sheet.listing.nouns}, second page", url=f"{page.url}{sheet.older}")


def _values(field: forms.Field) -> list[str]:
    match field:
        case forms.ModelChoiceField():
            return [str(row.pk) for row in field.queryset[:2]]
        case forms.ChoiceField():
            pairs = [pair for group in field.choices for pair in (group[1] if isinstance(group[1], list) else [group])]
            return [str(value) for value, _ in pairs if value]
        case forms.BooleanField():
            return ["on"]
        case forms.DateTimeField() | forms.DateField():
            return ["2020-01-01"]
    return ["nothing", "+14150400000"]


def _open(client: Client, asked: Asked) -> Took:
    def look() -> None:
        answer = client.get(asked.url)
        if answer.streaming:
            # A file of everything takes as long as it is large; what counts is when it begins.
            next(iter(answer))
        if answer.status_code not in (200, 302):
            raise SystemExit(f"{asked.url} answered {answer.status_code}")

    return timed(asked, look, ALLOWED)


def _ordinary(account: Account) -> Iterator[Took]:
    for model in (Message, DeliveryEvent, Conversion, Click):
        rows = model._default_manager.filter(account=account).order_by("-id")
        for last in (False, True):

            def look(rows: Any = rows, last: bool = last) -> None:
                pages = Paginator(rows, 50)
                list(pages.page(pages.num_pages if last else 1))

            words = f"{model._meta.verbose_name_plural}, {'last' if last else 'first'} page"
            yield timed(Asked(group="ordinary", url=words), look, ALLOWED)
