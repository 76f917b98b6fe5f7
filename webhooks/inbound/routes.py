"""Owns the grammar of inbound paths: slug, an optional secret segment, an optional kind, `?account=`."""

import re
from dataclasses import dataclass
from urllib.parse import unquote

from trackly.payloads import BadPayload, read_pairs
from trackly.raw import RawRequest

# Words a provider's documentation hangs on its URLs; the payload itself says what it is, so they route nothing.
KINDS = frozenset({"mo", "status", "blocklist"})
_ACCOUNT = re.compile(r"[A-Za-z0-9_-]{1,64}")
# Two accounts that differ, or an id of a shape we never gave out.
NOBODY = "?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What the URL of an inbound request says."""

    slug: str
    token: str = ""
    """The secret segment, still percent-encoded; '' when there is none."""
    account: str = ""
    """The public id in ?account=; '' when there is none, NOBODY when it can be nobody's."""


def read_route(request: RawRequest, prefix: str) -> Route | None:
    """The route of a path under `prefix`; None when it is no inbound path at all."""
    if not request.path.startswith(prefix):
        return None
    parts = [part for part in request.path[len(prefix) :].split("/") if part]
    if not parts or len(parts) > 3:
        return None
    rest = [part for part in parts[1:] if part not in KINDS]
    if len(rest) > 1:
        return None
    return Route(slug=unquote(parts[0]), token=rest[0] if rest else "", account=_account(request.query))


def _account(query: str) -> str:
    try:
        named = {value for name, value in read_pairs(query) if name == "account"} - {""}
    except BadPayload:
        return ""
    if not named:
        return ""
    only = named.pop() if len(named) == 1 else NOBODY
    return only if _ACCOUNT.fullmatch(only) else NOBODY
