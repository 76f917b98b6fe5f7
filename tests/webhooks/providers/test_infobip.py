"""Infobip: samples as items, written out whole; the three schemes of proof; what strangers may send."""

import json
import warnings
from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests import samples
from trackly.signing import ALGORITHMS, digest
from webhooks.providers.base import BadPayload, BadSignature
from webhooks.providers.infobip import adapter
from webhooks.statuses import Decision, Item, Reason, Reply, Report, Status, Unreadable

NOW = samples.RECEIVED_AT
BASIC = {"basic_username": "trk-hook", "basic_password": "s3cret-for-tests"}
HEADER = {"header_name": "X-Hook-Secret", "header_value": "header-secret-for-tests"}
HMAC = {"hmac_key": "infobip-hmac-key-for-tests"}

DELIVERED = Report(
    message_key="m-0001",
    status=Status.DELIVERED,
    vendor_status="DELIVERED_TO_HANDSET",
    vendor_code="5",
    at=datetime(2026, 11, 23, 9, 15, 2, 481000, tzinfo=UTC),
    to="14155550101",
    sender="18005550142",
    segments=1,
    price=Decimal("0.0067"),
    currency="USD",
    identity=("m-0001", "5", "0", "2026-11-23T09:15:02.481+0000"),
)


def failed(number: int, status: tuple[Status, str, str], reason: Reason, error: tuple[str, str], at: str) -> Report:
    return Report(
        message_key=f"m-000{number}",
        status=status[0],
        vendor_status=status[1],
        vendor_code=status[2],
        at=datetime.fromisoformat(at),
        reason=reason,
        error_code=error[0],
        error_text=error[1],
        to=f"1415555010{number}",
        sender="18005550142",
        segments=1,
        price=Decimal("0.0067") if number != 5 else Decimal(0),
        currency="USD",
        identity=(f"m-000{number}", status[2], error[0], at),
    )


NOT_DELIVERED = (Status.UNDELIVERED, "UNDELIVERABLE_NOT_DELIVERED", "9")
BLOCKLISTED = (Status.REJECTED, "REJECTED_DESTINATION_BLOCKLISTED", "14")
MIXED = [
    DELIVERED,
    failed(2, NOT_DELIVERED, Reason.INVALID_NUMBER, ("1", "Unknown Subscriber"), "2026-11-23T09:15:03.002+0000"),
    failed(3, NOT_DELIVERED, Reason.UNREACHABLE, ("27", "Absent Subscriber"), "2026-11-23T10:15:00.000+0000"),
    failed(
        4,
        (Status.EXPIRED, "EXPIRED_EXPIRED", "15"),
        Reason.EXPIRED,
        ("4101", "Validity expired"),
        "2026-11-25T09:15:00.000+0000",
    ),
    failed(5, BLOCKLISTED, Reason.OPT_OUT, ("2052", "Blocklisted destination"), "2026-11-23T09:15:00.300+0000"),
    failed(
        6,
        (Status.REJECTED, "REJECTED_DESTINATION", "52"),
        Reason.INVALID_NUMBER,
        ("351", "Invalid destination"),
        "2026-11-23T09:15:00.310+0000",
    ),
]
OPT_OUT = failed(
    7, NOT_DELIVERED, Reason.OPT_OUT, ("603", "Content blocked by user opt-out"), "2026-11-23T09:15:01.000+0000"
)
PENDING = replace(
    DELIVERED,
    message_key="m-0008",
    status=Status.ACCEPTED,
    vendor_status="PENDING_ENROUTE",
    vendor_code="7",
    at=datetime(2026, 11, 23, 9, 15, 0, 700000, tzinfo=UTC),
    to="14155550108",
    identity=("m-0008", "7", "0", "2026-11-23T09:15:00.700+0000"),
)
TO_OPERATOR = replace(
    DELIVERED,
    message_key="m-0009",
    vendor_status="DELIVERED_TO_OPERATOR",
    vendor_code="2",
    at=datetime(2026, 11, 23, 9, 15, 1, 100000, tzinfo=UTC),
    to="14155550109",
    identity=("m-0009", "2", "0", "2026-11-23T09:15:01.100+0000"),
)
STOP = Reply(
    key="817790313235066447",
    sender="14155550101",
    recipient="18005550142",
    text="STOP",
    at=datetime(2026, 11, 23, 9, 20, tzinfo=UTC),
)
BLOCK = Reply(
    key="evt-7f1c",
    sender="14155550101",
    recipient="18005550142",
    text="BLOCK",
    at=datetime(2026, 11, 23, 9, 20, 0, 500000, tzinfo=UTC),
    decision=Decision.OPT_OUT,
    reference="m-0001",
    is_message=False,
)


