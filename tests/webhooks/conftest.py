"""Fixtures of the inbound webhooks: one account's line at the sandbox, a message sent over it, and somebody else's."""

import pytest

from sendinglists.models import Message, SendingList
from tests.factories import MessageFactory, SendingListFactory
from tests.webhooks.calls import OURS, PERSON


@pytest.fixture
def line(db: None) -> SendingList:
    """A sending list at the sandbox, with the number replies are sent to."""
    return SendingListFactory(number=OURS)


@pytest.fixture
def message(line: SendingList) -> Message:
    """A message sent over the line, known by our reference and by the provider's id."""
    return MessageFactory(sending_list=line, to=PERSON, provider_message_id="v-1")


@pytest.fixture
def other(db: None) -> Message:
    """A message of another account, at the same provider and to the same person."""
    return MessageFactory(sending_list=SendingListFactory(number=OURS), to=PERSON, provider_message_id="v-2")
