"""The lists: turning both ways, filters kept while turning, the window, live reading, and what makes no sense in an address."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from sendinglists.models import Message
from tests import factories
from tests.pages.conftest import Person
from trackly import cursors
from trackly.pages import listing
from trackly.signing import new_uid
from webhooks.inbound.models import InboundRequest

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _short_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "ROWS", 3)


def make(owner: Person, n: int, **fields: Any) -> list[Message]:
    party = factories.ProviderAccountFactory(account=owner.account)
    return [
        factories.MessageFactory(
            account=owner.account, provider_account=party, sending_list=None, public_id=f"m{i:07d}", **fields
        )
        for i in range(1, n + 1)
    ]


def shown(answer: Any) -> list[int]:
    """Which messages stand on it."""
    return [int(found) for found in re.findall(r"/messages/m(\d{7})/", answer.content.decode())]


def turn(owner: Person, answer: Any, rel: str) -> Any:
    found = re.search(rf'rel="{rel}" href="([^"]+)"', answer.content.decode())
    assert found, f"no way to {rel}"
    query = found.group(1).replace("&amp;", "&")
    return owner.client.get(f"{answer.wsgi_request.path}{query}")


def has(answer: Any, rel: str) -> bool:
    return f'rel="{rel}"' in answer.content.decode()


def test_the_newest_come_first_and_turning_shows_each_once_in_both_directions(owner: Person) -> None:
    make(owner, 8)
    first = owner.get("messages")
    second = turn(owner, first, "next")
    third = turn(owner, second, "next")
    assert [shown(page) for page in (first, second, third)] == [[8, 7, 6], [5, 4, 3], [2, 1]]
    assert not has(first, "prev")
    assert not has(third, "next")
    back = turn(owner, third, "prev")
    assert shown(back) == [5, 4, 3]
    assert shown(turn(owner, back, "prev")) == [8, 7, 6]


def test_what_comes_meanwhile_does_not_shift_the_pages(owner: Person) -> None:
    rows = make(owner, 6)
    first = owner.get("messages")
    factories.MessageFactory(
        account=owner.account, provider_account=rows[0].provider_account, sending_list=None, public_id="m0000009"
    )
    second = turn(owner, first, "next")
    assert shown(second) == [3, 2, 1]
    back = turn(owner, second, "prev")
    assert shown(back) == [6, 5, 4]
    # What is new stands before it; the page that would hold it alone is the first one, whole.
    assert shown(turn(owner, back, "prev")) == [9, 6, 5]
    assert shown(owner.get("messages")) == [9, 6, 5]


def test_filters_are_kept_while_turning(owner: Person) -> None:
    make(owner, 4, campaign="spring")
    second = turn(owner, owner.get("messages", campaign="spring"), "next")
    assert shown(second) == [1]
    assert second.wsgi_request.GET["campaign"] == "spring"
    assert b'value="spring"' in second.content


def test_a_filter_without_an_index_looks_among_the_newest_and_says_so(
    owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "NEWEST", 2)
    rows = make(owner, 3)
    Message.objects.filter(pk__in=[row.pk for row in rows]).update(campaign="spring")
    answer = owner.get("messages", campaign="spring")
    assert shown(answer) == [3, 2]
    assert b"Among the newest 2 messages" in answer.content


def test_a_filter_by_which_few_are_found_looks_through_all_with_any_other(
    owner: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "NEWEST", 1)
    rows = make(owner, 3)
    Message.objects.filter(pk=rows[0].pk).update(to="+14155550199", campaign="spring")
    answer = owner.get("messages", phone="+14155550199", campaign="spring")
    assert shown(answer) == [1]
    assert b"Among the newest" not in answer.content


def test_the_rows_of_others_are_in_no_list(owner: Person, rival: Person) -> None:
    make(owner, 2)
    assert shown(rival.get("messages")) == []


@pytest.mark.parametrize("cursor", ["nonsense", "é", ""])
def test_a_cursor_that_is_none_leads_to_the_beginning(owner: Person, cursor: str) -> None:
    make(owner, 4)
    assert shown(owner.get("messages", before=cursor)) == [4, 3, 2]


def test_a_cursor_of_another_list_leads_to_the_beginning(owner: Person) -> None:
    rows = make(owner, 4)
    assert shown(owner.get("messages", before=cursors.make(rows[1].pk, "event"))) == [4, 3, 2]
    assert shown(owner.get("messages", before=cursors.make(rows[1].pk, "message"))) == [1]


def test_a_value_that_makes_no_sense_filters_nothing_and_is_explained(owner: Person) -> None:
    make(owner, 2)
    answer = owner.get("messages", since="yesterday-ish", status="flying")
    assert shown(answer) == [2, 1]
    assert answer.content.count(b"tk-error") == 2


def test_a_live_list_asks_again_for_its_rows_alone_with_its_filters(owner: Person) -> None:
    make(owner, 2, campaign="spring")
    answer = owner.get("messages", campaign="spring", live="1")
    found = re.search(r'hx-get="([^"]+)" hx-trigger="every 2s"', answer.content.decode())
    assert found
    query = parse_qs(urlparse(found.group(1).replace("&amp;", "&")).query)
    assert query == {"campaign": ["spring"], "live": ["1"]}
    part = owner.client.get(found.group(1).replace("&amp;", "&"), headers={"HX-Request": "true"})
    assert part.content.strip().startswith(b'<div id="rows"')
    assert b"<html" not in part.content
    assert shown(part) == [2, 1]


def test_a_list_is_live_only_when_asked_and_only_on_its_first_page(owner: Person) -> None:
    make(owner, 5)
    first = owner.get("messages")
    assert b"data-live" not in first.content
    assert b"Watch live" in first.content
    second = turn(owner, owner.get("messages"), "next")
    path = second.wsgi_request.get_full_path()
    assert b"data-live" not in owner.client.get(f"{path}&live=1").content


def test_requests_are_turned_by_their_time_and_uid(owner: Person) -> None:
    """Two of one millisecond stand in the order of their uids, and none is lost or shown twice."""
    at = NOW.replace(microsecond=0)
    stamps = [at, at, at, at, at + timedelta(milliseconds=5), at - timedelta(days=1), at + timedelta(seconds=1)]
    uids = [new_uid(int(stamp.timestamp() * 1000)) for stamp in stamps]
    for uid in uids:
        factories.InboundRequestFactory(
            account=owner.account, uid=uid, state="refused", refusal="bad_signature", answer_status=401
        )
    expected = [str(row.uid) for row in InboundRequest.objects.order_by("-received_at", "-uid")]

    def on(answer: Any) -> list[str]:
        return re.findall(r"/requests/([0-9a-f-]{36})/", answer.content.decode())

    first = owner.get("requests")
    second = turn(owner, first, "next")
    third = turn(owner, second, "next")
    assert on(first) + on(second) + on(third) == expected
    assert on(turn(owner, third, "prev")) == on(second)


def test_a_number_that_matters_little_is_left_out_on_a_phone_as_well(owner: Person) -> None:
    factories.InboundRequestFactory(account=owner.account, state="failed")
    said = owner.get("requests").content.decode()
    assert '<th scope="col" class="tk-number tk-minor">We answered</th>' in said
    assert '<td class="tk-number tk-minor">' in said
