"""Owns where a short link leads: templates with a fixed scheme and host, and the click id put into them."""

import re
from collections.abc import Sequence
from urllib.parse import SplitResult, quote, unquote_plus, urlsplit

from django.core.exceptions import ValidationError

_CLICK_MACRO = re.compile(r"\{\{\s*click_id\s*\}\}|\{click_id\}")
_BRACES = re.compile(r"\{[^{}]*\}*|\}")
# A header holds ASCII only, and a browser would read a backslash as a slash.
_UNSAFE = re.compile(r"[^\x21-\x7e]|[\\\"<>^`|]")


def validate_destination(template: str) -> None:
    """Raise ValidationError, with the fix, unless this is an http(s) URL whose scheme and host hold no macro."""
    parts = _split(template)
    if "{" in parts.netloc:
        raise ValidationError("The host name must be fixed; macros stand in the path or the query only.")
    if parts.username is not None:
        raise ValidationError("A user name before the host is not accepted.")
    if _CLICK_MACRO.search(parts.fragment):
        raise ValidationError("The part after # never reaches the network; put {click_id} into the query.")
    if other := _BRACES.search(_CLICK_MACRO.sub("", template)):
        raise ValidationError(f"{other[0]} is not known here; {{click_id}} is.")


def _split(template: str) -> SplitResult:
    if _UNSAFE.search(template):
        raise ValidationError("Write spaces and special characters percent-encoded.")
    try:
        parts = urlsplit(template)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise ValidationError(f"Not a web address: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise ValidationError("Begin with https:// and a host name.")
    return parts


def validate_click_parameter(template: str, parameters: Sequence[str]) -> None:
    """Raise ValidationError when the parameter our click id would go under already holds another value."""
    if _CLICK_MACRO.search(template):
        return
    name = parameters[0] if parameters else "click_id"
    if name in _query_names(template):
        raise ValidationError(f"{name} is in use in this address; write {{click_id}} where our click id belongs.")


def destination(template: str, click_id: str, parameters: Sequence[str]) -> str:
    """The address a click leads to: the click id where the template names it, else under the network's parameter."""
    value = quote(click_id, safe="")
    if _CLICK_MACRO.search(template):
        return _CLICK_MACRO.sub(value, template)
    name = parameters[0] if parameters else "click_id"
    # Saving refuses this; a row from elsewhere still must not lose what its owner wrote.
    if name in _query_names(template):
        return template
    address, hash_sign, fragment = template.partition("#")
    joiner = "&" if "?" in address else "?"
    return f"{address}{'' if address.endswith(('?', '&')) else joiner}{name}={value}{hash_sign}{fragment}"


def _query_names(template: str) -> set[str]:
    return {unquote_plus(pair.partition("=")[0]) for pair in urlsplit(template).query.split("&") if pair}
