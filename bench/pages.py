"""Measures every page of the admin over a month of a busy installation, beside the same lists by Django's stock ModelAdmin."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib.admin import AdminSite, ModelAdmin, site
from django.contrib.auth import get_user_model
from django.db import models
from django.db.models import QuerySet
from django.test import Client, RequestFactory
from django.urls import reverse

from bench import population
from bench.opening import Allowed, Took, groups, timed
from bench.table import Line
from trackly.models import Account
from webhooks.inbound.models import DeliveryEvent, InboundRequest

ALLOWED = Allowed(ms=300, queries=15)
# The ends of a table in which values of a filter are looked for: frequent ones are new, rare ones old.
LOOKED_THROUGH = 1_000
# What the stock pages are measured on.
LARGEST = (InboundRequest, DeliveryEvent)
HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One page as somebody opens it."""

    group: str
    model: type[models.Model] | None = None
    url: str = ""
    query: tuple[tuple[str, Any], ...] = ()

    def __str__(self) -> str:
        path = reverse(f"admin:{_name(self.model)}_changelist") if self.model else self.url
        return f"{path}?{urlencode(self.query)}" if self.query else path


def measure() -> list[Line]:
    began = time.perf_counter()
    population.populate(population.began())
    filled = time.perf_counter() - began
    person = get_user_model().objects.create_superuser("measured")
    lists = list(_lists())
    took = [_open(person, asked) for asked in [*lists, *_stories(), *_others()]]
    listed = [item for item in took if item.asked.model]
    # Its filter by time is another one.
    compared = [asked for asked in lists if asked.group in ("plain", "one filter") and asked.model in LARGEST]
    stock = [_stock(person, asked) for asked in compared if "received_at" not in str(asked)]
    worst = max(listed, key=lambda item: item.ms)
    note = "\n  ".join(
        [
            f"{population.REQUESTS:,} requests, {population.EVENTS:,} events, made in {filled:.0f} s; {len(took)} pages, warm",
            *groups(took),
            *(str(item) for item in took if item.is_over and item is not worst),
            "ordinary: requests and events alone, plain and with one filter, by Django's ModelAdmin; queries without the HTML",
        ]
    )
    return [
        Line(what=f"slowest of {len(listed)} lists, ms", ms=worst.ms, note=note),
        Line(what="", ms=max(item.ms for item in stock)),
    ]


# --- what is opened


def _lists() -> Iterator[Asked]:
    """Every list: plain, on, with each filter, of a large and a small account, searched."""
    accounts = list(Account.objects.order_by("id").values_list("id", flat=True)[: population.ACCOUNTS])
    for model, page in site._registry.items():
        yield Asked(group="plain", model=model)
        yield Asked(group="second and 20th page", model=model, query=(("p", 2),))
        yield Asked(group="second and 20th page", model=model, query=(("p", 20),))
        chosen = [pair for item in page.list_filter for pair in _chosen(model, page, item)]
        for pair in chosen:
            yield Asked(group="one filter", model=model, query=(pair,))
        if any(isinstance(item, tuple) and item[0] == "account" for item in page.list_filter):
            for account in (accounts[0], accounts[-1]):
                mine = ("account__id__exact", account)
                yield Asked(group="one account", model=model, query=(mine,))
                for pair in chosen:
                    yield Asked(group="one account and a filter", model=model, query=(mine, pair))
        for term in _terms(model, page):
            yield Asked(group="search", model=model, query=(("q", term),))


def _chosen(model: type[models.Model], page: Any, item: Any) -> Iterator[tuple[str, Any]]:
    """A frequent value of a filter, a rare one, and one no row has."""
    if isinstance(item, type):
        request = RequestFactory().get("/")
        yield from ((item.parameter_name, value) for value, _ in item(request, {}, model, page).lookup_choices)
        return
    name = item[0] if isinstance(item, tuple) else item
    field = model._meta.get_field(name)
    if isinstance(field, models.DateTimeField):
        yield f"{name}_from_0", "2020-01-01"
        yield f"{name}_to_0", "2020-01-01"
    elif isinstance(field, models.BooleanField):
        yield from ((f"{name}__exact", value) for value in (0, 1))
    elif not isinstance(field, models.ForeignKey):
        rows = model._default_manager.order_by(*page.ordering).values_list(name, flat=True)
        new, old = (Counter(ends[:LOOKED_THROUGH]).most_common() for ends in (rows, rows.reverse()))
        values = [value for value, _ in (*new[:1], *old[-1:]) if value]
        yield from ((f"{name}__exact", value) for value in dict.fromkeys([*values, "nothing"]))


def _terms(model: type[models.Model], page: Any) -> Iterator[Any]:
    """One that hits, for each field that is searched, and one that misses."""
    if not page.search_fields:
        return
    row = model._default_manager.order_by("pk").last() if model is not InboundRequest else _newest(model)
    for name in page.search_fields:
        value: Any = row
        for part in name.lstrip("=").split("__"):
            value = getattr(value, part, None)
        yield from value[:2] if isinstance(value, list) else [value] if value else []
    yield "nosuchthing"


def _newest(model: type[models.Model]) -> Any:
    return model._default_manager.order_by("-received_at").first()


def _stories() -> Iterator[Asked]:
    """The page of a row: the newest, and the oldest."""
    for model, page in site._registry.items():
        order = page.ordering or ("-pk",)
        rows: QuerySet[Any] = page.model._default_manager.order_by(*order)
        for row in dict.fromkeys(row for row in (rows.first(), rows.last()) if row is not None):
            yield Asked(group="a row's page", url=reverse(f"admin:{_name(model)}_change", args=[row.pk]))


def _others() -> Iterator[Asked]:
    yield Asked(group="index", url=reverse("admin:index"))
    find = reverse("admin:find")
    for term in ("vendor-400000", "+14150400000", "tx-50000", "c150000", "nosuchthing", "11200", f"{'word ' * 200}"):
        yield Asked(group="search page", url=find, query=(("q", term),))


# --- how it is opened


def _open(person: Any, asked: Asked) -> Took:
    client = Client(SERVER_NAME=HOST)
    client.force_login(person)
    url = str(asked)

    def look() -> None:
        answer = client.get(url)
        # A search that finds one row leads to it.
        if answer.status_code not in (200, 302):
            raise SystemExit(f"{url} answered {answer.status_code}")

    return timed(asked, look, ALLOWED)


class _Stock(AdminSite):
    """Pages as Django makes them: they count, and let everything be sorted."""


def _stock(person: Any, asked: Asked) -> Took:
    assert asked.model is not None
    ours = site._registry[asked.model]
    kept = ("list_display", "list_select_related", "search_fields", "ordering")
    options = {name: getattr(ours, name) for name in kept} | {
        "list_filter": [item[0] if isinstance(item, tuple) else item for item in ours.list_filter]
    }
    page = type("Page", (ModelAdmin,), options)(asked.model, _Stock())
    request = RequestFactory().get(str(asked))
    request.user = person

    def look() -> None:
        listed = page.get_changelist_instance(request)
        list(listed.result_list)

    # What it reads was read by ours before: it is warm.
    return timed(asked, look, ALLOWED, is_warm=True)


def _name(model: type[models.Model]) -> str:
    return f"{model._meta.app_label}_{model._meta.model_name}"
