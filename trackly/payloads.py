"""Owns the reading of untrusted bytes as JSON, XML or form pairs, within limits, failing in one way: BadPayload.

Duplicate JSON keys: the last one counts (the stored bytes keep both). Repeated form fields: all are returned, in order;
who asks for one decides. NaN and Infinity are not JSON and make the body unreadable.
"""

import re
from collections.abc import Iterable
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes
from xml.etree.ElementTree import Element, ParseError

import msgspec
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

MAX_DEPTH = 64
# A batch of 2,000 reports has some 10,000; scanning four megabytes of brackets would take seconds.
MAX_CONTAINERS = 100_000
MAX_FIELDS = 1_000
# Percent-decoding costs a microsecond a character; no vendor's form comes near this.
MAX_FORM_BYTES = 256 * 1024
# A string that never ends is one token too: it must not be tried again from each quote in it.
_JSON_TOKEN = re.compile(rb'"(?:[^"\\]|\\(?:.|\Z))*+(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)

T = TypeVar("T")


class BadPayload(Exception):
    """The body cannot be read at all; the text says why, for people, and repeats nothing of the body."""


def read_json(body: bytes, into: type[T] | Any = Any) -> T:
    """The body as `into` (a msgspec type); raises BadPayload."""
    if body.count(b"[") + body.count(b"{") > MAX_CONTAINERS:
        raise BadPayload(f"JSON has more than {MAX_CONTAINERS} objects and lists")
    if too_deep(body):
        raise BadPayload(f"JSON is nested deeper than {MAX_DEPTH} levels")
    try:
        return msgspec.json.decode(body, type=into)
    except msgspec.ValidationError as error:
        raise BadPayload(f"JSON has another shape than documented: {error}") from error
    # A RecursionError or a number of 10,000 digits is as unreadable as a missing bracket.
    except (msgspec.DecodeError, RecursionError, ValueError, OverflowError) as error:
        raise BadPayload("body is not valid JSON") from error


def too_deep(body: bytes) -> bool:
    """True when JSON brackets outside strings nest deeper than MAX_DEPTH."""
    # Most bodies have fewer brackets than the limit and need no scan: 40 times faster on one report.
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for token in _JSON_TOKEN.finditer(body):
        first = token.group()[:1]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def read_xml(body: bytes) -> Element:
    """The root element; entities, external references and DTDs are refused; raises BadPayload."""
    # expat and the tree's own walkers recurse in C; the cap is the same as for JSON.
    if body.count(b"<") > 200_000:
        raise BadPayload("XML has more than 100,000 elements")
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except DefusedXmlException as error:
        raise BadPayload("XML with a document type or entities is not accepted") from error
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise BadPayload("body is not well-formed XML") from error
    return root


def read_pairs(text: str | bytes, limit: int = MAX_FIELDS) -> list[tuple[str, str]]:
    """Form or query pairs, blank values kept, plus is a space; broken UTF-8 becomes U+FFFD; raises BadPayload over `limit`."""
    raw = text.encode("latin-1", "replace") if isinstance(text, str) else text
    if len(raw) > MAX_FORM_BYTES:
        raise BadPayload(f"fields are longer than {MAX_FORM_BYTES} bytes")
    if raw.count(b"&") >= limit:
        raise BadPayload(f"more than {limit} fields")
    pairs = (part.partition(b"=") for part in raw.split(b"&") if part)
    return [(_decode(name), _decode(value)) for name, _, value in pairs]


def _decode(part: bytes) -> str:
    return unquote_to_bytes(part.replace(b"+", b" ")).decode("utf-8", "replace")


def looks_like_xml(body: bytes) -> bool:
    """True when the first character that counts is an angle bracket; vendors' content types cannot be relied on."""
    return body.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<"


def last_of(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Field -> value, the last one of a repeated field."""
    return dict(pairs)
