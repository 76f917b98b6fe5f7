"""Owns Wire: a made-up provider that answers a send as it is told to, adapter and server, for tests of sending.

POST /texts sends; GET /texts/{reference} asks. Everything it took is in FakeWire.texts.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.server import FakeServer, Response, Seen, as_json
from trackly.calls import Call, Dialogue
from webhooks import providers
from webhooks.orders import Asked, Sent, Text, Verdict
from webhooks.providers.base import Config, Provider, unsigned
from webhooks.statuses import Reason, Report, Status

HOME = "https://api.wire.example"
VERDICTS = {200: Verdict.ACCEPTED, 400: Verdict.REFUSED, 429: Verdict.LATER, 500: Verdict.UNCLEAR}
STATUSES = {200: Status.ACCEPTED, 400: Status.REJECTED, 429: Status.QUEUED, 500: Status.UNKNOWN}


class Wire(Provider):
    slug = "wire"
    name = "Wire"
    docs = "https://wire.example"
    verify = unsigned
    can_ask = True

    def send(self, text: Text, config: Config) -> Dialogue[Sent]:
        fields = {name: getattr(text, name) for name in ("reference", "sender", "to", "body", "callback_url")}
        answer = yield Call(method="POST", url=f"{HOME}/texts", body=json.dumps(fields | dict(config)).encode())
        said = json.loads(answer.body)
        wait = answer.header("retry-after")
        return Sent(
            verdict=VERDICTS[answer.status],
            report=_report(text.reference, STATUSES[answer.status], said),
            provider_message_id=said.get("id", ""),
            retry_after=timedelta(seconds=int(wait)) if wait else None,
        )

    def ask(self, asked: Asked, config: Config) -> Dialogue[list[Report]]:
        answer = yield Call(method="GET", url=f"{HOME}/texts/{asked.reference}")
        return [
            _report(entry.get("key", asked.reference), Status(entry["status"]), entry)
            for entry in json.loads(answer.body)
        ]


def _report(key: str, status: Status, said: dict[str, Any]) -> Report:
    code = said.get("error", "")
    return Report(
        message_key=key,
        status=status,
        vendor_status=said.get("word", status.value),
        reason=Reason(said.get("reason", "other")) if code else None,
        error_code=code,
        error_text=f"Wire says {code}." if code else "",
    )


class FakeWire(FakeServer):
    def __init__(self) -> None:
        super().__init__()
        self.texts: list[dict[str, Any]] = []
        """Everything it was sent, in order."""
        self.answers: dict[str, Response] = {}
        """Recipient -> what sending to it is answered; else taken."""
        self.known: dict[str, list[dict[str, str]]] = {}
        """Reference -> what asking for it is answered."""

    def answer(self, seen: Seen) -> Response:
        if seen.method == "GET":
            return as_json(self.known.get(seen.path.rpartition("/")[2], []))
        self.texts.append(seen.json())
        taken = as_json({"id": f"w-{len(self.texts)}"})
        return self.answers.get(seen.json()["to"], taken)

    def sent_to(self) -> list[str]:
        return [text["to"] for text in self.texts]


@contextmanager
def wired(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeWire]:
    """The provider known to the registry, and its server listening."""
    with FakeWire() as fake:
        monkeypatch.setitem(providers.all_providers(), "wire", Wire())
        settings.OUTGOING_ROUTES = {HOME: fake.url}
        yield fake
