"""Owns postbacks as tests write them: from a query, or a body, to the RawRequest that would have come."""

from tests.samples import RECEIVED_AT
from trackly.raw import RawRequest

K1 = "k3v9q2m7x1c8t4b6n0p5r2w8yd"
K2 = "h7d2s9f4j6l1z8a3g5w0e2u7qc"
K3 = "t1r8y5u2i9o6p3a0s7d4f1g8hj"


def postback(query: str = "", *, method: str = "GET", body: bytes = b"", content_type: str = "") -> RawRequest:
    """A request for some network's postback path; query and header stand as they are given."""
    return RawRequest(
        method=method,
        path="/api/postbacks/any",
        query=query,
        headers=(("host", "hooks.example.com"), *((("content-type", content_type),) if content_type else ())),
        body=body,
        base_url="https://hooks.example.com",
        peer="203.0.113.7",
        secure=True,
        received_at=RECEIVED_AT,
    )