def parse(body: bytes | object) -> list[Item]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return adapter.parse(samples.load("infobip/dlr_v3_delivered", body=raw))


def report(**changes: Any) -> Report:
    """The single report of a small valid body with these fields changed."""
    item = {"messageId": "m-1", "status": {"groupId": 3, "id": 5, "name": "DELIVERED_TO_HANDSET"}} | changes
    [found] = parse({"results": [item]})
    assert isinstance(found, Report)
    return found


@pytest.mark.parametrize(
    ("name", "items"),
    [
        ("dlr_v3_delivered", [DELIVERED]),
        ("dlr_hmac_sha256", [DELIVERED]),
        ("dlr_v3_xml", [DELIVERED]),
        ("dlr_v3_batch_mixed", MIXED),
        ("dlr_v3_optout_603", [OPT_OUT]),
        ("dlr_v3_intermediate_pending", [PENDING]),
        ("dlr_v3_delivered_to_operator", [TO_OPERATOR]),
        ("mo_stop", [STOP]),
        ("blocklist_event", [BLOCK]),
    ],
)
def test_a_sample_reads_as_these_items(name: str, items: list[Item]) -> None:
    assert adapter.parse(samples.load(f"infobip/{name}")) == items


def test_json_and_xml_of_one_report_are_one_report() -> None:
    [by_json] = adapter.parse(samples.load("infobip/dlr_v3_delivered"))
    [by_xml] = adapter.parse(samples.load("infobip/dlr_v3_xml"))
    assert by_json.fingerprint == by_xml.fingerprint
    assert by_json.fingerprint != replace(by_json, identity=("m-0001", "5", "1", "x")).fingerprint


def test_a_v2_report_counts_its_parts_in_sms_count() -> None:
    v2 = {"from": "18005550142", "smsCount": 3, "status": {"groupId": 5, "groupName": "REJECTED", "id": 6}}
    assert (report(**v2).segments, report(**v2).status) == (3, Status.REJECTED)


