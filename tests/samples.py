"""Owns the reading of recorded requests: tests/samples/<part>/<slug>/<event>.http holds exact bytes."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from trackly.raw import RawRequest

ROOT = Path(__file__).parent / "samples"
PARTS = ("webhooks", "postbacks")
RECEIVED_AT = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)


def load(name: str, **overrides: Any) -> RawRequest:
    """The request of webhooks/<slug>/<event>.http (or another part, where the name begins with it), some fields replaced."""
    method, target, headers, body = split(path(name).read_bytes())
    address, _, query = target.partition("?")
    fields = {
        "method": method,
        "path": address,
        "query": query,
        "headers": headers,
        "body": body,
        "base_url": "https://hooks.example.com",
        "peer": "203.0.113.7",
        "secure": True,
        "received_at": RECEIVED_AT,
    }
    return RawRequest(**(fields | overrides))


def path(name: str) -> Path:
    """Where the sample lies: "infobip/dlr_v3_delivered" and "webhooks/infobip/dlr_v3_delivered" are one."""
    folder = ROOT if name.startswith(tuple(f"{part}/" for part in PARTS)) else ROOT / PARTS[0]
    return folder / f"{name}.http"


def names(slug: str) -> list[str]:
    """The names of a provider's samples, sorted, as load() takes them."""
    return sorted(f"{slug}/{file.stem}" for file in path(f"{slug}/any").parent.glob("*.http"))


def split(raw: bytes) -> tuple[str, str, tuple[tuple[str, str], ...], bytes]:
    """Method, target, (lower-case name, value) headers and body of one HTTP/1.1 request as it stood on the wire."""
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *rows = head.decode("latin-1").split("\r\n")
    method, target, _ = line.split(" ")
    pairs = (row.partition(":") for row in rows)
    return method, target, tuple((name.strip().lower(), value.strip()) for name, _, value in pairs), body
