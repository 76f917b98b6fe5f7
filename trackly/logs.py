"""Owns the log: one JSON line an event on standard error, in one shape for Django, gunicorn and ourselves; and request ids.

Never in it: tokens, phone numbers, bodies. An exception's words are kept only where they speak of us (the database, the
network, the code): any other may quote what a stranger sent, and stands with its traceback in the row, in the admin.
"""

import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator, MutableMapping
from typing import Any
from uuid import UUID

import msgspec
import psycopg
import structlog
from django.db import IntegrityError, InterfaceError, OperationalError, ProgrammingError
from django.http import HttpRequest, HttpResponse
from psycopg_pool import PoolTimeout
from structlog.contextvars import bind_contextvars, clear_contextvars, merge_contextvars

from trackly.encryption import Undecryptable
from trackly.redaction import mask
from trackly.signing import new_uid

Event = MutableMapping[str, Any]
ID_HEADER = "X-Request-Id"
# Asked every few seconds by machines, or of no interest.
QUIET = ("/healthz", "/readyz", "/metrics", "/static/")
FRAMES = 12
# Their first line names our tables, hosts and code. The further lines of a database's error quote the row.
_OURS = (
    OperationalError, InterfaceError, IntegrityError, ProgrammingError, PoolTimeout, Undecryptable, OSError, ImportError,
    AttributeError, TypeError, NameError, RecursionError, MemoryError,
    psycopg.OperationalError, psycopg.InterfaceError, psycopg.IntegrityError, psycopg.ProgrammingError,
)  # fmt: skip
_FIRST = ("time", "level", "logger", "event", "request_id")

access = structlog.get_logger("trackly.access")


def formatter() -> logging.Formatter:
    """For every handler of the process: colours on a terminal, else JSON."""
    shown: list[Any] = [_put_first, structlog.processors.JSONRenderer(serializer=_json)]
    if sys.stderr.isatty():
        shown = [structlog.dev.ConsoleRenderer(timestamp_key="time")]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=_CHAIN,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _render_error, _mask, *shown],
    )


def request_log(get_response: Callable[[HttpRequest], HttpResponse]) -> Callable[[HttpRequest], HttpResponse]:
    """Middleware: an id for every request, answered as a header and bound to its lines; one line when it is answered."""

    def answer(request: HttpRequest) -> HttpResponse:
        began = time.time()
        uid = new_uid(int(began * 1000))
        request.uid = uid  # type: ignore[attr-defined]
        clear_contextvars()
        bind_contextvars(request_id=(text := str(uid)))
        response = get_response(request)
        response[ID_HEADER] = text
        if not request.path.startswith(QUIET):
            ms = round((time.time() - began) * 1000, 1)
            access.info(
                "request answered", method=request.method, path=request.path, status=response.status_code, ms=ms
            )
        clear_contextvars()
        return response

    return answer


def uid_of(request: HttpRequest) -> UUID | None:
    """The id this request was given; None where the middleware did not run."""
    return getattr(request, "uid", None)


def _json(event: Event, **_: object) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _put_first(logger: object, name: str, event: Event) -> Event:
    """In the order in which a line is read."""
    ordered = {key: event.pop(key) for key in _FIRST if key in event}
    return {**ordered, **event}


def _mask(logger: object, name: str, event: Event) -> Event:
    """The net under every line."""
    for key, value in event.items():
        if key in ("time", "level", "logger", "request_id") or isinstance(value, int | float):
            continue
        event[key] = mask(value if isinstance(value, str) else str(value))
    return event


def _render_error(logger: object, name: str, event: Event) -> Event:
    """An exception as text, see the module's first lines."""
    held = event.pop("exc_info", None)
    if held is True:
        held = sys.exc_info()
    error = held[1] if isinstance(held, tuple) else held
    if isinstance(error, BaseException):
        event["exception"] = "\n".join(_lines(error))
    return event


def _lines(error: BaseException) -> Iterator[str]:
    """Its causes first, each with its last frames."""
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and len(chain) < 5:
        chain.append(link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    for member in reversed(chain):
        yield from (line.rstrip("\n") for line in traceback.format_tb(member.__traceback__, -FRAMES))
        said = str(member).strip().partition("\n")[0][:300] if isinstance(member, _OURS) else ""
        yield f"{type(member).__name__}: {said}" if said else type(member).__name__


_CHAIN: list[Any] = [
    merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
]

structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_CHAIN,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    wrapper_class=structlog.stdlib.BoundLogger,
    cache_logger_on_first_use=True,
)