@pytest.mark.parametrize("count", [-1, 10**6, "x", "\u00b2", True, 1.5, [1], None])
def test_a_nonsense_number_of_parts_does_not_cost_the_report(count: object) -> None:
    assert report(messageCount=count).segments is None
    assert report(messageCount="2").segments == 2


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"groupId": 0}, Status.ACCEPTED),
        ({"groupId": "1"}, Status.ACCEPTED),
        ({"groupId": 2}, Status.UNDELIVERED),
        ({"groupId": "3"}, Status.DELIVERED),
        ({"groupId": " 3 "}, Status.DELIVERED),
        ({"groupId": 4}, Status.EXPIRED),
        ({"groupId": 5}, Status.REJECTED),
        ({"groupName": "DELIVERED"}, Status.DELIVERED),
        ({"groupName": "Undeliverable"}, Status.UNDELIVERED),
        # An id stands in two groups (87), or is printed wrongly: it never decides.
        ({"groupId": 4, "id": 87}, Status.EXPIRED),
        ({"groupId": 5, "id": 87}, Status.REJECTED),
        ({"groupId": 3, "groupName": "REJECTED", "id": 6}, Status.DELIVERED),
    ],
)
def test_the_group_decides_and_its_name_stands_in(status: dict[str, Any], expected: Status) -> None:
    assert report(status=status).status is expected


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ({"groupId": 9, "groupName": "NEW", "id": 777, "name": "NEW_THING"}, "NEW_THING"),
        ({"groupId": 9, "groupName": "NEW"}, "NEW"),
        ({"groupId": 9}, "9"),
    ],
)
def test_an_unknown_status_is_kept_with_its_word(status: dict[str, Any], word: str) -> None:
    found = report(status=status)
    assert (found.status, found.vendor_status) == (Status.UNKNOWN, word)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, (None, "", "")),
        ({"id": 0, "name": "NO_ERROR", "description": "No Error"}, (None, "", "")),
        ({"id": "0"}, (None, "", "")),
        ({"id": "607", "description": "Spam"}, (Reason.SPAM, "607", "Spam")),
        ({"id": 4103, "name": "EC_DESTINATION_FLOODING"}, (Reason.THROTTLED, "4103", "EC_DESTINATION_FLOODING")),
        ({"id": 4099}, (Reason.CREDIT, "4099", "")),
        ({"id": 34, "name": "EC_SYSTEM_FAILURE"}, (Reason.OTHER, "34", "EC_SYSTEM_FAILURE")),
    ],
)
def test_the_reason_comes_from_the_error(error: object, expected: tuple[Reason | None, str, str]) -> None:
    found = report(error=error)
    assert (found.reason, found.error_code, found.error_text) == expected


@pytest.mark.parametrize(
    ("done", "at"),
    [
        ("2026-11-23T09:15:02.481+0000", datetime(2026, 11, 23, 9, 15, 2, 481000, tzinfo=UTC)),
        ("2026-11-23T11:15:02+02:00", datetime(2026, 11, 23, 9, 15, 2, tzinfo=UTC)),
        ("2026-11-23T09:15:02", datetime(2026, 11, 23, 9, 15, 2, tzinfo=UTC)),
        ("yesterday", None),
        ("0001-01-01T00:00:00+1400", None),
        ("9999-12-31T23:59:59-1200", None),
        ("99999-01-01T00:00:00Z", None),
        # Such a time would outrank every later report, or precede every earlier one.
        ("9999-01-01T00:00:00Z", None),
        ("1970-01-01T00:00:00Z", None),
        (1_795_425_302_481, None),
    ],
)
def test_a_time_is_utc_or_none(done: object, at: datetime | None) -> None:
    found = report(doneAt=done, sentAt="2026-11-23T09:00:00.000+0000")
    assert found.at == at
    assert found.at is None or found.at.tzinfo is UTC


def test_the_time_of_sending_stands_in_for_a_missing_one() -> None:
    assert report(sentAt="2026-11-23T09:00:00.000+0000").at == datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        ({"pricePerMessage": 0.1, "currency": "EUR"}, (Decimal("0.1"), "EUR")),
        ({"pricePerMessage": "0.00735", "currency": "EUR"}, (Decimal("0.00735"), "EUR")),
        ({"pricePerMessage": 6.7e-3, "currency": "EUR"}, (Decimal("0.0067"), "EUR")),
        ({"pricePerMessage": "1e-99999"}, (None, "")),
        ({"pricePerMessage": "NaN"}, (None, "")),
        ({"pricePerMessage": 1e30}, (None, "")),
        ({"pricePerMessage": [1]}, (None, "")),
        ([0.1], (None, "")),
        (None, (None, "")),
    ],
)
def test_a_nonsense_price_does_not_cost_the_report(price: object, expected: tuple[Decimal | None, str]) -> None:
    found = report(price=price)
    assert (found.price, found.currency) == expected


