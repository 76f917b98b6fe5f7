"""Twilio SMS: status callbacks and replies, one message per request, always signed.

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

from trackly.payloads import last_of, read_json, read_pairs
from trackly.raw import RawRequest
from trackly.signing import digest, same
from webhooks.providers.base import BadPayload, BadSignature, Config, Field, Provider, text_of
from webhooks.statuses import Decision, Item, Reason, Reply, Report, Status, Unreadable

SIGNATURE = "x-twilio-signature"
SETTINGS = "x-twilio-webhooks-signature-settings"
FORM = "application/x-www-form-urlencoded"
INBOUND = {"received", "receiving"}


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
            help="The primary one: it signs. While rotating, keep the old one valid until a date.",
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
    statuses = {
        "accepted": Status.ACCEPTED,
        "scheduled": Status.ACCEPTED,
        "queued": Status.QUEUED,
        "sending": Status.SENDING,
        "sent": Status.SENT,
        # Some parts arrived: more than sent is not proven, and a final word may follow.
        "partially_delivered": Status.SENT,
        "delivered": Status.DELIVERED,
        "undelivered": Status.UNDELIVERED,
        "failed": Status.FAILED,
        "canceled": Status.CANCELED,
        "read": Status.READ,
    }
    # Twilio's titles (https://www.twilio.com/docs/api/errors), our reasons.
    errors = {
        "21211": ("Invalid 'To' phone number", Reason.INVALID_NUMBER),
        "21610": ("Attempt to send to unsubscribed recipient", Reason.OPT_OUT),
        "21611": ("'From' number exceeded its maximum of queued messages", Reason.THROTTLED),
        "21612": ("'To' number is not currently reachable via SMS", Reason.INVALID_NUMBER),
        "21614": ("'To' number is not a valid mobile number", Reason.INVALID_NUMBER),
        "30001": ("Queue overflow", Reason.THROTTLED),
        "30002": ("Account suspended", Reason.OTHER),
        "30003": ("Unreachable destination handset", Reason.UNREACHABLE),
        "30004": ("Message blocked", Reason.BLOCKED),
        "30005": ("Unknown destination handset", Reason.INVALID_NUMBER),
        "30006": ("Landline or unreachable carrier", Reason.INVALID_NUMBER),
        "30007": ("Message filtered", Reason.SPAM),
        "30008": ("Unknown error", Reason.OTHER),
        "30009": ("Missing inbound segment", Reason.OTHER),
        "30010": ("Message price exceeds max price", Reason.OTHER),
        "30011": ("MMS not supported by the receiving number in this region", Reason.OTHER),
        "30012": ("TTL is too small", Reason.OTHER),
        "30013": ("TTL is too big", Reason.OTHER),
        "30014": ("'To' attributes are invalid", Reason.OTHER),
        "30015": ("Non-supported channel type is used", Reason.OTHER),
        "30016": ("'To' and 'From' channel types are incompatible", Reason.OTHER),
        "30017": ("Carrier network congestion", Reason.UNREACHABLE),
        "30018": ("Destination carrier requires sender ID pre-registration", Reason.REGISTRATION),
        "30019": ("Content size exceeds carrier limit", Reason.OTHER),
        "30020": ("Internal failure with message scheduling", Reason.OTHER),
        "30021": ("Internal failure with messaging service orchestrator", Reason.OTHER),
        "30022": ("US A2P 10DLC: rate limits exceeded", Reason.THROTTLED),
        "30023": ("US A2P 10DLC: daily message cap reached", Reason.THROTTLED),
        "30024": ("Numeric sender ID not provisioned on carrier", Reason.REGISTRATION),
        "30025": ("US A2P 10DLC: 50% of T-Mobile daily limit consumed", Reason.OTHER),
        "30026": ("US A2P 10DLC: 70% of T-Mobile daily limit consumed", Reason.OTHER),
        "30027": ("US A2P 10DLC: T-Mobile daily limit reached", Reason.THROTTLED),
        "30032": ("Toll-free number has not been verified", Reason.REGISTRATION),
        "30034": ("US A2P 10DLC: message from an unregistered number", Reason.REGISTRATION),
        "30409": ("This message cannot be canceled", Reason.OTHER),
        "30410": ("Provider timeout error", Reason.UNREACHABLE),
    }
    # Of its debugger; the codes are those of https://www.twilio.com/docs/api/errors, the answers ours.
    alarms = {
        # https://www.twilio.com/docs/api/errors/11200
        "11200": (
            "Twilio asked us and got no 2xx in time; it does not know more. If we refused the request (403, 404), it stands in"
            " the failed log with its cause. If we answered 503, only /metrics knows. If neither, it never reached us: look at"
            " the proxy, the firewall and the certificate. Twilio does not repeat what got a 4xx or 5xx, unless the URL it was"
            " given ends in #rp=all."
        ),
        "11205": (
            "No connection to us could be opened, or it broke. Nothing of it can stand here: look at the address, the port and"
            " the firewall in front of us. Twilio tries such a request once more."
        ),
        # https://www.twilio.com/docs/api/errors/11206
        "11206": "What answered was no proper HTTP: http spoken to an https port, or a proxy that cut the exchange short.",
        "11210": "The host in the URL Twilio was given does not resolve: compare it with PUBLIC_BASE_URL, then look at the DNS.",
        "11215": "We never redirect; something in front of us does. Give Twilio the https URL as its page here shows it.",
        # https://www.twilio.com/docs/api/errors/11217
        "11217": (
            "We answered with an error. 403 or 404: it stands in the failed log with its cause, most often an auth token that"
            " was changed at Twilio and not here. 503: the database was away, and only /metrics knows. 502 and 504 are never"
            " ours but the proxy's."
        ),
        "11220": "No TLS connection came about: the proxy in front of us offers no protocol or cipher that Twilio accepts.",
        "11235": "The certificate shown to Twilio is for another host than the one in the URL.",
        "11236": "The certificate shown to Twilio has expired.",
        "11237": "Twilio cannot follow our certificate to a root it trusts: serve the intermediate certificates with it.",
        # https://www.twilio.com/docs/api/errors/11321
        "11321": "The URL set for incoming messages is not valid, so nothing was sent: copy it anew from the account's page.",
        "12100": "What answered was not the empty TwiML that we send: the URL leads to another server, or a proxy put in a page.",
        # https://www.twilio.com/docs/api/errors/12300
        "12300": "We answer in text/xml. Another type comes from another server: compare the URL, and look for a proxy's page.",
    }
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
            return [self._read(fields)]
        except BadPayload as error:
            return [Unreadable(index=0, cause=str(error))]

    def names(self, request: RawRequest) -> str:
        try:
            return text_of(_fields(request).get("AccountSid"))
        except BadPayload:
            return ""

    def known_as(self, config: Config) -> str:
        return config.get("account_sid", "")

    def _read(self, fields: dict[str, Any]) -> Item:
        sid = text_of(fields.get("MessageSid") or fields.get("SmsSid"))
        word = text_of(fields.get("MessageStatus") or fields.get("SmsStatus"))
        if not sid:
            raise BadPayload("neither MessageSid nor SmsSid")
        if word.lower() in INBOUND or ("Body" in fields and word.lower() not in self.statuses):
            return self._reply(sid, fields)
        if not word:
            raise BadPayload("neither a status nor a text")
        return self._report(sid, word, fields)

    def _report(self, sid: str, word: str, fields: dict[str, Any]) -> Report:
        code = text_of(fields.get("ErrorCode")).strip()
        failed = code not in {"", "0"}
        title, reason = self.errors.get(code, ("", Reason.OTHER))
        return Report(
            message_key=sid,
            status=self.statuses.get(word.lower(), Status.UNKNOWN),
            vendor_status=word,
            reason=reason if failed else None,
            error_code=code if failed else "",
            error_text=title,
            to=text_of(fields.get("To")),
            identity=(sid, word, code),
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


def _urls(request: RawRequest) -> Iterator[str]:
    """The public URL as it is, without a port and with the standard one: which of them Twilio signs is not consistent."""
    bare = re.sub(r":\d+$", "", request.base_url)
    standard = f"{bare}:{443 if bare.startswith('https') else 80}"
    for base in dict.fromkeys((request.base_url, bare, standard)):
        yield base + request.target


adapter = Twilio()
