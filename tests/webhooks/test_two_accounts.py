"""What is B's is out of reach for A's authenticated callbacks, in every form of the URL."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from sendinglists.models import Message, ProviderAccount, Subscription, Suppression
from tests.factories import (
    ContactFactory,
    MessageFactory,
    ProviderAccountFactory,
    SendingListFactory,
    SubscriptionFactory,
)
from tests.webhooks.calls import BASE, OURS, PERSON, Answer, call, events, reply, report, tell, token_url
from trackly.models import HourlyTotal
from webhooks.inbound.models import DeliveryEvent, InboundRequest, ParkedReport, Reply
from webhooks.providers.sandbox import HEADER, sign

pytestmark = pytest.mark.django_db
WorkOff = Callable[[], int]
Form = Callable[[Message, bytes], Answer]


@pytest.fixture
def a(message: Message) -> Message:
    give_key(message.provider_account, "key of A")
    return message


@pytest.fixture
def b(other: Message) -> Message:
    """B's message to the same person, who is subscribed to B's list, over the same number of ours."""
    give_key(other.provider_account, "key of B")
    contact = ContactFactory(account=other.account, phone=PERSON)
    SubscriptionFactory(sending_list=other.sending_list, contact=contact)
    return other


def give_key(party: ProviderAccount, key: str) -> None:
    party.credentials = [{"values": {"signing_key": key}, "until": None}]
    party.save()


def by_token(a: Message, body: bytes) -> Answer:
    return call(token_url(a.provider_account), body)


def by_token_and_account(a: Message, body: bytes) -> Answer:
    return call(token_url(a.provider_account, f"?account={a.account.public_id}"), body)


def by_signature(a: Message, body: bytes) -> Answer:
    headers = {HEADER: sign("key of A", body, datetime.now(UTC))}
    return call(f"{BASE}/sandbox?account={a.account.public_id}", body, headers=headers)


def by_waiver(a: Message, body: bytes) -> Answer:
    ProviderAccount.objects.filter(id=a.provider_account_id).update(demands_authentication=False)
    return call(f"{BASE}/sandbox?account={a.account.public_id}", body)


def by_reference(a: Message, body: bytes) -> Answer:
    own = events(report(a.reference, "sent"))[:-2]
    query = f"?account={a.account.public_id}"
    return call(f"{BASE}/sandbox{query}", own + b"," + body.removeprefix(b'{"events": ['))


FORMS = [by_token, by_token_and_account, by_signature, by_waiver, by_reference]


@pytest.mark.parametrize("form", FORMS)
def test_nothing_said_by_a_touches_what_is_b_s(form: Form, a: Message, b: Message, work_off: WorkOff) -> None:
    key = b.provider_message_id
    told = report(b.reference, error="opt_out"), report(key, "failed", error="opt_out"), reply("STOP"), report("v-1")
    assert form(a, events(*told)).status == 200
    work_off()
    work_off()
    b.refresh_from_db()
    assert (b.status, b.status_detail, b.reason) == ("queued", "", "")
    assert list(Subscription.objects.filter(account=b.account).values_list("state", flat=True)) == ["subscribed"]
    for table in (DeliveryEvent, Reply, Suppression, HourlyTotal, ParkedReport, InboundRequest):
        assert not table.objects.filter(account=b.account).exists()
    assert "wrong_account" in InboundRequest.objects.get().outcome


@pytest.mark.parametrize("form", FORMS[:-1])
def test_stop_at_the_list_of_a_closes_that_list_alone(form: Form, a: Message, b: Message, work_off: WorkOff) -> None:
    assert form(a, events(reply("STOP"))).status == 200
    work_off()
    closed = Subscription.objects.filter(state="opted_out").values_list("account", "sending_list", "contact__phone")
    assert list(closed) == [(a.account_id, a.sending_list_id, PERSON)]


def test_key_of_b_proves_nothing_at_the_account_of_a(a: Message, b: Message) -> None:
    body = events(report("v-1"))
    headers = {HEADER: sign("key of B", body, datetime.now(UTC))}
    assert call(f"{BASE}/sandbox?account={a.account.public_id}", body, headers=headers).status == 403


def test_token_of_b_at_the_account_of_a_is_refused_and_stands_in_neither_s_timeline(
    a: Message, b: Message, work_off: WorkOff
) -> None:
    told = events(report("v-1"), report("v-2"))
    assert call(token_url(b.provider_account, f"?account={a.account.public_id}"), told).status == 403
    work_off()
    assert not DeliveryEvent.objects.exists()


def test_reply_that_names_a_message_of_b_is_not_tied_to_it(b: Message, work_off: WorkOff) -> None:
    party = ProviderAccountFactory(provider="cm")
    body = b'{"from":{"number":"14155550101"},"to":{"number":"3669"},"message":{"text":"STOP"},"reference":"%s"}'
    assert call(token_url(party), body % b.reference.encode()).status == 200
    work_off()
    stored = Reply.objects.get()
    assert (stored.account, stored.message, stored.sending_list) == (party.account, None, None)
    assert Suppression.objects.get().account == party.account


def test_bare_twilio_url_goes_by_the_signature_and_not_by_the_account_sid_alone(work_off: WorkOff) -> None:
    """B may type A's Account SID into its own settings; the auth token it cannot know."""
    messages = []
    for token in ("of B", "of A"):
        party = ProviderAccountFactory(
            provider="twilio", settings={"account_sid": "AC1", "auth_token": f"token {token}"}
        )
        messages.append(
            MessageFactory(sending_list=SendingListFactory(provider_account=party), provider_message_id="SM1")
        )
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "AccountSid": "AC1", "To": PERSON, "From": OURS}
    signature = RequestValidator("token of A").compute_signature(f"https://hooks.example.com{BASE}/twilio", form)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    assert call(f"{BASE}/twilio", urlencode(form).encode(), headers=headers).status == 200
    work_off()
    assert [status_of(message) for message in messages] == ["queued", "delivered"]


