"""The pages of short links: made, found, ended; how often each was opened, people and machines apart."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postbacks.models import Click
from sendinglists import domains
from sendinglists.models import Link
from tests import factories
from tests.pages.conftest import Person
from trackly.models import Account
from trackly.pages.links import counting

BASE = "https://hooks.example.com"


@pytest.fixture(autouse=True)
def _address(settings: Any) -> None:
    settings.PUBLIC_BASE_URL = BASE
    domains.forget()


@pytest.fixture
def offer(account: Account) -> Any:
    return factories.OfferFactory(connection__account=account, account=account, name="Sneakers")


@pytest.fixture
def link(offer: Any) -> Link:
    return factories.LinkFactory(offer=offer, account=offer.account, code="summer", campaign="Summer")


def shown(answer: Any) -> list[Any]:
    """The first cells of the list."""
    return [cells[0][1] for _, cells in answer.context["sheet"].rows]


def test_a_link_to_an_offer_is_made_with_an_own_code(member: Person, offer: Any) -> None:
    answer = member.post("link_new", offer=offer.pk, code="spring-26", campaign="Spring")
    row = Link.objects.get()
    assert answer["Location"] == member.url("link", "spring-26")
    assert (row.account, row.offer, row.destination, row.campaign) == (member.account, offer, "", "Spring")
    assert f"{BASE}/c/spring-26" in member.get("link", "spring-26").content.decode()


def test_a_link_to_an_own_address_gets_a_code(member: Person) -> None:
    member.post("link_new", destination="https://shop.example.com/", is_test="on")
    row = Link.objects.get()
    assert (len(row.code), row.destination, row.is_test, row.expires_at) == (7, "https://shop.example.com/", True, None)


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({}, "one of both"),
        ({"destination": "javascript:alert(1)"}, "Begin with https://"),
        ({"destination": "https://s.example/?click_id=7"}, "click_id is in use"),
        ({"destination": "https://[x"}, "Not a web address"),
        ({"destination": "https://s.example/", "code": "a/b"}, "Letters, digits"),
        ({"destination": "https://s.example/", "code": "ab"}, "At least 3"),
        ({"destination": "https://s.example/", "code": "summer"}, "This code is in use"),
        ({"destination": "https://s.example/", "expires_at": "2020-01-01T00:00"}, "This time is over"),
    ],
)
def test_what_cannot_be_a_link_is_refused_with_the_fix(member: Person, link: Link, typed: Any, words: str) -> None:
    answer = member.post("link_new", **typed)
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert Link.objects.count() == 1


def test_an_offer_and_an_address_are_too_many(member: Person, offer: Any) -> None:
    assert "one of both" in member.post("link_new", offer=offer.pk, destination="https://s.example/").content.decode()
    assert not Link.objects.exists()


def test_another_accounts_offer_cannot_be_led_to(member: Person, other: Account) -> None:
    foreign = factories.OfferFactory(connection__account=other, account=other)
    assert member.post("link_new", offer=foreign.pk).status_code == 200
    assert not Link.objects.exists()


def test_an_expiry_is_read_in_the_accounts_zone(member: Person, link: Link) -> None:
    Account.objects.update(time_zone="America/New_York")
    member.post("link_edit", link.code, campaign="Late", expires_at="2036-07-01T12:00")
    link.refresh_from_db()
    assert (link.campaign, link.expires_at) == ("Late", datetime(2036, 7, 1, 16, tzinfo=UTC))
    assert 'value="2036-07-01T12:00"' in member.get("link_edit", link.code).content.decode()


def test_a_link_ends_now_and_leads_to_the_fallback(member: Person, link: Link, client: Any) -> None:
    Account.objects.update(fallback_url="https://acme.com/over")
    member.post("link_end", link.code)
    assert client.get(f"/c/{link.code}")["Location"] == "https://acme.com/over"
    assert "has ended" in member.get("link", link.code).content.decode()


def test_the_expiry_of_an_ended_link_may_stay_while_its_campaign_changes(member: Person, link: Link) -> None:
    member.post("link_end", link.code)
    before = Link.objects.get().expires_at
    answer = member.post("link_edit", link.code, campaign="New", expires_at=f"{before:%Y-%m-%dT%H:%M}")
    assert answer.status_code == 302


def test_a_viewer_ends_and_makes_nothing(viewer: Person, link: Link) -> None:
    assert viewer.post("link_end", link.code).status_code == 403
    assert viewer.post("link_new", destination="https://s.example/").status_code == 403
    link.refresh_from_db()
    assert link.expires_at is None
    assert "End now" not in viewer.get("link", link.code).content.decode()


def test_links_of_messages_are_left_out_until_asked_for(viewer: Person, link: Link) -> None:
    own = factories.LinkFactory(
        offer=link.offer, account=link.account, message=factories.MessageFactory(), code="ofmessage"
    )
    assert shown(viewer.get("links")) == ["summer"]
    assert shown(viewer.get("links", kind="all")) == ["ofmessage", "summer"]
    assert shown(viewer.get("links", kind="messages")) == ["ofmessage"]
    # Whoever names a code wants that link, and may paste it whole.
    assert shown(viewer.get("links", code=f"{BASE}/c/{own.code}")) == ["ofmessage"]


def test_links_are_found_by_campaign_and_offer(viewer: Person, link: Link) -> None:
    factories.LinkFactory(offer=None, destination="https://s.example/", account=link.account, code="other")
    assert shown(viewer.get("links", campaign="Summer")) == ["summer"]
    assert shown(viewer.get("links", offer=link.offer_id)) == ["summer"]


def test_each_link_has_its_openings_people_and_machines_apart(
    viewer: Person, link: Link, django_assert_max_num_queries: Any
) -> None:
    factories.ClickFactory.create_batch(2, link=link)
    factories.ClickFactory(link=link, bot="preview")
    factories.LinkFactory.create_batch(55, offer=link.offer, account=link.account)
    factories.LinkFactory(offer=link.offer, account=link.account, code="unopened")
    with django_assert_max_num_queries(14):
        rows = viewer.get("links", code="summer").context["sheet"].rows
    assert [cell for _, cell in rows[0][1]][-3:-1] == ["2", "1"]
    with django_assert_max_num_queries(14):
        viewer.get("links")


def test_more_openings_than_are_counted_are_told_as_more(
    viewer: Person, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.ClickFactory.create_batch(4, link=link)
    monkeypatch.setattr(counting, "MOST_IN_LIST", 3)
    monkeypatch.setattr(counting, "MOST", 3)
    rows = viewer.get("links", code="summer").context["sheet"].rows
    assert [cell for _, cell in rows[0][1]][-3:-1] == ["4+", "0+"]
    said = viewer.get("link", "summer").content.decode()
    assert "4+" in said
    assert "the newest of them are counted" in said
    assert len(viewer.get("link", "summer").context["table"].rows) == 4


def test_a_links_page_tells_who_opened_it(viewer: Person, link: Link, django_assert_max_num_queries: Any) -> None:
    factories.ClickFactory.create_batch(25, link=link, is_counted=True)
    factories.ClickFactory.create_batch(2, link=link, bot="preview", is_test=True)
    factories.ClickFactory(link=factories.LinkFactory(offer=link.offer, account=link.account))
    with django_assert_max_num_queries(16):
        answer = viewer.get("link", link.code)
    counts = answer.context["counts"]
    assert (counts.people, counts.first, counts.by_machines, counts.tests) == (25, 25, 2, 2)
    newest = Click.objects.filter(link=link).order_by("-pk").first()
    assert len(answer.context["table"].rows) == 20
    assert newest is not None
    assert answer.context["table"].rows[0][0].name == newest.click_id


def test_without_a_public_address_the_page_says_so(viewer: Person, link: Link, settings: Any) -> None:
    settings.PUBLIC_BASE_URL = ""
    assert "PUBLIC_BASE_URL" in viewer.get("link", link.code).content.decode()


def test_a_link_stands_under_the_accounts_own_host(viewer: Person, link: Link, timedelta_day: timedelta) -> None:
    factories.LinkDomainFactory(account=link.account, host="go.acme.com", checked_at=factories.now() - timedelta_day)
    domains.forget()
    assert "https://go.acme.com/c/summer" in viewer.get("link", link.code).content.decode()


@pytest.fixture
def timedelta_day() -> timedelta:
    return timedelta(days=1)
