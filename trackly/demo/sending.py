"""Owns the HTTP client of the demo: calls over a few connections that are kept open."""

import http.client
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock, local
from urllib.parse import urlsplit

from trackly.demo.book import Line
from webhooks.providers.sandbox import HEADER, sign

CONNECTIONS = 8
TRIES = 4
TIMEOUT_S = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, the answer it must get, and the line of the inbox it must stand in."""

    kind: str
    target: str
    status: int
    method: str = "POST"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    signing_key: str = ""
    """With it the body is signed at the moment it is sent."""
    kept: Line | None = None
    """None: the inbox keeps nothing of it."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    location: str


class Client:
    """Speaks to one service. Also over https, for a service behind a proxy."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self._host, self._prefix = parts.netloc, parts.path.rstrip("/")
        self._connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._held = local()
        self._open: list[http.client.HTTPConnection] = []
        self._lock = Lock()

    def send(self, calls: Iterable[Call], done: Callable[[], object]) -> list[Answer]:
        """The answers in the order of the calls; `done` is called after each. Raises OSError when nobody answers."""

        def answer(call: Call) -> Answer:
            given = self.ask(call)
            with self._lock:
                done()
            return given

        try:
            with ThreadPoolExecutor(CONNECTIONS) as pool:
                return list(pool.map(answer, calls))
        finally:
            for link in self._open:
                link.close()
            self._open.clear()

    def ask(self, call: Call) -> Answer:
        """As a provider does: asked again when the service was busy, or closed a connection it had left idle."""
        for attempt in range(1, TRIES + 1):
            try:
                answer = self._exchange(call)
            except (http.client.HTTPException, ConnectionError):
                self._held.link = None
                if attempt == TRIES:
                    raise
                continue
            if answer.status != 503 or attempt == TRIES:
                break
            time.sleep(0.5)
        return answer

    def _exchange(self, call: Call) -> Answer:
        link = getattr(self._held, "link", None)
        if link is None:
            link = self._held.link = self._connect(self._host, timeout=TIMEOUT_S)
            self._open.append(link)
        headers = dict(call.headers)
        if call.signing_key:
            headers[HEADER] = sign(call.signing_key, call.body, datetime.now(UTC))
        link.request(call.method, self._prefix + call.target, call.body or None, headers)
        answer = link.getresponse()
        answer.read()
        return Answer(answer.status, answer.headers.get("Location", ""))
