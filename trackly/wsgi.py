"""Owns the WSGI entry point: Django behind one body cap for the whole site.

Django reads nothing of a chunked body, because it has no Content-Length, and knows its size only when it is all in memory.
So every body is read here, never past the cap, and handed on whole with its length.
"""

import codecs
import json
import os
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Application = Callable[[Environ, StartResponse], Iterable[bytes]]


class BodyCap:
    """413 for a body over `cap` bytes, whether announced or chunked; 400 for one cut off; anything else is passed on whole."""

    def __init__(self, application: Application, cap: int) -> None:
        self._application, self._cap = application, cap

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        length = environ.get("CONTENT_LENGTH") or "0"
        if not (length.isascii() and length.isdigit()):
            return _refuse(environ, start_response, 400, "Content-Length is not a number.")
        # 10,000 digits are compared by their length, not parsed.
        if len(length.lstrip("0")) > 15 or int(length) > self._cap:
            return self._too_large(environ, start_response)
        is_chunked = "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower()
        body = environ["wsgi.input"].read(self._cap + 1 if is_chunked else int(length))
        if len(body) > self._cap:
            return self._too_large(environ, start_response)
        # A connection lost in the middle: 'payout=42.50' without its end is another amount, and nobody would know.
        if not is_chunked and len(body) < int(length):
            return _refuse(environ, start_response, 400, "The body is shorter than its Content-Length.")
        environ |= {"wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        if not _is_readable(environ.get("CONTENT_TYPE", "")):
            environ |= {"HTTP_CONTENT_TYPE": environ["CONTENT_TYPE"], "CONTENT_TYPE": "application/octet-stream"}
        return self._application(environ, start_response)

    def _too_large(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        return _refuse(environ, start_response, 413, f"The body is over {self._cap} bytes.")


def _is_readable(content_type: str) -> bool:
    """False for parameters over which Django fails before any code of ours runs: the sender would get a bare 500."""
    try:
        codecs.lookup(parse_header_parameters(content_type)[1].get("charset", "utf-8"))
    except LookupError:
        return True
    except (ValueError, TypeError):
        return False
    return True


def _refuse(environ: Environ, start_response: StartResponse, status: int, said: str) -> Iterable[bytes]:
    """In plain text, and to programs of the API in the shape of its errors."""
    body, kind = said.encode(), "text/plain; charset=utf-8"
    if environ.get("PATH_INFO", "").startswith("/api/v2/"):
        body, kind = json.dumps({"error": said, "code": _CODES[status]}).encode(), "application/json"
    start_response(_LINES[status], [("Content-Type", kind), ("Content-Length", str(len(body)))])
    return [body]


_LINES = {400: "400 Bad Request", 413: "413 Content Too Large"}
_CODES = {400: "unreadable_body", 413: "payload_too_large"}


def _build() -> Application:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "trackly.settings")
    application = get_wsgi_application()
    from django.conf import settings

    return BodyCap(application, settings.BODY_CAP_BYTES)


application = _build()
