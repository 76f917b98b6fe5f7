"""Who is believed: the forms of the callback URL, every vendor's proof, rotation, waived proof, and our reference."""

import hmac
import json
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from twilio.request_validator import RequestValidator

from sendinglists.models import Message, ProviderAccount, SendingList, Subscription
from tests.factories import MessageFactory, ProviderAccountFactory, SendingListFactory
from tests.webhooks.calls import BASE, OURS, PERSON, Answer, call, events, reply, report, token_url
from trackly.models import Account
from trackly.signing import token_hash
from webhooks.inbound import directory
from webhooks.inbound.models import Cause, InboundRequest, Proof, Reply, State
from webhooks.providers.sandbox import HEADER, sign

pytestmark = pytest.mark.django_db
WorkOff = Callable[[], int]
SID = "AC" + "0" * 31 + "1"
KEY = "sandbox-key-for-tests"


def signed(body: bytes, key: str = KEY) -> dict[str, str]:
    return {HEADER: sign(key, body, datetime.now(UTC))}


@pytest.fixture
def line(line: SendingList) -> SendingList:
    """The sandbox line, its provider account with a signing key."""
    line.provider_account.credentials = [{"values": {"signing_key": KEY}, "until": None}]
    line.provider_account.save()
    return line


@pytest.fixture
def twilio() -> SendingList:
    party = ProviderAccountFactory(provider="twilio", settings={"account_sid": SID, "auth_token": "token-of-today"})
    return SendingListFactory(provider_account=party, number=OURS)


def twilio_call(target: str, auth_token: str, *, base: str = "https://hooks.example.com", **fields: str) -> Answer:
    """A status callback signed by the vendor's own SDK."""
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "AccountSid": SID, "To": PERSON} | fields
    signature = RequestValidator(auth_token).compute_signature(base + target, form)
    headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
    return call(target, urlencode(form).encode(), headers=headers)


def outcome(message: Message) -> str:
    message.refresh_from_db()
    return message.status


# --- the forms of the URL


def test_token_in_the_path_is_believed_with_and_without_the_account(message: Message, work_off: WorkOff) -> None:
    party = message.provider_account
    for query in ("", f"?account={party.account.public_id}"):
        assert call(token_url(party, query), events(report("v-1", "sent"))).status == 200
    assert set(InboundRequest.objects.values_list("proof", "party_id")) == {(Proof.TOKEN, party.id)}
    work_off()
    assert outcome(message) == "sent"


def test_signature_is_believed_at_the_account_url_and_the_wrong_one_is_not(message: Message, work_off: WorkOff) -> None:
    target, body = f"{BASE}/sandbox?account={message.account.public_id}", events(report("v-1"))
    assert call(target, body, headers=signed(body, "another key")).status == 403
    assert call(target, body).status == 403
    assert call(target, body, headers=signed(body)).status == 200
    work_off()
    assert outcome(message) == "delivered"
    refused = InboundRequest.objects.filter(state=State.REFUSED)
    assert [(row.account_id, row.refusal) for row in refused] == [(message.account_id, Cause.BAD_SIGNATURE)] * 2


def test_bare_url_finds_the_account_that_the_vendor_names_and_signs_for(twilio: SendingList, work_off: WorkOff) -> None:
    message = MessageFactory(sending_list=twilio, provider_message_id="SM1")
    assert twilio_call(f"{BASE}/twilio", "token-of-today").status == 200
    work_off()
    assert outcome(message) == "delivered"


@pytest.mark.parametrize("form", ["{token}", "?account={account}", "{token}?account={account}", ""])
def test_twilio_is_believed_in_every_form_when_signed_and_refused_unsigned(form: str, twilio: SendingList) -> None:
    party = twilio.provider_account
    tail = form.format(token=f"/{party.callback_token}", account=party.account.public_id)
    assert call(f"{BASE}/twilio{tail}", f"MessageSid=SM1&MessageStatus=sent&AccountSid={SID}".encode()).status == 403
    answer = twilio_call(f"{BASE}/twilio{tail}", "token-of-today")
    assert (answer.status, answer.headers["content-type"], b"<Response/>" in answer.body) == (200, "text/xml", True)


def test_unknown_account_is_404(line: SendingList) -> None:
    body = events(report("v-1"))
    assert call(f"{BASE}/sandbox?account=nobody", body, headers=signed(body)).status == 404
    assert call(token_url(line.provider_account, "?account=nobody"), body).status == 404


def test_deleted_account_is_unknown(line: SendingList) -> None:
    Account.objects.update(status=Account.Status.DELETED)
    body = events(report("v-1"))
    answer = call(f"{BASE}/sandbox?account={line.account.public_id}", body, headers=signed(body))
    assert answer.status == 404


