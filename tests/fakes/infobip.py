"""Owns FakeInfobip: the part of Infobip's API we speak, strict where its OpenAPI (3.210.0) is, and the callbacks that follow.

Where the OpenAPI is silent it is stricter than the vendor may be: what is in use cannot be deleted. Proven by the official SDK in
tests/webhooks/providers/test_infobip_sending.py.
"""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tests.fakes.infobip_shapes import (
    CONFIGURATION,
    MESSAGES,
    NEW_PROFILE,
    NEW_SECURITY,
    NEW_SUBSCRIPTION,
    PROFILE,
    SECURITY,
    SUBSCRIPTION,
    faults_in,
)  # fmt: skip
from tests.fakes.server import FakeServer, Response, Seen, as_json

SCOPES = ("sms:manage", "sms:logs:read", "numbers:manage", "subscriptions:manage")
WORDS = {
    "accepted": (1, "PENDING", 26, "PENDING_ACCEPTED", "Message sent to next instance"),
    "enroute": (1, "PENDING", 7, "PENDING_ENROUTE", "Message sent to next instance"),
    "delivered": (3, "DELIVERED", 5, "DELIVERED_TO_HANDSET", "Message delivered to handset"),
    "undelivered": (2, "UNDELIVERABLE", 9, "UNDELIVERABLE_NOT_DELIVERED", "Message sent not delivered"),
    "expired": (4, "EXPIRED", 15, "EXPIRED_EXPIRED", "Message expired"),
    "credits": (5, "REJECTED", 12, "REJECTED_NOT_ENOUGH_CREDITS", "Not enough credits"),
    "source": (5, "REJECTED", 11, "REJECTED_SOURCE", "Invalid Source address"),
    "destination": (5, "REJECTED", 52, "REJECTED_DESTINATION", "Invalid destination address"),
    "system": (5, "REJECTED", 21, "REJECTED_SYSTEM_ERROR", "System error"),
    "duplicate": (5, "REJECTED", 23, "REJECTED_DUPLICATE_MESSAGE_ID", "Message ID already used"),
}
NO_ERROR = (0, "OK", 0, "NO_ERROR", "No Error", False)
ABSENT = (1, "HANDSET_ERRORS", 27, "EC_ABSENT_SUBSCRIBER", "Absent Subscriber", False)
STOPPED = (2, "USER_ERRORS", 603, "EC_CONTENT_BLOCKED", "Content blocked by user opt-out", True)


@dataclass
class Taken:
    """A message."""

    id: str
    sender: str
    to: str
    text: str
    url: str
    callback_data: str
    notify: bool
    status: tuple[Any, ...]
    error: tuple[Any, ...] = NO_ERROR
    done_at: str = ""
    sent_at: str = field(default_factory=lambda: stamp(datetime.now(UTC)))


class Wrong(Exception):
    def __init__(self, status: int, code: str, text: str, faults: list[tuple[str, str]] | None = None) -> None:
        super().__init__(text)
        self.status, self.code, self.text, self.faults = status, code, text, faults or []


