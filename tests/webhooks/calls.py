"""Owns how tests speak to us as providers do: through the WSGI entry point, byte for byte, and in the sandbox's words."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from sendinglists.models import ProviderAccount
from trackly.wsgi import Application, application

BASE = "/api/webhook-feedbacks"
PEER = "203.0.113.7"
PERSON, OURS = "+14155550101", "+18005550142"


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes


def call(
    target: str,
    body: bytes = b"",
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    through: Application = application,
    **more: Any,
) -> Answer:
    """One request; `target` is path and query as on the wire, `more` goes into the environ as it is."""
    path, _, query = target.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "RAW_URI": target,
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SCRIPT_NAME": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": PEER,
        "HTTP_HOST": "testserver",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": BytesIO(body),
        "wsgi.url_scheme": "https",
        "wsgi.errors": BytesIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.version": (1, 0),
    }
    for name, value in (headers or {}).items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    begun: list[Any] = []
    with _connection_kept():
        response = through(environ | more, lambda status, fields, *_: begun.extend((status, fields)))
        text = b"".join(response)
        if hasattr(response, "close"):
            response.close()
    return Answer(int(begun[0].split()[0]), {name.lower(): value for name, value in begun[1]}, text)


@contextmanager
def _connection_kept() -> Iterator[None]:
    """A test's transaction outlives its requests: as in Django's own test client, their ends close no connection."""
    ends = (request_started, request_finished)
    for end in ends:
        end.disconnect(close_old_connections)
    try:
        yield
    finally:
        for end in ends:
            end.connect(close_old_connections)


def report(key: str, status: str = "delivered", *, at: str = "", error: str = "", text: str = "") -> dict[str, Any]:
    """A delivery report of the sandbox."""
    item = {"type": "report", "message": key, "status": status, "at": at}
    return item | ({"error": {"code": error, "text": text}} if error else {})


def reply(text: str, *, key: str = "r-1", at: str = "", sender: str = PERSON, to: str = OURS) -> dict[str, Any]:
    """An inbound SMS at the sandbox."""
    return {"type": "reply", "id": key, "from": sender, "to": to, "text": text, "at": at}


def events(*items: dict[str, Any]) -> bytes:
    return json.dumps({"events": items}).encode()


def token_url(party: ProviderAccount, query: str = "") -> str:
    """Its callback URL, the one automatic set-up registers."""
    return f"{BASE}/{party.provider}/{party.callback_token}{query}"


def tell(party: ProviderAccount, *items: dict[str, Any]) -> Answer:
    """A batch told to us at the party's callback URL."""
    answer = call(token_url(party), events(*items))
    assert answer.status == 200, answer
    return answer