def test_token_of_another_account_than_the_named_one_is_refused(message: Message, other: Message) -> None:
    answer = call(token_url(message.provider_account, f"?account={other.account.public_id}"), events(report("v-2")))
    assert answer.status == 403
    assert InboundRequest.objects.get().refusal == Cause.WRONG_ACCOUNT


def test_two_different_accounts_in_the_query_name_nobody(line: SendingList) -> None:
    line.account.public_id = "4x2"
    line.account.save()
    body = events(report("v-1"))
    for query in ("account=4&account=x2", "account=4x2&account=other"):
        assert call(f"{BASE}/sandbox?{query}", body, headers=signed(body)).status == 404
    assert call(f"{BASE}/sandbox?account=4x2&account=4x2", body, headers=signed(body)).status == 200


def test_token_of_another_provider_opens_nothing(line: SendingList) -> None:
    answer = call(f"{BASE}/cm/{line.provider_account.callback_token}", b"{}")
    assert answer.status == 403


# --- Twilio


def test_twilio_signs_our_public_address_and_not_the_host_it_was_sent_to(twilio: SendingList) -> None:
    target = token_url(twilio.provider_account)
    assert twilio_call(target, "token-of-today", base="https://testserver").status == 403
    assert twilio_call(target, "token-of-today", base="https://hooks.example.com:443").status == 200


def test_two_auth_tokens_are_valid_while_rotating_and_the_expired_one_is_not(twilio: SendingList) -> None:
    party, now = twilio.provider_account, datetime.now(UTC)
    party.credentials = [
        {"values": {"account_sid": SID, "auth_token": "new"}, "until": None},
        {"values": {"account_sid": SID, "auth_token": "old"}, "until": (now + timedelta(hours=1)).isoformat()},
        {"values": {"account_sid": SID, "auth_token": "expired"}, "until": (now - timedelta(hours=1)).isoformat()},
    ]
    party.save()
    answers = {token: twilio_call(token_url(party), token).status for token in ("new", "old", "expired")}
    assert answers == {"new": 200, "old": 200, "expired": 403}


