"""The story of a message says where it stands in our own queues, and what keeps it there."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from sendinglists.models import Message
from tests.factories import DeliveryEventFactory, MessageFactory, WorkerRunFactory, now
from trackly.showing import Badge
from trackly.stories.messages import message_story
from webhooks.statuses import Origin

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def told(row: Message, at: datetime | None = None) -> str:
    story = message_story(row, is_revealed=False, now=at)
    return " ".join([story.headline, *story.why])


def badges(row: Message) -> list[str]:
    return [
        moment.what.text for moment in message_story(row, is_revealed=False).moments if isinstance(moment.what, Badge)
    ]


def message(**fields: Any) -> Message:
    return MessageFactory(status="queued", **fields)


def test_a_queued_message_says_when_it_goes_and_who_is_missing() -> None:
    row = message(due_at=now() - 5 * MINUTE)
    assert "It is sent as soon as a worker and its list are free. No worker is alive" in told(row)
    WorkerRunFactory()
    assert "No worker" not in told(row)
    assert "It is sent in 4 min" in told(message(due_at=now() + 5 * MINUTE))


def test_a_queued_message_of_a_paused_list_says_what_becomes_of_it() -> None:
    row = message(due_at=now())
    assert "paused" not in told(row)
    row.sending_list.status = "paused"
    row.sending_list.save()
    assert "Its list is paused: if it still is when the message comes to its turn, the message is dropped." in told(row)


def test_a_message_whose_send_was_never_answered_is_neither_sent_nor_queued() -> None:
    at = now()
    row = message(handed_at=at - MINUTE, created_at=at - 60 * MINUTE, ask_at=at + MINUTE, tries=1)
    said = told(row, at)
    assert "Nobody knows whether the message went: its send of 1 min ago was never answered." in said
    assert f"the provider is asked at {at + MINUTE:%H:%M} UTC" in said
    assert "only a report can tell" in told(message(handed_at=at - MINUTE))
    assert "being handed" in told(message(handed_at=at, leased_until=at + MINUTE))


def test_an_answer_that_told_no_status_says_whether_the_message_was_taken() -> None:
    row = message(created_at=now() - MINUTE, handed_at=now(), tries=1)
    for reason in ("throttled", ""):
        DeliveryEventFactory(message=row, status="unknown", reason=reason, origin=Origin.ANSWER, request_uid=None)
    assert badges(row) == ["Created", "Handed to the provider", "Not taken", "No clear answer"]


def test_each_entry_says_where_it_came_from() -> None:
    row = message()
    for origin in (Origin.ANSWER, Origin.ASKED, Origin.IMPORT, Origin.OURS):
        DeliveryEventFactory(message=row, status="sent", origin=origin, request_uid=None)
    sources = [moment.source for moment in message_story(row, is_revealed=False).moments[1:]]
    assert sources == ["answer to our send", "asked of the provider", "imported", "decided here"]


def test_what_is_accepted_and_not_reported_says_when_it_is_asked_about() -> None:
    at = now()
    row = MessageFactory(status="accepted", sent_at=at, handed_at=at, ask_at=at + 15 * MINUTE)
    assert f"the provider is asked about it at {at + 15 * MINUTE:%Y-%m-%d %H:%M} UTC" in told(row, at)
    final = MessageFactory(status="delivered", sent_at=at, handed_at=at, ask_at=at + 15 * MINUTE)
    assert "is asked" not in told(final, at)
