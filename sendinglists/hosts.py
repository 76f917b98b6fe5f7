"""Owns base_url(): on which hosts a provider's base URL may stand. Whoever chooses the host is sent the secrets."""

import re
from collections.abc import Iterable

# The whole of it: what no parser has to read cannot be read in two ways.
_BASE = re.compile(
    r"(?:https://)?(?P<host>(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63})/?", re.IGNORECASE
)


def base_url(text: str, hosts: Iterable[str], help_text: str = "") -> str:
    """'https://host', normalised; a bare host is taken too. Raises ValueError, whose text says what is allowed, or where to
    find one's own: `help_text`.

    '*.example.com' is every host below example.com, not example.com itself.
    """
    allowed = [host.lower() for host in hosts]
    found = _BASE.fullmatch(text.strip(" "))
    if found is None:
        raise ValueError(f"An https address without path, port, query or user name, such as {_example(allowed)}.")
    host = found["host"].lower()
    if not any(_covers(pattern, host) for pattern in allowed):
        instead = help_text or f"It is one of: {', '.join(allowed)}."
        raise ValueError(f"{host} is not a host of this provider. {instead} PROVIDER_HOSTS can allow another.")
    return f"https://{host}"


def _covers(pattern: str, host: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def _example(allowed: list[str]) -> str:
    return f"https://{allowed[0].replace('*', 'xxxxx')}" if allowed else "https://api.example.com"
