"""Twilio: samples as items, written out whole; signatures computed by Twilio's own SDK; what strangers may send."""

import hashlib
import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import QueryDict
from hypothesis import given, settings
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from tests import samples
from trackly.raw import RawRequest
from webhooks.providers import twilio
from webhooks.providers.base import BadPayload, BadSignature
from webhooks.providers.twilio import adapter
from webhooks.statuses import TIER, Decision, Item, Reason, Reply, Report, Status, Unreadable

NOW = samples.RECEIVED_AT
TOKEN = "test-auth-token-0000000000000042"
CONFIG = {"account_sid": "AC00000000000000000000000000000042", "auth_token": TOKEN}
FORM = ("content-type", "application/x-www-form-urlencoded; charset=UTF-8")
JSON = ("content-type", "application/json")
PUBLIC = "https://hooks.example.com"


def sid(number: int) -> str:
    return f"SM{number:032}"


def status(number: int, state: Status, error: tuple[Reason, str, str] | None = None) -> Report:
    """The report of a sample; its recipient's last digits are those of the message."""
    reason, code, text = error or (None, "", "")
    return Report(
        message_key=sid(number),
        status=state,
        vendor_status=state.value,
        reason=reason,
        error_code=code,
        error_text=text,
        to=f"+141555501{number:02}",
        sender="+18005550142",
        identity=(sid(number), state.value, code),
    )


def reply(number: int, text: str, decision: Decision | None) -> Reply:
    return Reply(
        key=f"SMffffffffffffffffffffffffffff{number:04}",
        sender="+14155550101",
        recipient="+18005550142",
        text=text,
        decision=decision,
    )


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("status_queued", status(1, Status.QUEUED)),
        ("status_sent", status(1, Status.SENT)),
        ("status_delivered", status(1, Status.DELIVERED)),
        ("status_with_fragment_configured", status(16, Status.DELIVERED)),
        ("json_bodysha256", replace(status(17, Status.DELIVERED), to="", sender="")),
        (
            "status_undelivered_30003",
            status(3, Status.UNDELIVERED, (Reason.UNREACHABLE, "30003", "Unreachable destination handset")),
        ),
        ("status_undelivered_30004", status(10, Status.UNDELIVERED, (Reason.BLOCKED, "30004", "Message blocked"))),
        (
            "status_undelivered_30005",
            status(4, Status.UNDELIVERED, (Reason.INVALID_NUMBER, "30005", "Unknown destination handset")),
        ),
        ("status_undelivered_30007", status(6, Status.UNDELIVERED, (Reason.SPAM, "30007", "Message filtered"))),
        ("status_undelivered_30008", status(7, Status.UNDELIVERED, (Reason.OTHER, "30008", "Unknown error"))),
        (
            "status_failed_21610",
            status(9, Status.FAILED, (Reason.OPT_OUT, "21610", "Attempt to send to unsubscribed recipient")),
        ),
        ("mo_stop_advanced_optout", reply(1, "STOP", Decision.OPT_OUT)),
        ("mo_stop_default_optout", reply(2, " stop ", None)),
        ("mo_start_advanced_optout", reply(3, "START", Decision.OPT_IN)),
        ("mo_help_advanced_optout", reply(4, "HELP", Decision.HELP)),
    ],
)
def test_a_sample_reads_as_this_item_and_is_signed(name: str, item: Item) -> None:
    request = samples.load(f"twilio/{name}")
    assert adapter.parse(request) == [item]
    adapter.verify(request, CONFIG, now=NOW)


def test_a_retry_repeats_the_report() -> None:
    [first] = adapter.parse(samples.load("twilio/status_delivered"))
    [again] = adapter.parse(samples.load("twilio/status_delivered_retry_duplicate"))
    [sent] = adapter.parse(samples.load("twilio/status_sent"))
    assert first.fingerprint == again.fingerprint != sent.fingerprint


def test_the_answer_is_the_xml_that_texts_nobody() -> None:
    assert adapter.reply == ("text/xml", b'<?xml version="1.0" encoding="UTF-8"?><Response/>')


