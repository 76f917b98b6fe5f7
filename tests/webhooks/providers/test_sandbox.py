"""The sandbox: its events as items, its signature, what strangers may send."""

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests import samples
from trackly.raw import RawRequest
from webhooks.providers.base import BadPayload, BadSignature
from webhooks.providers.sandbox import adapter, sign
from webhooks.statuses import Item, Reason, Reply, Report, Status, Unreadable

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
KEY = "sandbox-key-for-tests"
REPORT = {
    "type": "report",
    "message": "a2b3c4d5e6f7a2b3c4d5e6f7a2",
    "status": "undelivered",
    "at": "2026-11-23T09:29:59.5+00:00",
    "error": {"code": "unreachable", "text": "The phone is off"},
}
REPLY = {
    "type": "reply",
    "id": "r-1",
    "from": "+14155550101",
    "to": "+18005550142",
    "text": "STOP",
    "at": "2026-11-23T09:29:00Z",
}
REPORTED = Report(
    message_key="a2b3c4d5e6f7a2b3c4d5e6f7a2",
    status=Status.UNDELIVERED,
    vendor_status="undelivered",
    at=datetime(2026, 11, 23, 9, 29, 59, 500000, tzinfo=UTC),
    reason=Reason.UNREACHABLE,
    error_code="unreachable",
    error_text="The phone is off",
    identity=("a2b3c4d5e6f7a2b3c4d5e6f7a2", "undelivered", "2026-11-23T09:29:59.5+00:00", "unreachable"),
)
REPLIED = Reply(
    key="r-1",
    sender="+14155550101",
    recipient="+18005550142",
    text="STOP",
    at=datetime(2026, 11, 23, 9, 29, tzinfo=UTC),
)


def posted(body: bytes, signature: str | None = None) -> RawRequest:
    headers = () if signature is None else (("x-sandbox-signature", signature),)
    return RawRequest(
        method="POST",
        path="/api/webhook-feedbacks/sandbox",
        query="",
        headers=headers,
        body=body,
        base_url="https://hooks.example.com",
        peer="127.0.0.1",
        secure=True,
        received_at=NOW,
    )


def parse(body: bytes | object) -> list[Item]:
    return adapter.parse(posted(body if isinstance(body, bytes) else json.dumps(body).encode()))


def test_a_batch_and_a_single_event_read_as_these_items() -> None:
    assert parse({"events": [REPORT, REPLY]}) == [REPORTED, REPLIED]
    assert parse(REPORT) == [REPORTED]
    assert parse(REPLY) == [REPLIED]
    assert parse({"events": []}) == []


def test_a_sample_reads_as_its_events_and_is_signed() -> None:
    request = samples.load("sandbox/report_and_reply")
    assert adapter.parse(request) == [REPORTED, REPLIED]
    adapter.verify(request, {"signing_key": KEY}, now=samples.RECEIVED_AT)


@pytest.mark.parametrize("status", Status)
def test_every_word_of_ours_is_a_status(status: Status) -> None:
    [found] = parse(REPORT | {"status": status.value})
    assert found.status is status


def test_an_unknown_status_is_kept_with_its_word() -> None:
    [found] = parse(REPORT | {"status": "teleported"})
    assert (found.status, found.vendor_status) == (Status.UNKNOWN, "teleported")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, (None, "", "")),
        ({"code": "opt_out", "text": "STOP"}, (Reason.OPT_OUT, "opt_out", "STOP")),
        ({"code": 42}, (Reason.OTHER, "42", "")),
    ],
)
def test_an_error_code_is_one_of_our_reasons(error: object, expected: tuple[Any, str, str]) -> None:
    [found] = parse(REPORT | {"error": error})
    assert (found.reason, found.error_code, found.error_text) == expected


@pytest.mark.parametrize(
    ("odd", "cause"),
    [
        (b"[]", "another shape"),
        (b"7", "another shape"),
        (b"{}", "neither report nor reply"),
        (b'{"type":"click"}', "neither report nor reply"),
        (b'{"type":["report"]}', "a text or a number is documented"),
        (b'{"type":"report"}', "without a message"),
        (b'{"type":"report","message":"m","error":[1]}', "an object is documented"),
        (b'{"type":"report","message":' + b"9" * 10_000 + b"}", "another shape"),
        (b'{"type":"reply","from":"1"}', "without an id"),
        (b'{"type":"reply","id":"1"}', "without a sender"),
        (b'{"type":"\xff"}', "not valid JSON"),
    ],
)
def test_one_odd_event_does_not_spoil_its_siblings(odd: bytes, cause: str) -> None:
    good = json.dumps(REPLY).encode()
    first, second, third = parse(b'{"events":[' + good + b"," + odd + b"," + good + b"]}")
    assert (first, third) == (REPLIED, REPLIED)
    assert isinstance(second, Unreadable)
    assert second.index == 1
    assert cause in second.cause


@pytest.mark.parametrize(
    "body", [b"", b"\x00", b"[]", b"null", b'{"events":{}}', b'{"events":[NaN]}', b"<events/>", b'{"events":' * 99]
)
def test_an_unreadable_envelope_is_a_bad_payload(body: bytes) -> None:
    with pytest.raises(BadPayload):
        parse(body)


def test_the_signature_is_an_hmac_of_time_and_body() -> None:
    mac = hmac.new(KEY.encode(), f"{int(NOW.timestamp())}.{{}}".encode(), hashlib.sha256).hexdigest()
    assert sign(KEY, b"{}", NOW) == f"t={int(NOW.timestamp())},v1={mac}"


@pytest.mark.parametrize("age", [timedelta(), timedelta(minutes=5), timedelta(minutes=-5)])
def test_a_signature_is_good_for_five_minutes(age: timedelta) -> None:
    adapter.verify(posted(b"{}", sign(KEY, b"{}", NOW - age)), {"signing_key": KEY}, now=NOW)


@pytest.mark.parametrize("age", [timedelta(minutes=5, seconds=1), timedelta(minutes=-5, seconds=-1), timedelta(days=9)])
def test_a_stale_or_future_signature_is_refused(age: timedelta) -> None:
    with pytest.raises(BadSignature, match="five minutes"):
        adapter.verify(posted(b"{}", sign(KEY, b"{}", NOW - age)), {"signing_key": KEY}, now=NOW)


GOOD = sign(KEY, b"{}", NOW)


@pytest.mark.parametrize(
    ("body", "signature", "config"),
    [
        (b"{} ", GOOD, {"signing_key": KEY}),
        (b"{}", GOOD, {"signing_key": "another"}),
        (b"{}", GOOD.replace("v1=", "v0="), {"signing_key": KEY}),
        (b"{}", GOOD.replace("t=", "t=0"), {"signing_key": KEY}),
        (b"{}", GOOD.replace("t=", "t=+"), {"signing_key": KEY}),
        (b"{}", GOOD.partition(",")[2], {"signing_key": KEY}),
        (b"{}", GOOD.partition(",")[0], {"signing_key": KEY}),
        (b"{}", "t=" + "9" * 5000 + ",v1=00", {"signing_key": KEY}),
        (b"{}", "t=\xb2,v1=\xe9", {"signing_key": KEY}),
        (b"{}", ",,=,", {"signing_key": KEY}),
        (b"{}", "", {"signing_key": KEY}),
        (b"{}", None, {"signing_key": KEY}),
        (b"{}", sign("", b"{}", NOW), {"signing_key": ""}),
        (b"{}", sign("", b"{}", NOW), {}),
    ],
)
def test_anything_else_is_refused(body: bytes, signature: str | None, config: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        adapter.verify(posted(body, signature), config, now=NOW)
