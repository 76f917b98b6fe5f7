"""Owns FakeTwilio: accounts, keys, numbers, short codes, Messaging Services and messages as Twilio's REST API has them, both
hosts on one server, and the callbacks it would make, signed by Twilio's own SDK.

Proven by the official SDK in tests/webhooks/providers/test_twilio_setup.py.
"""

import re
from base64 import b64decode
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

from twilio.request_validator import RequestValidator

from tests.fakes.server import FakeServer, Response, Seen, as_json

API, MESSAGING = "https://api.twilio.com", "https://messaging.twilio.com"
ACCOUNT = "AC" + "0" * 30 + "42"
TOKEN = "test-auth-token-0000000000000042"
WHEN = "Mon, 23 Nov 2026 09:15:00 +0000"
E164 = re.compile(r"\+[1-9][0-9]{7,14}")

TITLES = {
    20003: "Authenticate",
    20008: "Resource not accessible with Test Account Credentials",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    21211: "The 'To' number is not a valid phone number.",
    21602: "Message body is required.",
    21603: "A 'From' or 'MessagingServiceSid' parameter is required.",
    21604: "A 'To' phone number is required.",
    21606: "The 'From' phone number is not a valid, message-capable Twilio phone number for this destination.",
    21609: "The 'StatusCallback' URL is not a valid URL.",
    21610: "Attempt to send to unsubscribed recipient",
    21617: "The concatenated message body exceeds the 1600 character limit",
    21659: "'From' is not a Twilio phone number or Short Code country mismatch",
    21701: "The Messaging Service does not exist",
    21704: "The Messaging Service contains no phone numbers",
    21711: "The sender is not associated to the specified Messaging Service",
}


class Wrong(Exception):
    """Answered in Twilio's own shape of an error."""

    def __init__(self, status: int, code: int) -> None:
        super().__init__(status, code)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """account, its token and status; kind 'Full', 'Trial' or 'test' (test credentials)."""

    token: str = TOKEN
    status: str = "active"
    kind: str = "Full"
    shows: str = "********"
    """What the account resource shows as its token."""


