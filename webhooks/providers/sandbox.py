"""The built-in provider of this machine: it sends nowhere and calls back like a real one, for the demo and the tests.

Body: {"events": [event, …]} or one event. A report is {"type": "report", "message", "status", "at", "error": {"code", "text"}},
its status one of our own words and its error code one of our reasons; a reply is {"type": "reply", "id", "from", "to", "text",
"at"}. Header X-Sandbox-Signature: t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">, good for five minutes.

A text is taken, called sent half a second later and delivered within two. The last four digits of its recipient change that:

    0001  refused at once: the number is not valid       0005  taken, sent, expires
    0002  not taken now, at every try: too many           0006  taken; its callbacks come in the wrong order, and twice
    0003  taken, sent, undelivered: the phone is off      0007  taken, and never reported; who asks hears: delivered
    0004  taken, rejected: the recipient opted out        0008  taken, but the answer to our send is lost; else as 0007

Its callbacks carry no time: they are written down when a text is taken, may be posted much later, and an adapter has no clock.
The order of statuses then decides, and a callback that comes twice is the same to the byte, as a vendor's retry is.
"""

import json
from datetime import datetime, timedelta
from typing import Any

import msgspec

from trackly.calls import Dialogue, Unanswered
from trackly.payloads import read_json
from trackly.raw import RawRequest
from trackly.signing import digest, same
from webhooks.orders import Asked, Checked, Echo, Hook, Number, Sent, Step, Text, Verdict
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
from webhooks.statuses import TIER, Item, Reason, Reply, Report, Status, Unreadable

HEADER = "X-Sandbox-Signature"
TOLERANCE = timedelta(minutes=5)
NUMBERS = (
    Number(number="+18005550142", name="First sample number"),
    Number(number="+18005550143", name="Second sample number"),
    Number(number="24680", name="Sample short code"),
)

# What is reported of one text: (seconds after it was taken, status, reason).
Fate = tuple[tuple[float, Status, Reason | None], ...]
USUAL: Fate = ((0.5, Status.SENT, None), (1.5, Status.DELIVERED, None))
# By the last four digits of the recipient; the table in the docstring above says it in words.
FATES: dict[str, Fate] = {
    "0003": ((0.5, Status.SENT, None), (1.5, Status.UNDELIVERED, Reason.UNREACHABLE)),
    "0004": ((0.5, Status.REJECTED, Reason.OPT_OUT),),
    "0005": ((0.5, Status.SENT, None), (1.5, Status.EXPIRED, Reason.EXPIRED)),
    "0006": (
        (0.5, Status.DELIVERED, None),
        (1.0, Status.SENT, None),
        (1.5, Status.DELIVERED, None),
        (2.0, Status.SENT, None),
    ),
    "0007": (),
    "0008": (),
}
WORDS = {
    Reason.UNREACHABLE: "The phone is off.",
    Reason.OPT_OUT: "The recipient opted out at the provider; the contact must write START to it.",
    Reason.EXPIRED: "The phone stayed away for too long.",
}
# Never taken: what the answer to the send says; of a text that is only kept waiting nothing is known.
REFUSALS = {
    "0001": (Verdict.REFUSED, Status.REJECTED, Reason.INVALID_NUMBER, "The number is not valid; correct the contact."),
    "0002": (
        Verdict.LATER,
        Status.UNKNOWN,
        Reason.THROTTLED,
        "Too many messages at once; it is tried again by itself.",
    ),
}


class Sandbox(Provider):
    name = "Sandbox"
    # The shape of its signature is Stripe's; there is no vendor.
    docs = "https://docs.stripe.com/webhooks#verify-manually"
    config = (Field(name="signing_key", label="Signing key", secret=True, is_minted=True),)
    statuses = {status.value: status for status in Status}
    reasons = {reason.value: reason for reason in Reason}
    can_ask = True

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

    def send(self, text: Text, config: Config) -> Dialogue[Sent]:
        # A dialogue without calls is a generator all the same.
        yield from ()
        refusal = REFUSALS.get(text.to[-4:])
        if len(text.body) > self.max_characters:
            long = f"The text has more than {self.max_characters:,} characters; shorten it."
            refusal = (Verdict.REFUSED, Status.REJECTED, Reason.OTHER, long)
        if refusal is not None:
            verdict, status, reason, words = refusal
            return Sent(verdict=verdict, report=_said(text.reference, status, reason, words))
        if text.to.endswith("0008"):
            raise Unanswered("the sandbox took the text and kept its answer, as it does for numbers that end in 0008")
        return Sent(verdict=Verdict.ACCEPTED, report=_said(text.reference, Status.ACCEPTED, None))

    def ask(self, asked: Asked, config: Config) -> Dialogue[list[Report]]:
        yield from ()
        if asked.to[-4:] in REFUSALS:
            return []
        fate = FATES.get(asked.to[-4:], USUAL) or USUAL
        _, status, reason = max(fate, key=lambda step: TIER[step[1]])
        return [_said(asked.reference, status, reason, WORDS[reason] if reason else "")]

    def check(self, config: Config) -> Dialogue[Checked]:
        yield from ()
        keyless = "It has no signing key: only the token in the callback URL proves what comes from it."
        return Checked(
            said="The sandbox of this machine. It sends to nobody and takes texts from any number.",
            numbers=NUMBERS,
            warnings=() if config.get("signing_key") else (keyless,),
        )

    def steps(self, config: Config, hook: Hook) -> tuple[Step, ...]:
        """None: it knows the callback URL of every text."""
        return ()

    def echoes(self, text: Text) -> tuple[Echo, ...]:
        if text.to[-4:] in REFUSALS:
            return ()
        return tuple(
            Echo(after=timedelta(seconds=after), body=_callback(text, status, reason))
            for after, status, reason in FATES.get(text.to[-4:], USUAL)
        )

    def echo_headers(self, body: bytes, config: Config, *, now: datetime) -> tuple[tuple[str, str], ...]:
        """Without a signing key unsigned: then the token in the URL proves it."""
        plain = (("Content-Type", "application/json"),)
        key = config.get("signing_key", "")
        return (*plain, (HEADER, sign(key, body, now))) if key else plain


def sign(key: str, body: bytes, now: datetime) -> str:
    """The value of X-Sandbox-Signature for this body, sent now."""
    stamp = str(int(now.timestamp()))
    return f"t={stamp},v1={_mac(key, stamp, body)}"


def _mac(key: str, stamp: str, body: bytes) -> str:
    return digest(key, f"{stamp}.".encode() + body, "sha256").hex()


def _said(reference: str, status: Status, reason: Reason | None, words: str = "") -> Report:
    """What it says of a text in an answer, as parse() would read it from a callback."""
    code = reason.value if reason else ""
    return Report(
        message_key=reference,
        status=status,
        vendor_status=status.value,
        reason=reason,
        error_code=code,
        error_text=words,
        identity=(reference, status.value, "", code),
    )


def _callback(text: Text, status: Status, reason: Reason | None) -> bytes:
    event: dict[str, Any] = {"type": "report", "message": text.reference, "status": status.value, "to": text.to}
    if reason:
        event["error"] = {"code": reason.value, "text": WORDS[reason]}
    return json.dumps(event).encode()


def _reply(fields: dict[str, Any]) -> Reply:
    key, sender, recipient, text, at = (text_of(fields.get(name)) for name in ("id", "from", "to", "text", "at"))
    if not key or not sender:
        raise BadPayload("a reply without an id or without a sender")
    return Reply(key=key, sender=sender, recipient=recipient, text=text, at=time_of(at))


adapter = Sandbox()
