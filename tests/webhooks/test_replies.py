"""What people answer: stored once, given to the list they wrote to, and read for what they decide."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from twilio.request_validator import RequestValidator

from sendinglists.models import Message, SendingList, Subscription, SubscriptionChange, Suppression
from tests.factories import (
    ContactFactory,
    MessageFactory,
    ProviderAccountFactory,
    SendingListFactory,
    SubscriptionFactory,
)
from tests.webhooks.calls import OURS, PERSON, call, reply, report, tell, token_url
from trackly.models import Account, HourlyTotal
from webhooks.inbound.models import InboundRequest, Reply

pytestmark = pytest.mark.django_db
WorkOff = Callable[[], int]
EIGHT, NINE, TEN = (f"2026-11-23T{hour}:00:00Z" for hour in ("08", "09", "10"))


def states() -> list[str]:
    return list(Subscription.objects.order_by("id").values_list("state", flat=True))


@pytest.mark.parametrize(
    "text", ["STOP", " stop. ", "Unsubscribe", "STOP ALL", "opt out!", "\u00abQuit\u00bb", "stop\n"]
)
def test_stop_words_close_the_list_that_was_written_to(text: str, line: SendingList, work_off: WorkOff) -> None:
    tell(line.provider_account, reply(text))
    work_off()
    subscription = Subscription.objects.get()
    assert (subscription.sending_list, subscription.contact.phone) == (line, PERSON)
    assert subscription.state == "opted_out"
    stored = Reply.objects.get()
    assert (stored.text, stored.decision, stored.sending_list) == (text, "opt_out", line)
    assert not Suppression.objects.exists()


@pytest.mark.parametrize(
    ("text", "decision"), [("HELP", "help"), ("stop by tomorrow", "reply"), ("", "reply"), ("\U0001f6d1", "reply")]
)
def test_help_and_ordinary_replies_decide_nothing(
    text: str, decision: str, line: SendingList, work_off: WorkOff
) -> None:
    tell(line.provider_account, reply(text))
    work_off()
    assert Reply.objects.get().decision == decision
    assert states() == []


def test_start_opens_the_list_again(line: SendingList, work_off: WorkOff) -> None:
    tell(line.provider_account, reply("STOP", at=NINE))
    tell(line.provider_account, reply("START", key="r-2", at=TEN))
    work_off()
    assert states() == ["subscribed"]
    kinds = HourlyTotal.objects.filter(list_id=line.id).values_list("kind", "n")
    assert dict(kinds) == {"reply": 2, "opt_out": 1, "opt_in": 1}


@pytest.mark.parametrize("one_batch", [True, False])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0)])
def test_latest_decision_by_provider_time_stands_in_any_order_of_arrival(
    order: tuple[int, ...], one_batch: bool, line: SendingList, work_off: WorkOff
) -> None:
    words = ("START", EIGHT), ("STOP", NINE), ("START", TEN)
    told = [reply(text, key=at, at=at) for text, at in (words[index] for index in order)]
    for batch in [told] if one_batch else [[item] for item in told]:
        tell(line.provider_account, *batch)
        work_off()
    assert states() == ["subscribed"]


@pytest.mark.parametrize("words", [("STOP", "START"), ("START", "STOP")])
def test_stop_and_start_of_the_same_moment_close(words: tuple[str, str], line: SendingList, work_off: WorkOff) -> None:
    for word in words:
        tell(line.provider_account, reply(word, key=word, at=NINE))
        work_off()
    assert states() == ["opted_out"]


def test_stop_from_the_future_counts_at_its_receipt_and_can_be_undone(line: SendingList, work_off: WorkOff) -> None:
    tell(line.provider_account, reply("STOP", at="2099-01-01T00:00:00Z"))
    work_off()
    received_at = InboundRequest.objects.get().received_at
    assert SubscriptionChange.objects.get().at == Subscription.objects.get().decided_at == received_at
    assert Reply.objects.get().at is None
    tell(line.provider_account, reply("START", key="r-2"))
    work_off()
    assert states() == ["subscribed"]


def test_repeated_reply_is_stored_and_counted_once(line: SendingList, work_off: WorkOff) -> None:
    tell(line.provider_account, reply("hello"), reply("hello"))
    work_off()
    tell(line.provider_account, reply("hello"))
    work_off()
    assert Reply.objects.count() == 1
    assert HourlyTotal.objects.get(kind="reply").n == 1
    assert "1 duplicate reply" in InboundRequest.objects.latest("received_at").outcome


@pytest.mark.parametrize("number", [OURS, "+18005550199"], ids=["list of account scope", "number no list has"])
def test_stop_that_comes_again_after_start_closes_nothing_anew(
    number: str, line: SendingList, work_off: WorkOff
) -> None:
    """Without a provider's time the second copy would be the latest decision, would it count."""
    SendingList.objects.update(opt_out_scope=SendingList.Scope.ACCOUNT)
    for key, text in (("1", "STOP"), ("2", "START"), ("1", "STOP")):
        tell(line.provider_account, reply(text, key=key, to=number))
        work_off()
    assert Suppression.objects.get().is_active is False