def test_unblock_opts_in_again() -> None:
    content = {"destination": "14155550101", "sender": "18005550142"}
    [found] = parse({"results": [{"event": "UNBLOCK", "messageId": "e", "receivedAt": "x", "content": content}]})
    assert (found.decision, found.text, found.is_message) == (Decision.OPT_IN, "UNBLOCK", False)


def test_unblocking_another_channel_opts_nobody_in_to_sms() -> None:
    content = {"destination": "14155550101", "sender": "18005550142", "channel": "WHATSAPP"}
    events = [{"event": word, "messageId": "e", "receivedAt": "x", "content": content} for word in ("UNBLOCK", "BLOCK")]
    unblocked, blocked = parse({"results": events})
    assert isinstance(unblocked, Unreadable)
    assert blocked.decision == Decision.OPT_OUT


def test_a_reply_without_an_id_has_a_key_that_a_retry_repeats() -> None:
    stop = {"from": "14155550101", "to": "18005550142", "text": "STOP", "receivedAt": "2026-11-23T09:20:00Z"}
    [first], [again], [other] = (parse({"results": [item]}) for item in (stop, stop, stop | {"text": "Stop"}))
    assert first.key == again.key != other.key


@pytest.mark.parametrize(
    ("odd", "cause"),
    [
        (b"[]", "another shape"),
        (b"7", "another shape"),
        (b"null", "another shape"),
        (b"{}", "neither a report"),
        (b'{"status":{"groupId":3}}', "without messageId"),
        (b'{"messageId":"\\u0000","status":{"groupId":3}}', "without messageId"),
        (b'{"messageId":"m","status":[3]}', "an object is documented"),
        (b'{"messageId":"m","status":"DELIVERED"}', "an object is documented"),
        (b'{"messageId":["m"],"status":{"groupId":3}}', "a text or a number is documented"),
        (b'{"messageId":"m","status":{"groupId":3},"error":{"id":{}}}', "a text or a number is documented"),
        (b'{"messageId":"m","status":{"groupId":' + b"9" * 10_000 + b"}}", "another shape"),
        (b'{"messageId":"\xff\xfe","status":{"groupId":3}}', "not valid JSON"),
        (b'{"event":"MERGE","receivedAt":"x"}', "neither a report"),
        (b'{"event":"BLOCK","receivedAt":"x"}', "without the person's number"),
        (b'{"to":"18005550142","text":"STOP","receivedAt":"x"}', "without the person's number"),
    ],
)
def test_one_odd_item_does_not_spoil_its_siblings(odd: bytes, cause: str) -> None:
    good = b'{"messageId":"m-1","status":{"groupId":3}}'
    first, second, third = parse(b'{"results":[' + good + b"," + odd + b"," + good + b"]}")
    assert (first.message_key, third.message_key) == ("m-1", "m-1")
    assert isinstance(second, Unreadable)
    assert second.index == 1
    assert cause in second.cause


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b"{}",
        b'{"results":null}',
        b'{"results":{}}',
        b'{"results":[{"status":NaN}]}',
        b'{"results":[' + b"[" * 100 + b"]" * 100 + b"]}",
        b'{"results":[{"messageId":"m"}',
        b"<html><body>results</body></html>",
        b"<DeliveryReports><results>",
        b'<!DOCTYPE a [<!ENTITY b "c">]><DeliveryReports><results><result>&b;</result></results></DeliveryReports>',
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><DeliveryReports><results/></DeliveryReports>',
    ],
)
def test_an_unreadable_envelope_is_a_bad_payload(body: bytes) -> None:
    with pytest.raises(BadPayload):
        parse(body)


def test_an_empty_batch_and_a_batch_of_2000_are_read() -> None:
    one = {"messageId": "m", "status": {"groupId": 3}}
    assert parse({"results": []}) == []
    assert parse(b"<DeliveryReports><results/></DeliveryReports>") == []
    assert len(parse({"results": [one | {"messageId": f"m-{number}"} for number in range(2000)]})) == 2000


