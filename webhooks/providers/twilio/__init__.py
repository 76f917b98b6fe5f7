"""Twilio SMS: status callbacks and replies, one message per request, always signed. What is said to Twilio stands in the
files beside this one: sending, checking, setup; rest is how, tables are the words.

From Twilio's OpenAPI (2026-04-14), twilio-python 9.13.0 and stored copies of https://www.twilio.com/docs/usage/security and
…/messaging/guides/track-outbound-message-status, not from live traffic. Quirks: callbacks come in any order and carry
neither an event time nor a price; fields are added without notice and all of them are signed; an answer in text/plain would
be texted to the person.
"""

import hashlib
import re
from base64 import b64encode
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from trackly.calls import Dialogue
from trackly.payloads import last_of, read_json, read_pairs
from trackly.raw import RawRequest
from trackly.signing import digest, same
from webhooks.orders import Asked, Checked, Hook, Sent, Step, Text
from webhooks.providers.base import BadPayload, BadSignature, Config, Field, Provider, text_of
from webhooks.providers.twilio import checking, rest, sending, setup, tables
from webhooks.statuses import Decision, Item, Reply, Report, Status, Unreadable

SIGNATURE = "x-twilio-signature"
SETTINGS = "x-twilio-webhooks-signature-settings"
FORM = "application/x-www-form-urlencoded"
INBOUND = {"received", "receiving"}
# As trackly/signing.py makes them.
PUBLIC_ID = re.compile("[2-9a-km-np-zA-HJ-NP-Z]{8}")


class Twilio(Provider):
    name = "Twilio"
    docs = "https://www.twilio.com/docs/messaging/guides/track-outbound-message-status"
    config = (
        Field(
            name="account_sid",
            label="Account SID",
            required=True,
            help="AC and 32 hex digits.",
            pattern="AC[0-9a-fA-F]{32}",
        ),
        Field(
            name="auth_token",
            label="Auth token",
            secret=True,
            required=True,
            help="The primary one: it alone verifies callbacks, so it is required beside an API key too. While rotating, keep"
            " the old one valid until a date.",
        ),
        Field(
            name="api_key_sid",
            label="API key SID",
            help="SK and 32 hex digits. With an API key, calls to Twilio authenticate by it and not by the Auth Token, which"
            " stays required because it alone verifies callbacks.",
            pattern="SK[0-9a-fA-F]{32}",
        ),
        Field(
            name="api_key_secret",
            label="API key secret",
            secret=True,
            help="Twilio shows it once, when the key is made. It verifies no callbacks: the Auth Token does.",
        ),
        Field(
            name="messaging_service_sid",
            label="Messaging Service SID",
            help="MG and 32 hex digits, when sending through a Messaging Service; empty: from the numbers themselves.",
            pattern="MG[0-9a-fA-F]{32}",
        ),
        Field(
            name="shared_key",
            label="Webhook shared key",
            secret=True,
            help="Only where the account signs its webhooks with a shared key (HMAC_SHA256).",
        ),
    )
    # An inbound hook can be configured as GET.
    methods = ("POST", "GET")
    reply = ("text/xml", b'<?xml version="1.0" encoding="UTF-8"?><Response/>')
    token_suffices = False
    statuses = tables.STATUSES
    errors = tables.ERRORS
    alarms = tables.ALARMS
    can_ask = True
    # OptOutType, only with Advanced Opt-Out on the Messaging Service.
    decisions = {"STOP": Decision.OPT_OUT, "START": Decision.OPT_IN, "HELP": Decision.HELP}

    def verify(self, request: RawRequest, config: Config, *, now: datetime) -> None:
        given = request.header(SIGNATURE)
        if not given:
            raise BadSignature("the header X-Twilio-Signature is missing")
        by_shared_key = "algorithm=HMAC_SHA256" in (request.header(SETTINGS) or "").replace(" ", "").split(",")
        key = config.get("shared_key" if by_shared_key else "auth_token", "")
        if not key:
            raise BadSignature("no key is configured for the way this request is signed")
        fields, algorithm = signed_fields(request), "sha256" if by_shared_key else "sha1"
        if not any(same(given.strip(), sign(key, url, fields, algorithm)) for url in _urls(request)):
            raise BadSignature("X-Twilio-Signature does not belong to this URL, these parameters and this auth token")

    def parse(self, request: RawRequest) -> list[Item]:
        fields = _fields(request)
        try:
            return [self._read(fields, _public_id(request))]
        except BadPayload as error:
            return [Unreadable(index=0, cause=str(error))]

    def names(self, request: RawRequest) -> str:
        try:
            return text_of(_fields(request).get("AccountSid"))
        except BadPayload:
            return ""

    def known_as(self, config: Config) -> str:
        return config.get("account_sid", "")

    def send(self, text: Text, config: Config) -> Dialogue[Sent]:
        return rest.hushed(sending.send(text, config), config)

    def ask(self, asked: Asked, config: Config) -> Dialogue[list[Report]]:
        return rest.hushed(sending.ask(asked, config), config)

    def check(self, config: Config) -> Dialogue[Checked]:
        return rest.hushed(checking.check(config), config)

    def steps(self, config: Config, hook: Hook) -> tuple[Step, ...]:
        return setup.steps(config, hook)

    def _read(self, fields: dict[str, Any], public_id: str) -> Item:
        sid = text_of(fields.get("MessageSid") or fields.get("SmsSid"))
        word = text_of(fields.get("MessageStatus") or fields.get("SmsStatus"))
        if not sid:
            raise BadPayload("neither MessageSid nor SmsSid")
        if word.lower() in INBOUND or ("Body" in fields and word.lower() not in self.statuses):
            return self._reply(sid, fields)
        if not word:
            raise BadPayload("neither a status nor a text")
        return self._report(sid, word, fields, public_id)

    def _report(self, sid: str, word: str, fields: dict[str, Any], public_id: str) -> Report:
        code, title, reason = sending.judged(text_of(fields.get("ErrorCode")))
        return Report(
            message_key=sid,
            status=self.statuses.get(word.lower(), Status.UNKNOWN),
            vendor_status=word,
            reason=reason,
            error_code=code,
            error_text=title,
            to=text_of(fields.get("To")),
            sender=text_of(fields.get("From")),
            public_id=public_id,
            identity=(sid, word, text_of(fields.get("ErrorCode")).strip()),
        )

    def _reply(self, sid: str, fields: dict[str, Any]) -> Reply:
        sender = text_of(fields.get("From"))
        if not sender:
            raise BadPayload("a reply without From")
        return Reply(
            key=sid,
            sender=sender,
            recipient=text_of(fields.get("To")),
            text=text_of(fields.get("Body")),
            decision=self.decisions.get(text_of(fields.get("OptOutType")).upper()),
        )


