"""Owns FakeServer: a real HTTP server on loopback that stands for a vendor, remembers what it was asked, and fails on command."""

import json
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One request as it came."""

    method: str
    path: str
    """Without the query."""
    query: dict[str, str]
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode(), keep_blank_values=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


def as_json(value: Any, status: int = 200, **headers: str) -> Response:
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(
        status=status, body=json.dumps(value).encode(), headers={"Content-Type": "application/json"} | named
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What goes wrong with the next request. 'instead': answered with `response`, nothing carried out. 'drop_before': the
    connection ends, nothing carried out. 'drop_after' and 'hang_after': carried out, and the answer never comes."""

    kind: Literal["instead", "drop_before", "drop_after", "hang_after"]
    response: Response = Response(status=503)
    where: Callable[[Seen], bool] = lambda seen: True
    """Which requests it is for; others pass."""


class FakeServer:
    """Subclassed by each vendor's fake, which says in answer() what it would do. A context manager."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        self.faults: deque[Fault] = deque()
        self.lock = threading.RLock()
        self._released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        # Whoever calls may hang up at any moment; a traceback of that would hide a real one.
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, seen: Seen) -> Response:
        """Carried out under a lock, so that a fake may be plain dictionaries."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        self._server.shutdown()
        self._server.server_close()

    def take_fault(self, seen: Seen) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.where(seen):
                    self.faults.remove(fault)
                    return fault
        return None

    def wait_until_closed(self) -> None:
        self._released.wait(60)


def _handler(fake: FakeServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def log_message(self, *args: object) -> None:
            pass

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            parts = urlsplit(self.path)
            seen = Seen(
                method=self.command,
                path=parts.path,
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self.rfile.read(length),
            )
            fault = fake.take_fault(seen)
            if fault is not None and fault.kind == "drop_before":
                self.close_connection = True
                return
            response = fault.response if fault and fault.kind == "instead" else self._carry_out(seen)
            if fault is not None and fault.kind == "hang_after":
                fake.wait_until_closed()
            if fault is not None and fault.kind in ("drop_after", "hang_after"):
                self.close_connection = True
                return
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            self.wfile.write(response.body)

        def _carry_out(self, seen: Seen) -> Response:
            with fake.lock:
                fake.requests.append(seen)
                return fake.answer(seen)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _serve

    return Handler
