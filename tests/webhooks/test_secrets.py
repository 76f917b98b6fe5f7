"""What is stored of secrets, and replay: a refused request is verified again by today's credentials."""

from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from twilio.request_validator import RequestValidator

from sendinglists.models import Message, ProviderAccount, SendingList
from tests.factories import (
    InboundRequestFactory,
    MessageFactory,
    ProviderAccountFactory,
    SendingListFactory,
    StaffFactory,
)
from tests.webhooks.calls import BASE, Answer, call, events, report, token_url
from trackly.encryption import unseal
from trackly.models import AuditEntry
from trackly.signing import new_uid, token_hash
from webhooks.inbound import directory
from webhooks.inbound.models import Cause, InboundRequest, Proof, State
from webhooks.inbound.replaying import replay
from webhooks.providers.sandbox import HEADER, sign

pytestmark = pytest.mark.django_db
WorkOff = Callable[[], int]
SECRETS = {"header_name": "X-Hook-Secret", "header_value": "s3cret-of-the-header"}
BODY = b'{"results":[{"messageId":"m-1","status":{"groupId":3,"id":5}}]}'


@pytest.fixture
def party() -> ProviderAccount:
    return ProviderAccountFactory(provider="infobip", settings=SECRETS)


@pytest.fixture
def sent(party: ProviderAccount) -> Message:
    return MessageFactory(sending_list=SendingListFactory(provider_account=party), provider_message_id="m-1")


def stored_text(row: InboundRequest) -> bytes:
    """Everything of the row that a person can read."""
    return b"\n".join(bytes(part) for part in (row.path, row.query, row.headers, row.host, row.body, row.answer))


def replay_all() -> None:
    # In memory what was known of credentials lives for seconds; people mend them more slowly.
    directory.forget()
    replay(InboundRequest.objects.all(), user=StaffFactory(), now=datetime.now(UTC))


def test_accepted_request_holds_no_secret_and_the_token_became_the_id_of_its_owner(party: ProviderAccount) -> None:
    headers = {"X-Hook-Secret": "s3cret-of-the-header", "Authorization": "Basic c2VjcmV0", "Cookie": "a=secret"}
    assert call(token_url(party), BODY, headers=headers | {"User-Agent": "IB"}).status == 200
    row = InboundRequest.objects.get()
    assert row.sealed is None
    assert bytes(row.path) == f"{BASE}/infobip/~{party.id}".encode()
    assert b"user-agent: IB" in bytes(row.headers)
    for secret in (party.callback_token, "s3cret-of-the-header", "c2VjcmV0", "a=secret"):
        assert secret.encode() not in stored_text(row)


def test_a_secret_stays_one_when_somebody_renames_its_header_in_the_settings(party: ProviderAccount) -> None:
    party.credentials = [{"values": SECRETS | {"header_name": "X-Other"}, "until": None}]
    party.save()
    assert call(token_url(party), BODY, headers={"X-Hook-Secret": "s3cret-of-the-header"}).status == 200
    assert b"s3cret-of-the-header" not in stored_text(InboundRequest.objects.get())


@pytest.mark.parametrize("known", [True, False], ids=["known account", "nothing known"])
def test_refused_request_holds_its_secrets_sealed_only(party: ProviderAccount, known: bool) -> None:
    target = f"{BASE}/infobip/wrong-token-in-path" + (f"?account={party.account.public_id}" if known else "")
    headers = {"X-Hook-Secret": "s3cret-of-the-header", "Authorization": "Basic c2VjcmV0"}
    assert call(target, BODY, headers=headers).status == 403
    row = InboundRequest.objects.get()
    for secret in ("wrong-token-in-path", "s3cret-of-the-header", "c2VjcmV0"):
        assert secret.encode() not in stored_text(row)
        assert secret.encode() not in bytes(row.sealed)
    held = unseal(row.sealed)
    assert held["path"] == f"{BASE}/infobip/wrong-token-in-path"
    assert held["headers"] == {"x-hook-secret": "s3cret-of-the-header", "authorization": "Basic c2VjcmV0"}


