"""The pages of clicks: people first, machines apart with the reason, totals beside them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from postbacks.models import Click
from sendinglists.models import Link
from tests import factories
from tests.pages.conftest import Person
from trackly.models import Account
from trackly.pages.links import clicks, counting


@pytest.fixture
def link(account: Account) -> Link:
    return factories.LinkFactory(offer__connection__account=account, code="summer", campaign="Summer")


def ids(answer: Any) -> list[str]:
    return [leads.rstrip("/").rpartition("/")[2] for leads, _ in answer.context["sheet"].rows]


def opened(link: Link, click_id: str, **fields: Any) -> Click:
    return factories.ClickFactory(link=link, click_id=click_id, **fields)


def test_people_come_first_and_machines_when_asked_for(viewer: Person, link: Link) -> None:
    opened(link, "person")
    opened(link, "machine", bot="preview")
    assert ids(viewer.get("clicks")) == ["person"]
    assert ids(viewer.get("clicks", who="machines")) == ["machine"]
    assert ids(viewer.get("clicks", who="all")) == ["machine", "person"]
    assert "preview in a message app" in viewer.get("clicks", who="machines").content.decode()


def test_clicks_are_found_by_id_link_offer_and_campaign(viewer: Person, link: Link) -> None:
    opened(link, "mine")
    opened(link, "machine", bot="preview")
    factories.ClickFactory(link=factories.LinkFactory(offer__connection__account=link.account), click_id="else")
    assert ids(viewer.get("clicks", click_id=" MINE ")) == ["mine"]
    assert ids(viewer.get("clicks", code="https://x.example/c/summer")) == ["mine"]
    assert ids(viewer.get("clicks", code="nothing")) == []
    assert ids(viewer.get("clicks", offer=link.offer_id)) == ["mine"]
    assert ids(viewer.get("clicks", campaign="Summer", who="all")) == ["machine", "mine"]


def test_a_links_clicks_are_found_however_many_newer_ones_others_have(
    viewer: Person, link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clicks, "NEWEST", 2)
    opened(link, "mine")
    factories.ClickFactory.create_batch(
        3, link=factories.LinkFactory(offer__connection__account=link.account), account=link.account
    )
    assert ids(viewer.get("clicks", code="summer")) == ["mine"]
    assert "mine" not in ids(viewer.get("clicks"))


def test_another_accounts_link_and_click_are_not_found(viewer: Person, other: Account) -> None:
    foreign = factories.LinkFactory(offer__connection__account=other, code="foreign")
    opened(foreign, "theirs")
    assert ids(viewer.get("clicks", code="foreign", who="all")) == []
    assert ids(viewer.get("clicks", click_id="theirs", who="all")) == []
    assert viewer.get("click", "theirs").status_code == 404


def test_a_day_is_the_accounts_own_day(viewer: Person, link: Link) -> None:
    Account.objects.update(time_zone="America/New_York")
    for name, at in (
        ("before", datetime(2026, 3, 10, 3, 59, tzinfo=UTC)),
        ("first", datetime(2026, 3, 10, 4, 0, tzinfo=UTC)),
        ("last", datetime(2026, 3, 11, 3, 59, tzinfo=UTC)),
        ("after", datetime(2026, 3, 11, 4, 0, tzinfo=UTC)),
    ):
        opened(link, name, at=at)
    assert ids(viewer.get("clicks", day="2026-03-10")) == ["last", "first"]
    assert ids(viewer.get("clicks", day="2026-03-12")) == []
    assert ids(viewer.get("clicks", day="2020-01-01")) == []


def test_the_ids_of_a_time_are_found_by_halving(link: Link) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    found = []
    for n in range(40):
        # Another account's stand between.
        factories.ClickFactory(at=start)
        found.append(opened(link, f"c{n}", at=start + timedelta(hours=n)))
    for first, last in ((0, 40), (5, 9), (39, 40), (0, 1)):
        begin, end = start + timedelta(hours=first, minutes=-30), start + timedelta(hours=last, minutes=-30)
        before, within = counting.ids_between(link.account, begin, end)
        assert (
            list(Click.objects.filter(account=link.account, pk__gt=before, pk__lte=within).order_by("pk"))
            == found[first:last]
        )


def test_totals_tell_people_first_openings_and_machines(viewer: Person, link: Link) -> None:
    now = factories.now()
    for hours, kind, n in (
        (1, "click", 5),
        (1, "bot_click", 2),
        (1, "counted_click", 3),
        (48, "click", 10),
        (480, "click", 100),
    ):
        hour = (now - timedelta(hours=hours)).replace(minute=0, second=0, microsecond=0)
        factories.HourlyTotalFactory(account=link.account, kind=kind, n=n, hour=hour)
    totals = dict(viewer.get("clicks").context["totals"])
    assert totals["24 hours"] == {"click": 5, "counted_click": 3, "bot_click": 2}
    assert [totals[span]["click"] for span in ("24 hours", "7 days", "30 days")] == [5, 15, 115]


def test_a_viewer_sees_whom_a_message_went_to_masked(viewer: Person, member: Person, link: Link) -> None:
    message = factories.MessageFactory(to="+14155550123", account=link.account)
    Link.objects.update(message=message)
    link.refresh_from_db()
    opened(link, "mine")
    assert "+14155550123" not in viewer.get("clicks").content.decode()
    assert "+14155550123" in member.get("clicks").content.decode()


def test_the_list_is_read_live(viewer: Person, link: Link) -> None:
    opened(link, "mine")
    part = viewer.client.get(viewer.url("clicks") + "?live=1", headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith('<div id="rows"')
    assert "every 2s" in part


def test_the_list_has_few_queries_whatever_its_rows(
    viewer: Person, account: Account, django_assert_max_num_queries: Any
) -> None:
    for _ in range(55):
        link = factories.LinkFactory(
            offer__connection__account=account,
            message=factories.MessageFactory(sending_list__provider_account__account=account),
        )
        factories.ClickFactory(link=link, sending_list=link.message.sending_list)
    for query in ({}, {"who": "all"}, {"code": link.code}, {"day": "2026-01-01"}, {"campaign": "x"}):
        with django_assert_max_num_queries(18):
            viewer.get("clicks", **query)


def test_a_click_tells_its_story(viewer: Person, link: Link, django_assert_max_num_queries: Any) -> None:
    click = opened(link, "mine", bot="preview", user_agent="<b>WhatsApp</b>")
    factories.ConversionFactory.create_batch(3, account=link.account, click=click, verdict="recorded")
    with django_assert_max_num_queries(14):
        said = viewer.get("click", "mine").content.decode()
    assert "Taken for a machine" in said
    assert "&lt;b&gt;WhatsApp" in said