def test_stop_to_a_number_no_list_has_closes_the_account(line: SendingList, work_off: WorkOff) -> None:
    tell(line.provider_account, reply("STOP", to="+18005550199", at=NINE))
    work_off()
    held = Suppression.objects.get()
    assert (held.account, held.phone, held.brand, held.is_active) == (line.account, PERSON, "", True)
    assert held.decided_at == datetime(2026, 11, 23, 9, tzinfo=UTC)
    assert held.request_uid == InboundRequest.objects.get().uid
    assert Reply.objects.get().sending_list is None


def test_history_tells_the_request_a_decision_came_in(line: SendingList, work_off: WorkOff) -> None:
    tell(line.provider_account, reply("STOP", at=NINE))
    work_off()
    change = SubscriptionChange.objects.get()
    assert (change.request_uid, change.origin) == (InboundRequest.objects.get().uid, "reply")
    assert (change.decision, change.is_proven, change.at) == ("opt_out", True, datetime(2026, 11, 23, 9, tzinfo=UTC))


@pytest.mark.parametrize("status", ["paused", "suspended", "deleted"])
def test_list_that_sends_no_more_still_accepts_stop_and_reports(
    status: str, message: Message, work_off: WorkOff
) -> None:
    SendingList.objects.update(status=status)
    tell(message.provider_account, reply("STOP"), report("v-1"))
    work_off()
    message.refresh_from_db()
    assert (states(), message.status) == (["opted_out"], "delivered")


def test_reply_without_a_number_it_came_from_decides_nothing(line: SendingList, work_off: WorkOff) -> None:
    tell(line.provider_account, reply("STOP", sender=" "))
    work_off()
    assert states() == []
    assert not Suppression.objects.exists()


# --- the words of an account


def test_a_batch_is_read_by_the_words_of_each_reply_s_own_account(line: SendingList, work_off: WorkOff) -> None:
    stranger = SendingListFactory(number=OURS)
    Account.objects.filter(id=line.account_id).update(opt_out_words=["Adiós"], harmless_words=["end"])
    for party in (line.provider_account, stranger.provider_account):
        tell(party, *(reply(text, key=text, at=NINE) for text in ("adios!", "END")))
    work_off()
    found = Reply.objects.order_by("text").values_list("text", "decision")
    assert dict(found.filter(account=line.account)) == {"END": "reply", "adios!": "opt_out"}
    assert dict(found.filter(account=stranger.account)) == {"END": "opt_out", "adios!": "reply"}


def test_spam_opts_out_where_the_account_wants_it(line: SendingList, work_off: WorkOff) -> None:
    tell(line.provider_account, reply("this is spam", key="1", at=NINE))
    work_off()
    assert states() == []
    Account.objects.update(junk_opts_out=True)
    tell(line.provider_account, reply("this is spam", key="2", at=TEN))
    work_off()
    assert states() == ["opted_out"]


def test_words_of_accounts_cost_one_statement_a_batch(line: SendingList, work_off: WorkOff) -> None:
    for n in range(3):
        other = SendingListFactory()
        tell(other.provider_account, *(reply("hello", key=f"{n} {k}", to=other.number) for k in range(20)))
    with CaptureQueriesContext(connection) as queries:
        work_off()
    assert len([query for query in queries if "opt_out_words" in query["sql"] and '"name"' not in query["sql"]]) == 1


