"""Infobip SMS: delivery reports of the v2 and v3 API, replies (MO_JSON_2) and block-list events, told apart per item.

From Infobip's OpenAPI 3.210.0 (2026-07-23) and stored copies of https://infobip.com/docs, not from live traffic. Quirks: a
batch holds up to 2,000 items and reports are JSON or XML; status ids are not unique (87 stands in two groups), so the group
decides; offsets are written without a colon; the HMAC's header name and encoding are not in the public specification, so
both are settings.
"""

from base64 import b64decode, b64encode
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any
from xml.etree.ElementTree import Element

import msgspec

from trackly.payloads import looks_like_xml, read_json, read_xml
from trackly.raw import RawRequest
from trackly.signing import ALGORITHMS, digest, same
from webhooks.providers.base import (
    BadPayload,
    BadSignature,
    Config,
    Field,
    Provider,
    bounded,
    fields_of,
    text_of,
    time_of,
)
from webhooks.statuses import Decision, Item, Reason, Reply, Report, Status, Unreadable, fingerprint

HMAC_HEADER = "X-Infobip-Signature"


class Envelope(msgspec.Struct):
    """A batch whose items are not read yet, so that one odd item cannot spoil its siblings."""

    results: list[msgspec.Raw]


class Infobip(Provider):
    name = "Infobip"
    docs = "https://infobip.com/docs/api/channels/sms/sms-messaging/logs-and-status-reports/receive-outbound-sms-message-report"
    config = (
        Field(name="basic_username", label="Basic user name", help="Security type BASIC of the notification profile."),
        Field(name="basic_password", label="Basic password", secret=True),
        Field(name="header_name", label="Secret header name", help="A fixed header of the notification profile."),
        Field(name="header_value", label="Secret header value", secret=True),
        Field(name="hmac_key", label="HMAC secret key", secret=True, help="Security type HMAC: over the raw body."),
        Field(name="hmac_header", label="HMAC header name", default=HMAC_HEADER),
        Field(name="hmac_algorithm", label="HMAC algorithm", default="HMAC_SHA_256", choices=tuple(ALGORITHMS)),
        Field(name="hmac_encoding", label="HMAC encoding", default="hex", choices=("hex", "base64")),
    )
    # By status.groupId, else by status.groupName.
    statuses = {
        "0": Status.ACCEPTED,
        "1": Status.ACCEPTED,
        "2": Status.UNDELIVERED,
        "3": Status.DELIVERED,
        "4": Status.EXPIRED,
        "5": Status.REJECTED,
        "OK": Status.ACCEPTED,
        "ACCEPTED": Status.ACCEPTED,
        "PENDING": Status.ACCEPTED,
        "UNDELIVERABLE": Status.UNDELIVERED,
        "DELIVERED": Status.DELIVERED,
        "EXPIRED": Status.EXPIRED,
        "REJECTED": Status.REJECTED,
    }
    # By error.id; our reading of https://www.infobip.com/docs/essentials/api-essentials/response-status-and-error-codes
    reasons = {
        "560": Reason.OPT_OUT,  # EC_SC_BLOCKED_FOR_END_USER
        "566": Reason.OPT_OUT,  # EC_DESTINATION_BLOCKED_BY_OPERATOR
        "573": Reason.OPT_OUT,  # EC_SC_BLOCKED_BY_END_USER
        "603": Reason.OPT_OUT,  # EC_CONTENT_BLOCKED, described as the user's opt-out by STOP
        "604": Reason.OPT_OUT,  # EC_BLOCKED_BY_CAMPAIGN_BLACKLIST
        "2050": Reason.OPT_OUT,  # EC_DEST_ADDRESS_BLACKLISTED
        "2052": Reason.OPT_OUT,  # EC_BLACKLISTED_DESTINATIONADDRESS
        "561": Reason.SPAM,  # EC_CONTENT_BLOCKED_BY_OPERATOR
        "607": Reason.SPAM,  # EC_REJECTED_SPAM_BY_OPERATOR
        "1": Reason.INVALID_NUMBER,  # EC_UNKNOWN_SUBSCRIBER
        "5": Reason.INVALID_NUMBER,  # EC_UNIDENTIFIED_SUBSCRIBER
        "351": Reason.INVALID_NUMBER,  # EC_INVALID_DESTINATION_ADDRESS
        "352": Reason.INVALID_NUMBER,  # EC_INVALID_REQUEST_DESTINATION
        "568": Reason.INVALID_NUMBER,  # EC_DESTINATION_NOT_SMS_PROVISIONED
        "629": Reason.INVALID_NUMBER,  # EC_DEST_ADDRESS_UNABLE_TO_RECEIVE_SMS
        "3041": Reason.INVALID_NUMBER,  # EC_DEACTIVATED_LIST
        "6": Reason.UNREACHABLE,  # EC_ABSENT_SUBSCRIBER_SM
        "27": Reason.UNREACHABLE,  # EC_ABSENT_SUBSCRIBER
        "31": Reason.UNREACHABLE,  # EC_SUBSCRIBER_BUSY_FOR_MT_SMS
        "256": Reason.UNREACHABLE,  # EC_SM_DF_MEMORYCAPACITYEXCEEDED
        "569": Reason.UNREACHABLE,  # EC_DEST_ADDRESS_SUSPENDED
        "581": Reason.CREDIT,  # EC_USER_OUT_OF_CREDIT, the recipient's
        "4099": Reason.CREDIT,  # EC_MONTHLY_LIMIT_REACHED, ours
        "811": Reason.EXPIRED,  # EC_MESSAGE_EXPIRED
        "4098": Reason.EXPIRED,  # EC_VP_EXPIRED
        "4101": Reason.EXPIRED,  # EC_VALIDITY_EXPIRED
        "541": Reason.THROTTLED,  # EC_LIMIT_REACHED
        "542": Reason.THROTTLED,  # EC_QUOTA_REACHED
        "609": Reason.THROTTLED,  # EC_SIGNALS_HARD_LIMIT_REACHED
        "4103": Reason.THROTTLED,  # EC_DESTINATION_FLOODING
        "4104": Reason.THROTTLED,  # EC_DESTINATION_TXT_FLOODING
        "4202": Reason.THROTTLED,  # EC_10DLC_LIMIT_REACHED
    }
    # https://www.infobip.com/docs/sms/sms-over-api#push-retry-cycle-notify-url and its OpenAPI; the waits grow with each try.
    alarms = {
        "notify URL not available": (
            "Infobip pushed reports and got no success from us. It pushes them again after 1, 2, 5, 10, 17 … minutes; after"
            " some 40 hours they are gone. What we refused stands in the failed log and can be replayed; what we answered 503"
            " comes again by itself."
        ),
        "success expression does not match": (
            "The notification profile can demand an answer of its own (responseRegex, responseBodyRegex). We answer 200 with a"
            " short JSON: take the expression out."
        ),
    }
    decisions = {"BLOCK": Decision.OPT_OUT, "UNBLOCK": Decision.OPT_IN}

    def verify(self, request: RawRequest, config: Config, *, now: datetime) -> None:
        if not (_basic(request, config) or _header(request, config) or _hmac(request, config)):
            raise BadSignature("neither Basic credentials, secret header nor HMAC prove this request")

    def secret_header_names(self, config: Config) -> frozenset[str]:
        named = {config.get("header_name", "").strip().lower(), (config.get("hmac_header") or HMAC_HEADER).lower()}
        return self.secret_headers | named - {""}

    def parse(self, request: RawRequest) -> list[Item]:
        batch: list[Any] = _elements(request.body) if looks_like_xml(request.body) else _results(request.body)
        return [self._item(index, raw) for index, raw in enumerate(bounded(batch))]

    def _item(self, index: int, raw: msgspec.Raw | Element) -> Item:
        try:
            item = _values(raw) if isinstance(raw, Element) else read_json(bytes(raw), dict[str, Any])
            return self._read(fields_of(item))
        except BadPayload as error:
            return Unreadable(index=index, cause=str(error))

    def _read(self, item: dict[str, Any]) -> Item:
        if "status" in item:
            return self._report(item)
        if text_of(item.get("event")).upper() in self.decisions:
            return self._block(item)
        if "text" in item or ("from" in item and "receivedAt" in item):
            return _reply(item)
        raise BadPayload("neither a report, a reply nor a BLOCK or UNBLOCK event")

    def _report(self, item: dict[str, Any]) -> Report:
        status, error = fields_of(item["status"]), fields_of(item.get("error"))
        group, code = text_of(status.get("groupName")), text_of(error.get("id")).strip()
        key, done = text_of(item.get("messageId")), text_of(item.get("doneAt"))
        status_id = text_of(status.get("id")).strip()
        price, currency = _price(item)
        known = self.statuses.get(text_of(status.get("groupId")).strip())
        if not key:
            raise BadPayload("a report without messageId")
        failed = code not in {"", "0"}
        return Report(
            message_key=key,
            status=known or self.statuses.get(group.strip().upper(), Status.UNKNOWN),
            vendor_status=text_of(status.get("name")) or group or text_of(status.get("groupId")),
            vendor_code=status_id,
            at=time_of(done or text_of(item.get("sentAt"))),
            reason=self.reasons.get(code, Reason.OTHER) if failed else None,
            error_code=code if failed else "",
            error_text=(text_of(error.get("description")) or text_of(error.get("name"))) if failed else "",
            to=text_of(item.get("to")),
            segments=_segments(item),
            price=price,
            currency=currency,
            identity=(key, status_id, code, done),
        )

    def _block(self, item: dict[str, Any]) -> Reply:
        event = text_of(item["event"]).upper()
        content = fields_of(item.get("content"))
        message = fields_of(content.get("outboundMessageReference"))
        channel = text_of(content.get("channel")).upper()
        # Leaving by any channel is heard; coming back on another one says nothing about SMS.
        if event == "UNBLOCK" and channel not in {"", "SMS"}:
            raise BadPayload(f"UNBLOCK of the channel {channel}, not of SMS")
        return _inbound(
            item,
            sender=text_of(content.get("destination")),
            recipient=text_of(content.get("sender")),
            text=event,
            decision=self.decisions[event],
            reference=text_of(message.get("outboundMessageId")),
            is_message=False,
        )