@pytest.mark.parametrize("sid", ["AC" + "0" * 63, "A" * 200_000, "AC1 OR 1", "AC1\n", "", "\u0410\u0421" + "1"])
def test_account_sid_that_can_be_none_is_neither_looked_for_nor_remembered(
    sid: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    monkeypatch.setattr(directory, "_load", lambda route, vendor: asked.append(vendor) or directory.Found())
    assert call(f"{BASE}/twilio", urlencode({"MessageSid": "SM1", "AccountSid": sid}).encode()).status == 403
    assert set(asked) == {""}


# --- tokens


def test_old_callback_token_is_valid_until_its_overlap_ends(line: SendingList) -> None:
    party, old = line.provider_account, token_url(line.provider_account)
    party.rotate_token(until=datetime.now(UTC) + timedelta(hours=1))
    party.save()
    assert [call(url, events()).status for url in (old, token_url(party))] == [200, 200]
    ProviderAccount.objects.update(previous_token_until=datetime.now(UTC) - timedelta(seconds=1))
    directory.forget()
    assert [call(url, events()).status for url in (old, token_url(party))] == [403, 200]


def test_token_made_after_it_was_refused_works_within_a_second(line: SendingList, monkeypatch: Any) -> None:
    clock = [1_000.0]
    monkeypatch.setattr(directory._remembered, "_timer", lambda: clock[0])
    target = f"{BASE}/sandbox/tokentokentokentokentoken1"
    assert call(target, events()).status == 403
    ProviderAccount.objects.update(callback_token_hash=token_hash("tokentokentokentokentoken1"))
    clock[0] += 1
    assert call(target, events()).status == 200


# --- Infobip


REPORTS = json.dumps(
    {"results": [{"messageId": "m-1", "status": {"groupId": 3, "id": 5, "name": "DELIVERED_TO_HANDSET"}}]}
).encode()


def infobip_headers(algorithm: str, encoding: str) -> dict[str, str]:
    mac = hmac.new(b"the key", REPORTS, algorithm).digest()
    return {"X-Mac": mac.hex() if encoding == "hex" else b64encode(mac).decode()}


BASIC = {"basic_username": "trk", "basic_password": "s3:cret"}
FIXED = {"header_name": "X-Hook-Secret", "header_value": "s3cret"}
MAC = {"hmac_key": "the key", "hmac_header": "X-Mac"}
PROOFS = {
    "basic": (BASIC, {"Authorization": "Basic " + b64encode(b"trk:s3:cret").decode()}),
    "fixed header": (FIXED, {"X-Hook-Secret": "s3cret"}),
    "HMAC sha256 hex": (MAC, infobip_headers("sha256", "hex")),
    "HMAC sha256 base64": (MAC | {"hmac_encoding": "base64"}, infobip_headers("sha256", "base64")),
    "HMAC sha1 hex": (MAC | {"hmac_algorithm": "HMAC_SHA_1"}, infobip_headers("sha1", "hex")),
    "HMAC sha1 base64": (
        MAC | {"hmac_algorithm": "HMAC_SHA_1", "hmac_encoding": "base64"},
        infobip_headers("sha1", "base64"),
    ),
}


@pytest.mark.parametrize(("config", "headers"), PROOFS.values(), ids=PROOFS)
def test_infobip_proves_itself_by(config: dict[str, str], headers: dict[str, str], work_off: WorkOff) -> None:
    party = ProviderAccountFactory(provider="infobip", settings=config)
    message = MessageFactory(sending_list=SendingListFactory(provider_account=party), provider_message_id="m-1")
    target = f"{BASE}/infobip?account={party.account.public_id}"
    name, value = next(iter(headers.items()))
    wrong = value[:-4] + ("AAA=" if value[-4:] != "AAA=" else "BBB=")
    assert call(target, REPORTS, headers={name: wrong}).status == 403
    assert call(target, REPORTS, headers=headers).status == 200
    work_off()
    assert outcome(message) == "delivered"


# --- the owner demands no proof


@pytest.fixture
def open_line(line: SendingList) -> SendingList:
    line.provider_account.demands_authentication = False
    line.provider_account.save()
    return line


def test_waived_proof_lets_reports_and_opt_outs_count_but_never_opt_ins(
    open_line: SendingList, work_off: WorkOff
) -> None:
    message = MessageFactory(sending_list=open_line, provider_message_id="v-1")
    body = events(report("v-1"), reply("STOP"), reply("START", key="r-2", sender="+14155550102"))
    assert call(f"{BASE}/sandbox?account={open_line.account.public_id}", body).status == 200
    work_off()
    assert outcome(message) == "delivered"
    assert list(Subscription.objects.values_list("contact__phone", "state")) == [(PERSON, "opted_out")]
    change = Subscription.objects.get().subscriptionchange_set.get()
    assert change.is_proven is False
    assert "opt-in unproven and ignored" in InboundRequest.objects.get().outcome


def test_waived_proof_needs_the_account_in_the_url(open_line: SendingList) -> None:
    assert call(f"{BASE}/sandbox", events(reply("STOP"))).status == 403


def test_waived_proof_never_covers_twilio(twilio: SendingList) -> None:
    ProviderAccount.objects.update(demands_authentication=False)
    target = f"{BASE}/twilio?account={twilio.account.public_id}"
    assert twilio_call(target, "a wrong token").status == 403


# --- our reference


def test_report_at_the_bare_url_is_believed_for_the_message_whose_reference_it_names_alone(
    message: Message, work_off: WorkOff
) -> None:
    neighbour = MessageFactory(sending_list=message.sending_list, provider_message_id="v-9")
    body = events(report(message.reference), report("v-9"), reply("STOP"))
    assert call(f"{BASE}/sandbox", body).status == 200
    work_off()
    assert (outcome(message), outcome(neighbour)) == ("delivered", "queued")
    assert not Reply.objects.exists()
    assert not Subscription.objects.exists()
    row = InboundRequest.objects.get()
    assert row.proof == Proof.REFERENCE
    assert "reply unproven and ignored" in row.outcome


def test_reference_of_another_account_than_the_named_one_proves_nothing(message: Message, other: Message) -> None:
    answer = call(f"{BASE}/sandbox?account={message.account.public_id}", events(report(other.reference)))
    assert answer.status == 403


def test_vendor_id_or_made_up_reference_at_the_bare_url_proves_nothing(message: Message) -> None:
    for key in ("v-1", "a" * 26):
        assert call(f"{BASE}/sandbox", events(report(key))).status == 403
    assert InboundRequest.objects.filter(refusal=Cause.UNPROVEN, state=State.REFUSED).count() == 2


def test_reply_at_the_bare_url_is_refused_and_kept(line: SendingList, work_off: WorkOff) -> None:
    assert call(f"{BASE}/sandbox", events(reply("STOP"))).status == 403
    work_off()
    row = InboundRequest.objects.get()
    assert (row.state, row.refusal, bytes(row.body)) == (State.REFUSED, Cause.UNPROVEN, events(reply("STOP")))
    assert not Reply.objects.exists()