def test_the_provider_s_own_classification_wins_over_every_word(work_off: WorkOff) -> None:
    party = ProviderAccountFactory(provider="twilio", settings={"auth_token": "t"})
    SendingListFactory(provider_account=party, number=OURS)
    Account.objects.update(opt_out_words=["hello"], harmless_words=["stop"])
    for key, body, said in (("1", "stop", "STOP"), ("2", "hello", "HELP")):
        form = {
            "MessageSid": key,
            "SmsStatus": "received",
            "From": PERSON,
            "To": OURS,
            "Body": body,
            "OptOutType": said,
        }
        target = token_url(party)
        signature = RequestValidator("t").compute_signature("https://hooks.example.com" + target, form)
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
        assert call(target, urlencode(form).encode(), headers=headers).status == 200
    work_off()
    assert dict(Reply.objects.values_list("text", "decision")) == {"stop": "opt_out", "hello": "help"}
    assert states() == ["opted_out"]


# --- decisions the providers tell of


def test_vendor_block_list_event_closes_and_opens_without_a_reply(work_off: WorkOff) -> None:
    line = SendingListFactory(provider_account=ProviderAccountFactory(provider="infobip"), number=OURS)
    for event, at, expected in (
        ("BLOCK", NINE, "opted_out"),
        ("UNBLOCK", TEN, "subscribed"),
        ("BLOCK", NINE, "subscribed"),
    ):
        content = {"sender": OURS[1:], "destination": PERSON[1:], "channel": "SMS"}
        item = {"event": event, "receivedAt": at, "messageId": f"evt-{event}", "content": content}
        assert call(token_url(line.provider_account), json.dumps({"results": [item]}).encode()).status == 200
        work_off()
        assert states() == [expected]
    assert list(SubscriptionChange.objects.values_list("origin", flat=True)) == ["block_list"] * 2
    assert not Reply.objects.exists()


def tell_infobip_603(message: Message) -> int:
    error = {"groupId": 1, "id": 603, "name": "EC_CONTENT_BLOCKED"}
    item = {"messageId": "v-1", "status": {"groupId": 2, "id": 4}, "error": error, "doneAt": TEN}
    return call(token_url(message.provider_account), json.dumps({"results": [item]}).encode()).status


def tell_twilio_21610(message: Message) -> int:
    form = {"MessageSid": "v-1", "MessageStatus": "failed", "ErrorCode": "21610"}
    target = token_url(message.provider_account)
    signature = RequestValidator("t").compute_signature("https://hooks.example.com" + target, form)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    return call(target, urlencode(form).encode(), headers=headers).status


@pytest.mark.parametrize(("slug", "tell_code"), [("infobip", tell_infobip_603), ("twilio", tell_twilio_21610)])
@pytest.mark.parametrize(("start_after_sending", "expected"), [(False, "opted_out"), (True, "subscribed")])
def test_vendor_code_counts_at_its_messages_send_time_so_that_a_later_start_wins(
    slug: str, tell_code: Callable[[Message], int], start_after_sending: bool, expected: str, work_off: WorkOff
) -> None:
    party = ProviderAccountFactory(provider=slug, settings={"auth_token": "t"})
    sent_at = datetime(2026, 11, 23, 9, tzinfo=UTC)
    message = MessageFactory(
        sending_list=SendingListFactory(provider_account=party, number=OURS),
        to=PERSON,
        provider_message_id="v-1",
        sent_at=sent_at,
    )
    shift = timedelta(minutes=1 if start_after_sending else -1)
    contact = ContactFactory(account=message.account, phone=PERSON)
    subscription = SubscriptionFactory(sending_list=message.sending_list, contact=contact, decided_at=sent_at + shift)
    assert tell_code(message) == 200
    work_off()
    subscription.refresh_from_db()
    assert subscription.state == expected
    change = subscription.subscriptionchange_set.get(origin="vendor_code")
    assert (change.at, change.decision) == (sent_at, "opt_out")
    assert change.request_uid == InboundRequest.objects.get().uid
