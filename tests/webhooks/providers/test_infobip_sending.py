"""Infobip, a message: handed over, answered in every way, asked for; and the fake proven by Infobip's own SDK."""

import json
import warnings
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests import samples
from tests.fakes.infobip import ABSENT, STOPPED, WORDS, FakeInfobip, stamp
from tests.fakes.infobip_shapes import MESSAGES, faults_in
from tests.fakes.server import Fault, Response, as_json
from trackly.calls import Unanswered
from trackly.outgoing import hold_now
from trackly.raw import RawRequest
from webhooks.orders import Asked, Sent, Text, Verdict
from webhooks.providers.infobip import adapter
from webhooks.providers.infobip.api import Api
from webhooks.providers.infobip.sending import body_of
from webhooks.statuses import Reason, Report, Status

NOW = samples.RECEIVED_AT
BASE, FOREIGN = "https://abc.api.infobip.com", "https://infobip.gateway.example"
CONFIG = {"base_url": BASE, "api_key": "good-key", "basic_username": "trackly", "basic_password": "minted-secret"}
TEXT = Text(
    reference="r" * 26,
    public_id="AbC12345",
    sender="+18005550142",
    to="+14155550101",
    body="Sale: https://t.example/c/abc",
    callback_url="https://hooks.example.com/api/webhook-feedbacks/infobip/token-of-callbacks",
)
ASKED = Asked(
    reference=TEXT.reference,
    provider_message_id=TEXT.reference,
    sender=TEXT.sender,
    to=TEXT.to,
    sent_at=samples.RECEIVED_AT,
)


@pytest.fixture
def fake(settings: Any) -> Iterator[FakeInfobip]:
    with FakeInfobip() as fake:
        settings.OUTGOING_ROUTES = {BASE: fake.url, FOREIGN: fake.url}
        fake.own("18005550142")
        yield fake


def send(text: Text = TEXT, **config: str) -> Sent:
    return hold_now(adapter.send(text, CONFIG | config))


def ask(**config: str) -> list[Report]:
    return hold_now(adapter.ask(ASKED, CONFIG | config))


def answer(fake: FakeInfobip, response: Response) -> None:
    fake.faults.append(Fault(kind="instead", response=response))


def answered(word: str | tuple[Any, ...], message_id: str = TEXT.reference) -> Response:
    """A 200 that says this of the message."""
    said = WORDS[word] if isinstance(word, str) else word
    status = dict(zip(("groupId", "groupName", "id", "name", "description"), said, strict=True))
    return as_json({"messages": [{"messageId": message_id, "status": status, "destination": "14155550101"}]})


def posted(url: str, headers: dict[str, str], body: bytes) -> RawRequest:
    """A callback as it reaches us."""
    return RawRequest(
        method="POST",
        path=url.partition("hooks.example.com")[2],
        query="",
        headers=tuple((name.lower(), value) for name, value in headers.items()),
        body=body,
        base_url="https://hooks.example.com",
        peer="203.0.113.7",
        secure=True,
        received_at=samples.RECEIVED_AT,
    )


def test_a_text_is_handed_over_as_the_documents_say(fake: FakeInfobip) -> None:
    assert send() == Sent(
        verdict=Verdict.ACCEPTED,
        report=Report(
            message_key=TEXT.reference,
            status=Status.ACCEPTED,
            vendor_status="PENDING_ACCEPTED",
            vendor_code="26",
            to=TEXT.to,
            sender=TEXT.sender,
            segments=1,
        ),
        provider_message_id=TEXT.reference,
    )
    [seen] = fake.requests
    assert (seen.method, seen.path) == ("POST", "/sms/3/messages")
    assert seen.headers["authorization"] == "App good-key"
    assert seen.json() == {
        "messages": [
            {
                "sender": "18005550142",
                "destinations": [{"to": "14155550101", "messageId": "r" * 26}],
                "content": {"text": "Sale: https://t.example/c/abc"},
                "webhooks": {
                    "delivery": {"url": TEXT.callback_url, "intermediateReport": False, "notify": True},
                    "contentType": "application/json",
                    "callbackData": "AbC12345",
                },
            }
        ],
        "options": {"tracking": {"shortenUrl": False}, "includeSmsCountInResponse": True},
    }


