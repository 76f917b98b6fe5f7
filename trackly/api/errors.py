"""Owns what the API says when it says no: always {"error": words, "code": snake_case}, with "fields" where fields are wrong."""

from collections.abc import Iterator
from typing import Any

import structlog
from django.core.exceptions import RequestDataTooBig
from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError
from django.http import Http404, UnreadablePostError
from psycopg_pool import PoolTimeout
from rest_framework import exceptions
from rest_framework.exceptions import APIException, ErrorDetail, ValidationError
from rest_framework.response import Response
from rest_framework.views import set_rollback

logger = structlog.get_logger(__name__)
AWAY = (OperationalError, InterfaceError, PoolTimeout)
_LACKING = ("required", "null", "blank", "empty")
# Codes of the framework's own validators: with the name of the field they say what is wrong.
_PLAIN = frozenset({
    "invalid", "invalid_choice", "max_length", "min_length", "max_value", "min_value", "max_string_length", "not_a_list",
    "datetime", "date", "overflow", "make_aware", "null_characters_not_allowed", "surrogate_characters_not_allowed",
})  # fmt: skip
_KNOWN: dict[type, tuple[int, str, str]] = {
    Http404: (404, "not_found", "There is no such thing in this account."),
    exceptions.NotFound: (404, "not_found", "There is no such thing in this account."),
    RequestDataTooBig: (413, "payload_too_large", "The body is too large."),
    UnreadablePostError: (400, "unreadable_body", "The body broke off before its end."),
}


class Problem(APIException):
    """An answer other than success, in words and with a code of its own."""

    def __init__(self, status: int, code: str, said: str, **headers: str) -> None:
        super().__init__(said, code)
        self.status_code, self.headers = status, headers


def answer(error: Exception, context: dict[str, Any]) -> Response:
    """The exception handler of every view here. What nobody expected is logged, and nothing of it is told."""
    set_rollback()
    if isinstance(error, ValidationError):
        return _invalid(error)
    if isinstance(error, APIException):
        return _refused(error)
    known = next((_KNOWN[kind] for kind in type(error).__mro__ if kind in _KNOWN), None)
    if known is not None:
        status, code, said = known
        return Response(body(said, code), status=status)
    if isinstance(error, AWAY):
        logger.warning("answer api failed: no database", error=type(error).__name__)
        said = "The database does not answer. Nothing was changed; try again in a moment."
        return Response(body(said, "unavailable"), status=503, headers={"Retry-After": "5"})
    kind = "database" if isinstance(error, DatabaseError) else "unexpected"
    logger.exception("answer api failed", kind=kind, exc_info=error)
    said = "Something is wrong on our side. It was noted under the request id in the X-Request-Id header."
    return Response(body(said, "server_error"), status=500)


def body(said: str, code: str, fields: dict[str, str] | None = None) -> dict[str, Any]:
    """The body of every error."""
    return {"error": said, "code": code} | ({"fields": fields} if fields else {})


def _refused(error: APIException) -> Response:
    codes = {
        exceptions.UnsupportedMediaType: "unsupported_media_type",
        exceptions.MethodNotAllowed: "method_not_allowed",
        exceptions.ParseError: "invalid_body",
    }
    code = next((word for kind, word in codes.items() if isinstance(error, kind)), "")
    if not code and isinstance(error.detail, ErrorDetail):
        code = str(error.detail.code)
    headers = getattr(error, "headers", None)
    return Response(body(str(error.detail), code), status=error.status_code, headers=headers)


def _invalid(error: ValidationError) -> Response:
    found = list(_flat(error.detail, ""))
    fields = {name: str(detail) for name, detail in reversed(found) if name}
    name, first = found[0] if found else ("", ErrorDetail("The request is not valid.", "invalid_request"))
    said = f"{name}: {first}" if name else str(first)
    return Response(body(said, _code(name, first), fields), status=400)


def _flat(detail: Any, name: str) -> Iterator[tuple[str, ErrorDetail]]:
    """('phones.3', what is wrong with it) for every leaf."""
    if isinstance(detail, ErrorDetail):
        yield name, detail
    elif isinstance(detail, dict):
        for key, inner in detail.items():
            own = "" if key == "non_field_errors" else str(key)
            yield from _flat(inner, ".".join(part for part in (name, own) if part))
    else:
        for inner in detail:
            yield from _flat(inner, name)


def _code(name: str, detail: ErrorDetail) -> str:
    field = name.split(".")[0]
    if detail.code in _LACKING:
        return f"missing_{field}" if field else "missing_body"
    if detail.code in _PLAIN:
        return f"invalid_{field}" if field else "invalid_request"
    return str(detail.code)
