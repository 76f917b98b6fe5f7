"""Every list of the admin, whatever it is filtered by: few queries, nothing counted, nothing sorted, no whole table read."""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection, models
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from postbacks.models import Click, Conversion
from sendinglists.models import Contact, Link, Message, Subscription, SubscriptionChange, Suppression
from tests import factories
from trackly.models import AuditEntry, HourlyTotal
from trackly.support import lists
from trackly.support.lists import ListPage
from webhooks.inbound.models import (
    DeliveryEvent,
    FailedWebhook,
    InboundRequest,
    ParkedReport,
    RefusalTally,
    Reply,
    RequestTotal,
)

# Tables that grow with what comes in.
BIG = {
    InboundRequest, FailedWebhook, DeliveryEvent, Message, Click, Conversion, Reply, ParkedReport, Contact, Subscription,
    SubscriptionChange, Suppression, AuditEntry, HourlyTotal, RequestTotal, RefusalTally, Link,
}  # fmt: skip
_TABLES = {model._meta.db_table for model in BIG}
MADE = {
    factory._meta.model: factory
    for factory in vars(factories).values()
    if isinstance(factory, type) and hasattr(factory, "_meta") and factory._meta.model is not None
}
EVERY = pytest.mark.parametrize("model", list(admin.site._registry), ids=lambda model: model.__name__)
EVERY_BIG = pytest.mark.parametrize("model", [m for m in admin.site._registry if m in BIG], ids=lambda m: m.__name__)

Query = dict[str, Any]


@pytest.fixture
def staff(client: Client) -> Client:
    client.force_login(factories.StaffFactory())
    return client