def test_its_report_comes_to_the_address_it_was_sent_with_and_reads_as_delivered(fake: FakeInfobip) -> None:
    send()
    url, headers, body = fake.report(TEXT.reference)
    assert (url, "authorization" in {name.lower() for name in headers}) == (TEXT.callback_url, False)
    [report] = adapter.parse(posted(url, headers, body))
    assert isinstance(report, Report)
    assert (report.message_key, report.status) == (TEXT.reference, Status.DELIVERED)
    assert (report.sender, report.to) == ("18005550142", "14155550101")


@pytest.mark.parametrize(
    ("word", "verdict", "status"),
    [
        ("enroute", Verdict.ACCEPTED, Status.ACCEPTED),
        ("delivered", Verdict.ACCEPTED, Status.DELIVERED),
        ((0, "ACCEPTED", 0, "MESSAGE_ACCEPTED", "ok"), Verdict.ACCEPTED, Status.ACCEPTED),
        ("undelivered", Verdict.REFUSED, Status.REJECTED),
        ("expired", Verdict.REFUSED, Status.REJECTED),
        ((5, "REJECTED", 999, "REJECTED_NEW", "new"), Verdict.REFUSED, Status.REJECTED),
        ((7, "PAUSED", 999, "PAUSED_NEW", "new"), Verdict.UNCLEAR, Status.UNKNOWN),
        # A call of ours was carried out and we were told otherwise: neither refused nor ours to send again.
        ("duplicate", Verdict.UNCLEAR, Status.UNKNOWN),
        ("system", Verdict.LATER, Status.UNKNOWN),
    ],
)
def test_the_group_of_the_status_is_the_verdict(fake: FakeInfobip, word: Any, verdict: Verdict, status: Status) -> None:
    answer(fake, answered(word))
    sent = send()
    assert (sent.verdict, sent.report.status) == (verdict, status)
    said = WORDS[word] if isinstance(word, str) else word
    assert sent.report.vendor_status == said[3]


def test_a_reference_that_was_taken_before_is_never_sent_again(fake: FakeInfobip) -> None:
    assert send().verdict == Verdict.ACCEPTED
    again = send()
    assert (again.verdict, again.report.vendor_status) == (Verdict.UNCLEAR, "REJECTED_DUPLICATE_MESSAGE_ID")
    assert "not sent again" in again.report.error_text


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ({"has_credit": False}, Reason.CREDIT, "top the account up"),
        ({"registered": {"19995550100"}}, Reason.REGISTRATION, "sender is not registered"),
    ],
)
def test_what_is_refused_says_why_and_what_to_do(
    fake: FakeInfobip, change: dict[str, Any], reason: Reason, words: str
) -> None:
    for name, value in change.items():
        setattr(fake, name, value)
    sent = send()
    assert (sent.verdict, sent.report.status, sent.report.reason) == (Verdict.REFUSED, Status.REJECTED, reason)
    assert words in sent.report.error_text


def test_a_number_that_is_none_is_refused(fake: FakeInfobip) -> None:
    sent = send(replace(TEXT, to="+14155550009"))
    assert (sent.verdict, sent.report.reason) == (Verdict.REFUSED, Reason.INVALID_NUMBER)
    assert sent.report.vendor_status == "REJECTED_DESTINATION"


def test_a_wrong_key_sends_nothing_and_the_text_waits(fake: FakeInfobip) -> None:
    sent = send(api_key="expired-key")
    assert (sent.verdict, sent.report.status, sent.retry_after) == (Verdict.LATER, Status.UNKNOWN, None)
    assert "API key is not taken (HTTP 401): Invalid login details." in sent.report.error_text
    assert "expired-key" not in sent.report.error_text
    assert sent.report.error_code == "E401"


