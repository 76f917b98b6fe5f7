"""Owns how operations are described in the schema: every one with a summary, examples, and the errors it may answer."""

import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse, extend_schema, inline_serializer
from rest_framework import serializers

F = TypeVar("F", bound=Callable[..., Any])


class ErrorBody(serializers.Serializer):
    """Every answer other than success."""

    error = serializers.CharField(help_text="What is wrong, in words for people.")
    code = serializers.CharField(help_text="The same in a word for programs; it does not change.")
    fields = serializers.DictField(  # type: ignore[assignment]
        child=serializers.CharField(), required=False, help_text="Field of the request: what is wrong with it."
    )


# Words, code, and what is wrong with single fields.
Sample = tuple[str, str, dict[str, str] | None]
_GOOD = {200: "Done.", 201: "Made."}
# What any operation may answer, and what those with a body may.
_ALWAYS = {
    400: "The request is not valid.",
    401: "The key is missing, unknown or revoked.",
    403: "The account is suspended.",
    405: "The address does not take this method.",
    500: "Something is wrong on our side; it was noted under the id in X-Request-Id.",
    503: "The database does not answer; try again in a moment.",
}
_OF_BODIES = {
    413: "The body is too large, or holds too many records.",
    415: "The body is of a type that is not taken here.",
}
_CODES = {405: "method_not_allowed", 415: "unsupported_media_type", 500: "server_error", 503: "unavailable"}
_SAMPLES: dict[int, Sample] = {
    400: ("to: This field is required.", "missing_to", {"to": "This field is required."}),
    401: ("Invalid API key", "invalid_api_key", None),
    403: ("Account is suspended", "account_suspended", None),
    409: ("This Idempotency-Key was used for another message.", "idempotency_key_reused", None),
    413: ("At most 1000 records are taken at once.", "too_many_records", None),
    422: ("The list is paused; only an active one sends.", "list_inactive", None),
}


def operation(
    name: str,
    *,
    tag: str,
    summary: str,
    answers: dict[int, type[serializers.Serializer]],
    example: Any,
    description: str = "",
    takes: Any = None,
    sends: Any = None,
    says: dict[int, str] | None = None,
    parameters: Sequence[Any] = (),
) -> Callable[[F], F]:
    """`takes` is the request's serializer, or {media type: serializer}; `sends` an example of it, `example` of the answer;
    `says` adds refusals to those that any operation has, and words to what it answers otherwise."""
    words = _GOOD | _ALWAYS | (_OF_BODIES if takes is not None else {}) | (says or {})
    samples = _SAMPLES | {404: _lost(words.get(404, ""), tag)} | ({} if takes is not None else {400: _BAD_QUERY})
    responses: dict[Any, Any] = {
        status: OpenApiResponse(form, words[status], [OpenApiExample("Answer", example, status_codes=[str(status)])])
        for status, form in answers.items()
    }
    responses |= {status: _refusal(status, words[status], samples) for status in sorted(words) if status >= 400}
    return extend_schema(
        operation_id=name,
        tags=[tag],
        summary=summary,
        description=description or summary,
        request=takes,
        parameters=list(parameters),
        responses=responses,
        examples=_requests(sends),
    )


_TOO_MANY = "Ensure this value is less than or equal to 100."
_BAD_QUERY: Sample = (f"limit: {_TOO_MANY}", "invalid_limit", {"limit": _TOO_MANY})


def _lost(said: str, tag: str) -> Sample:
    """A 404 names what was not found: the noun of the operation, or that of its words."""
    named = re.match(r"No such (\w+)", said)
    return said, f"{named[1] if named else tag.lower().removesuffix('s')}_not_found", None


def _refusal(status: int, said: str, samples: dict[int, Sample]) -> OpenApiResponse:
    words, code, fields = samples.get(status, (said, _CODES.get(status, "refused"), None))
    body = {"error": words, "code": code} | ({"fields": fields} if fields else {})
    return OpenApiResponse(ErrorBody, said, [OpenApiExample("Error", body, status_codes=[str(status)])])


def _requests(sends: Any) -> list[OpenApiExample]:
    if sends is None:
        return []
    typed = sends if isinstance(sends, dict) and all("/" in str(key) for key in sends) else {"application/json": sends}
    return [
        OpenApiExample("CSV" if kind == "text/csv" else "JSON", value, request_only=True, media_type=kind)
        for kind, value in typed.items()
    ]


def page_of(form: type[serializers.Serializer]) -> Any:
    """A cursor page of these."""
    name = f"{form.__name__.removesuffix('Shown')}Page"
    cursor = serializers.CharField(allow_null=True, help_text="Give it as `cursor` for the next page; null: the last.")
    return inline_serializer(name, {"data": form(many=True), "next_cursor": cursor})


def path_parameter(name: str, said: str, example: str | int) -> OpenApiParameter:
    kind = OpenApiTypes.INT if isinstance(example, int) else OpenApiTypes.STR
    shown = [OpenApiExample("Example", example)]
    return OpenApiParameter(name, kind, OpenApiParameter.PATH, description=said, examples=shown)