def test_the_last_of_two_equal_keys_counts() -> None:
    [found] = parse(b'{"results":[{"messageId":"a","messageId":"b","status":{"groupId":5},"status":{"groupId":3}}]}')
    assert (found.message_key, found.status) == ("b", Status.DELIVERED)


def test_a_long_id_is_cut_and_an_unstorable_character_dropped() -> None:
    assert report(messageId="m" * 4000).message_key == "m" * 200
    assert report(messageId="m\x00-1").message_key == "m-1"


def test_xml_nested_too_deep_is_one_unreadable_item() -> None:
    deep = b"<a>" * 500 + b"</a>" * 500
    [found] = parse(b"<DeliveryReports><results><result>" + deep + b"</result></results></DeliveryReports>")
    assert isinstance(found, Unreadable)


def test_empty_elements_of_xml_are_left_out_fields() -> None:
    item = b"<messageId>m-1</messageId><status><groupId>3</groupId></status><error/><price/><messageCount/>"
    [found] = parse(b"<DeliveryReports><results><result>" + item + b"</result></results></DeliveryReports>")
    assert found == Report(message_key="m-1", status=Status.DELIVERED, vendor_status="3", identity=("m-1", "", "", ""))


def prove(config: dict[str, str], headers: dict[str, str], body: bytes = b'{"results":[]}') -> None:
    request = samples.load("infobip/dlr_v3_delivered", headers=tuple(headers.items()), body=body)
    adapter.verify(request, config, now=NOW)


def basic(pair: str) -> dict[str, str]:
    return {"authorization": "Basic " + b64encode(pair.encode()).decode()}


@pytest.mark.parametrize(
    ("config", "headers"),
    [
        (BASIC, basic("trk-hook:s3cret-for-tests")),
        (BASIC, {"authorization": "basic  dHJrLWhvb2s6czNjcmV0LWZvci10ZXN0cw== "}),
        ({"basic_username": "a", "basic_password": "b:c:é"}, basic("a:b:c:é")),
        ({"basic_password": "only"}, basic(":only")),
        (HEADER, {"x-hook-secret": "header-secret-for-tests"}),
        ({"header_name": "X-É", "header_value": "é"}, {"x-é": "é".encode().decode("latin-1")}),
        # Any one scheme is enough, whatever the others say.
        (BASIC | HEADER | HMAC, {"x-hook-secret": "header-secret-for-tests", "authorization": "Bearer x"}),
        (BASIC | HEADER | HMAC, basic("trk-hook:s3cret-for-tests") | {"x-infobip-signature": "00"}),
    ],
)
def test_a_shared_secret_proves_the_request(config: dict[str, str], headers: dict[str, str]) -> None:
    prove(config, headers)


@pytest.mark.parametrize(
    ("config", "headers"),
    [
        (BASIC, {}),
        (BASIC, basic("trk-hook:wrong")),
        (BASIC, basic("other:s3cret-for-tests")),
        (BASIC, basic("trk-hook:")),
        (BASIC, {"authorization": "Basic ***"}),
        (BASIC, {"authorization": "Basic dHJrLWhvb2s"}),
        (BASIC, {"authorization": "Basic \xe9\xff"}),
        (BASIC, {"authorization": "Basic"}),
        (BASIC, {"authorization": "Bearer dHJrLWhvb2s6czNjcmV0LWZvci10ZXN0cw=="}),
        (HEADER, {"x-hook-secret": "other"}),
        (HEADER, {"x-hook-secret": "\xe9\xff"}),
        (HEADER, {"x-hook-secret": ""}),
        (HMAC, {"x-infobip-signature": "\xe9"}),
        (HMAC, {"x-infobip-signature": ""}),
        # What is not configured proves nothing, however it is matched.
        ({}, basic("")),
        ({}, basic(":")),
        ({"basic_username": "u", "basic_password": ""}, basic("u:")),
        ({"header_name": "x-a", "header_value": ""}, {"x-a": ""}),
        ({"header_name": "", "header_value": "v"}, {"": "v"}),
        ({"hmac_key": ""}, {"x-infobip-signature": digest("", b'{"results":[]}', "sha256").hex()}),
        (
            HMAC | {"hmac_algorithm": "HMAC_CRC"},
            {"x-infobip-signature": digest(HMAC["hmac_key"], b'{"results":[]}', "sha256").hex()},
        ),
    ],
)
def test_anything_else_proves_nothing(config: dict[str, str], headers: dict[str, str]) -> None:
    with pytest.raises(BadSignature):
        prove(config, headers)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("encoding", ["hex", "base64"])
