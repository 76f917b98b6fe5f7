"""Owns how Twilio's REST API is spoken to: addresses, authentication, paging, and its refusals in words."""

import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from trackly.calls import Answer, Call, Dialogue, Unanswered, Unreached
from trackly.payloads import BadPayload, read_json
from trackly.text import clean
from webhooks.providers.base import Config
from webhooks.providers.twilio.tables import ADVICE, BUSY, ERRORS

API = "https://api.twilio.com"
SERVICES = "https://messaging.twilio.com/v1/Services"
# A connection override in the fragment, which is not sent to us: without it nothing is repeated after a 5xx. All three
# repetitions fall within 15 seconds.
REPEATS = "#rc=3&rp=ct,rt,5xx"
TEST_CREDENTIALS = "20008"
SECRETS = ("auth_token", "api_key_secret", "shared_key")
MAX_ROWS = 1_000
_SID = re.compile(r"[A-Z]{2}[0-9a-fA-F]{32}")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """What Twilio answered instead of what was asked for."""

    status: int
    code: str
    words: str
    """Its own; '' where it said nothing that can be read."""

    @property
    def is_busy(self) -> bool:
        return self.status == 429 or self.status >= 500 or self.code in BUSY

    @property
    def is_about_credentials(self) -> bool:
        """A 403 with a code of messaging speaks of the message, any other of who asks."""
        return (
            self.status == 401 or self.code == "20003" or self.status == 403 and not self.code.startswith(("21", "30"))
        )

    @property
    def said(self) -> str:
        """A sentence for people."""
        about = f"HTTP {self.status}" + (f", code {self.code}" if self.code else "")
        if self.code == TEST_CREDENTIALS:
            return f"These are Twilio's test credentials, which may only pretend to send ({about})."
        if self.is_about_credentials:
            return f"Twilio does not take these credentials for this ({about})."
        if 200 <= self.status < 300:
            return f"Twilio's answer cannot be read ({about})."
        if self.status >= 500:
            return f"Twilio has a fault of its own ({about})."
        title = ERRORS.get(self.code, (self.words, None))[0].rstrip(".") or "an answer without words"
        return f"Twilio refused: {title} ({about})."

    @property
    def fix(self) -> str:
        """What to do, in a sentence."""
        if self.code == TEST_CREDENTIALS:
            return "Enter the live Account SID and Auth Token."
        if self.is_busy:
            return "It helps to try again later."
        if self.is_about_credentials:
            return (
                "Compare the Account SID and the Auth Token with Twilio's console, see that an API key still exists and may do"
                " this, and that the account is neither suspended nor closed."
            )
        if not self.code:
            return "Try again; if it stays so, something between here and Twilio answers in its place."
        return ADVICE.get(self.code, f"See https://www.twilio.com/docs/api/errors/{self.code}.")


