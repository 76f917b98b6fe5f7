"""Cursor pages: every row once, whatever is made meanwhile; and a page costs the same number of queries, however long."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from sendinglists import domains
from sendinglists.models import SendingList
from tests import factories
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db


def walk(us: Caller, path: str, limit: int, between: Callable[[], Any] = lambda: None) -> list[dict[str, Any]]:
    """All rows, page by page."""
    found, cursor = [], ""
    while True:
        joiner = "&" if "?" in path else "?"
        status, said = us.get(f"{path}{joiner}limit={limit}{f'&cursor={cursor}' if cursor else ''}")
        assert status == 200, said
        found += said["data"]
        cursor = said["next_cursor"]
        if cursor is None:
            return found
        assert len(said["data"]) == limit
        between()


def test_pages_hold_every_row_once_newest_first_while_rows_are_made(us: Caller, our_list: SendingList) -> None:
    made = [factories.MessageFactory(sending_list=our_list).public_id for _ in range(7)]
    found = walk(us, "messages", 2, between=lambda: factories.MessageFactory(sending_list=our_list))
    assert [row["message_id"] for row in found] == made[::-1]


def test_a_page_that_is_full_to_the_last_row_has_no_next(us: Caller, our_list: SendingList) -> None:
    factories.MessageFactory.create_batch(4, sending_list=our_list)
    assert len(walk(us, "messages", 2)) == 4
    assert us.get("messages?limit=4")[1]["next_cursor"] is None


def test_filters_hold_on_every_page(us: Caller, our_list: SendingList) -> None:
    for n in range(6):
        factories.MessageFactory(sending_list=our_list, campaign="a" if n % 2 else "b")
    assert {row["campaign"] for row in walk(us, "messages?campaign=a", 1)} == {"a"}
    assert len(walk(us, "messages?campaign=a", 1)) == 3


def test_fifty_rows_are_a_page_unless_more_are_asked_for(us: Caller, our_list: SendingList) -> None:
    factories.MessageFactory.create_batch(101, sending_list=our_list)
    assert len(us.get("messages")[1]["data"]) == 50
    assert len(us.get("messages?limit=100")[1]["data"]) == 100


def test_a_cursor_of_another_list_is_refused(us: Caller, our_list: SendingList) -> None:
    factories.MessageFactory.create_batch(2, sending_list=our_list)
    cursor = us.get("messages?limit=1")[1]["next_cursor"]
    status, said = us.get(f"links?cursor={cursor}")
    assert (status, said["code"]) == (400, "invalid_cursor")
    assert us.get(f"messages?cursor={cursor[:-4]}AAAA")[1]["code"] == "invalid_cursor"


def test_another_accounts_cursor_shows_nothing_of_it(us: Caller, them: Caller, our_list: SendingList) -> None:
    factories.MessageFactory.create_batch(3, sending_list=our_list)
    cursor = us.get("messages?limit=1")[1]["next_cursor"]
    assert them.get(f"messages?cursor={cursor}") == (200, {"data": [], "next_cursor": None})


def test_a_cursor_tells_nothing_of_how_many_rows_there_are(us: Caller, our_list: SendingList) -> None:
    factories.MessageFactory.create_batch(2, sending_list=our_list)
    one, other = (us.get("messages?limit=1")[1]["next_cursor"] for _ in range(2))
    assert one != other


def fill(us: Caller, our_list: SendingList, n: int) -> None:
    for _ in range(n):
        party = factories.ProviderAccountFactory(account=us.account)
        own = factories.SendingListFactory(provider_account=party)
        factories.SubscriptionFactory.create_batch(2, sending_list=own)
        message = factories.MessageFactory(sending_list=own, campaign="summer")
        offer = factories.OfferFactory(connection__account=us.account)
        link = factories.LinkFactory(offer=offer, message=message)
        click = factories.ClickFactory(link=link)
        factories.ConversionFactory(
            account=us.account, click=click, message=message, offer=offer, sending_list=own, connection=offer.connection
        )
        factories.SuppressionFactory(account=us.account)


def counted(us: Caller, path: str) -> tuple[dict[str, Any], list[str]]:
    """What is answered, and the queries it cost, without the one for the hosts of the account's links: once in seconds."""
    domains.base_url(us.account.pk)
    with CaptureQueriesContext(connection) as asked:
        status, said = us.get(path)
    assert status == 200, said
    return said, [query["sql"][:200] for query in asked]


# The key with its account, the note of its use, the page; of lists the counts of contacts.
QUERIES = {"messages": 3, "lists": 4, "links": 3, "conversions": 3, "suppressions": 3}


@pytest.mark.parametrize("path", QUERIES)
def test_a_page_costs_the_same_queries_whatever_it_holds(us: Caller, our_list: SendingList, path: str) -> None:
    fill(us, our_list, 3)
    said, asked = counted(us, path)
    assert len(said["data"]) >= 3
    assert len(asked) == QUERIES[path], asked
    fill(us, our_list, 3)
    more, asked = counted(us, path)
    assert len(more["data"]) == len(said["data"]) + 3
    # The use was noted less than a minute ago.
    assert len(asked) == QUERIES[path] - 1


def test_one_message_costs_four_queries_however_long_its_timeline(us: Caller, our_list: SendingList) -> None:
    us.get("lists")
    message = factories.MessageFactory(sending_list=our_list)
    factories.DeliveryEventFactory.create_batch(5, message=message)
    # Only an account with hosts of brands needs the list of a link's message.
    factories.LinkDomainFactory(account=us.account, brand="Beta", checked_at=factories.now())
    for _ in range(3):
        factories.LinkFactory(offer=factories.OfferFactory(connection__account=us.account), message=message)
    domains.forget()
    said, asked = counted(us, f"messages/{message.public_id}")
    assert (len(said["timeline"]), len(said["links"])) == (5, 3)
    assert len(asked) == 4
