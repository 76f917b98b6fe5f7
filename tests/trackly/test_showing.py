"""How values look depends on who reads: where a row leads, in which zone a time is told, and whether numbers are in full."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.urls import reverse

from tests import factories
from tests.trackly.admin_rows import person
from trackly.models import Membership
from trackly.pages.visits import Visit
from trackly.showing import Link, Phone, Shown, To, show, staff_way
from trackly.stories import Story, without_numbers
from trackly.stories.messages import message_story
from trackly.stories.rows import found_by, link, listed, request_link
from webhooks.inbound.models import Cause, InboundRequest, Source, State

AT = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
PHONE = "+14155550177"
MESSAGE = To(text="the message", model="sendinglists.message", key="7", name="Abc12345")


def nowhere(to: To) -> str:
    return ""


# --- where a row leads


def test_staff_are_led_to_the_page_of_a_row() -> None:
    assert staff_way(MESSAGE) == reverse("admin:sendinglists_message_change", args=["7"])
    assert f'href="{staff_way(MESSAGE)}"' in show(MESSAGE)


def test_staff_are_led_to_a_filtered_list_where_no_row_is_meant() -> None:
    way = staff_way(listed("raw requests", InboundRequest, q="a&b", source="webhook"))
    assert way == f"{reverse('admin:webhooks_inboundrequest_changelist')}?q=a%26b&source=webhook"


def test_staff_are_led_to_the_search_where_no_table_is_meant() -> None:
    assert staff_way(found_by("message 7")) == f"{reverse('admin:find')}?q=message+7"


def test_a_reader_with_a_way_of_its_own_is_led_there_and_not_to_the_admin() -> None:
    html = show(MESSAGE, way=lambda to: f"/mine/{to.name}/")
    assert html == '<a class="tk-link" href="/mine/Abc12345/">the message</a>'


def test_a_row_the_reader_has_no_page_of_is_named_without_a_link() -> None:
    assert show(MESSAGE, way=nowhere) == "<bdi>the message</bdi>"


def test_the_text_of_a_way_is_escaped_and_its_numbers_masked_with_and_without_a_link() -> None:
    to = To(text=f"<b>{PHONE}", model="sendinglists.contact", key="7")
    for html in (show(to), show(to, way=nowhere)):
        assert "&lt;b&gt;+141•••••" in html
        assert PHONE not in html
    assert PHONE in show(to, way=nowhere, is_revealed=True)


def test_a_number_a_story_names_is_masked_in_the_text_of_its_ways() -> None:
    story = Story(
        state=None, headline="", facts=(("Phone", Phone(PHONE)), ("Contact", To(text="415-555-0177", model="x.y")))
    )
    contact = without_numbers(story).facts[1][1]
    assert isinstance(contact, To)
    assert contact == To(text="415-•••-••77", model="x.y")


@pytest.mark.django_db
def test_a_row_is_named_by_what_its_account_knows_it_by() -> None:
    message: Any = factories.MessageFactory()
    click: Any = factories.ClickFactory()
    short: Any = factories.LinkFactory()
    hit: Any = factories.ConversionFactory(item=0)
    account = message.account
    names = [name_of(row) for row in (message, click, short, hit, account)]
    assert names == [message.public_id, click.click_id, short.code, f"{hit.request_uid}-0", str(account.pk)]
    assert link(None) is None
    assert request_link(None) is None


def name_of(row: Any) -> str:
    to = link(row)
    assert to is not None
    assert (to.model, to.key) == (row._meta.label_lower, str(row.pk))
    return to.name


# --- in which zone a time is told


def test_a_time_is_told_in_the_readers_zone_and_in_utc_on_hover() -> None:
    html = show(AT, zone=ZoneInfo("Europe/Kyiv"))
    assert ">2026-07-02 01:30:00</time>" in html
    assert 'datetime="2026-07-01T22:30:00.000+00:00"' in html
    assert ' · 2026-07-01 22:30:00 UTC"' in html


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("UTC")])
def test_where_the_zone_is_utc_it_is_told_once(zone: Any) -> None:
    html = show(AT, zone=zone)
    assert ">2026-07-01 22:30:00</time>" in html
    assert " UTC" not in html


# --- who reads, in a template


def rendered(value: Shown, tag: str = "{% shown value %}", **context: Any) -> str:
    return Template("{% load shown %}" + tag).render(Context({"value": value, **context}))


def visit(role: Membership.Role) -> Visit:
    account: Any = factories.AccountFactory(time_zone="Europe/Kyiv")
    return Visit(request=RequestFactory().get("/"), account=account, role=role, now=AT, others=())


def test_without_a_visit_it_is_the_staff_who_read() -> None:
    assert f'href="{staff_way(MESSAGE)}"' in rendered(MESSAGE)
    assert "22:30:00</time>" in rendered(AT)
    assert PHONE not in rendered(Phone(PHONE))
    assert PHONE in rendered(Phone(PHONE), "{% shown value True %}")


@pytest.mark.django_db
def test_on_an_accounts_page_rows_lead_to_its_pages_and_times_are_in_its_zone() -> None:
    ours = visit(Membership.Role.OWNER)
    html = rendered(MESSAGE, visit=ours)
    assert f'href="{ours.url("message", "Abc12345")}"' in html
    assert rendered(To(text="audit", model="trackly.auditentry", key="1"), visit=ours) == "<bdi>audit</bdi>"
    assert ">2026-07-02 01:30:00</time>" in rendered(AT, visit=ours)


@pytest.mark.django_db
@pytest.mark.parametrize(("role", "is_whole"), [("viewer", False), ("member", True), ("owner", True)])
def test_on_an_accounts_page_numbers_are_in_full_for_who_may_change_something(role: str, is_whole: bool) -> None:
    ours = visit(Membership.Role(role))
    assert (PHONE in rendered(Phone(PHONE), visit=ours)) is is_whole
    assert PHONE not in rendered(Phone(PHONE), "{% shown value False %}", visit=ours)


@pytest.mark.django_db
def test_the_way_to_the_whole_list_is_the_readers_too() -> None:
    tag, more = "{% way value %}", listed("all", InboundRequest, q="a")
    ours = visit(Membership.Role.VIEWER)
    assert rendered(more, tag) == staff_way(more)
    assert rendered(more, tag, visit=ours) == ours.way(more) != ""
    assert rendered(Link("all", "/somewhere/"), tag) == "/somewhere/"
    assert rendered(None, tag) == ""


@pytest.mark.django_db
def test_a_story_asks_for_the_failed_requests_of_a_party_in_the_words_both_readers_know(client: Client) -> None:
    message: Any = factories.MessageFactory()
    to = dict(message_story(message, is_revealed=False).facts)["Refused callbacks of its provider account"]
    assert isinstance(to, To)
    key = message.provider_account_id
    assert dict(to.query) == {"party_id": str(key), "source": "webhook"}
    refused: Any = {"state": State.REFUSED, "refusal": Cause.BAD_TOKEN, "party_id": key}
    mine: Any = factories.InboundRequestFactory(source=Source.WEBHOOK, **refused)
    postback: Any = factories.InboundRequestFactory(source=Source.POSTBACK, **refused)
    client.force_login(person(is_superuser=True))
    html = client.get(staff_way(to)).text
    assert str(mine.uid) in html
    assert str(postback.uid) not in html
