"""Twilio, sending and asking: every answer to a send and to a question, against a fake that its own SDK agrees with."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests import samples
from tests.fakes.server import Fault, Response, as_json
from tests.fakes.twilio import ACCOUNT, API, MESSAGING, TOKEN, Credentials, FakeTwilio
from trackly.calls import Unanswered, Unreached
from trackly.outgoing import hold_now
from trackly.raw import RawRequest
from trackly.signing import new_code
from webhooks.orders import Asked, Sent, Text, Verdict
from webhooks.providers.base import BadSignature
from webhooks.providers.twilio import adapter
from webhooks.providers.twilio.tables import ADVICE, BUSY, ERRORS
from webhooks.statuses import TIER, Reason, Report, Status

OURS = "+18005550142"
URL = "https://hooks.example.com/api/webhook-feedbacks/twilio?account=k7Pq2ab9"
CONFIG = {"account_sid": ACCOUNT, "auth_token": TOKEN}
TEXT = Text(
    reference="r" * 26, public_id="mH3kz9Qa", sender=OURS, to="+14155550101", body="Hello & goodbye ✓", callback_url=URL
)
UPDATED = datetime(2026, 11, 23, 9, 15, tzinfo=UTC)


@pytest.fixture
def fake(settings: Any) -> Iterator[FakeTwilio]:
    with FakeTwilio() as fake:
        settings.OUTGOING_ROUTES = {API: fake.url, MESSAGING: fake.url}
        fake.add_number(OURS)
        yield fake


def send(config: dict[str, str] = CONFIG, **changes: str) -> Sent:
    return hold_now(adapter.send(replace(TEXT, **changes), config))


def ask(sid: str, config: dict[str, str] = CONFIG) -> list[Report]:
    asked = Asked(reference="r" * 26, provider_message_id=sid, sender=OURS, to=TEXT.to, sent_at=UPDATED)
    return hold_now(adapter.ask(asked, config))


def instead(fake: FakeTwilio, response: Response) -> None:
    fake.faults.append(Fault(kind="instead", response=response))


def test_a_send_is_accepted_under_twilios_name_and_ours(fake: FakeTwilio) -> None:
    sent = send()
    [sid] = fake.messages
    assert sent == Sent(
        verdict=Verdict.ACCEPTED,
        provider_message_id=sid,
        report=Report(
            message_key="r" * 26,
            status=Status.QUEUED,
            vendor_status="queued",
            at=UPDATED,
            to=TEXT.to,
            sender=OURS,
            segments=1,
            identity=(sid, "queued", "", "Mon, 23 Nov 2026 09:15:00 +0000"),
        ),
    )
    [call] = fake.requests
    assert call.form() == {
        "To": TEXT.to,
        "From": OURS,
        "Body": TEXT.body,
        "StatusCallback": f"{URL}&message=mH3kz9Qa#rc=3&rp=ct,rt,5xx",
    }


def test_no_secret_and_no_reference_of_ours_is_told_to_twilio(fake: FakeTwilio) -> None:
    send()
    assert b"r" * 26 not in fake.requests[0].body
    assert TOKEN.encode() not in fake.requests[0].body


def test_a_callback_url_without_a_query_gets_one(fake: FakeTwilio) -> None:
    send(callback_url="https://hooks.example.com/hook")
    [url] = fake.callbacks.values()
    assert url == "https://hooks.example.com/hook?message=mH3kz9Qa#rc=3&rp=ct,rt,5xx"


def test_through_a_messaging_service_the_lists_own_number_still_sends(fake: FakeTwilio) -> None:
    service = fake.add_service(*fake.numbers)
    sent = send(CONFIG | {"messaging_service_sid": service})
    # It has not counted the segments yet.
    assert (sent.verdict, sent.report.status, sent.report.segments) == (Verdict.ACCEPTED, Status.ACCEPTED, None)
    assert fake.requests[0].form()["MessagingServiceSid"] == service
    assert fake.requests[0].form()["From"] == OURS


def test_calls_authenticate_by_the_api_key_only_when_it_is_whole(fake: FakeTwilio) -> None:
    key = fake.sid("SK")
    fake.keys[key] = ("key-secret", "Restricted")
    whole = CONFIG | {"api_key_sid": key, "api_key_secret": "key-secret", "auth_token": "not needed for this"}
    assert send(whole).verdict == Verdict.ACCEPTED
    assert send(CONFIG | {"api_key_sid": key, "api_key_secret": ""}).verdict == Verdict.ACCEPTED
    assert send(whole | {"api_key_secret": "other"}).verdict == Verdict.LATER


@pytest.mark.parametrize("is_problem_json", [False, True])
@pytest.mark.parametrize(
    ("changes", "code", "reason", "advice"),
    [
        ({"to": "+1415"}, "21211", Reason.INVALID_NUMBER, "Correct the number"),
        ({"to": "+14155550177"}, "21610", Reason.OPT_OUT, "by texting START"),
        ({"sender": "+18005550199"}, "21606", Reason.OTHER, "Choose a number of this Twilio account"),
        ({"sender": "12345"}, "21659", Reason.OTHER, "Choose a number of this Twilio account"),
        ({"body": ""}, "21602", Reason.OTHER, "Write a text"),
        ({"body": "x" * 1601}, "21617", Reason.OTHER, "Shorten"),
        ({"callback_url": "https://my_host.example.com/"}, "21609", Reason.OTHER, "PUBLIC_BASE_URL"),
        ({"callback_url": "/api/webhook-feedbacks/twilio"}, "21609", Reason.OTHER, "PUBLIC_BASE_URL"),
    ],
)
def test_what_twilio_refuses_is_refused_with_its_code_and_what_to_do(
    fake: FakeTwilio, changes: dict[str, str], code: str, reason: Reason, advice: str, is_problem_json: bool
) -> None:
    fake.opted_out.add("+14155550177")
    fake.is_problem_json = is_problem_json
    sent = send(**changes)
    # Rejected, and not failed: Twilio never had it.
    assert (sent.verdict, sent.report.status) == (Verdict.REFUSED, Status.REJECTED)
    assert (sent.report.error_code, sent.report.reason) == (code, reason)
    assert advice in sent.report.error_text
    assert code in sent.report.error_text
    assert not fake.messages


def test_a_messaging_service_that_is_gone_empty_or_anothers_is_refused(fake: FakeTwilio) -> None:
    empty = fake.add_service()
    other = fake.add_service(fake.add_number("+18005550150"))
    found = [send(CONFIG | {"messaging_service_sid": sid}) for sid in (fake.sid("MG"), empty, other)]
    assert [sent.report.error_code for sent in found] == ["21701", "21704", "21711"]
    assert {sent.verdict for sent in found} == {Verdict.REFUSED}


def test_an_unknown_code_is_refused_in_twilios_words_with_its_page(fake: FakeTwilio) -> None:
    instead(fake, as_json({"code": 29999, "message": "The moon is full.", "status": 400}, 400))
    sent = send()
    assert (sent.verdict, sent.report.error_code, sent.report.reason) == (Verdict.REFUSED, "29999", Reason.OTHER)
    assert sent.report.error_text == (
        "Twilio refused: The moon is full (HTTP 400, code 29999). See https://www.twilio.com/docs/api/errors/29999."
    )


@pytest.mark.parametrize("config", [CONFIG | {"auth_token": "wrong"}, CONFIG | {"account_sid": "AC" + "f" * 32}])
def test_with_wrong_credentials_a_text_waits(fake: FakeTwilio, config: dict[str, str]) -> None:
    sent = send(config)
    # Unknown says nothing of the message: it would otherwise count as taken.
    assert (sent.verdict, sent.report.status, TIER[sent.report.status]) == (Verdict.LATER, Status.UNKNOWN, 0)
    assert sent.report.error_text.startswith("Twilio does not take these credentials for this (HTTP 401, code 20003).")
    assert "neither suspended nor closed" in sent.report.error_text


def test_a_busy_twilio_is_tried_again_when_it_says_so(fake: FakeTwilio) -> None:
    fake.is_limited = True
    sent = send()
    assert (sent.verdict, sent.retry_after) == (Verdict.LATER, timedelta(seconds=7))
    assert (sent.report.reason, sent.report.error_code) == (Reason.THROTTLED, "20429")


@pytest.mark.parametrize(
    ("status", "body", "verdict"),
    [
        (400, {"code": 21611}, Verdict.LATER),
        (400, {"code": 14107}, Verdict.LATER),
        (403, {"code": 20003}, Verdict.LATER),
        (403, {}, Verdict.LATER),
        (403, {"code": 21408}, Verdict.REFUSED),
        (429, {}, Verdict.LATER),
        (400, {}, Verdict.REFUSED),
        (404, {"code": 20404}, Verdict.REFUSED),
        (413, {}, Verdict.REFUSED),
        (408, {}, Verdict.UNCLEAR),
        (302, {}, Verdict.UNCLEAR),
        (500, {"code": 20500}, Verdict.UNCLEAR),
        (503, {}, Verdict.UNCLEAR),
        (503, {"code": 20429}, Verdict.UNCLEAR),
        (200, {}, Verdict.UNCLEAR),
        (201, {"sid": "no such thing"}, Verdict.UNCLEAR),
        (201, {"sid": ["SM"]}, Verdict.UNCLEAR),
        (201, {"sid": "SM" + "1" * 32}, Verdict.ACCEPTED),
    ],
)
def test_every_answer_has_a_verdict(fake: FakeTwilio, status: int, body: dict[str, Any], verdict: Verdict) -> None:
    instead(fake, as_json(body, status))
    sent = send()
    assert sent.verdict == verdict
    assert sent.report.message_key == TEXT.reference
    assert sent.report.error_text or verdict == Verdict.ACCEPTED


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"null", b'{"code":{"a":1},"message":[1]}', b'{"code":' + b"9" * 5000 + b"}", b"\xff"],
)
@pytest.mark.parametrize(("status", "verdict"), [(201, Verdict.UNCLEAR), (400, Verdict.REFUSED)])
def test_an_unreadable_answer_is_judged_by_its_status(
    fake: FakeTwilio, body: bytes, status: int, verdict: Verdict
) -> None:
    instead(fake, Response(status=status, body=body))
    sent = send()
    assert (sent.verdict, sent.report.error_code) == (verdict, "")


@pytest.mark.parametrize("value", ["Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1e9", "9" * 400, "٣"])
def test_a_wait_that_is_no_number_of_seconds_is_none(fake: FakeTwilio, value: str) -> None:
    headers = {"Retry-After": value.encode().decode("latin-1")}
    instead(fake, Response(status=429, headers=headers))
    assert send().retry_after is None


def test_a_connection_that_breaks_is_for_the_caller_to_judge(fake: FakeTwilio, settings: Any) -> None:
    fake.faults.append(Fault(kind="drop_after"))
    with pytest.raises(Unanswered):
        send()
    assert len(fake.messages) == 1
    settings.OUTGOING_ROUTES = {API: "http://127.0.0.1:9"}
    with pytest.raises(Unreached):
        send()


# --- The callbacks of what was sent


def called_back(call: tuple[str, dict[str, str], bytes]) -> RawRequest:
    url, headers, body = call
    parts = urlsplit(url)
    named = tuple((name.lower(), value) for name, value in headers.items())
    return samples.load("twilio/status_sent", path=parts.path, query=parts.query, headers=named, body=body)


def test_the_callback_carries_our_name_of_the_message_and_it_is_signed(fake: FakeTwilio) -> None:
    sid = send().provider_message_id
    request = called_back(fake.report(sid, "undelivered", "30003"))
    assert "#" not in request.url
    adapter.verify(request, CONFIG, now=samples.RECEIVED_AT)
    [report] = adapter.parse(request)
    assert report == Report(
        message_key=sid,
        status=Status.UNDELIVERED,
        vendor_status="undelivered",
        reason=Reason.UNREACHABLE,
        error_code="30003",
        error_text="Unreachable destination handset",
        to=TEXT.to,
        sender=OURS,
        public_id="mH3kz9Qa",
        identity=(sid, "undelivered", "30003"),
    )
    for query in (request.query.replace("mH3kz9Qa", "mH3kz9Qb"), request.query.partition("&message")[0]):
        with pytest.raises(BadSignature):
            adapter.verify(replace(request, query=query), CONFIG, now=samples.RECEIVED_AT)


@pytest.mark.parametrize(
    "name", ["", "short", "mH3kz9Qa1", "mH3kz9Q0", "mH3kz9Ql", "mH3kz9Qo", "mH3kz9Q%00", "%FF", "mH3kz9QI"]
)
def test_a_name_that_cannot_be_ours_is_no_name(name: str) -> None:
    [report] = adapter.parse(samples.load("twilio/status_sent", query=f"account=42&message={name}"))
    assert isinstance(report, Report)
    assert report.public_id == ""


def test_every_name_we_make_is_recognized() -> None:
    for _ in range(200):
        name = new_code(8)
        [report] = adapter.parse(samples.load("twilio/status_sent", query=f"message={name}"))
        assert isinstance(report, Report)
        assert report.public_id == name


def test_a_query_too_long_to_read_costs_the_name_and_not_the_report() -> None:
    [report] = adapter.parse(samples.load("twilio/status_sent", query="a=1&" * 2000))
    assert isinstance(report, Report)
    assert report.public_id == ""


# --- Asking


def test_asking_tells_the_state_the_time_and_the_price(fake: FakeTwilio) -> None:
    sid = send().provider_message_id
    updated = "Mon, 23 Nov 2026 10:15:03 +0100"
    fake.messages[sid] |= {"status": "delivered", "price": "-0.00750", "price_unit": "usd", "num_segments": "2"}
    fake.messages[sid]["date_updated"] = updated
    assert ask(sid) == [
        Report(
            message_key="r" * 26,
            status=Status.DELIVERED,
            vendor_status="delivered",
            at=datetime(2026, 11, 23, 9, 15, 3, tzinfo=UTC),
            to=TEXT.to,
            sender=OURS,
            segments=2,
            price=Decimal("0.00750"),
            currency="USD",
            identity=(sid, "delivered", "", updated),
        )
    ]


@pytest.mark.parametrize("code", [*sorted(ERRORS), "99999"])
def test_a_polled_state_is_judged_as_its_callback_is(fake: FakeTwilio, code: str) -> None:
    sid = send().provider_message_id
    [called] = adapter.parse(called_back(fake.report(sid, "undelivered", code)))
    [polled] = ask(sid)
    assert isinstance(called, Report)
    names = ("status", "vendor_status", "reason", "error_code", "error_text", "to", "sender")
    assert [getattr(called, name) for name in names] == [getattr(polled, name) for name in names]


def test_two_polls_with_different_outcomes_are_two_entries(fake: FakeTwilio) -> None:
    sid = send().provider_message_id
    marks = set()
    for minute in (15, 15, 16, 17):
        fake.messages[sid]["date_updated"] = f"Mon, 23 Nov 2026 09:{minute}:00 +0000"
        [report] = ask(sid)
        marks.add(report.fingerprint)
    assert len(marks) == 3


@pytest.mark.parametrize(
    ("fields", "name", "expected"),
    [
        ({"price": None, "price_unit": "USD"}, "price", None),
        ({"price": None, "price_unit": "USD"}, "currency", ""),
        ({"price": "NaN"}, "price", None),
        ({"price": "-1e99"}, "price", None),
        ({"price": "0"}, "price", Decimal(0)),
        ({"price": ["-1"]}, "price", None),
        ({"num_segments": "-1"}, "segments", None),
        ({"num_segments": "99999"}, "segments", None),
        ({"num_segments": 3}, "segments", 3),
        ({"date_updated": None}, "at", None),
        ({"date_updated": "yesterday"}, "at", None),
        ({"date_updated": "Mon, 23 Nov 9999 09:15:00 +0000"}, "at", None),
        ({"date_updated": "Mon, 23 Nov 2026 09:15:00 -0000"}, "at", UPDATED),
        ({"error_code": 0}, "reason", None),
        ({"error_code": 88888, "error_message": "New."}, "error_text", "New."),
        ({"status": "teleported"}, "status", Status.UNKNOWN),
        ({"to": {"a": 1}}, "to", ""),
    ],
)
def test_one_odd_field_never_costs_the_report(
    fake: FakeTwilio, fields: dict[str, Any], name: str, expected: object
) -> None:
    sid = send().provider_message_id
    fake.messages[sid] |= fields
    [report] = ask(sid)
    assert getattr(report, name) == expected


def test_of_what_twilio_does_not_know_nothing_is_said(fake: FakeTwilio) -> None:
    assert ask("SM" + "e" * 32) == []


@pytest.mark.parametrize("sid", ["", "SM1/../x", "x" * 34])
def test_a_message_whose_send_was_never_answered_is_not_guessed_at(fake: FakeTwilio, sid: str) -> None:
    assert ask(sid) == []
    assert not fake.requests


def test_who_cannot_be_asked_now_is_asked_later(fake: FakeTwilio) -> None:
    sid = send().provider_message_id
    for response in (Response(status=503), Response(status=200), as_json({"sid": "SM" + "e" * 32, "status": "sent"})):
        instead(fake, response)
        with pytest.raises(Unanswered):
            ask(sid)
    with pytest.raises(Unanswered, match="does not take these credentials"):
        ask(sid, CONFIG | {"auth_token": "wrong"})
    fake.is_limited = True
    with pytest.raises(Unanswered, match="code 20429"):
        ask(sid)


def test_test_credentials_send_but_cannot_be_asked(fake: FakeTwilio) -> None:
    fake.accounts[ACCOUNT] = Credentials(kind="test")
    sid = send().provider_message_id
    assert sid
    with pytest.raises(Unanswered, match="test credentials"):
        ask(sid)


def test_every_advice_and_every_wait_is_of_a_code_with_a_title() -> None:
    assert ERRORS.keys() >= ADVICE.keys() | BUSY
    assert adapter.can_ask