class FakeInfobip(FakeServer):
    def __init__(self) -> None:
        super().__init__()
        self.keys: dict[str, set[str]] = {"good-key": set(SCOPES)}
        self.numbers: list[dict[str, Any]] = []
        self.subscriptions: dict[str, dict[str, Any]] = {}
        self.profiles: dict[str, dict[str, Any]] = {}
        self.security: dict[str, dict[str, Any]] = {}
        self.configurations: dict[str, dict[str, Any]] = {}
        self.messages: dict[str, Taken] = {}
        self.calls_left: int | None = None
        """After so many calls 429; None: no limit."""
        self.has_credit = True
        self.hides_passwords = False
        self.registered: set[str] | None = None
        """Senders that may send; None: any."""

    def own(self, *numbers: str, **more: Any) -> None:
        """Numbers of the account, digits."""
        for number in numbers:
            kind = "VIRTUAL_LONG_NUMBER" if len(number) > 6 else "SHORT_CODE"
            row = {"numberKey": f"KEY{number}", "number": number, "type": kind, "capabilities": ["SMS", "VOICE"]}
            self.numbers.append(row | {"country": "US", "countryName": "United States", "shared": False} | more)

    @property
    def writes(self) -> list[tuple[str, str]]:
        """(method, path) of everything that was to change something, sends included."""
        return [(seen.method, seen.path) for seen in self.requests if seen.method != "GET"]

    def answer(self, seen: Seen) -> Response:
        try:
            return self._act(seen)
        except Wrong as wrong:
            return _envelope(seen, wrong)

    def _act(self, seen: Seen) -> Response:
        if self.calls_left is not None:
            self.calls_left -= 1
            if self.calls_left < 0:
                raise Wrong(429, "TOO_MANY_REQUESTS", "Too many requests")
        for method, pattern, scopes, act in _ROUTES:
            found = re.fullmatch(pattern, seen.path)
            if found and seen.method == method:
                self._admit(seen, scopes)
                return act(self, seen, *found.groups())
        raise Wrong(404, "NOT_FOUND", "Requested URL not found")

    def _admit(self, seen: Seen, scopes: tuple[str, ...]) -> None:
        scheme, _, key = seen.headers.get("authorization", "").partition(" ")
        if scheme != "App" or key not in self.keys:
            raise Wrong(401, "UNAUTHORIZED", "Invalid login details")
        if not self.keys[key] & set(scopes):
            raise Wrong(403, "FORBIDDEN", "Forbidden")

    # --- messages

    def send_v3(self, seen: Seen) -> Response:
        body = _body(seen, MESSAGES)
        rows = []
        for message in body["messages"]:
            hooks = message.get("webhooks", {})
            delivery = hooks.get("delivery", {})
            for destination in message["destinations"]:
                taken = self._take(
                    id=destination.get("messageId") or f"made-{len(self.messages)}",
                    sender=message.get("sender", ""),
                    to=destination["to"],
                    text=message["content"]["text"],
                    url=delivery.get("url", ""),
                    callback_data=hooks.get("callbackData", ""),
                    notify=delivery.get("notify", True),
                )
                rows.append({"messageId": taken.id, "status": _status(taken.status), "destination": taken.to})
                if body.get("options", {}).get("includeSmsCountInResponse"):
                    rows[-1]["details"] = {"messageCount": 1 + len(taken.text) // 160}
        return as_json({"bulkId": "b-1", "messages": rows})

    def send_v2(self, seen: Seen) -> Response:
        """What the SDK knows."""
        rows = []
        for message in json.loads(seen.body)["messages"]:
            for destination in message["destinations"]:
                taken = self._take(
                    id=destination.get("messageId") or f"made-{len(self.messages)}",
                    sender=message.get("from") or "",
                    to=destination["to"],
                    text=message.get("text") or "",
                    url=message.get("notifyUrl") or "",
                    callback_data=message.get("callbackData") or "",
                    notify=True,
                )
                rows.append({"messageId": taken.id, "status": _status(taken.status), "to": taken.to})
        return as_json({"bulkId": "b-1", "messages": rows})

    def _take(self, **values: Any) -> Taken:
        taken = Taken(status=WORDS["accepted"], **values)
        if taken.id in self.messages:
            taken.status = WORDS["duplicate"]
            return taken
        if not self.has_credit:
            taken.status = WORDS["credits"]
        elif self.registered is not None and taken.sender not in self.registered:
            taken.status = WORDS["source"]
        elif not re.fullmatch("[0-9]{7,15}", taken.to) or taken.to.endswith("0009"):
            taken.status = WORDS["destination"]
        self.messages[taken.id] = taken
        return taken

    def logs(self, seen: Seen) -> Response:
        wanted = seen.query.get("messageId", "")
        found = [taken for id, taken in self.messages.items() if not wanted or id in wanted.split(",")]
        limit = int(seen.query.get("limit", 50))
        sender, to = ("sender", "destination") if seen.path.startswith("/sms/3") else ("from", "to")
        count = "messageCount" if seen.path.startswith("/sms/3") else "smsCount"
        return as_json({"results": [self._entry(taken, sender, to, count) for taken in found[:limit]]})

    def _entry(self, taken: Taken, sender: str, to: str, count: str) -> dict[str, Any]:
        entry = {
            "bulkId": "b-1",
            "messageId": taken.id,
            sender: taken.sender,
            to: taken.to,
            "sentAt": taken.sent_at,
            count: 1,
            "price": {"pricePerMessage": 0.0067, "currency": "USD"},
            "status": _status(taken.status),
            "error": dict(
                zip(("groupId", "groupName", "id", "name", "description", "permanent"), taken.error, strict=True)
            ),
            "mccMnc": "310260",
        }
        return entry | ({"doneAt": taken.done_at} if taken.done_at else {})

    # --- numbers

    def list_numbers(self, seen: Seen) -> Response:
        wanted = seen.query.get("number", "")
        rows = [row for row in self.numbers if wanted in row["number"]]
        limit, page = int(seen.query.get("limit", 50)), int(seen.query.get("page", 0))
        return as_json({"numbers": rows[page * limit : (page + 1) * limit], "numberCount": len(rows)})

    def list_configurations(self, seen: Seen) -> Response:
        number = self._number(seen.query)
        rows = [row for row in self.configurations.values() if row["number"] == number]
        shown = [{name: value for name, value in row.items() if name != "number"} for row in rows]
        return as_json(shown)

    def manage_configuration(self, seen: Seen) -> Response:
        body = _body(seen, CONFIGURATION)
        forwarding = body.get("forwarding")
        if forwarding and forwarding["type"] == "HTTP_FORWARD" and not forwarding.get("url"):
            raise Wrong(400, "BAD_REQUEST", "Bad request", [("forwarding.url", "must not be blank")])
        number, keyword = self._number(body), body.get("keyword")
        rows = self.configurations.values()
        row = next((row for row in rows if (row["number"], row.get("keyword")) == (number, keyword)), None)
        if row is None:
            row = {"configurationKey": f"CONF{len(self.configurations) + 1}", "channel": "SMS", "number": number}
            self.configurations[row["configurationKey"]] = row | ({"keyword": keyword} if keyword else {})
            row = self.configurations[row["configurationKey"]]
        for name in body.get("unset", ()):
            row.pop({"FORWARDING": "forwarding", "AUTORESPONSE": "autoResponse"}.get(name, name), None)
        row |= {name: body[name] for name in ("forwarding", "autoResponse") if body.get(name)}
        return as_json({name: value for name, value in row.items() if name != "number"})

    def delete_configuration(self, seen: Seen, key: str) -> Response:
        if self.configurations.pop(key, None) is None:
            raise Wrong(404, "NOT_FOUND", "Not found")
        return Response(status=204)

    def _number(self, given: dict[str, Any]) -> str:
        for row in self.numbers:
            is_short = row["type"] == "SHORT_CODE" and not given.get("countryCode")
            if row["numberKey"] == given.get("numberKey") or (row["number"] == given.get("number") and not is_short):
                return str(row["number"])
        raise Wrong(404, "NOT_FOUND", "Not found")

    # --- subscriptions

    def list_subscriptions(self, seen: Seen) -> Response:
        rows = list(self.subscriptions.values())[: int(seen.query.get("size", 20))]
        return as_json({"results": rows, "paging": {"page": 0, "totalResults": len(self.subscriptions)}})

    def create_subscription(self, seen: Seen) -> Response:
        body = _body(seen, NEW_SUBSCRIPTION)
        profile = body["profile"]
        if set(profile) != {"profileId"}:
            self._new_profile(profile)
        elif profile["profileId"] not in self.profiles:
            raise Wrong(400, "BAD_REQUEST", "Bad request", [("profile.profileId", "does not exist")])
        _refuse_taken(body["subscriptionId"], self.subscriptions)
        self.subscriptions[body["subscriptionId"]] = body | {"profile": {"profileId": profile["profileId"]}}
        return as_json({"subscriptionId": body["subscriptionId"]}, 201)

    def create_profile(self, seen: Seen) -> Response:
        body = _body(seen, NEW_PROFILE)
        self._new_profile(body)
        return as_json({"profileId": body["profileId"]}, 201)

    def _new_profile(self, body: dict[str, Any]) -> None:
        _refuse_taken(body["profileId"], self.profiles)
        security = body.get("security")
        if security and set(security) != {"authId"}:
            self._new_security(security)
        elif security and security["authId"] not in self.security:
            raise Wrong(400, "BAD_REQUEST", "Bad request", [("security.authId", "does not exist")])
        kept = {"security": {"authId": security["authId"]}} if security else {}
        self.profiles[body["profileId"]] = {name: body[name] for name in body if name != "security"} | kept

    def create_security(self, seen: Seen) -> Response:
        body = _body(seen, NEW_SECURITY)
        self._new_security(body)
        return as_json({"authId": body["authId"]}, 201)

    def _new_security(self, body: dict[str, Any]) -> None:
        _refuse_taken(body["authId"], self.security)
        self.security[body["authId"]] = body

    def get_part(self, seen: Seen, kind: str, id: str) -> Response:
        row = dict(self._part(kind, id))
        if kind == "security" and self.hides_passwords:
            row["credentials"] = row["credentials"] | {"password": "********"}
        return as_json(row)

    def put_part(self, seen: Seen, kind: str, id: str) -> Response:
        schema: dict[str, Any] = {"subscription/SMS": SUBSCRIPTION, "profiles": PROFILE, "security": SECURITY}[kind]
        row, body = self._part(kind, id), _body(seen, schema)
        auth = body.get("security", {}).get("authId")
        if kind == "profiles" and auth and auth not in self.security:
            raise Wrong(400, "BAD_REQUEST", "Bad request", [("security.authId", "does not exist")])
        named = {name: row[name] for name in ("subscriptionId", "profileId", "authId") if name in row}
        row.clear()
        row |= named | body
        return as_json(named)

    def delete_part(self, seen: Seen, kind: str, id: str) -> Response:
        row = self._part(kind, id)
        users = {"profiles": self.subscriptions, "security": self.profiles}.get(kind, {})
        if any(id in json.dumps(user.get("profile" if kind == "profiles" else "security")) for user in users.values()):
            raise Wrong(400, "BAD_REQUEST", f"{id} is in use")
        self._parts(kind).pop(id)
        return as_json(row)

    def _part(self, kind: str, id: str) -> dict[str, Any]:
        if id not in self._parts(kind):
            raise Wrong(404, "NOT_FOUND", "Not found")
        return self._parts(kind)[id]

    def _parts(self, kind: str) -> dict[str, dict[str, Any]]:
        return {"subscription/SMS": self.subscriptions, "profiles": self.profiles, "security": self.security}[kind]

    # --- callbacks

    def report(
        self, reference: str, word: str = "delivered", error: tuple[Any, ...] = NO_ERROR
    ) -> tuple[str, dict[str, str], bytes]:
        """The delivery report as it would be posted: address, headers, body. To the address of the message, which has no
        authentication, else to the subscription's. LookupError when nobody is told."""
        taken = self.messages[reference]
        taken.status, taken.error, taken.done_at = WORDS[word], error, stamp(datetime.now(UTC))
        entry = self._entry(taken, "sender", "to", "messageCount") | {"callbackData": taken.callback_data}
        body = json.dumps({"results": [entry]}).encode()
        if taken.url:
            return taken.url, {"Content-Type": "application/json"}, body
        if not taken.notify:
            raise LookupError("no report was asked for")
        return *self._subscribed("DELIVERY", taken.sender), body

    def reply(self, sender: str, to: str, text: str, id: str = "mo-1") -> tuple[str, dict[str, str], bytes]:
        """An inbound message as it would be posted; numbers in digits. LookupError when it goes nowhere."""
        item = {"messageId": id, "from": sender, "to": to, "text": text, "cleanText": text, "smsCount": 1}
        item |= {"receivedAt": stamp(datetime.now(UTC)), "price": {"pricePerMessage": 0, "currency": "USD"}}
        body = json.dumps({"results": [item], "messageCount": 1, "pendingMessageCount": 0}).encode()
        for row in self.configurations.values():
            forwarding = row.get("forwarding", {})
            if row["number"] == to and not row.get("keyword") and forwarding.get("type") == "HTTP_FORWARD":
                return forwarding["url"], {"Content-Type": "application/json"}, body
        return *self._subscribed("INBOUND_MESSAGE", to), body

    def _subscribed(self, event: str, number: str) -> tuple[str, dict[str, str]]:
        for row in self.subscriptions.values():
            if event in row["events"] and (not row.get("resources") or number in row["resources"]):
                profile = self.profiles[row["profile"]["profileId"]]
                headers = {"Content-Type": "application/json"} | profile.get("headers", {})
                security = self.security.get(profile.get("security", {}).get("authId", ""))
                if security and security["type"] == "BASIC":
                    has = security["credentials"]
                    pair = b64encode(f"{has['username']}:{has['password']}".encode()).decode()
                    headers["Authorization"] = f"Basic {pair}"
                return profile["webhook"]["notifyUrl"], headers
        raise LookupError(f"nobody subscribed to {event} of {number}")


def stamp(at: datetime) -> str:
    """As they write times: the offset without a colon."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03}+0000"


def _status(words: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(("groupId", "groupName", "id", "name", "description"), words, strict=True))


def _body(seen: Seen, schema: dict[str, Any]) -> dict[str, Any]:
    if seen.headers.get("content-type", "").split(";")[0] != "application/json":
        raise Wrong(400, "BAD_REQUEST", "Content type is not application/json")
    try:
        body = json.loads(seen.body)
    except ValueError as error:
        raise Wrong(400, "BAD_REQUEST", "Message is not readable") from error
    if faults := list(faults_in(body, schema)):
        raise Wrong(400, "BAD_REQUEST", "Bad request", faults)
    return dict(body)


def _refuse_taken(id: str, rows: dict[str, Any]) -> None:
    if not re.fullmatch("[A-Za-z0-9._~-]+", id):
        raise Wrong(400, "BAD_REQUEST", f"{id} requires URL encoding")
    if id in rows:
        raise Wrong(400, "BAD_REQUEST", f"{id} exists already")


def _envelope(seen: Seen, wrong: Wrong) -> Response:
    """/sms/3 has an error envelope of its own."""
    headers = {"Retry_After": "7"} if wrong.status == 429 else {}
    if seen.path.startswith("/sms/3"):
        violations = [{"property": name, "violation": text} for name, text in wrong.faults]
        body = {
            "errorCode": f"E{wrong.status}",
            "description": wrong.text,
            "action": "Check.",
            "violations": violations,
        }
        return as_json(body | {"resources": []}, wrong.status, **headers)
    exception: dict[str, Any] = {"messageId": wrong.code, "text": wrong.text}
    if wrong.faults:
        exception["validationErrors"] = {name: [text] for name, text in wrong.faults}
    return as_json({"requestError": {"serviceException": exception}}, wrong.status, **headers)


_PART = "/subscriptions/1/(subscription/SMS|profiles|security)/([^/]+)"
_CONFIGURATIONS = "/resource-management/1/inbound-message-configurations"
_ROUTES: list[tuple[str, str, tuple[str, ...], Callable[..., Response]]] = [
    ("POST", "/sms/3/messages", ("message:send", "sms:message:send", "sms:manage"), FakeInfobip.send_v3),
    ("POST", "/sms/2/text/advanced", ("sms:message:send", "sms:manage"), FakeInfobip.send_v2),
    ("GET", "/sms/[13]/logs", ("sms:logs:read", "sms:manage"), FakeInfobip.logs),
    ("GET", "/numbers/1/numbers", ("numbers:manage",), FakeInfobip.list_numbers),
    ("GET", _CONFIGURATIONS, ("numbers:manage",), FakeInfobip.list_configurations),
    ("POST", _CONFIGURATIONS, ("numbers:manage",), FakeInfobip.manage_configuration),
    ("DELETE", f"{_CONFIGURATIONS}/([^/]+)", ("numbers:manage",), FakeInfobip.delete_configuration),
    ("GET", "/subscriptions/1/subscription/SMS", ("subscriptions:manage",), FakeInfobip.list_subscriptions),
    ("POST", "/subscriptions/1/subscription/SMS", ("subscriptions:manage",), FakeInfobip.create_subscription),
    ("POST", "/subscriptions/1/profiles", ("subscriptions:manage",), FakeInfobip.create_profile),
    ("POST", "/subscriptions/1/security", ("subscriptions:manage",), FakeInfobip.create_security),
    ("GET", _PART, ("subscriptions:manage",), FakeInfobip.get_part),
    ("PUT", _PART, ("subscriptions:manage",), FakeInfobip.put_part),
    ("DELETE", _PART, ("subscriptions:manage",), FakeInfobip.delete_part),
]
