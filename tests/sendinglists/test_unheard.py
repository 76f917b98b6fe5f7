"""What somebody wrote and we acknowledged is read before another message goes to them: it may be a STOP."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from sendinglists.models import Message, SendingList
from sendinglists.sending import READ_FIRST
from tests.factories import InboundRequestFactory, MessageFactory, SendingListFactory, now
from tests.webhooks.calls import call, events, reply, token_url
from webhooks.inbound.unheard import unheard

pytestmark = pytest.mark.django_db(transaction=True)
A, B = "+14155550111", "+14155550112"
Work = Callable[..., int]


def due(line: SendingList, to: str = A) -> Message:
    row: Message = MessageFactory(sending_list=line, to=to, status="queued", due_at=now())
    return row


def status(message: Message) -> str:
    message.refresh_from_db()
    return message.status


def write(line: SendingList, text: str, sender: str = A) -> None:
    said = reply(text, key=f"{text} {sender}", sender=sender, to=line.number)
    assert call(token_url(line.provider_account), events(said)).status == 200


def test_a_stop_that_waits_in_the_inbox_holds_the_message_and_then_drops_it(dispatch: Work, work_off: Work) -> None:
    line = SendingListFactory()
    write(line, "STOP")
    message, other = due(line), due(line, B)
    dispatch()
    assert (status(message), message.handed_at, message.tries) == ("queued", None, 0)
    assert status(other) == "accepted"
    work_off()
    dispatch(now() + READ_FIRST)
    assert (status(message), message.reason) == ("dropped", "opt_out")


def test_an_ordinary_reply_holds_the_message_for_a_moment_only(dispatch: Work, work_off: Work) -> None:
    line = SendingListFactory()
    write(line, "Thanks")
    message = due(line)
    dispatch()
    assert status(message) == "queued"
    work_off()
    dispatch(now() + READ_FIRST)
    assert status(message) == "accepted"


def test_only_waiting_requests_of_providers_count_also_those_that_are_tried_again() -> None:
    InboundRequestFactory(state="done", ids=[A])
    InboundRequestFactory(state="refused", ids=[A])
    InboundRequestFactory(state="failed", ids=[A])
    InboundRequestFactory(source="postback", slug="tune", state="waiting", ids=[A])
    assert unheard({A, B}, now()) == set()
    InboundRequestFactory(state="waiting", due_at=now() - READ_FIRST, ids=["message-1", B])
    assert unheard({A, B}, now()) == {B}
    InboundRequestFactory(state="waiting", due_at=now() + timedelta(minutes=5), attempts=2, ids=["message-2", A])
    assert unheard({A, B}, now()) == {A, B}
    assert unheard(set(), now()) == set()


def test_while_the_inbox_is_far_behind_everybody_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webhooks.inbound.unheard.BEHIND", 2)
    InboundRequestFactory(state="waiting", due_at=now() - READ_FIRST, ids=["message-1"])
    assert unheard({A, B}, now()) == set()
    InboundRequestFactory(state="waiting", due_at=now() - READ_FIRST, ids=["message-2"])
    assert unheard({A, B}, now()) == {A, B}