def test_hmac_covers_the_body_in_every_algorithm_and_encoding(algorithm: str, encoding: str) -> None:
    body = b'{"results": [ ]}\n'
    mac = digest("k", body, ALGORITHMS[algorithm])
    value = mac.hex() if encoding == "hex" else b64encode(mac).decode()
    config = {"hmac_key": "k", "hmac_header": "X-Sig", "hmac_algorithm": algorithm, "hmac_encoding": encoding}
    prove(config, {"x-sig": value}, body)
    if encoding == "hex":
        prove(config, {"x-sig": value.upper()}, body)
    prove(config, {"x-sig": f"{ALGORITHMS[algorithm]}={value}"}, body)
    for headers, other in (({"x-sig": value}, body + b" "), ({"x-infobip-signature": value}, body)):
        with pytest.raises(BadSignature):
            prove(config, headers, other)


def test_the_sample_with_hmac_is_proven_by_its_key_alone() -> None:
    request = samples.load("infobip/dlr_hmac_sha256")
    adapter.verify(request, HMAC, now=NOW)
    with pytest.raises(BadSignature):
        adapter.verify(request, {"hmac_key": "another"}, now=NOW)


def test_configured_headers_are_secret() -> None:
    assert adapter.secret_header_names(HEADER | {"hmac_header": "X-Sig"}) == {
        "authorization",
        "cookie",
        "x-hook-secret",
        "x-sig",
    }
    assert adapter.secret_header_names({}) == {"authorization", "cookie", "x-infobip-signature"}


def sdk_models() -> tuple[Any, Any]:
    """The report and the inbound model of Infobip's own SDK."""
    with warnings.catch_warnings():
        # The SDK imports pkg_resources, which later setuptools announce the end of.
        warnings.simplefilter("ignore")
        from infobip_channels.sms.models.response import inbound_messages, outbound_delivery_reports
    return outbound_delivery_reports.SMSReport, inbound_messages.Result


@pytest.mark.parametrize("name", [name for name in samples.names("infobip") if "/dlr" in name and "xml" not in name])
def test_infobips_own_sdk_reads_the_reports_alike(name: str) -> None:
    sdk_report, _ = sdk_models()
    request = samples.load(name)
    theirs = [sdk_report(**item) for item in json.loads(request.body)["results"]]
    ours = adapter.parse(request)
    assert len(theirs) > 0
    for their, our in zip(theirs, ours, strict=True):
        assert isinstance(our, Report)
        assert (our.message_key, our.to) == (their.message_id, their.to)
        assert adapter.statuses[str(their.status.group_id)] is our.status
        assert (our.vendor_status, our.vendor_code) == (their.status.name, str(their.status.id))
        assert our.error_code == ("" if their.error.id == 0 else str(their.error.id))
        assert our.price == Decimal(str(their.price.price_per_message))


def test_infobips_own_sdk_reads_the_reply_alike() -> None:
    _, sdk_result = sdk_models()
    request = samples.load("infobip/mo_stop")
    [item] = json.loads(request.body)["results"]
    their, [our] = sdk_result(**item), adapter.parse(request)
    assert isinstance(our, Reply)
    assert (our.key, our.sender, our.recipient, our.text) == (
        their.message_id,
        their.from_name,
        their.to,
        their.text,
    )