def test_a_missing_scope_is_named_and_the_text_waits(fake: FakeInfobip) -> None:
    fake.keys["good-key"] = {"numbers:manage"}
    sent = send()
    assert sent.verdict == Verdict.LATER
    assert "message:send, sms:message:send or sms:manage" in sent.report.error_text


def test_too_many_calls_wait_as_long_as_asked(fake: FakeInfobip) -> None:
    fake.calls_left = 0
    sent = send()
    assert (sent.verdict, sent.retry_after) == (Verdict.LATER, timedelta(seconds=7))
    assert (sent.report.reason, sent.report.vendor_status) == (Reason.THROTTLED, "HTTP 429")


@pytest.mark.parametrize("value", ["", "soon", "-1", "Mon, 23 Nov 2026 09:15:00 GMT", "9" * 400])
def test_an_odd_retry_after_is_none(fake: FakeInfobip, value: str) -> None:
    answer(fake, Response(status=429, headers={"Retry-After": value}))
    assert send().retry_after is None


def test_a_request_that_is_not_taken_is_refused_in_the_vendors_words(fake: FakeInfobip) -> None:
    sent = send(replace(TEXT, public_id="x" * 4001))
    assert (sent.verdict, sent.report.status, sent.report.error_code) == (Verdict.REFUSED, Status.REJECTED, "E400")
    assert "messages[0].webhooks.callbackData size must be between 0 and 4000" in sent.report.error_text


def test_the_other_error_envelope_is_read_too(fake: FakeInfobip) -> None:
    exception = {"messageId": "BAD_REQUEST", "text": "Bad request", "validationErrors": {"to": ["must not be null"]}}
    answer(fake, as_json({"requestError": {"serviceException": exception}}, 400))
    sent = send()
    assert (sent.verdict, sent.report.error_code) == (Verdict.REFUSED, "BAD_REQUEST")
    assert "Bad request; to must not be null" in sent.report.error_text


def test_secrets_that_an_answer_repeats_are_not_shown(fake: FakeInfobip) -> None:
    words = f"bad url {TEXT.callback_url}, key good-key, id {TEXT.reference}, path infobip/token-of-callbacks"
    answer(fake, as_json({"errorCode": "E400", "description": words, "violations": []}, 400))
    shown = send().report.error_text
    assert "hooks.example.com" in shown
    for secret in ("token-of-callbacks", "good-key", TEXT.reference):
        assert secret not in shown


@pytest.mark.parametrize(
    "response",
    [
        Response(status=500, body=b"oops"),
        Response(status=503),
        Response(status=302, headers={"Location": "https://elsewhere.example"}),
        Response(status=408),
        Response(status=200, body=b"<html>"),
        Response(status=200, body=b""),
        as_json([]),
        as_json({"messages": []}),
        as_json({"messages": [{"messageId": "other"}]}),
        as_json({"messages": [{"messageId": "other", "status": {"groupId": {}}}]}),
        as_json(
            {"messages": [{"messageId": "a", "status": {"groupId": 1}}, {"messageId": "b", "status": {"groupId": 1}}]}
        ),
    ],
    ids=lambda response: f"{response.status}-{response.body[:20]!r}",
)
def test_what_may_have_been_taken_is_unclear(fake: FakeInfobip, response: Response) -> None:
    answer(fake, response)
    sent = send()
    assert (sent.verdict, sent.report.status) == (Verdict.UNCLEAR, Status.UNKNOWN)
    assert f"HTTP {response.status}" in sent.report.error_text


def test_no_answer_comes_out_as_no_answer(fake: FakeInfobip) -> None:
    fake.faults.append(Fault(kind="drop_after"))
    with pytest.raises(Unanswered):
        send()
    assert TEXT.reference in fake.messages


def test_another_id_than_ours_is_kept_as_the_providers(fake: FakeInfobip) -> None:
    answer(fake, answered("accepted", "their-own-id"))
    sent = send()
    assert (sent.verdict, sent.provider_message_id, sent.report.message_key) == (
        Verdict.ACCEPTED, "their-own-id", TEXT.reference,
    )  # fmt: skip