def test_the_account_is_named_by_the_payload_and_known_by_the_credentials() -> None:
    assert adapter.names(samples.load("twilio/status_sent")) == CONFIG["account_sid"] == adapter.known_as(CONFIG)
    assert adapter.names(samples.load("twilio/json_bodysha256")) == CONFIG["account_sid"]
    assert adapter.names(posted(b"To=x")) == adapter.known_as({}) == ""
    assert adapter.names(posted(b'{"AccountSid":["AC"]}', JSON)) == adapter.names(posted(b"{", JSON)) == ""


def posted(body: bytes, *headers: tuple[str, str], **overrides: Any) -> RawRequest:
    return samples.load("twilio/status_sent", headers=headers or (FORM,), body=body, **overrides)


def parse(fields: dict[str, str]) -> Item:
    [item] = adapter.parse(posted(urlencode(fields).encode()))
    return item


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("accepted", Status.ACCEPTED),
        ("scheduled", Status.ACCEPTED),
        ("queued", Status.QUEUED),
        ("sending", Status.SENDING),
        ("sent", Status.SENT),
        ("partially_delivered", Status.SENT),
        ("delivered", Status.DELIVERED),
        ("undelivered", Status.UNDELIVERED),
        ("failed", Status.FAILED),
        ("canceled", Status.CANCELED),
        ("read", Status.READ),
        ("Delivered", Status.DELIVERED),
        ("teleported", Status.UNKNOWN),
    ],
)
def test_every_status_word_has_a_place_and_is_kept(word: str, expected: Status) -> None:
    found = parse({"MessageSid": "SM1", "MessageStatus": word})
    assert isinstance(found, Report)
    assert (found.status, found.vendor_status) == (expected, word)


def test_the_deprecated_names_stand_in() -> None:
    found = parse({"SmsSid": "SM1", "SmsStatus": "delivered"})
    assert (found.message_key, found.status) == ("SM1", Status.DELIVERED)


@pytest.mark.parametrize(
    ("code", "reason", "error_code"),
    [
        ("", None, ""),
        ("0", None, ""),
        ("30006", Reason.INVALID_NUMBER, "30006"),
        ("30017", Reason.UNREACHABLE, "30017"),
        ("30022", Reason.THROTTLED, "30022"),
        ("30034", Reason.REGISTRATION, "30034"),
        ("99999", Reason.OTHER, "99999"),
    ],
)
def test_the_reason_comes_from_the_error_code(code: str, reason: Reason | None, error_code: str) -> None:
    found = parse({"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": code})
    assert (found.reason, found.error_code) == (reason, error_code)


def test_no_callback_word_is_final_by_mistake() -> None:
    moving = {word for word, state in adapter.statuses.items() if TIER[state] < 4}
    assert moving == {"accepted", "scheduled", "queued", "sending", "sent", "partially_delivered"}


@pytest.mark.parametrize("word", [{"SmsStatus": "received"}, {"SmsStatus": "receiving"}, {}])
def test_a_body_without_a_delivery_status_is_a_reply(word: dict[str, str]) -> None:
    found = parse({"MessageSid": "SM1", "From": "+14155550101", "To": "3669", "Body": ""} | word)
    assert found == Reply(key="SM1", sender="+14155550101", recipient="3669", text="")


def test_a_picture_without_a_text_is_a_reply() -> None:
    found = parse({"MessageSid": "MM1", "From": "+14155550101", "To": "3669", "SmsStatus": "received", "NumMedia": "1"})
    assert found == Reply(key="MM1", sender="+14155550101", recipient="3669", text="")


