"""Owns RawRequest: one HTTP request as it came, frozen; what is stored, verified, parsed and replayed."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class RawRequest:
    """One HTTP request. Text parts are the wire's bytes read as latin-1, so nothing is lost or guessed."""

    method: str
    path: str
    """As sent, still percent-encoded, without the query."""
    query: str
    """As sent, without the question mark."""
    headers: tuple[tuple[str, str], ...]
    """(lower-case name, value), in the order they came."""
    body: bytes
    base_url: str
    """Scheme and host under which the world reaches us, from the settings; a vendor signs base_url + target."""
    peer: str
    """The client's address, already taken through the trusted proxies; empty when there is none (a UNIX socket)."""
    secure: bool
    """True when it reached us, or a trusted proxy, over https."""
    received_at: datetime
    uid: UUID | None = None
    """The id it was given on arrival, with received_at inside to the millisecond; None: its row gets one of its own."""

    def header(self, name: str) -> str | None:
        """The first value of this header (name in lower case); None when it was not sent."""
        return next((value for key, value in self.headers if key == name), None)

    @property
    def target(self) -> str:
        """Path and query, as they stood in the request line."""
        return f"{self.path}?{self.query}" if self.query else self.path

    @property
    def url(self) -> str:
        """The public address of this request, the one a vendor signs."""
        return self.base_url + self.target

    @property
    def content_type(self) -> str:
        """The media type in lower case without parameters; empty when none was sent."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()
