"""CM.com: samples as items, written out whole, in JSON, XML and GET; what strangers may send."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests import samples
from webhooks.providers.base import BadPayload, BadSignature
from webhooks.providers.cm import adapter
from webhooks.statuses import Item, Reason, Reply, Report, Status, Unreadable

# 10:15:02 in Amsterdam, in winter.
AT = datetime(2026, 11, 23, 9, 15, 2, tzinfo=UTC)


def status(reference: str, to: str, state: Status, code: str, error: tuple[Reason, str, str] | None = None) -> Report:
    reason, error_code, text = error or (None, "", "")
    return Report(
        message_key=reference,
        status=state,
        vendor_status=code,
        vendor_code=code,
        at=AT,
        reason=reason,
        error_code=error_code,
        error_text=text,
        to=to,
        identity=(reference, to, code, error_code),
    )


DELIVERED = status("AbC12345", "0031612345601", Status.DELIVERED, "2")
STOP = Reply(
    key="01588917a411a669ebfbd7860147fc9c3b3675fe705f04cf9257bb410f0c42b6",
    sender="0031612345601",
    recipient="3669",
    text="STOP",
    at=datetime(2026, 11, 23, 9, 20, tzinfo=UTC),
    reference="AbC12345",
)
THANKS = Reply(
    key="1f5187ca7e5afca94bf9bc54a36118b2eb17d2cde4945d8036d5efbeb51f8a07",
    sender="0031612345602",
    recipient="0031600000042",
    text="Dank je wel!",
    at=datetime(2026, 11, 23, 9, 21, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("name", "item"),
    [
        ("sr_accepted", status("AbC12345", "0031612345601", Status.SENT, "0")),
        ("sr_delivered", DELIVERED),
        ("sr_delivered_xml", DELIVERED),
        ("sr_get_classic", DELIVERED),
        (
            "sr_rejected_22",
            status("AbC12346", "0031612345602", Status.REJECTED, "1", (Reason.CREDIT, "22", "Insufficient credit")),
        ),
        (
            "sr_failed_23",
            status(
                "AbC12347",
                "0031612345603",
                Status.FAILED,
                "3",
                (Reason.INVALID_NUMBER, "23", "Invalid or blacklisted MSISDN"),
            ),
        ),
        (
            "sr_failed_24",
            status("AbC12348", "0031612345604", Status.FAILED, "3", (Reason.UNREACHABLE, "24", "Absent subscriber")),
        ),
        ("mo_stop", STOP),
        ("mo_reply", THANKS),
    ],
)
def test_a_sample_reads_as_this_item(name: str, item: Item) -> None:
    assert adapter.parse(samples.load(f"cm/{name}")) == [item]


def parse(body: bytes | object) -> list[Item]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return adapter.parse(samples.load("cm/sr_delivered", body=raw))


def report(state: dict[str, Any], **changes: Any) -> Report:
    message = {"received": "2026-11-23T10:15:02", "to": "0031612345601", "reference": "AbC12345", "status": state}
    [found] = parse({"messages": {"msg": message | changes}})
    assert isinstance(found, Report)
    return found


def query(text: str) -> list[Item]:
    return adapter.parse(samples.load("cm/sr_get_classic", query=text))


def test_a_code_is_read_as_text_or_number_and_a_list_like_one() -> None:
    message = {"received": "2026-11-23T10:15:02", "to": 31612345601, "reference": "AbC12345"}
    one = message | {"status": {"code": 2, "errorCode": 0, "errorDescription": None}}
    expected = replace(DELIVERED, to="31612345601", identity=("AbC12345", "31612345601", "2", "0"))
    assert parse({"messages": {"msg": one}}) == [expected]
    assert parse({"messages": {"msg": [one, one]}}) == [expected, expected]


def test_the_macro_names_of_the_other_get_template_are_read_in_any_case() -> None:
    macros = "REFERENCE=AbC12345&GSM=0031612345601&STATUS=2&CREATED_S=2026-11-23T10%3A15%3A02&STATUSISSUCCESS=1"
    assert query(macros) == [DELIVERED]
    assert query(macros.replace("GSM", "Recipient").replace("STATUS=", "status=")) == [DELIVERED]
    [failed] = query("reference=a&STATUS=3&STANDARDERRORTEXT=Absent+subscriber")
    assert (failed.status, failed.error_text) == (Status.FAILED, "Absent subscriber")


def test_xml_is_read_whatever_its_case_namespace_or_envelope() -> None:
    body = (
        b'<messages xmlns="urn:x" SENT="2026-11-23T10:15:00"><msg received="2026-11-23T10:15:02">'
        b"<to>0031612345601</to><reference> AbC12345 </reference><status><code>2</code></status></msg>"
        b"<MSG><TO>1</TO></MSG></messages>"
    )
    first, second = parse(body)
    assert first == DELIVERED
    assert second == Unreadable(index=1, cause="a report without a reference or without a status code")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("0", Status.SENT),
        ("1", Status.REJECTED),
        ("2", Status.DELIVERED),
        (3, Status.FAILED),
        ("4", Status.READ),
        ("9", Status.UNKNOWN),
        (-1, Status.UNKNOWN),
    ],
)
def test_a_code_has_a_place_and_is_kept(code: object, expected: Status) -> None:
    found = report({"code": code})
    assert (found.status, found.vendor_status, found.vendor_code) == (expected, str(code), str(code))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({}, (None, "", "")),
        ({"errorCode": ""}, (None, "", "")),
        ({"errorCode": "0"}, (None, "", "")),
        ({"errorCode": 8}, (Reason.EXPIRED, "8", "Expired before delivery")),
        ({"errorCode": "28"}, (Reason.SPAM, "28", "Looks like spam")),
        ({"errorCode": "37", "errorDescription": "SMS filter"}, (Reason.BLOCKED, "37", "SMS filter")),
        ({"errorCode": "77"}, (Reason.OTHER, "77", "")),
    ],
)
def test_the_reason_comes_from_the_error_code(error: dict[str, Any], expected: tuple[Any, str, str]) -> None:
    found = report({"code": "3"} | error)
    assert (found.reason, found.error_code, found.error_text) == expected


@pytest.mark.parametrize(
    ("received", "at"),
    [
        ("2026-07-01T12:00:00", datetime(2026, 7, 1, 10, tzinfo=UTC)),
        ("2026-11-23T10:15:02Z", datetime(2026, 11, 23, 10, 15, 2, tzinfo=UTC)),
        ("0001-01-01T00:00:00", None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_without_a_zone_is_dutch(received: str | None, at: datetime | None) -> None:
    assert report({"code": "2"}, received=received).at == at


def test_a_reply_with_plain_numbers_and_a_plain_text_is_the_same_reply() -> None:
    plain = {
        "from": "0031612345602",
        "to": "0031600000042",
        "message": "Dank je wel!",
        "timeUtc": "2026-11-23T09:21:00",
    }
    assert parse(plain) == [THANKS]


def test_another_text_or_time_is_another_reply() -> None:
    base = {"from": "1", "to": "2", "message": {"text": "a"}, "timeUtc": "2026-11-23T09:21:00"}
    bodies = [base, base | {"message": {"text": "b"}}, base | {"timeUtc": "2026-11-23T09:21:01"}, base | {"to": "3"}]
    assert len({parse(body)[0].key for body in bodies}) == 4


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ({"messages": {"msg": [7]}}, "an object is documented"),
        ({"messages": {"msg": "x"}}, "an object is documented"),
        ({"messages": {"msg": {}}}, "without a reference"),
        ({"messages": {"msg": {"reference": "a", "status": {}}}}, "without a status code"),
        ({"messages": {"msg": {"reference": "a", "status": [2]}}}, "an object is documented"),
        ({"messages": {"msg": {"reference": ["a"], "status": {"code": 2}}}}, "a text or a number is documented"),
        ({"message": {"text": "STOP"}}, "without the person's number"),
        ({"from": {"number": {}}, "message": {"text": "STOP"}}, "a text or a number is documented"),
        ({"from": "1", "message": ["STOP"]}, "an object is documented"),
    ],
)
def test_an_item_that_makes_no_sense_is_unreadable(body: object, cause: str) -> None:
    [found] = parse(body)
    assert isinstance(found, Unreadable)
    assert cause in found.cause


def test_one_odd_report_does_not_spoil_its_siblings() -> None:
    good = {"reference": "a", "status": {"code": "2"}}
    first, second, third = parse({"messages": {"msg": [good, [], good]}})
    assert (first.status, third.status) == (Status.DELIVERED, Status.DELIVERED)
    assert isinstance(second, Unreadable)
    assert second.index == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"[]",
        b"{}",
        b'{"messages":[]}',
        b'{"messages":{}}',
        b'{"messages":{"msg":NaN}}',
        b'{"messages":{"msg":' + b"9" * 10_000 + b"}}",
        b'{"messages":' + b"[" * 100 + b"]" * 100 + b"}",
        b'{"messages":{"msg":{"reference":"\xff"}}}',
        b"<MESSAGES/>",
        b"<html><msg/></html>",
        b"<MESSAGES><MSG>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><MESSAGES><MSG><TO>&b;</TO></MSG></MESSAGES>',
        b"reference=AbC12345&statuscode=2",
    ],
)
def test_an_unreadable_envelope_is_a_bad_payload(body: bytes) -> None:
    with pytest.raises(BadPayload):
        parse(body)


@pytest.mark.parametrize("text", ["", "account=42", "a=%FF%00"])
def test_a_query_that_reports_nothing_is_a_bad_payload(text: str) -> None:
    with pytest.raises(BadPayload):
        query(text)


def test_a_long_reference_is_cut_but_stays_itself_in_the_fingerprint() -> None:
    first, second = (report({"code": 2}, reference="a" * 4000 + end) for end in "bc")
    assert first.message_key == second.message_key == "a" * 200
    assert first.fingerprint != second.fingerprint


def test_nothing_is_proven_by_a_signature_that_cm_does_not_make() -> None:
    with pytest.raises(BadSignature):
        adapter.verify(samples.load("cm/sr_delivered"), {}, now=samples.RECEIVED_AT)
    assert adapter.token_suffices