def test_an_inbound_hook_by_get_is_read_from_the_query() -> None:
    query = "account=42&MessageSid=SM1&From=%2B14155550101&To=3669&Body=a+%26+b&SmsStatus=received"
    request = samples.load("twilio/status_sent", method="GET", query=query, body=b"", headers=())
    assert adapter.parse(request) == [Reply(key="SM1", sender="+14155550101", recipient="3669", text="a & b")]
    assert "GET" in adapter.methods
    adapter.verify(signed(request, {}), CONFIG, now=NOW)
    with pytest.raises(BadSignature):
        adapter.verify(replace(signed(request, {}), query=query.replace("SM1", "SM2")), CONFIG, now=NOW)


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        (b"", "neither MessageSid"),
        (b"\x00\xff", "neither MessageSid"),
        (b"MessageStatus=delivered", "neither MessageSid"),
        (b"MessageSid=SM1", "neither a status nor a text"),
        (b"MessageSid=SM1&Body=STOP", "without From"),
        (b'{"MessageSid":"SM1"}', "neither a status nor a text"),
        (b'{"MessageSid":["SM1"]}', "a text or a number is documented"),
        (b'{"MessageSid":"SM1","MessageStatus":{}}', "neither a status nor a text"),
        (b'{"MessageSid":"SM1","MessageStatus":{"a":1}}', "a text or a number is documented"),
    ],
)
def test_a_request_that_names_no_message_is_unreadable(body: bytes, cause: str) -> None:
    [found] = adapter.parse(posted(body, JSON if body[:1] == b"{" else FORM))
    assert isinstance(found, Unreadable)
    assert cause in found.cause


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b'{"a":NaN}', b'{"a":' + b"9" * 10_000 + b"}", b'{"a":"\xff"}', b"[" * 500, b'{"a":' * 100],
)
def test_json_that_is_none_is_a_bad_payload(body: bytes) -> None:
    with pytest.raises(BadPayload):
        adapter.parse(posted(body, JSON))


def test_a_form_of_thousands_of_fields_is_refused_in_both_places() -> None:
    body = b"&".join(b"a%d=1" % number for number in range(2000))
    with pytest.raises(BadPayload):
        adapter.parse(posted(body))
    with pytest.raises(BadSignature):
        adapter.verify(posted(body, FORM, ("x-twilio-signature", "x")), CONFIG, now=NOW)


def signed(request: RawRequest, params: Any, *, base: str = PUBLIC, token: str = TOKEN) -> RawRequest:
    """The request with the signature Twilio's SDK computes for it as seen under `base`."""
    value = RequestValidator(token).compute_signature(base + request.target, params)
    return replace(request, headers=(*request.headers, ("x-twilio-signature", value)))


def test_the_vector_of_twilios_own_page_is_accepted() -> None:
    request = samples.load("twilio/official_vector", base_url="https://example.com")
    adapter.verify(request, {"auth_token": "12345"}, now=NOW)
    assert request.header("x-twilio-signature") == "L/OH5YylLD5NRKLltdqwSvS0BnU="
    with pytest.raises(BadSignature):
        adapter.verify(request, {"auth_token": "12346"}, now=NOW)


def test_what_was_tampered_with_is_refused() -> None:
    request = samples.load("twilio/status_delivered")
    body = request.body
    for changed in (
        samples.load("twilio/status_tampered"),
        replace(request, body=body.replace(b"delivered", b"failed")),
        replace(request, body=body + b"&Extra="),
        replace(request, body=body + b"&Extra=1"),
        replace(request, query="account=43"),
        replace(request, path=request.path + "/"),
        replace(request, base_url="https://other.example.com"),
        replace(request, base_url="http://hooks.example.com"),
    ):
        # An empty extra field has a name, and names are signed too.
        with pytest.raises(BadSignature):
            adapter.verify(changed, CONFIG, now=NOW)


@pytest.mark.parametrize("value", [None, "", "Tbze0qhZZvgT/x5mlP1cIm4AsNI", "\xe9\xff", "=" * 4000])
def test_a_missing_or_foreign_signature_is_refused(value: str | None) -> None:
    headers = (FORM,) if value is None else (FORM, ("x-twilio-signature", value))
    request = samples.load("twilio/status_delivered", headers=headers)
    with pytest.raises(BadSignature):
        adapter.verify(request, CONFIG, now=NOW)


def test_an_empty_token_verifies_nothing() -> None:
    request = signed(posted(b"a=b"), {"a": "b"}, token="")
    for config in ({"auth_token": ""}, {}):
        with pytest.raises(BadSignature):
            adapter.verify(request, config, now=NOW)