class Refused(Exception):
    """A call did not bring what was asked for."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.said)
        self.problem = problem


def address(config: Config, path: str) -> str:
    """Of something within the account: 'Messages.json'; '' for the account itself."""
    account = f"{API}/2010-04-01/Accounts/{quote(config.get('account_sid', ''), safe='')}"
    return f"{account}/{path}" if path else f"{account}.json"


def service_address(config: Config, path: str = "") -> str:
    service = f"{SERVICES}/{quote(config.get('messaging_service_sid', ''), safe='')}"
    return f"{service}/{path}" if path else service


def has_key(config: Config) -> bool:
    return bool(config.get("api_key_sid") and config.get("api_key_secret"))


def get(url: str, config: Config, query: Mapping[str, str | int] | None = None, *, by_token: bool = False) -> Call:
    """By the API key where there is one, unless by_token."""
    return Call(method="GET", url=f"{url}?{urlencode(query)}" if query else url, headers=_headers(config, by_token))


def post(url: str, config: Config, fields: Mapping[str, str]) -> Call:
    headers = (*_headers(config, False), ("content-type", "application/x-www-form-urlencoded"))
    return Call(method="POST", url=url, headers=headers, body=urlencode(fields).encode())


def _headers(config: Config, by_token: bool) -> tuple[tuple[str, str], ...]:
    names = ("account_sid", "auth_token") if by_token or not has_key(config) else ("api_key_sid", "api_key_secret")
    pair = ":".join(config.get(name, "") for name in names)
    return (("authorization", f"Basic {b64encode(pair.encode()).decode()}"), ("accept", "application/json"))


def hushed(dialogue: Dialogue[T], config: Config) -> Dialogue[T]:
    """The same dialogue, to which no answer can repeat a secret that it might then show."""
    hidden = [config.get(name, "").encode() for name in SECRETS]
    try:
        call = next(dialogue)
        while True:
            try:
                answer = yield call
            except (Unreached, Unanswered) as error:
                call = dialogue.throw(error)
            else:
                call = dialogue.send(_without(answer, [secret for secret in hidden if len(secret) >= 6]))
    except StopIteration as end:
        result: T = end.value
        return result


def _without(answer: Answer, hidden: list[bytes]) -> Answer:
    body = answer.body
    for secret in hidden:
        body = body.replace(secret, b"***")
    return replace(answer, body=body)


def fetch(call: Call) -> Dialogue[dict[str, Any]]:
    """The resource in the answer; raises Refused for anything else."""
    answer = yield call
    fields = fields_in(answer)
    if not 200 <= answer.status < 300 or not fields:
        raise Refused(problem_in(answer))
    return fields


def fetch_all(
    url: str, config: Config, key: str, query: Mapping[str, str | int] | None = None
) -> Dialogue[list[dict[str, Any]]]:
    """The rows under `key` of all pages, MAX_ROWS at most; raises Refused."""
    rows: list[dict[str, Any]] = []
    page = yield from fetch(get(url, config, {"PageSize": 100} | dict(query or {})))
    while True:
        found = page.get(key)
        fresh = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
        rows += fresh
        following = _next_of(page)
        if not fresh or not following or len(rows) >= MAX_ROWS:
            return rows[:MAX_ROWS]
        page = yield from fetch(get(following, config))


def _next_of(page: dict[str, Any]) -> str:
    """The next page's address, never of another host, which would be shown our credentials; '' at the end."""
    following, meta = word(page.get("next_page_uri")), page.get("meta")
    if following.startswith("/"):
        return API + following
    url = word(meta.get("next_page_url")) if isinstance(meta, dict) else ""
    return url if url.startswith(SERVICES) else ""


def fields_in(answer: Answer) -> dict[str, Any]:
    """The JSON object in the answer; empty when there is none."""
    try:
        found: object = read_json(answer.body)
    except BadPayload:
        return {}
    return found if isinstance(found, dict) else {}


def problem_in(answer: Answer) -> Problem:
    """Both shapes: {code, message, more_info, status}, and RFC 9457's {type, title, status, code, detail}."""
    fields = fields_in(answer)
    words = word(fields.get("message")) or word(fields.get("detail")) or word(fields.get("title"))
    # What else an address holds may be a secret, of ours or of another's.
    words = re.sub(r"(https?://[^/\s?#]*)[^\s]*", r"\1/…", words)
    code = word(fields.get("code"))
    return Problem(answer.status, code if code.isascii() and code.isdigit() and len(code) <= 10 else "", words)


def unanswered(problem: Problem) -> Unanswered:
    return Unanswered(f"{problem.said} {problem.fix}".rstrip())


def word(value: object) -> str:
    """A scalar as one line of text of at most 300 characters; '' for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return ""
    try:
        return " ".join(clean(value, 300).split())
    except ValueError:
        # An int of thousands of digits.
        return ""


def sid_of(row: Mapping[str, Any]) -> str:
    """The row's own id; '' when it has none that could stand in an address."""
    sid = word(row.get("sid"))
    return sid if _SID.fullmatch(sid) else ""
