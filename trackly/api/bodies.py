"""Owns the reading of request bodies: JSON within limits, and CSV as it came."""

from dataclasses import dataclass
from typing import IO, Any

from rest_framework.parsers import BaseParser

from trackly.api.errors import Problem
from trackly.payloads import BadPayload, read_json


@dataclass(frozen=True, slots=True)
class Csv:
    """A body of type text/csv."""

    content: bytes


class JsonBody(BaseParser):
    media_type = "application/json"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            return read_json(stream.read())
        except BadPayload as error:
            raise Problem(400, "invalid_json", f"The body cannot be read: {error}.") from error


class CsvBody(BaseParser):
    media_type = "text/csv"

    def parse(self, stream: IO[bytes], media_type: str | None = None, parser_context: Any = None) -> Any:
        return Csv(stream.read())