@pytest.mark.parametrize(
    ("configured", "seen"),
    [
        ("https://hooks.example.com", "https://hooks.example.com:443"),
        ("https://hooks.example.com:443", "https://hooks.example.com"),
        ("https://hooks.example.com:8443", "https://hooks.example.com:8443"),
        ("https://hooks.example.com:8443", "https://hooks.example.com"),
        ("http://hooks.example.com", "http://hooks.example.com:80"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_the_port_may_be_signed_or_not(configured: str, seen: str) -> None:
    request = replace(posted(b"a=b"), base_url=configured)
    adapter.verify(signed(request, {"a": "b"}, base=seen), CONFIG, now=NOW)
    with pytest.raises(BadSignature):
        adapter.verify(signed(request, {"a": "b"}, base=seen + "1"), CONFIG, now=NOW)


def test_json_is_proven_by_its_hash_in_the_signed_url() -> None:
    body = b'{"MessageSid":"SM1","MessageStatus":"delivered"}'
    query = f"account=42&bodySHA256={hashlib.sha256(body).hexdigest()}"
    request = signed(posted(body, JSON, query=query), {})
    adapter.verify(request, CONFIG, now=NOW)
    [signature] = [value for name, value in request.headers if name == "x-twilio-signature"]
    assert RequestValidator(TOKEN).validate(request.url, body.decode(), signature)
    for changed in (replace(request, body=body + b" "), signed(posted(body, JSON), {})):
        with pytest.raises(BadSignature):
            adapter.verify(changed, CONFIG, now=NOW)


def test_json_sent_under_the_signature_of_a_bare_url_is_refused() -> None:
    captured = signed(posted(b""), {})
    adapter.verify(captured, CONFIG, now=NOW)
    forged = json.dumps({"MessageSid": "SM1", "MessageStatus": "failed"}).encode()
    for content_type in (JSON, FORM, ("content-type", "text/plain")):
        request = replace(captured, body=forged, headers=(content_type, captured.headers[-1]))
        with pytest.raises(BadSignature):
            adapter.verify(request, CONFIG, now=NOW)


def test_a_form_is_a_form_also_where_its_first_field_looks_like_json() -> None:
    request = signed(
        posted(b"{a=b&MessageSid=SM1&MessageStatus=sent"), {"{a": "b", "MessageSid": "SM1", "MessageStatus": "sent"}
    )
    adapter.verify(request, CONFIG, now=NOW)
    assert adapter.parse(request)[0].message_key == "SM1"


def test_a_leaked_callback_url_proves_nothing() -> None:
    assert not adapter.token_suffices


def test_a_shared_key_signs_by_sha256_and_only_where_one_is_configured() -> None:
    request = posted(b"a=b", FORM, ("x-twilio-webhooks-signature-settings", "key=webhooks_1, algorithm=HMAC_SHA256"))
    value = RequestValidator("shared").compute_signature(request.url, {"a": "b"}, "HMAC_SHA256")
    request = replace(request, headers=(*request.headers, ("x-twilio-signature", value)))
    adapter.verify(request, CONFIG | {"shared_key": "shared"}, now=NOW)
    for config in (CONFIG, CONFIG | {"shared_key": "other"}, {"auth_token": "shared"}):
        with pytest.raises(BadSignature):
            adapter.verify(request, config, now=NOW)


NAMES = st.text(max_size=12)
FORMS = st.lists(st.tuples(NAMES, st.text(max_size=20)), max_size=8)


@settings(deadline=None)
@given(FORMS)
def test_any_form_is_signed_as_twilios_sdk_signs_it(pairs: list[tuple[str, str]]) -> None:
    # Blank values, repeated names, equal values and any character; Django's QueryDict is what the SDK documents.
    body = urlencode(pairs).encode()
    request, validator = posted(body), RequestValidator(TOKEN)
    params = QueryDict(body, encoding="utf-8")
    adapter.verify(signed(request, params), CONFIG, now=NOW)
    ours = twilio.sign(TOKEN, request.url, twilio.signed_fields(request)).decode()
    assert validator.validate(request.url, params, ours)