def _reply(item: dict[str, Any]) -> Reply:
    sender, recipient = text_of(item.get("from")), text_of(item.get("to"))
    return _inbound(item, sender=sender, recipient=recipient, text=text_of(item.get("text")))


def _inbound(item: dict[str, Any], *, sender: str, recipient: str, text: str, **more: Any) -> Reply:
    at = text_of(item.get("receivedAt"))
    if not sender:
        raise BadPayload("a reply or a block-list event without the person's number")
    key = text_of(item.get("messageId")) or fingerprint((sender, recipient, at, text)).hex()
    return Reply(key=key, sender=sender, recipient=recipient, text=text, at=time_of(at), **more)


def _segments(item: dict[str, Any]) -> int | None:
    """Parts of the message: messageCount in v3, smsCount in v2; a nonsense count is None."""
    count = item.get("messageCount", item.get("smsCount"))
    text = str(count) if isinstance(count, (int, str)) else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 4 else None


def _price(item: dict[str, Any]) -> tuple[Decimal | None, str]:
    """Price and currency of the report; a nonsense price is None and never costs the report."""
    price = item.get("price")
    if not isinstance(price, dict):
        return None, ""
    # str() of a float is the shortest text that reads back as it: the digits the vendor wrote.
    text = str(price.get("pricePerMessage"))[:24]
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return None, ""
    if not amount.is_finite() or not 0 <= amount < 1_000_000 or amount.adjusted() < -12:
        return None, ""
    return amount, str(price.get("currency") or "")