def test_what_is_asked_for_is_read_as_a_report(fake: FakeInfobip) -> None:
    send()
    fake.report(TEXT.reference, "undelivered", ABSENT)
    taken = fake.messages[TEXT.reference]
    [report] = ask()
    assert report == Report(
        message_key=TEXT.reference,
        status=Status.UNDELIVERED,
        vendor_status="UNDELIVERABLE_NOT_DELIVERED",
        vendor_code="9",
        at=datetime.fromisoformat(taken.done_at),
        reason=Reason.UNREACHABLE,
        error_code="27",
        error_text="Absent Subscriber",
        to="14155550101",
        sender="18005550142",
        segments=1,
        price=Decimal("0.0067"),
        currency="USD",
        identity=(TEXT.reference, "9", "27", taken.done_at),
    )
    assert fake.requests[-1].query == {"messageId": TEXT.reference}


def test_asking_reads_the_same_report_that_was_called_back(fake: FakeInfobip) -> None:
    send()
    [called] = adapter.parse(posted(*fake.report(TEXT.reference, "undelivered", STOPPED)))
    assert ask() == [called]
    assert isinstance(called, Report)
    assert called.reason == Reason.OPT_OUT


def test_a_message_without_an_end_has_the_time_it_was_sent(fake: FakeInfobip) -> None:
    send()
    [report] = ask()
    assert (report.status, report.at) == (
        Status.ACCEPTED, datetime.fromisoformat(fake.messages[TEXT.reference].sent_at),
    )  # fmt: skip


def test_what_infobip_does_not_know_is_nothing(fake: FakeInfobip) -> None:
    assert ask() == []


def test_entries_of_other_messages_and_odd_ones_are_left_out(fake: FakeInfobip) -> None:
    own = {"messageId": TEXT.reference}
    rows = [
        {"messageId": "other", "status": {"groupId": 3}},
        own,
        own | {"status": []},
        7,
        own | {"status": {"groupId": 3}},
    ]
    answer(fake, as_json({"results": rows}))
    assert [report.status for report in ask()] == [Status.DELIVERED]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503, 200])
def test_asking_in_vain_is_said_and_tried_later(fake: FakeInfobip, status: int) -> None:
    answer(fake, Response(status=status, body=b"?"))
    with pytest.raises(Unanswered, match=rf"\(HTTP {status}\)"):
        ask()


def test_of_a_foreign_host_nothing_is_shown(fake: FakeInfobip) -> None:
    error = {
        "errorCode": "CANARY",
        "description": "CANARY",
        "violations": [{"property": "CANARY", "violation": "CANARY"}],
    }
    status = {"groupId": 5, "groupName": "CANARY", "id": "CANARY", "name": "CANARY", "description": "CANARY"}
    row = {"messageId": "CANARY", "status": status, "destination": "CANARY"}
    entry = {
        "messageId": TEXT.reference, "status": status, "error": {"id": "CANARY", "description": "CANARY"}, "to": "CANARY",
        "sender": "CANARY", "price": {"pricePerMessage": 1, "currency": "CAN"},
    }  # fmt: skip
    shown: list[Sent | Report | str] = []
    for code in (400, 401, 403, 404, 429, 500):
        answer(fake, as_json(error, code, Retry_After="CANARY"))
        shown.append(send(base_url=FOREIGN))
        answer(fake, as_json(error, code))
        with pytest.raises(Unanswered) as refused:
            ask(base_url=FOREIGN)
        shown.append(str(refused.value))
    for group in (1, 5, 9):
        answer(fake, as_json({"messages": [row | {"status": status | {"groupId": group}}]}))
        shown.append(send(base_url=FOREIGN))
    answer(fake, as_json({"results": [entry]}))
    shown += ask(base_url=FOREIGN)
    assert len(shown) == 16
    assert "CAN" not in "".join(
        repr(replace(item, identity=()) if isinstance(item, Report) else item) for item in shown
    )
    # The same from Infobip itself is shown.
    answer(fake, as_json(error, 400))
    assert "CANARY" in send().report.error_text