@pytest.fixture
def twins() -> list[ProviderAccount]:
    """B typed A's Account SID into its own settings, before A did."""
    return [
        ProviderAccountFactory(provider="twilio", settings={"account_sid": "AC1", "auth_token": f"token of {name}"})
        for name in ("B", "A")
    ]


def unsigned_twilio() -> InboundRequest:
    form = {"MessageSid": "SM1", "Body": "my address is …", "AccountSid": "AC1", "To": OURS, "From": PERSON}
    assert call(f"{BASE}/twilio", urlencode(form).encode()).status == 403
    return InboundRequest.objects.latest("received_at")


def test_refused_request_that_may_be_of_two_accounts_is_shown_to_neither(twins: list[ProviderAccount]) -> None:
    row = unsigned_twilio()
    assert (row.account_id, row.party_id) == (None, None)


def test_refused_requests_that_may_be_of_two_accounts_are_kept_all_the_same(
    twins: list[ProviderAccount], settings: Any
) -> None:
    settings.REFUSED_SAMPLED_PER_MINUTE = 0
    unsigned_twilio()


def test_refused_request_is_shown_to_the_only_account_with_the_vendor_account_it_names(
    twins: list[ProviderAccount],
) -> None:
    b, a = twins
    b.delete()
    row = unsigned_twilio()
    assert (row.account_id, row.party_id) == (a.account_id, a.id)


def test_refused_request_that_may_be_of_two_provider_accounts_of_one_account_is_shown_to_it(
    twins: list[ProviderAccount],
) -> None:
    b, a = twins
    ProviderAccount.objects.filter(id=b.id).update(account=a.account)
    assert unsigned_twilio().account_id == a.account_id


def test_wrong_token_and_references_of_two_accounts_is_shown_to_neither(a: Message, b: Message) -> None:
    assert call(f"{BASE}/sandbox/wrong-token", events(report(a.reference), report(b.reference))).status == 403
    assert InboundRequest.objects.values_list("account", "party_id").get() == (None, None)


def test_two_accounts_in_one_batch_keep_their_reports_apart(a: Message, b: Message, work_off: WorkOff) -> None:
    tell(a.provider_account, report("v-1", "sent"), report("v-2", "failed"))
    tell(b.provider_account, report("v-2", "delivered"), report("v-1", "failed"))
    work_off()
    assert (status_of(a), status_of(b)) == ("sent", "delivered")
    totals: Any = HourlyTotal.objects.filter(kind="report").values_list("account", "list_id", "n")
    assert set(totals) == {(a.account_id, a.sending_list_id, 1), (b.account_id, b.sending_list_id, 1)}


def status_of(message: Message) -> str:
    message.refresh_from_db()
    return message.status