def _results(body: bytes) -> list[msgspec.Raw]:
    envelope: Envelope = read_json(body, Envelope)
    return envelope.results


def _elements(body: bytes) -> list[Element]:
    """The result elements of <DeliveryReports><results>…; raises BadPayload."""
    results = read_xml(body).find("{*}results")
    if results is None:
        raise BadPayload("XML without a results element")
    return list(results)


def _values(element: Element, depth: int = 8) -> str | dict[str, Any]:
    """An XML element as its JSON form would read, every scalar a text; raises BadPayload below `depth` levels."""
    if not len(element):
        return (element.text or "").strip()
    if not depth:
        raise BadPayload("XML is nested deeper than documented")
    return {child.tag.rpartition("}")[2]: _values(child, depth - 1) for child in element}


def _basic(request: RawRequest, config: Config) -> bool:
    scheme, _, given = (request.header("authorization") or "").strip().partition(" ")
    password = config.get("basic_password", "")
    if not password or scheme.lower() != "basic":
        return False
    try:
        pair = b64decode(given.strip(), validate=True)
    except ValueError:
        return False
    # Compared as one text, so that a colon in the password needs no splitting.
    return same(pair, f"{config.get('basic_username', '')}:{password}")


def _header(request: RawRequest, config: Config) -> bool:
    name, value = config.get("header_name", "").strip().lower(), config.get("header_value", "")
    given = request.header(name) if name and value else None
    return given is not None and same(given.encode("latin-1", "replace"), value)


def _hmac(request: RawRequest, config: Config) -> bool:
    key = config.get("hmac_key", "")
    given = request.header((config.get("hmac_header") or HMAC_HEADER).lower())
    algorithm = ALGORITHMS.get(config.get("hmac_algorithm") or "HMAC_SHA_256")
    if not key or given is None or algorithm is None:
        return False
    expected = digest(key, request.body, algorithm)
    # Some public receivers of these hooks describe the value with GitHub's prefix.
    given = given.strip().removeprefix(f"{algorithm}=")
    if config.get("hmac_encoding") == "base64":
        return same(given, b64encode(expected))
    return same(given.lower(), expected.hex())


adapter = Infobip()