def test_secret_header_at_the_bare_url_is_kept_apart_though_nobody_is_known_by_it(party: ProviderAccount) -> None:
    assert call(f"{BASE}/infobip", BODY, headers={"X-Hook-Secret": "s3cret-of-the-header"}).status == 403
    row = InboundRequest.objects.get()
    assert b"s3cret-of-the-header" not in stored_text(row)
    assert unseal(row.sealed)["headers"]["x-hook-secret"] == "s3cret-of-the-header"


@pytest.mark.parametrize("token", ["a", "api", "infobip", "o"])
def test_only_the_segment_that_is_the_token_is_replaced_in_the_path(token: str) -> None:
    assert call(f"{BASE}/infobip/{token}/mo", BODY).status == 403
    assert bytes(InboundRequest.objects.get().path) == f"{BASE}/infobip/~/mo".encode()


def test_replay_after_mending_the_credentials_applies_the_request_and_clears_what_was_sealed(
    party: ProviderAccount, sent: Message, work_off: WorkOff
) -> None:
    headers = {"Authorization": "Basic " + b64encode(b"trk:new").decode()}
    assert call(f"{BASE}/infobip?account={party.account.public_id}", BODY, headers=headers).status == 403
    party.credentials = [{"values": {"basic_username": "trk", "basic_password": "new"}, "until": None}]
    party.save()
    replay_all()
    assert work_off() == 1
    sent.refresh_from_db()
    assert sent.status == "delivered"
    row = InboundRequest.objects.get()
    assert (row.state, row.refusal, row.proof, row.party_id) == (State.DONE, "", Proof.SIGNATURE, party.id)
    assert row.sealed is None
    assert "1 new" in row.outcome
    assert AuditEntry.objects.get().target == f"request {row.uid}"


def test_replay_with_credentials_that_are_still_wrong_stays_refused_and_sealed(
    party: ProviderAccount, sent: Message, work_off: WorkOff
) -> None:
    target = f"{BASE}/infobip?account={party.account.public_id}"
    assert call(target, BODY, headers={"X-Hook-Secret": "not it"}).status == 403
    replay_all()
    work_off()
    row = InboundRequest.objects.get()
    assert (row.state, row.refusal) == (State.REFUSED, Cause.BAD_SIGNATURE)
    assert unseal(row.sealed)["headers"]["x-hook-secret"] == "not it"
    sent.refresh_from_db()
    assert sent.status == "queued"


def test_replay_of_a_wrong_token_counts_once_the_token_is_somebodys(
    party: ProviderAccount, sent: Message, work_off: WorkOff
) -> None:
    assert call(f"{BASE}/infobip/token-to-come", BODY).status == 403
    assert InboundRequest.objects.get().account_id is None
    ProviderAccount.objects.update(callback_token_hash=token_hash("token-to-come"))
    replay_all()
    work_off()
    row = InboundRequest.objects.get()
    assert (row.state, row.account_id, row.proof) == (State.DONE, party.account_id, Proof.TOKEN)
    sent.refresh_from_db()
    assert sent.status == "delivered"


def test_reports_at_a_withdrawn_token_are_kept_for_their_owner_and_count_once_it_is_valid_again(
    line: SendingList, work_off: WorkOff, settings: Any
) -> None:
    """A rotation without an overlap, noticed late: more reports than the sample of strangers' requests holds."""
    settings.REFUSED_SAMPLED_PER_MINUTE = 1
    party, old = line.provider_account, token_url(line.provider_account)
    known = MessageFactory.create_batch(30, sending_list=line)
    party.rotate_token(until=datetime.now(UTC) - timedelta(seconds=1))
    party.save()
    directory.forget()
    assert {call(old, events(report(message.reference))).status for message in known} == {403}
    rows = InboundRequest.objects.all()
    assert rows.count() == 30
    kept = set(rows.values_list("account", "party_id", "proof", "refusal", "state"))
    assert kept == {(party.account_id, party.id, Proof.NONE, Cause.BAD_TOKEN, State.REFUSED)}
    replay_all()
    work_off()
    assert set(rows.values_list("state", "refusal")) == {(State.REFUSED, Cause.BAD_TOKEN)}
    ProviderAccount.objects.update(previous_token_until=datetime.now(UTC) + timedelta(hours=1))
    replay_all()
    work_off()
    assert set(rows.values_list("state", "refusal", "proof")) == {(State.DONE, "", Proof.TOKEN)}
    assert {message.status for message in Message.objects.all()} == {"delivered"}


