"""Owns the reading of what Infobip says of messages: delivery reports of v2 and v3, log entries, replies and block-list events,
told apart per item, from JSON or XML."""

from decimal import Decimal, InvalidOperation
from typing import Any
from xml.etree.ElementTree import Element

import msgspec

from trackly.payloads import looks_like_xml, read_json, read_xml
from webhooks.providers.base import BadPayload, bounded, fields_of, text_of, time_of
from webhooks.statuses import Decision, Item, Reason, Reply, Report, Status, Unreadable, fingerprint

# By status.groupId, else by status.groupName.
STATUSES = {
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
REASONS = {
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
DECISIONS = {"BLOCK": Decision.OPT_OUT, "UNBLOCK": Decision.OPT_IN}


class Envelope(msgspec.Struct):
    """A batch whose items are not read yet, so that one odd item cannot spoil its siblings."""

    results: list[msgspec.Raw]


def batch_of(body: bytes) -> list[Any]:
    """The items of a callback in their order, not read yet; raises BadPayload."""
    return bounded(_elements(body) if looks_like_xml(body) else _results(body))


def read(index: int, raw: msgspec.Raw | Element) -> Item:
    """One item of a batch, Unreadable where it makes no sense."""
    try:
        item = _values(raw) if isinstance(raw, Element) else read_json(bytes(raw), dict[str, Any])
        return _item_of(fields_of(item))
    except BadPayload as error:
        return Unreadable(index=index, cause=str(error))


def _item_of(item: dict[str, Any]) -> Item:
    if "status" in item:
        return report_of(item)
    if text_of(item.get("event")).upper() in DECISIONS:
        return _block(item)
    if "text" in item or ("from" in item and "receivedAt" in item):
        return _reply(item)
    raise BadPayload("neither a report, a reply nor a BLOCK or UNBLOCK event")


def report_of(item: dict[str, Any]) -> Report:
    """What a delivery report or an entry of the logs says; raises BadPayload."""
    status, error = fields_of(item["status"]), fields_of(item.get("error"))
    group, code = text_of(status.get("groupName")), text_of(error.get("id")).strip()
    key, done = text_of(item.get("messageId")), text_of(item.get("doneAt"))
    status_id = text_of(status.get("id")).strip()
    price, currency = _price(item)
    known = STATUSES.get(text_of(status.get("groupId")).strip())
    if not key:
        raise BadPayload("a report without messageId")
    failed = code not in {"", "0"}
    return Report(
        message_key=key,
        status=known or STATUSES.get(group.strip().upper(), Status.UNKNOWN),
        vendor_status=text_of(status.get("name")) or group or text_of(status.get("groupId")),
        vendor_code=status_id,
        at=time_of(done or text_of(item.get("sentAt"))),
        reason=REASONS.get(code, Reason.OTHER) if failed else None,
        error_code=code if failed else "",
        error_text=(text_of(error.get("description")) or text_of(error.get("name"))) if failed else "",
        to=text_of(item.get("to", item.get("destination"))),
        sender=_sender(item),
        segments=_segments(item),
        price=price,
        currency=currency,
        identity=(key, status_id, code, done),
    )


def _block(item: dict[str, Any]) -> Reply:
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
        decision=DECISIONS[event],
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


def _sender(item: dict[str, Any]) -> str:
    """Our number: sender in v3, from in v2; a nonsense one is '' and never costs the report."""
    found = item.get("sender", item.get("from"))
    return found if isinstance(found, str) else ""


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
