"""Owns one call of Infobip's API: the request, its answer as JSON, and what went wrong in words a person can act on."""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from trackly.calls import Answer, Call, Dialogue
from trackly.payloads import BadPayload, read_json
from trackly.text import clean
from webhooks.providers.base import Config

HOSTS = ("*.api.infobip.com",)
_HOME = re.compile(r"https://([a-z0-9-]+\.)+api\.infobip\.com", re.IGNORECASE)
_URL = re.compile(r"https?://([^\s/?#\"'<>]*)[^\s\"'<>]*", re.IGNORECASE)
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """One answer, read."""

    status: int
    value: Any
    """The JSON; None when there is none or it cannot be read."""
    cause: str
    """What its error envelope says, without secrets; '' for none, and always for a host that is not Infobip's own."""
    code: str
    """The error envelope's own code, under the same condition."""
    retry_after: timedelta | None

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def is_temporary(self) -> bool:
        return self.status in (408, 429) or self.status >= 500

    def problem(self, scope: str) -> tuple[str, str]:
        """What is wrong and what to do, each a sentence or two; `scope` is what the call needs."""
        if self.status in _PROBLEMS:
            said, fix = _PROBLEMS[self.status]
        elif self.status >= 500:
            said, fix = "Infobip has a fault of its own", "Wait: it is tried again by itself. If it stays, ask Infobip."
        elif self.is_good:
            said, fix = "The answer is not what Infobip answers", "Look whether the base URL is the one in the portal."
        else:
            said, fix = "Infobip does not take this request", "Correct what it names; if it names nothing, ask Infobip."
        cause = f": {self.cause.rstrip('.')}" if self.cause else ""
        return f"{said} (HTTP {self.status}){cause}.", fix.format(scope=scope)


_PROBLEMS = {
    401: (
        "The API key is not taken",
        "Put in a key that is valid and not expired: Infobip portal, Developer Tools, API keys.",
    ),
    403: (
        "The API key may not do this",
        "Give the key the scope {scope} in the Infobip portal under Developer Tools, API keys.",
    ),
    404: ("Infobip knows nothing of the kind", "Look whether the base URL is the one in the portal."),
    408: ("Infobip gave up waiting", "Wait: it is tried again by itself."),
    429: ("Infobip takes no more calls for now", "Wait: it is tried again by itself."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The API under one credential set."""

    base_url: str
    key: str
    hidden: tuple[str, ...] = ()
    """Secrets of ours that are in what we say, so that no answer which repeats them is shown with them."""

    @classmethod
    def of(cls, config: Config, *hidden: str) -> "Api":
        base_url = config.get("base_url", "").strip().rstrip("/")
        # The portal shows the key also as the whole header.
        key = config.get("api_key", "").strip().removeprefix("App ")
        return cls(base_url=base_url, key=key, hidden=tuple(secret for secret in (key, *hidden) if secret))

    @property
    def is_home(self) -> bool:
        """Whether it stands on a host of Infobip's. Of any other host nothing it answers is ever shown: a setting may allow
        hosts that only this machine can reach."""
        return _HOME.fullmatch(self.base_url) is not None

    def ask(self, method: str, path: str, value: Any = None, **query: str | int) -> Dialogue[Said]:
        """One call; `path` parts are ours or percent-encoded by part()."""
        url = f"{self.base_url}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = [("Authorization", f"App {self.key}"), ("Accept", "application/json")]
        if value is not None:
            headers.append(("Content-Type", "application/json"))
        body = b"" if value is None else json.dumps(value).encode()
        answer = yield Call(method=method, url=url, headers=tuple(headers), body=body)
        return self._read(answer)

    def _read(self, answer: Answer) -> Said:
        try:
            value = read_json(answer.body) if answer.body else None
        except BadPayload:
            value = None
        is_shown = self.is_home and not 200 <= answer.status < 300
        code, cause = _complaint(value) if is_shown else ("", "")
        return Said(
            status=answer.status,
            value=value,
            cause=self._hide(cause),
            code=clean(self._hide(code), 32),
            retry_after=_seconds(answer.header("retry-after")),
        )

    def _hide(self, text: str) -> str:
        """A text without secrets and with only the host of any address: a callback URL of ours has a token in its path."""
        text = _URL.sub(r"\1", text)
        for secret in self.hidden:
            text = text.replace(secret, "…")
        return clean(text, 200).strip()


def part(text: str) -> str:
    """One part of a path."""
    return quote(text, safe="")


def host_of(url: object) -> str:
    """The host (with its port) of an address, in lower case; '' when it has none."""
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower() if isinstance(url, str) else ""
    except ValueError:
        return ""


def objects_in(value: object) -> list[dict[str, Any]]:
    """The objects of a JSON list; empty for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def fields_in(value: object) -> dict[str, Any]:
    """A JSON object; empty for anything else."""
    return value if isinstance(value, dict) else {}


def digits(number: str) -> str:
    """A number as Infobip writes it: international, without the plus."""
    return number.removeprefix("+")


def _complaint(value: object) -> tuple[str, str]:
    """Code and words of either error envelope: {errorCode, description, violations} and {requestError: {serviceException}}."""
    outer = fields_in(value)
    inner = fields_in(fields_in(outer.get("requestError")).get("serviceException"))
    code, words = outer.get("errorCode") or inner.get("messageId"), outer.get("description") or inner.get("text")
    details = [f"{item.get('property')} {item.get('violation')}" for item in objects_in(outer.get("violations"))]
    for name, problems in fields_in(inner.get("validationErrors")).items():
        details += [f"{name} {problem}" for problem in (problems if isinstance(problems, list) else [problems])]
    named = str(code) if isinstance(code, (str, int)) and _PLAIN.fullmatch(str(code)) else ""
    return named, "; ".join(text for text in (words, *details[:5]) if isinstance(text, str))


def _seconds(text: str | None) -> timedelta | None:
    """Retry-After in seconds; a date is not read: there is no clock here."""
    found = (text or "").strip()
    return timedelta(seconds=int(found)) if re.fullmatch("[0-9]{1,5}", found) else None