class FakeTwilio(FakeServer):
    def __init__(self) -> None:
        super().__init__()
        self.accounts = {ACCOUNT: Credentials()}
        self.keys: dict[str, tuple[str, str]] = {}
        """SK -> (secret, 'Main', 'Standard' or 'Restricted': may send only)."""
        self.numbers: dict[str, dict[str, Any]] = {}
        self.short_codes: dict[str, dict[str, Any]] = {}
        self.services: dict[str, dict[str, Any]] = {}
        self.pools: dict[str, list[str]] = {}
        """MG -> PN and SC of its senders."""
        self.messages: dict[str, dict[str, Any]] = {}
        self.callbacks: dict[str, str] = {}
        """SM -> its StatusCallback, as it was given."""
        self.opted_out: set[str] = set()
        self.page_limit = 1_000
        self.is_limited = False
        self.is_problem_json = False
        """Errors in the shape of RFC 9457."""
        self._count = 0

    # --- What it has

    def sid(self, prefix: str) -> str:
        self._count += 1
        return f"{prefix}{self._count:032x}"

    def add_number(self, number: str, **fields: Any) -> str:
        sid = self.sid("PN")
        self.numbers[sid] = {
            "sid": sid, "account_sid": ACCOUNT, "friendly_name": f"Line {number[-4:]}", "phone_number": number,
            "capabilities": {"voice": True, "sms": True, "mms": True, "fax": False}, "sms_application_sid": "",
            "sms_fallback_method": "POST", "sms_fallback_url": "", "sms_method": "POST", "sms_url": "",
            "status_callback": "", "status": "in-use",
        } | fields  # fmt: skip
        return sid

    def add_short_code(self, code: str, **fields: Any) -> str:
        sid = self.sid("SC")
        self.short_codes[sid] = {
            "sid": sid, "account_sid": ACCOUNT, "friendly_name": code, "short_code": code, "sms_url": None,
            "sms_method": "POST", "sms_fallback_url": None, "date_updated": WHEN,
        } | fields  # fmt: skip
        return sid

    def add_service(self, *senders: str, **fields: Any) -> str:
        sid = self.sid("MG")
        self.pools[sid] = list(senders)
        self.services[sid] = {
            "sid": sid, "account_sid": ACCOUNT, "friendly_name": "Autumn", "inbound_request_url": None,
            "inbound_method": "POST", "fallback_url": None, "fallback_method": "POST", "status_callback": None,
            "use_inbound_webhook_on_number": True, "url": f"{MESSAGING}/v1/Services/{sid}",
        } | fields  # fmt: skip
        return sid

    def writes(self) -> list[Seen]:
        return [seen for seen in self.requests if seen.method == "POST"]

    # --- The callbacks it would make

    def report(self, sid: str, status: str, error_code: str = "") -> tuple[str, dict[str, str], bytes]:
        """URL, headers and body of the status callback, and the message moved to that status."""
        message = self.messages[sid]
        message |= {"status": status, "error_code": int(error_code) if error_code else None}
        service = message["messaging_service_sid"]
        url = self.callbacks[sid] or (self.services[service]["status_callback"] if service else "")
        # A service that was left the choice has made it by now.
        row = self._senders()[self.pools[service][0]] if service and not message["from"] else {}
        message["from"] = message["from"] or row.get("phone_number") or row["short_code"]
        fields = {
            "SmsSid": sid, "SmsStatus": status, "MessageStatus": status, "To": message["to"], "MessageSid": sid,
            "AccountSid": message["account_sid"], "From": message["from"], "ApiVersion": "2010-04-01",
        }  # fmt: skip
        fields |= {"MessagingServiceSid": service} if service else {}
        fields |= {"ErrorCode": error_code} if error_code else {}
        return self._called_back(url, fields)

    def reply(self, from_: str, to: str, body: str, opt_out_type: str = "") -> tuple[str, dict[str, str], bytes]:
        """URL, headers and body of an incoming message to a number or a short code; LookupError where nobody is told."""
        rows = {row.get("phone_number") or row.get("short_code"): row for row in self._senders().values()}
        row = rows[to]
        service = next((sid for sid, pool in self.pools.items() if row["sid"] in pool), "")
        url = row["sms_url"]
        if service and not self.services[service]["use_inbound_webhook_on_number"]:
            url = self.services[service]["inbound_request_url"]
        elif row.get("sms_application_sid"):
            url = ""
        sid = self.sid("SM")
        fields = {
            "ToCountry": "US", "ToState": "", "SmsMessageSid": sid, "NumMedia": "0", "SmsSid": sid, "SmsStatus": "received",
            "Body": body, "FromCountry": "US", "To": to, "NumSegments": "1", "MessageSid": sid, "AccountSid": ACCOUNT,
            "From": from_, "ApiVersion": "2010-04-01",
        }  # fmt: skip
        fields |= {"MessagingServiceSid": service} if service else {}
        fields |= {"OptOutType": opt_out_type} if opt_out_type else {}
        return self._called_back(url, fields)

    def _called_back(self, given: str | None, fields: dict[str, str]) -> tuple[str, dict[str, str], bytes]:
        if not given:
            raise LookupError("Twilio was given no URL for this")
        url = given.partition("#")[0]
        token = self.accounts[fields["AccountSid"]].token
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "X-Twilio-Signature": RequestValidator(token).compute_signature(url, fields),
            "I-Twilio-Idempotency-Token": self.sid("idempotency-"),
            "User-Agent": "TwilioProxy/1.1",
        }
        return url, headers, urlencode(fields).encode()

    def _senders(self) -> dict[str, dict[str, Any]]:
        return self.numbers | self.short_codes

    # --- The API

    def answer(self, seen: Seen) -> Response:
        try:
            if self.is_limited:
                raise Wrong(429, 20429)
            user = self._authenticate(seen)
            if seen.path.startswith("/v1/Services"):
                return self._service(seen)
            return self._account(seen, user)
        except Wrong as error:
            return self._wrong(error)

    def _wrong(self, error: Wrong) -> Response:
        headers = {"Retry_After": "7"} if error.status == 429 else {}
        page, title = f"https://www.twilio.com/docs/errors/{error.code}", TITLES[error.code]
        if self.is_problem_json:
            named = {"type": page, "title": title, "status": error.status, "code": error.code, "detail": title}
            return as_json(named, error.status, **headers)
        named = {"code": error.code, "message": title, "more_info": page, "status": error.status}
        return as_json(named, error.status, **headers)

    def _authenticate(self, seen: Seen) -> str:
        kind, _, encoded = seen.headers.get("authorization", "").partition(" ")
        user, _, password = b64decode(encoded).decode().partition(":") if kind == "Basic" else ("", "", "")
        known = self.keys[user][0] if user in self.keys else None
        if user in self.accounts and self.accounts[user].status != "closed":
            known = self.accounts[user].token
        if known is None or password != known:
            raise Wrong(401, 20003)
        self._permit(seen, user)
        return user

    def _permit(self, seen: Seen, user: str) -> None:
        sends = seen.method == "POST" and seen.path.endswith("/Messages.json")
        if user in self.keys:
            of_account = re.fullmatch("/2010-04-01/Accounts/[^/]+.json", seen.path)
            if self.keys[user][1] == "Restricted" and not sends or self.keys[user][1] == "Standard" and of_account:
                raise Wrong(401, 20003)
        elif self.accounts[user].kind == "test" and not sends:
            raise Wrong(403, 20008)

    def _account(self, seen: Seen, user: str) -> Response:
        found = re.fullmatch(r"/2010-04-01/Accounts/(AC[0-9a-f]{32})(?:/(.+?))?\.json", seen.path)
        if not found or found[1] not in self.accounts:
            raise Wrong(404, 20404)
        account, path = found[1], found[2] or ""
        if user in self.accounts and user != account:
            raise Wrong(401, 20003)
        if not path:
            return self._about(account)
        kind, _, sid = path.removeprefix("SMS/").partition("/")
        if kind == "Messages":
            return self._message(seen, account, sid)
        if kind == "IncomingPhoneNumbers":
            return self._rows(seen, self.numbers, sid, "incoming_phone_numbers", "phone_number", "PhoneNumber")
        if kind == "ShortCodes" and path.startswith("SMS/"):
            return self._rows(seen, self.short_codes, sid, "short_codes", "short_code", "ShortCode")
        raise Wrong(404, 20404)

    def _about(self, sid: str) -> Response:
        known = self.accounts[sid]
        return as_json({
            "sid": sid, "owner_account_sid": sid, "friendly_name": "Trackly", "status": known.status, "type": known.kind,
            "auth_token": known.shows, "date_created": WHEN, "uri": f"/2010-04-01/Accounts/{sid}.json",
        })  # fmt: skip

    def _rows(
        self, seen: Seen, rows: dict[str, dict[str, Any]], sid: str, key: str, name: str, filtered: str
    ) -> Response:
        if sid:
            if sid not in rows:
                raise Wrong(404, 20404)
            if seen.method == "POST":
                changes = {"SmsUrl": "sms_url", "SmsMethod": "sms_method", "SmsApplicationSid": "sms_application_sid"}
                rows[sid] |= {column: seen.form()[field] for field, column in changes.items() if field in seen.form()}
            return as_json(rows[sid])
        matching = [row for row in rows.values() if seen.query.get(filtered, "") in row[name]]
        return self._page(seen, matching, key)

    def _page(self, seen: Seen, rows: list[dict[str, Any]], key: str) -> Response:
        size = min(int(seen.query.get("PageSize", "50")), self.page_limit)
        page = int(seen.query.get("Page", "0"))
        shown, more = rows[page * size : (page + 1) * size], len(rows) > (page + 1) * size
        query = seen.query | {"PageSize": str(size), "Page": str(page + 1), "PageToken": "PA1"}
        following = f"{seen.path}?{urlencode(query)}" if more else None
        if seen.path.startswith("/v1/"):
            url = f"{MESSAGING}{following}" if following else None
            return as_json({key: shown, "meta": {"key": key, "page": page, "page_size": size, "next_page_url": url}})
        return as_json({key: shown, "page": page, "page_size": size, "next_page_uri": following, "uri": seen.path})

    def _service(self, seen: Seen) -> Response:
        _, sid, kind, sender = (seen.path.removeprefix("/v1/").split("/") + ["", "", ""])[:4]
        if not sid:
            return self._page(seen, list(self.services.values()), "services")
        if sid not in self.services:
            raise Wrong(404, 20404)
        if kind:
            return self._pool(seen, sid, kind, sender)
        if seen.method == "POST":
            self._change_service(sid, seen.form())
        return as_json(self.services[sid])

    def _change_service(self, sid: str, form: dict[str, str]) -> None:
        row = self.services[sid]
        names = {
            "StatusCallback": "status_callback", "InboundRequestUrl": "inbound_request_url",
            "InboundMethod": "inbound_method",
        }  # fmt: skip
        row |= {column: form[field] or None for field, column in names.items() if field in form}
        if "UseInboundWebhookOnNumber" in form:
            row["use_inbound_webhook_on_number"] = form["UseInboundWebhookOnNumber"].lower() == "true"

    def _pool(self, seen: Seen, sid: str, kind: str, sender: str) -> Response:
        rows = self.numbers if kind == "PhoneNumbers" else self.short_codes
        name, key = ("phone_number", "phone_numbers") if kind == "PhoneNumbers" else ("short_code", "short_codes")
        shown = [
            {
                "sid": one,
                "service_sid": sid,
                name: rows[one][name],
                "country_code": "US",
                "capabilities": ["SMS", "MMS"],
            }
            for one in self.pools[sid]
            if one in rows and sender in ("", one)
        ]
        if sender:
            if not shown:
                raise Wrong(404, 20404)
            return as_json(shown[0])
        return self._page(seen, shown, key)

    def _message(self, seen: Seen, account: str, sid: str) -> Response:
        if sid:
            if sid not in self.messages:
                raise Wrong(404, 20404)
            return as_json(self.messages[sid])
        if seen.method == "GET":
            return self._page(seen, list(self.messages.values()), "messages")
        form = seen.form()
        self._validate(form)
        sid, service = self.sid("SM"), form.get("MessagingServiceSid") or None
        self.callbacks[sid] = form.get("StatusCallback", "")
        self.messages[sid] = {
            "account_sid": account, "api_version": "2010-04-01", "body": form["Body"], "date_created": WHEN, "date_sent": None,
            "date_updated": WHEN, "direction": "outbound-api", "error_code": None, "error_message": None,
            "from": form.get("From") or None, "messaging_service_sid": service, "num_media": "0",
            "num_segments": "0" if service else str(-(-len(form["Body"]) // 160)), "price": None, "price_unit": None,
            "sid": sid, "status": "accepted" if service else "queued", "to": form["To"],
            "uri": f"/2010-04-01/Accounts/{account}/Messages/{sid}.json",
        }  # fmt: skip
        return as_json(self.messages[sid], 201)

    def _validate(self, form: dict[str, str]) -> None:
        """In this order; which of two errors Twilio names first is not documented."""
        sender, service, to = form.get("From", ""), form.get("MessagingServiceSid", ""), form.get("To", "")
        owned = {row.get("phone_number") or row.get("short_code"): sid for sid, row in self._senders().items()}
        pool, callback = self.pools.get(service, []), form.get("StatusCallback", "")
        for is_wrong, code in (
            (not to, 21604),
            (not E164.fullmatch(to), 21211),
            (not sender and not service, 21603),
            (service and service not in self.services, 21701),
            (service and not pool, 21704),
            (sender and not E164.fullmatch(sender) and sender not in owned, 21659),
            (sender and sender not in owned, 21606),
            (service and sender and owned.get(sender) not in pool, 21711),
            (not form.get("Body"), 21602),
            (len(form.get("Body", "")) > 1600, 21617),
            (callback and not _is_callable(callback), 21609),
            (to in self.opted_out, 21610),
        ):
            if is_wrong:
                raise Wrong(400, code)


def _is_callable(url: str) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme in ("http", "https") and "." in host and "_" not in host and len(url) <= 4000
