"""The story of a contact: each opt-out, how it came, and what was sent or kept back after it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests import factories
from trackly.showing import Badge, To
from trackly.stories import Story, Table
from trackly.stories.people import contact_story
from trackly.stories.rows import link, request_link

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
PHONE = "+14155550177"


@pytest.fixture
def held() -> Any:
    sending_list = factories.SendingListFactory(name="Spring", brand="Acme")
    contact = factories.ContactFactory(account=sending_list.account, phone=PHONE)
    return factories.SubscriptionFactory(sending_list=sending_list, contact=contact)


def change(held: Any, at: datetime, decision: str = "opt_out", **fields: Any) -> Any:
    held.state, held.decided_at = ("opted_out" if decision == "opt_out" else "subscribed"), at
    held.save()
    return factories.SubscriptionChangeFactory(subscription=held, decision=decision, at=at, **fields)


def message(held: Any, at: datetime, **fields: Any) -> Any:
    return factories.MessageFactory(sending_list=held.sending_list, to=PHONE, created_at=at, **fields)


def story(held: Any, *, is_revealed: bool = False) -> Story:
    return contact_story(held.contact, is_revealed=is_revealed)


def table(held: Any) -> Table:
    return story(held).tables[0]


def test_each_opt_out_tells_its_origin_its_request_and_that_nothing_came_after_it(held: Any) -> None:
    uid = factories.InboundRequestFactory().uid
    change(held, NOW, request_uid=uid)
    change(held, NOW + 2 * HOUR, "opt_in")
    change(held, NOW + 4 * HOUR, origin="api")
    message(held, NOW - HOUR)
    message(held, NOW + 3 * HOUR)
    by_api, by_reply = table(held).rows
    spring = link(held.sending_list, "Spring")
    request = request_link(uid, "how it came")
    assert by_reply == (NOW, spring, "Reply", request, "none", None, "none", NOW + 2 * HOUR)
    assert by_api == (NOW + 4 * HOUR, spring, "API", None, "none", None, "none", None)
    assert story(held).why == ("No message was sent to it after an opt-out that covers the message's list.",)


def test_messages_after_an_opt_out_are_counted_until_it_ended(held: Any) -> None:
    change(held, NOW)
    change(held, NOW + 3 * HOUR, "opt_in")
    message(held, NOW + HOUR)
    newest = message(held, NOW + 2 * HOUR)
    message(held, NOW + 4 * HOUR)
    (row,) = table(held).rows
    assert row[4:6] == (Badge("2", "bad"), link(newest))
    late = [moment.at for moment in story(held).moments if getattr(moment.what, "text", "") == "Sent after the opt-out"]
    assert late == [NOW + HOUR, NOW + 2 * HOUR]


def test_a_message_handed_over_before_the_opt_out_is_not_late_whenever_it_was_answered(held: Any) -> None:
    change(held, NOW)
    message(held, NOW - HOUR, handed_at=NOW - timedelta(seconds=1), sent_at=NOW + timedelta(seconds=1))
    assert table(held).rows[0][4] == "none"


def test_a_message_made_before_the_opt_out_and_handed_over_after_it_is_late(held: Any) -> None:
    change(held, NOW)
    message(held, NOW - HOUR, handed_at=NOW + timedelta(seconds=1))
    assert table(held).rows[0][4] == Badge("1", "bad")


def test_a_message_that_still_waits_is_not_late(held: Any) -> None:
    change(held, NOW)
    message(held, NOW + HOUR, due_at=NOW + HOUR)
    assert table(held).rows[0][4] == "none"


def test_what_was_kept_back_is_told_with_the_newest_of_it(held: Any) -> None:
    change(held, NOW)
    message(held, NOW - HOUR, status="dropped", reason="opt_out")
    newest = message(held, NOW + HOUR, status="dropped", reason="opt_out")
    message(held, NOW + HOUR, status="dropped", reason="stale")
    (row,) = table(held).rows
    assert (row[4], row[6]) == ("none", link(newest, "2, the newest"))
    assert story(held).why[1] == "2 more would have gone out and were kept back because of an opt-out."
    words = [moment.what.text for moment in story(held).moments if isinstance(moment.what, Badge)]
    assert words.count("Kept back") == 2


def test_a_closed_brand_covers_its_lists_and_no_others(held: Any) -> None:
    factories.SuppressionFactory(account=held.account, phone=PHONE, brand="Acme", decided_at=NOW, cause="asked by mail")
    other = factories.SendingListFactory(provider_account=held.sending_list.provider_account, brand="Zeta")
    factories.MessageFactory(sending_list=other, to=PHONE, created_at=NOW + HOUR)
    message(held, NOW + HOUR)
    (row,) = table(held).rows
    assert (row[1], row[2], row[4]) == ("Acme", "asked by mail", Badge("1", "bad"))


def test_another_accounts_messages_to_the_same_phone_are_not_counted(held: Any) -> None:
    change(held, NOW)
    factories.MessageFactory(to=PHONE, created_at=NOW + HOUR)
    assert table(held).rows[0][4] == "none"


def test_the_list_of_its_messages_is_linked_only_where_the_number_may_be_seen(held: Any) -> None:
    change(held, NOW)
    assert story(held).tables[0].more is None
    more = story(held, is_revealed=True).tables[0].more
    assert isinstance(more, To)
    assert more.query == (("q", "+14155550177"),)


def test_a_reply_that_calls_it_spam_is_marked_so(held: Any) -> None:
    for text in ("This is spam!", "I like spam musubi"):
        factories.ReplyFactory(provider_account=held.sending_list.provider_account, sender=PHONE, text=text)
    said = [str(moment.detail) for moment in story(held).moments if moment.what == "Reply"]
    assert [text.endswith("which calls it spam") for text in said] == [True, False]
