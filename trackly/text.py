"""Owns what happens to text from strangers before it may enter a value or a reply."""

import re

# PostgreSQL text refuses NUL and no UTF-8 can hold a lone surrogate.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_NOT_ECHOED = re.compile(r"[^A-Za-z0-9{}_.\-]")


def clean(value: object, limit: int = 255) -> str:
    """`value` as text that can be stored: without NUL and lone surrogates, at most `limit` characters; None is ''."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else str(value)
    if len(text) > limit:
        text = text[:limit]
    return _UNSTORABLE.sub("", text)


def echo(value: str) -> str:
    """What a reply may repeat of a request: at most 40 characters of [A-Za-z0-9{}_.-]."""
    return _NOT_ECHOED.sub("", value[:200])[:40]