def sign(key: str, url: str, fields: bytes = b"", algorithm: str = "sha1") -> bytes:
    """The value of X-Twilio-Signature; `fields` as signed_fields() joins them."""
    return b64encode(digest(key, url.encode("latin-1", "replace") + fields, algorithm))


def signed_fields(request: RawRequest) -> bytes:
    """What follows the URL in the signed data: every form field, sorted, a repeated value once; raises BadSignature."""
    if request.method == "GET":
        return b""
    try:
        if _is_form(request):
            return "".join(name + value for name, value in sorted(set(read_pairs(request.body)))).encode()
        promised = [value for name, value in read_pairs(request.query) if name == "bodySHA256"]
    except BadPayload as error:
        raise BadSignature(str(error)) from error
    if not promised or not same(promised[0].lower(), hashlib.sha256(request.body).hexdigest()):
        raise BadSignature("bodySHA256 in the URL is missing or does not belong to this body")
    return b""


def _is_form(request: RawRequest) -> bool:
    """False for a JSON body, which is signed by its hash in the URL and not by its fields."""
    return request.content_type == FORM or request.body.lstrip()[:1] not in (b"{", b"[")


def _fields(request: RawRequest) -> dict[str, Any]:
    """What verify has proven, by name; raises BadPayload."""
    if request.method == "GET":
        return last_of(read_pairs(request.query))
    if _is_form(request):
        return last_of(read_pairs(request.body))
    return read_json(request.body, dict[str, Any])


def _public_id(request: RawRequest) -> str:
    """Our own name of the message, which the callback URL of a send carries; '' for none. The URL is signed with it."""
    try:
        named = last_of(read_pairs(request.query)).get("message", "")
    except BadPayload:
        return ""
    return named if PUBLIC_ID.fullmatch(named) else ""


def _urls(request: RawRequest) -> Iterator[str]:
    """The public URL as it is, without a port and with the standard one: which of them Twilio signs is not consistent."""
    bare = re.sub(r":\d+$", "", request.base_url)
    standard = f"{bare}:{443 if bare.startswith('https') else 80}"
    for base in dict.fromkeys((request.base_url, bare, standard)):
        yield base + request.target


adapter = Twilio()