@pytest.mark.parametrize(
    "base_url",
    [
        "https://api.infobip.com.evil.example",
        "http://abc.api.infobip.com",
        "https://evil.example/.api.infobip.com",
        "https://evil.example#.api.infobip.com",
        "https://a@evil.example?.api.infobip.com",
        "https://abc.api.infobip.com:8443",
        "https://.api.infobip.com",
    ],
)
def test_what_only_looks_like_infobip_is_foreign(base_url: str) -> None:
    assert Api.of({"base_url": f"{BASE}/", "api_key": "k"}).is_home
    assert not Api.of({"base_url": base_url, "api_key": "k"}).is_home


# --- the fake, proven


@pytest.fixture
def sdk(fake: FakeInfobip) -> Any:
    """Infobip's own client."""
    with warnings.catch_warnings():
        # The SDK imports pkg_resources, which later setuptools announce the end of.
        warnings.simplefilter("ignore")
        from infobip_channels.sms.channel import SMSChannel
    return SMSChannel.from_auth_params({"base_url": fake.url, "api_key": "good-key"})


def sdk_text(message_id: str, to: str = "14155550101") -> dict[str, Any]:
    message = {"from": "18005550142", "text": "Hello", "destinations": [{"to": to, "messageId": message_id}]}
    return {"messages": [message | {"notifyUrl": "https://hooks.example.com/x"}]}


def test_infobips_own_sdk_sends_to_the_fake(fake: FakeInfobip, sdk: Any) -> None:
    response = sdk.send_sms_message(sdk_text("sdk-1"))
    [message] = response.messages
    assert (response.status_code, message.message_id, message.to) == (200, "sdk-1", "14155550101")
    assert (message.status.group_id, message.status.name) == (1, "PENDING_ACCEPTED")
    [refused] = sdk.send_sms_message(sdk_text("sdk-2", "14155550009")).messages
    assert (refused.status.group_id, refused.status.id) == (5, 52)


def test_infobips_own_sdk_reads_the_fakes_errors(fake: FakeInfobip, sdk: Any) -> None:
    fake.keys.clear()
    error = sdk.send_sms_message(sdk_text("sdk-1")).request_error.service_exception
    assert (error.message_id, error.text) == ("UNAUTHORIZED", "Invalid login details")
    fake.keys["good-key"] = {"numbers:manage"}
    response = sdk.get_outbound_sms_message_logs()
    assert (response.status_code, response.request_error.service_exception.message_id) == (403, "FORBIDDEN")


def test_infobips_own_sdk_reads_the_fakes_logs_and_reports(fake: FakeInfobip, sdk: Any) -> None:
    sdk.send_sms_message(sdk_text("sdk-1"))
    _, _, body = fake.report("sdk-1", "undelivered", ABSENT)
    [entry] = sdk.get_outbound_sms_message_logs({"messageId": ["sdk-1"]}).results
    assert (entry.message_id, entry.to, entry.sms_count) == ("sdk-1", "14155550101", 1)
    assert (entry.status.name, entry.error.id) == ("UNDELIVERABLE_NOT_DELIVERED", 27)
    from infobip_channels.sms.models.response.outbound_delivery_reports import SMSReport

    [item] = json.loads(body)["results"]
    read = SMSReport(**item)
    assert (read.message_id, read.status.id, read.error.id, read.error.permanent) == ("sdk-1", 9, 27, False)


def test_the_fake_answers_the_documented_example(fake: FakeInfobip) -> None:
    """The send of the vendor's documents, word for word, is taken and answered with the documented fields."""
    assert not list(faults_in(body_of(TEXT), MESSAGES))
    assert list(faults_in({"messages": [{"from": "x", "destinations": [], "content": {}}]}, MESSAGES)) == [
        ("messages[0].destinations", "must not be blank"),
        ("messages[0].from", "unknown property"),
        ("messages[0].content.text", "must not be blank"),
    ]
    assert stamp(datetime(2026, 11, 23, 9, 15, 2, 481000, tzinfo=UTC)) == "2026-11-23T09:15:02.481+0000"
