"""Owns FakeCM: CM.com's gateway on loopback, which takes texts, refuses some, and calls the URL that somebody pasted.

What is inferred: that the product token is looked at before the messages are, that all refused is a 400 with their rows and
code 201, and how a 429 looks. What CM's pages and SDK say is in webhooks/providers/cm/.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.fakes.server import FakeServer, Response, Seen, as_json

PATH = "/v1.0/message"
TOKEN = "00000000-0000-0000-0000-000000000042"
RECEIVED = "2026-11-23T10:15:02"
_NUMBER = re.compile(r"(00|\+)?[1-9][0-9]{6,14}")
_FROM = re.compile(r"[0-9+]{1,16}|[0-9A-Za-z .]{1,11}")
_REFERENCE = re.compile(r"[0-9A-Za-z]{1,32}")
WORDS = {
    301: "Invalid sender",
    302: "Invalid recipient",
    303: "Invalid phone number",
    304: "Invalid body",
    305: "Invalid field",
    401: "Message is considered spam",
    402: "Recipient is blacklisted",
    403: "Message is rejected",
}


class Callback(NamedTuple):
    """A request as CM makes it."""

    url: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One SMS that is on its way."""

    to: str
    sender: str
    text: str
    """Cut where it needs more parts than it was allowed."""
    reference: str
    parts: int
    token: str


class FakeCM(FakeServer):
    def __init__(self, *, tokens: tuple[str, ...] = (TOKEN,)) -> None:
        super().__init__()
        self.tokens = set(tokens)
        self.taken: list[Taken] = []
        self.credit: int | None = None
        """How many parts may still be sent; None: any number."""
        self.allowance: int | None = None
        """How many more requests are answered before 429; None: any number."""
        self.blacklist: set[str] = set()
        """Recipients as CM writes them, 00…"""
        self.callback_url = ""
        """What somebody pasted in CM's app, for status reports and for replies."""

    def answer(self, seen: Seen) -> Response:
        if (seen.method, seen.path) != ("POST", PATH):
            return Response(status=404, body=b"Not Found", headers={"Content-Type": "text/plain"})
        if self.allowance is not None:
            if not self.allowance:
                return Response(status=429, headers={"Retry-After": "7"})
            self.allowance -= 1
        try:
            envelope = {key.lower(): value for key, value in seen.json()["messages"].items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            return _refused("The request is malformed", 202)
        return self._read(seen, envelope)

    def _read(self, seen: Seen, envelope: dict[str, Any]) -> Response:
        token = seen.headers.get("x-cm-producttoken") or _lower(envelope.get("authentication")).get("producttoken")
        if not token:
            return _refused("No authentication given", 103)
        if token not in self.tokens:
            return _refused("No account found for the given authentication", 101)
        messages = envelope.get("msg")
        if not isinstance(messages, list) or not messages:
            return _refused("The msg array is not correct", 203)
        if self.credit is not None and self.credit <= 0:
            return _refused("Insufficient balance", 102)
        rows = [row for message in messages for row in self._rows(_lower(message), token)]
        taken = sum(row["status"] == "Accepted" for row in rows)
        if taken == len(rows):
            return as_json({"details": f"Created {taken} message(s)", "errorCode": 0, "messages": rows})
        details = f"Created {taken} message(s); {len(rows) - taken} rejected"
        return as_json({"details": details, "errorCode": 201, "messages": rows}, 200 if taken else 400)

    def _rows(self, message: dict[str, Any], token: str) -> list[dict[str, Any]]:
        recipients = message.get("to")
        if not isinstance(recipients, list) or not recipients:
            return [_row("", message, 302)]
        return [self._row(str(_lower(recipient).get("number", "")), message, token) for recipient in recipients]

    def _row(self, to: str, message: dict[str, Any], token: str) -> dict[str, Any]:
        code = _fault(to, message) or (402 if to in self.blacklist else 0)
        if code:
            return _row(to, message, code)
        text, parts = _cut(_lower(message["body"])["content"], int(message.get("maximumnumberofmessageparts", 1)))
        reference = message.get("reference") or ""
        self.taken.append(
            Taken(to=to, sender=message["from"], text=text, reference=reference, parts=parts, token=token)
        )
        if self.credit is not None:
            self.credit -= parts
        return _row(to, message, 0, parts)

    def report(self, reference: str, code: str, error_code: str = "", error_description: str = "") -> Callback:
        """The status report of a text that was taken; raises StopIteration when none of that reference was."""
        taken = next(one for one in self.taken if one.reference == reference)
        status = {"code": code, "errorCode": error_code, "errorDescription": error_description}
        message = {"received": RECEIVED, "to": taken.to, "reference": reference, "status": status, "operator": "20408"}
        return self._callback({"messages": {"msg": message}})

    def reply(self, sender: str, to: str, text: str, *, at: str = "2026-11-23T09:20:00") -> Callback:
        """A person's SMS; numbers as CM writes them, 00… or a short code."""
        return self._callback(
            {
                "from": {"number": sender, "name": ""},
                "to": {"number": to},
                "message": {"text": text, "media": {"mediaUri": "", "contentType": "", "title": ""}, "custom": {}},
                "reference": "",
                "groupings": ["", "", ""],
                "timeUtc": at,
                "channel": "SMS",
            }
        )

    def _callback(self, body: dict[str, Any]) -> Callback:
        assert self.callback_url, "nobody pasted a callback URL in CM's app"
        headers = {"Content-Type": "application/json; charset=utf-8"}
        return Callback(self.callback_url, headers, json.dumps(body, separators=(",", ":")).encode())


def _fault(to: str, message: dict[str, Any]) -> int:
    """The code of the first thing that is wrong with a message; 0 for none."""
    content = _lower(message.get("body")).get("content")
    if not _FROM.fullmatch(str(message.get("from") or "")):
        return 301
    if not _NUMBER.fullmatch(to):
        return 303
    if not content or not isinstance(content, str):
        return 304
    reference, channels = message.get("reference"), message.get("allowedchannels")
    if (reference is not None and not _REFERENCE.fullmatch(str(reference))) or "SMS" not in (channels or ["SMS"]):
        return 305
    if "viagra" in content.lower():
        return 401
    return 403 if "casino" in content.lower() else 0


def _cut(text: str, limit: int) -> tuple[str, int]:
    """The text as far as it fits, and its parts. It knows ASCII and the rest, not the whole alphabet of GSM."""
    doubles = [2 if character in "^{}\\[~]|" else 1 for character in text]
    one, many = (160, 153) if text.isascii() else (70, 67)
    size = sum(doubles) if text.isascii() else len(text.encode("utf-16-le")) // 2
    parts = 1 if size <= one else -(-size // many)
    return (text, parts) if parts <= limit else (text[: many * limit], limit)


def _row(to: str, message: dict[str, Any], code: int, parts: int = 0) -> dict[str, Any]:
    return {
        "to": to,
        "status": "Rejected" if code else "Accepted",
        "reference": message.get("reference"),
        "parts": parts,
        "messageDetails": WORDS.get(code),
        "messageErrorCode": code,
    }


def _refused(details: str, code: int) -> Response:
    return as_json({"details": details, "errorCode": code, "messages": []}, 400)


def _lower(value: object) -> dict[str, Any]:
    """An object with its names in lower case, which is how CM reads them; empty for anything else."""
    return {str(key).lower(): inner for key, inner in value.items()} if isinstance(value, dict) else {}