def test_wrong_token_and_nothing_known_named_is_nobodys(message: Message) -> None:
    for key in ("v-1", "a" * 26):
        assert call(f"{BASE}/sandbox/wrong-token", events(report(key))).status == 403
    assert set(InboundRequest.objects.values_list("account", "party_id")) == {(None, None)}


def put_beyond_decryption(column: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"UPDATE sendinglists_provideraccount SET {column} = 'by a key that is gone'")


@pytest.mark.parametrize("rest", ["token", "account", "reference"])
def test_receiving_decrypts_no_callback_token(rest: str, message: Message) -> None:
    party = message.provider_account
    ProviderAccount.objects.update(demands_authentication=False)
    put_beyond_decryption("callback_token")
    target = {
        "token": token_url(party),
        "account": f"{BASE}/sandbox?account={party.account.public_id}",
        "reference": f"{BASE}/sandbox",
    }[rest]
    assert call(target, events(report(message.reference))).status == 200


def test_credentials_no_key_opens_are_503_and_nothing_is_stored(
    party: ProviderAccount, caplog: pytest.LogCaptureFixture
) -> None:
    put_beyond_decryption("credentials")
    answer = call(token_url(party), BODY)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert "'error': 'Undecryptable'" in caplog.text
    assert not InboundRequest.objects.exists()


def test_replay_of_a_twilio_request_verifies_its_signature_over_the_path_with_the_token(work_off: WorkOff) -> None:
    party = ProviderAccountFactory(provider="twilio", settings={"account_sid": "AC1", "auth_token": "old"})
    message = MessageFactory(sending_list=SendingListFactory(provider_account=party), provider_message_id="SM1")
    assert _twilio(party, "new").status == 403
    party.credentials = [{"values": {"account_sid": "AC1", "auth_token": "new"}, "until": None}]
    party.save()
    replay_all()
    work_off()
    message.refresh_from_db()
    assert message.status == "delivered"


def test_replayed_request_is_judged_by_the_time_it_came_and_not_called_stale(
    line: SendingList, work_off: WorkOff
) -> None:
    message = MessageFactory(sending_list=line, provider_message_id="v-1")
    line.provider_account.credentials = [{"values": {"signing_key": "key"}, "until": None}]
    line.provider_account.save()
    then, body = datetime.now(UTC) - timedelta(minutes=10), events(report("v-1"))
    InboundRequestFactory(
        uid=new_uid(int(then.timestamp() * 1000)),
        path=f"{BASE}/sandbox".encode(),
        query=f"account={line.account.public_id}".encode(),
        headers=f"{HEADER.lower()}: {sign('key', body, then)}\r\n".encode(),
        body=body,
        state=State.REFUSED,
        refusal=Cause.BAD_SIGNATURE,
    )
    replay_all()
    work_off()
    message.refresh_from_db()
    assert message.status == "delivered"


def test_replay_of_an_applied_request_counts_nothing_twice(message: Message, work_off: WorkOff) -> None:
    call(token_url(message.provider_account), events(report("v-1")))
    work_off()
    replay_all()
    work_off()
    assert message.deliveryevent_set.count() == 1
    assert "1 duplicate" in InboundRequest.objects.get().outcome


def _twilio(party: ProviderAccount, auth_token: str) -> Answer:
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "AccountSid": "AC1"}
    signature = RequestValidator(auth_token).compute_signature("https://hooks.example.com" + token_url(party), form)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    return call(token_url(party), urlencode(form).encode(), headers=headers)
