"""The built-in provider of this machine: it sends nowhere and calls back like a real one, for the demo and the tests.

Body: {"events": [event, …]} or one event. A report is {"type": "report", "message", "status", "at", "error": {"code", "text"}},
its status one of our own words and its error code one of our reasons; a reply is {"type": "reply", "id", "from", "to", "text",
"at"}. Header X-Sandbox-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">, good for five minutes.
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from trackly.payloads import read_json
from trackly.raw import RawRequest
from trackly.signing import digest, same
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
from webhooks.statuses import Item, Reason, Reply, Report, Status, Unreadable

HEADER = "X-Sandbox-Signature"
TOLERANCE = timedelta(minutes=5)


class Sandbox(Provider):
    name = "Sandbox"
    # The shape of its signature is Stripe's; there is no vendor.
    docs = "https://docs.stripe.com/webhooks#verify-manually"
    config = (Field(name="signing_key", label="Signing key", secret=True, required=True),)
    statuses = {status.value: status for status in Status}
    reasons = {reason.value: reason for reason in Reason}

    def verify(self, request: RawRequest, config: Config, *, now: datetime) -> None:
        key = config.get("signing_key", "")
        parts = dict(part.strip().partition("=")[::2] for part in (request.header(HEADER.lower()) or "").split(","))
        stamp, given = parts.get("t", ""), parts.get("v1", "")
        if not key or not given:
            raise BadSignature(f"the header {HEADER} is missing or no signing key is configured")
        if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12):
            raise BadSignature(f"{HEADER} has no time")
        if abs(now.timestamp() - int(stamp)) > TOLERANCE.total_seconds():
            raise BadSignature(f"{HEADER} is older or newer than five minutes")
        if not same(given, _mac(key, stamp, request.body)):
            raise BadSignature(f"{HEADER} does not belong to this body and signing key")

    def parse(self, request: RawRequest) -> list[Item]:
        body: dict[str, msgspec.Raw] = read_json(request.body, dict[str, msgspec.Raw])
        if "events" not in body:
            return [self._item(0, request.body)]
        events: list[msgspec.Raw] = read_json(bytes(body["events"]), list[msgspec.Raw])
        return [self._item(index, bytes(event)) for index, event in enumerate(bounded(events))]

    def _item(self, index: int, event: bytes) -> Item:
        try:
            fields: dict[str, Any] = read_json(event, dict[str, Any])
            kind = text_of(fields.get("type"))
            if kind == "report":
                return self._report(fields)
            if kind == "reply":
                return _reply(fields)
        except BadPayload as error:
            return Unreadable(index=index, cause=str(error))
        return Unreadable(index=index, cause="the type is neither report nor reply")

    def _report(self, fields: dict[str, Any]) -> Report:
        error = fields_of(fields.get("error"))
        key, word, at = (text_of(fields.get(name)) for name in ("message", "status", "at"))
        code = text_of(error.get("code"))
        if not key:
            raise BadPayload("a report without a message")
        return Report(
            message_key=key,
            status=self.statuses.get(word, Status.UNKNOWN),
            vendor_status=word,
            at=time_of(at),
            reason=self.reasons.get(code, Reason.OTHER) if code else None,
            error_code=code,
            error_text=text_of(error.get("text")),
            to=text_of(fields.get("to")),
            identity=(key, word, at, code),
        )


def sign(key: str, body: bytes, now: datetime) -> str:
    """The value of X-Sandbox-Signature for this body, sent now."""
    stamp = str(int(now.timestamp()))
    return f"t={stamp},v1={_mac(key, stamp, body)}"


def _mac(key: str, stamp: str, body: bytes) -> str:
    return digest(key, f"{stamp}.".encode() + body, "sha256").hex()


def _reply(fields: dict[str, Any]) -> Reply:
    key, sender, recipient, text, at = (text_of(fields.get(name)) for name in ("id", "from", "to", "text", "at"))
    if not key or not sender:
        raise BadPayload("a reply without an id or without a sender")
    return Reply(key=key, sender=sender, recipient=recipient, text=text, at=time_of(at))


adapter = Sandbox()
