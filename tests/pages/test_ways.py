"""Every way a story shows leads its account's people to a page that understands it, or is not shown to them."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from django.template import Context, Template
from django.utils import timezone

from tests.pages.conftest import Person
from tests.trackly.admin_rows import sale_and_stop
from trackly.models import Account, Membership
from trackly.pages import ways
from trackly.pages.visits import OWNER, Visit
from trackly.showing import Shown, To
from trackly.stories import Story, accounts, conversions, messages, parties, people, provider_accounts, requests
from trackly.stories.rows import found_by, link

SEEN: dict[str, Any] = {"is_revealed": True}
STORIES = {
    "Message": lambda row: messages.message_story(row, **SEEN),
    "DeliveryEvent": lambda row: messages.event_story(row, **SEEN),
    "ParkedReport": lambda row: messages.parked_story(row, **SEEN),
    "Reply": lambda row: messages.reply_story(row, **SEEN),
    "Conversion": lambda row: conversions.conversion_story(row, may_change=True, **SEEN),
    "Click": lambda row: conversions.click_story(row, **SEEN),
    "SendingList": lambda row: parties.list_story(row, **SEEN),
    "NetworkConnection": lambda row: parties.connection_story(row, **SEEN),
    "Offer": parties.offer_story,
    "Link": parties.link_story,
    "ProviderAccount": lambda row: provider_accounts.provider_story(row, **SEEN),
    "Contact": lambda row: people.contact_story(row, **SEEN),
    "Subscription": lambda row: people.subscription_story(row, **SEEN),
    "SubscriptionChange": lambda row: people.change_story(row, may_undo=True, **SEEN),
    "Suppression": lambda row: people.suppression_story(row, **SEEN),
    "InboundRequest": lambda row: requests.request_story(row, may_replay=True, may_allow=True, **SEEN),
    "ApiKey": accounts.key_story,
    "AuditEntry": accounts.audit_story,
}
# (table, names of the filters) of every way to a list there is.
LED = {
    ("sendinglists.message", "q"),
    ("postbacks.click", "q"),
    ("postbacks.conversion", "q"),
    ("postbacks.conversion", "connection__id__exact"),
    ("webhooks.failedwebhook", "party_id source"),
    ("webhooks.inboundrequest", "q"),
    ("", "q"),
}
# An account's people have no such list: all requests of a sender, all entries about a row.
NOT_LED = {("webhooks.inboundrequest", "party_id source"), ("trackly.auditentry", "q")}


def ways_of(story: Story) -> Iterator[To]:
    cells: list[Shown | Any] = [value for _, value in story.facts]
    cells += [cell for moment in story.moments for cell in (moment.what, moment.detail, moment.source)]
    cells += [cell for table in story.tables for row in (*table.rows, (table.more,)) for cell in row]
    return (cell for cell in cells if isinstance(cell, To))


@pytest.fixture
def shown(db: None) -> list[To]:
    """Of the stories of one sale and one STOP."""
    rows = {type(row).__name__: row for row in sale_and_stop()}
    return [to for name, story in STORIES.items() for to in ways_of(story(rows[name]))]


@pytest.fixture
def reader(person: Any, shown: list[To]) -> Person:
    """The owner of the account they are of."""
    return person(Membership.Role.OWNER, of=Account.objects.get(message__isnull=False))


def kind(to: To) -> tuple[str, str]:
    return to.model, " ".join(sorted(name for name, _ in to.query))


def test_every_way_to_a_list_leads_to_one_whose_form_knows_each_filter(reader: Person, shown: list[To]) -> None:
    lists = {to for to in shown if not to.key}
    assert {kind(to) for to in lists} == LED | NOT_LED
    for to in lists:
        way = ways.way(reader.account, to)
        assert bool(way) is (kind(to) in LED), to
        if way and to.model:
            understood(reader.client.get(way), way)


def understood(answer: Any, way: str) -> None:
    assert answer.status_code == 200, way
    form, asked = answer.context["sheet"].form, dict(parse_qsl(urlsplit(way).query))
    assert not form.errors, way
    # The requests' form reads a sender from two parts.
    wanted = {"party" if name == "party_id" else name for name in asked}
    assert wanted <= form.cleaned_data.keys(), way
    assert all(form.cleaned_data[name] for name in wanted), way
    # Of the connection nothing was refused.
    assert answer.context["sheet"].rows or asked.get("source") == "postback", way


def test_every_row_that_has_a_page_is_reached(reader: Person, shown: list[To]) -> None:
    found = {way: to for to in shown if to.key and (way := ways.way(reader.account, to))}
    assert len(found) >= 10
    for way, to in found.items():
        assert reader.client.get(way).status_code == 200, to


def test_what_can_only_be_searched_for_leads_to_the_search(owner: Person) -> None:
    way = ways.way(owner.account, found_by("abc d&e"))
    assert way == f"{owner.url('find')}?q=abc+d%26e"
    assert owner.client.get(way).context["text"] == "abc d&e"


def test_a_filter_the_list_does_not_have_leads_nowhere_and_not_to_the_whole_list(owner: Person) -> None:
    unknown = To(text="x", model="sendinglists.message", query=(("body__contains", "x"),))
    assert ways.way(owner.account, unknown) == ""
    whole = To(text="x", model="sendinglists.message", query=(("account__id__exact", "1"),))
    assert ways.way(owner.account, whole) == owner.url("messages")


def test_a_fact_that_is_only_a_way_is_left_out_where_it_leads_nowhere(owner: Person, rf: Any) -> None:
    nowhere = To(text="audit entries", model="trackly.auditentry", query=(("q", "x"),))
    named = To(text="a suppression", model="sendinglists.suppression", key="1")
    story = Story(
        state="", headline="",
        facts=(("Everything", nowhere), ("Closed by", named), ("Account", link(owner.account)), ("Find", found_by("x"))),
    )  # fmt: skip
    visit = Visit(request=rf.get("/"), account=owner.account, role=OWNER, now=timezone.now(), others=())
    told = Template("{% load shown %}{% facts story as known %}{% for label, value in known %}{{ label }};{% endfor %}")
    assert told.render(Context({"story": story, "visit": visit})) == "Closed by;Account;Find;"
    assert told.render(Context({"story": story})) == "Everything;Closed by;Account;Find;"