def url_of(model: type[models.Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def make(model: type[models.Model]) -> None:
    """A row, where the table has a factory."""
    factory = MADE.get(model._meta.concrete_model)  # type: ignore[arg-type]
    if factory is not None:
        factory()


def queries(model: type[models.Model]) -> Iterator[Query]:
    """Plain, turned, and with each filter, alone and of an account."""
    yield {}
    yield {"p": "2"}
    page = admin.site._registry[model]
    asked = [query for item in page.list_filter for query in filters(model, page, item)]
    account = {"account__id__exact": "1"}
    for query in asked:
        yield query
        if account in asked and query != account:
            yield query | account


def filters(model: type[models.Model], page: Any, item: Any) -> Iterator[Query]:
    """The parameters of one filter."""
    if isinstance(item, type):
        for word, _ in item(None, {}, model, page).lookup_choices:
            yield {item.parameter_name: word}
        return
    name = item[0] if isinstance(item, tuple) else item
    field = model._meta.get_field(name)
    if isinstance(field, models.ManyToManyField | models.ForeignKey):
        yield {f"{name}__id__exact": "1"}
    elif isinstance(field, models.DateTimeField):
        yield {f"{name}_from_0": "2020-01-01", f"{name}_to_0": "2999-01-01"}
    else:
        words = ("1", "0") if isinstance(field, models.BooleanField) else (*dict(field.flatchoices), "nothing")
        yield from ({f"{name}__exact": word} for word in words)


@pytest.mark.django_db
@EVERY
def test_a_list_asks_few_questions_and_none_goes_over_a_big_table(staff: Client, model: type[models.Model]) -> None:
    make(model)
    looked = 0
    for query in queries(model):
        with CaptureQueriesContext(connection) as captured:
            answer = staff.get(url_of(model), query)
        assert answer.status_code == 200, (query, answer.status_code)
        assert len(captured) <= 15, query
        asked = [entry["sql"] for entry in captured.captured_queries]
        for sql in asked:
            if _TABLES & set(re.findall(r'FROM "(\w+)"', sql)):
                looked += 1
                assert "COUNT(" not in sql.upper(), (query, sql)
                assert list(_costly(_plan(sql))) == [], (query, sql)
    assert looked or model not in BIG


def _plan(sql: str) -> dict[str, Any]:
    """How it is run when it is run by indexes, wherever they allow that."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SET LOCAL enable_seqscan = off; SET LOCAL enable_sort = off; SET LOCAL enable_incremental_sort = off"
        )
        cursor.execute(f"EXPLAIN (FORMAT JSON) {sql}")
        (found,) = cursor.fetchone()
        cursor.execute(
            "SET LOCAL enable_seqscan = on; SET LOCAL enable_sort = on; SET LOCAL enable_incremental_sort = on"
        )
    return (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]


def _costly(node: dict[str, Any]) -> Iterator[str]:
    """The nodes that read all of a big table, or must have all of its rows to go on."""
    kind = node["Node Type"]
    if kind == "Seq Scan" and _is_big(node["Relation Name"]):
        yield f"{kind} {node['Relation Name']}"
    if kind in ("Sort", "Incremental Sort", "Aggregate", "Unique") and any(_is_big(name) for name in _scanned(node)):
        yield f"{kind} over {sorted(set(_scanned(node)))}"
    for part in node.get("Plans", []):
        yield from _costly(part)


def _scanned(node: dict[str, Any]) -> Iterator[str]:
    if "Relation Name" in node:
        yield node["Relation Name"]
    for part in node.get("Plans", []):
        yield from _scanned(part)


def _is_big(table: str) -> bool:
    # The partitions of the inbox.
    return table in _TABLES or table.startswith(("inbound_webhook", "inbound_postback"))


@pytest.mark.django_db
def test_the_check_of_plans_finds_what_is_costly() -> None:
    """Without this the test above could pass by looking wrongly."""
    costly = (
        'SELECT * FROM "sendinglists_message" ORDER BY "body" LIMIT 5',
        'SELECT DISTINCT "slug" FROM "webhooks_inboundrequest"',
        'SELECT max("body") FROM "sendinglists_message"',
    )
    for sql in costly:
        assert list(_costly(_plan(sql))), sql


@EVERY_BIG
def test_the_page_of_a_big_table_knows_that_it_is_big(model: type[models.Model]) -> None:
    page = admin.site._registry[model]
    assert isinstance(page, ListPage)
    assert page.is_big


@EVERY_BIG
def test_what_a_list_says_an_index_serves_has_an_index_in_its_order(model: type[models.Model]) -> None:
    page: Any = admin.site._registry[model]
    named = {name for item in page.list_filter for query in filters(model, page, item) for name in query}
    columns = {"routed": "account"}
    newest = "-id" if page.newest_by == "pk" else page.newest_by
    indexes = [tuple(index.fields) for index in model._meta.concrete_model._meta.indexes]  # type: ignore[union-attr]
    for name in set(page.indexed) - {"q", page.newest_by}:
        if any(parameter.startswith(name) for parameter in named):
            assert (columns.get(name, name), newest) in indexes, name


@pytest.mark.django_db
@EVERY_BIG
def test_a_filter_without_an_index_looks_among_the_newest_rows_and_says_so(
    staff: Client, model: type[models.Model]
) -> None:
    page: Any = admin.site._registry[model]
    for query in queries(model):
        served = ("p", *page.indexed)
        is_bounded = any(not name.startswith(served) or name.startswith("provider") for name in query)
        answer = staff.get(url_of(model), query)
        assert answer.context["newest"] == (lists.NEWEST if is_bounded else 0), query
        assert ("Filtered among the newest" in answer.text) is is_bounded, query


@pytest.mark.django_db
def test_a_rare_word_is_found_among_the_newest_and_further_back_by_its_account(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "NEWEST", 2)
    old = factories.MessageFactory(status="failed")
    for _ in range(2):
        factories.MessageFactory(status="sent")
    failed = {"status__exact": "failed"}
    assert old.public_id not in staff.get(url_of(Message), failed).text
    assert old.public_id in staff.get(url_of(Message), failed | {"account__id__exact": old.account_id}).text
    newer = factories.MessageFactory(status="failed")
    assert newer.public_id in staff.get(url_of(Message), failed).text


@pytest.mark.django_db
def test_a_rare_verdict_is_found_further_back_by_its_connection(staff: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lists, "NEWEST", 1)
    connection = factories.NetworkConnectionFactory()
    factories.ConversionFactory(connection=connection, verdict="held", click_text="the-held-one")
    for _ in range(2):
        factories.ConversionFactory()
    held = {"verdict__exact": "held"}
    assert "the-held-one" not in staff.get(url_of(Conversion), held).text
    assert "the-held-one" in staff.get(url_of(Conversion), held | {"connection__id__exact": connection.pk}).text


@pytest.mark.django_db
def test_a_filter_of_requests_looks_among_the_newest_of_the_time_that_is_asked_for(
    staff: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "NEWEST", 1)
    old = factories.InboundRequestFactory(state="failed")
    old_id = str(old.uid)
    InboundRequest.objects.filter(uid=old.uid).update(received_at=old.received_at.replace(hour=0, minute=0, second=0))
    for _ in range(2):
        factories.InboundRequestFactory(state="done")
    failed = {"state__exact": "failed"}
    assert old_id not in staff.get(url_of(InboundRequest), failed).text
    within = {"received_at_to_0": f"{old.received_at:%Y-%m-%d}", "received_at_to_1": "00:00:01"}
    assert old_id in staff.get(url_of(InboundRequest), failed | within).text
    yesterday = {"received_at_to_0": f"{old.received_at - timedelta(days=1):%Y-%m-%d}"}
    assert old_id not in staff.get(url_of(InboundRequest), failed | yesterday).text
    for junk in ("x", "2026-13-45"):
        assert staff.get(url_of(InboundRequest), {"received_at_from_0": junk}).status_code == 200
    assert old_id in staff.get(url_of(FailedWebhook), failed).text, "the log is a list of its own"


@pytest.mark.django_db
def test_a_list_is_not_turned_to_where_everything_before_must_be_read(staff: Client) -> None:
    answer = staff.get(url_of(Message), {"p": lists.PAGES + 1, "status__exact": "sent"}, follow=True)
    assert "at most" in answer.text
    assert answer.redirect_chain == [(f"{url_of(Message)}?p={lists.PAGES}&status__exact=sent", 302)]


@pytest.mark.django_db
def test_no_list_offers_to_count_its_rows_by_filter(staff: Client) -> None:
    factories.MessageFactory()
    assert "_facets" not in staff.get(url_of(Message)).text
    with CaptureQueriesContext(connection) as captured:
        staff.get(url_of(Message), {"_facets": "True"})
    assert not [entry for entry in captured.captured_queries if "COUNT(" in entry["sql"].upper()]


@pytest.mark.django_db
def test_a_search_finds_by_each_of_its_fields_and_by_the_exact_value_alone(staff: Client) -> None:
    event = factories.DeliveryEventFactory()
    message = event.message
    message.provider_message_id = "VENDOR-1"
    message.save()
    change = factories.SubscriptionChangeFactory()
    click = factories.ClickFactory()
    reply = factories.ReplyFactory()
    stranger = factories.ConversionFactory(click_ref="unheard-of", transaction_id="TX-1")
    known = factories.ConversionFactory(click=click, click_ref=click.click_id)
    found: list[tuple[Any, tuple[str, ...]]] = [
        (event, (message.public_id, message.reference, "VENDOR-1", message.to)),
        (message, (message.public_id, message.reference, "VENDOR-1", message.to)),
        (change, (change.subscription.contact.phone,)),
        (click, (click.click_id, click.link.code)),
        (reply, (reply.key, reply.sender)),
        (stranger, ("unheard-of", "TX-1")),
        (known, (click.click_id.upper(),)),
    ]
    for row, terms in found:
        change_url = f"/{row.pk}/change/"
        for term in terms:
            assert change_url in staff.get(url_of(type(row)), {"q": term}).text, (row, term)
        assert change_url not in staff.get(url_of(type(row)), {"q": terms[0][:-1]}).text


@pytest.mark.django_db
@EVERY_BIG
def test_a_search_of_a_big_table_compares_exactly(staff: Client, model: type[models.Model]) -> None:
    """Whatever ignores case or looks inside a word goes past every index."""
    make(model)
    if not admin.site._registry[model].search_fields:
        return
    for term in ("zzz", "+14155550101"):
        with CaptureQueriesContext(connection) as captured:
            assert staff.get(url_of(model), {"q": term}).status_code == 200
        assert len(captured) <= 15
        for entry in captured.captured_queries:
            assert not re.search(r"UPPER\(| I?LIKE ", entry["sql"]), entry["sql"]
