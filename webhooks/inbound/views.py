"""Owns the HTTP side of receiving: exact bytes in, the receipt's answer out, and nothing answered that is not committed."""

import re
from datetime import UTC, datetime
from logging import getLogger
from typing import Any, ClassVar
from urllib.parse import quote

from django.conf import settings
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from psycopg_pool import PoolTimeout
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from trackly.clients import client_address, is_secure, parse_networks
from trackly.encryption import Undecryptable
from trackly.raw import RawRequest
from webhooks import providers
from webhooks.inbound.answering import PREFIX, judge
from webhooks.inbound.inbox import Receipt, store
from webhooks.inbound.routes import read_route

logger = getLogger(__name__)

_ABSOLUTE = re.compile(r"^https?://[^/]*", re.IGNORECASE)
BUSY = Receipt(
    status=503,
    content_type="application/json",
    answer=b'{"status":"busy","detail":"Not stored; please send it again."}',
)


class RawParser(BaseParser):
    """The body as it came, whatever its content type says."""

    media_type = "*/*"

    def parse(self, stream: Any, media_type: str | None = None, parser_context: Any = None) -> Any:
        return bytes(stream.read())


class AnyNegotiation(BaseContentNegotiation):
    """Accept and ?format= are ignored: vendors send what they like and read what we send."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class PlainRenderer(BaseRenderer):
    """For the answers DRF makes itself: 405 and the like."""

    media_type = "text/plain"
    charset = "utf-8"

    def render(self, data: Any, accepted_media_type: str | None = None, renderer_context: Any = None) -> bytes:
        text = data.get("detail", "") if isinstance(data, dict) else data
        return str(text).encode()


class InboundView(APIView):
    """One inbound path. A subclass says what its methods are and how a request is answered."""

    authentication_classes = []
    permission_classes = []
    throttle_classes = []
    parser_classes = [RawParser]
    renderer_classes = [PlainRenderer]
    content_negotiation_class = AnyNegotiation
    http_method_names = ["get", "post", "head"]
    prefix: ClassVar[str]

    def get(self, request: Request, rest: str) -> HttpResponse:
        body: Any = request.data
        raw = raw_request(request._request, body or b"")
        try:
            receipt = self.answer(raw)
        except (DatabaseError, PoolTimeout, Undecryptable) as error:
            # Said to the sender, who tries again; a 2xx would be a lie. A key missing from ENCRYPTION_KEYS can be put back.
            logger.exception("store failed path=%s error=%s", self.prefix, type(error).__name__)
            receipt = BUSY
        return respond(receipt)

    post = get
    head = get

    def answer(self, request: RawRequest) -> Receipt:
        """The receipt of this request, already committed."""
        raise NotImplementedError


class ProviderView(InboundView):
    """/api/webhook-feedbacks/…"""

    prefix = PREFIX

    def answer(self, request: RawRequest) -> Receipt:
        route = read_route(request, self.prefix)
        provider = providers.get(route.slug) if route else None
        if route is None or provider is None or (route.slug == "sandbox" and not settings.SANDBOX_ENABLED):
            return _plain(404, "There is no such provider.")
        if request.method not in provider.methods:
            return _plain(405, f"{provider.name} calls this address with {' or '.join(provider.methods)}.")
        return store(judge(request, route, provider))


def respond(receipt: Receipt) -> HttpResponse:
    """The receipt over HTTP."""
    response = HttpResponse(receipt.answer, status=receipt.status, content_type=receipt.content_type)
    response["X-Content-Type-Options"] = "nosniff"
    if receipt.status == 503:
        response["Retry-After"] = "5"
    return response


def _plain(status: int, text: str) -> Receipt:
    return Receipt(status=status, content_type="text/plain; charset=utf-8", answer=text.encode())


def raw_request(request: HttpRequest, body: bytes) -> RawRequest:
    """What Django's request was on the wire, as seen past our proxies."""
    meta = request.META
    proxies = parse_networks(tuple(settings.TRUSTED_PROXIES))
    socket_peer = meta.get("REMOTE_ADDR", "")
    secure = is_secure(request.scheme or "http", socket_peer, meta.get("HTTP_X_FORWARDED_PROTO", ""), proxies)
    path, query = _target(meta)
    host = meta.get("HTTP_HOST", "")
    return RawRequest(
        method=request.method or "",
        path=path,
        query=query,
        headers=_headers(meta),
        body=body,
        base_url=settings.PUBLIC_BASE_URL or f"{'https' if secure else 'http'}://{host}",
        peer=client_address(socket_peer, meta.get("HTTP_X_FORWARDED_FOR", ""), proxies),
        secure=secure,
        received_at=datetime.now(UTC),
    )


def _target(meta: dict[str, Any]) -> tuple[str, str]:
    """(path, query) as sent. PATH_INFO is already decoded, so the server's own copy of the request line is preferred."""
    line = meta.get("RAW_URI") or meta.get("REQUEST_URI")
    if line:
        path, _, query = _ABSOLUTE.sub("", str(line)).partition("#")[0].partition("?")
        return path, query
    # WSGI hands text over as latin-1; quoting it back keeps one spelling.
    path = quote(meta.get("PATH_INFO", "").encode("latin-1", "replace"), safe="/~:@!$&'()*+,;=-._")
    return path, meta.get("QUERY_STRING", "")


def _headers(meta: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    named = [(key[5:], value) for key, value in meta.items() if key.startswith("HTTP_")]
    # A content type Django cannot read stands under HTTP_CONTENT_TYPE as it came; see trackly/wsgi.py.
    bare = [key for key in ("CONTENT_TYPE", "CONTENT_LENGTH") if meta.get(key) and f"HTTP_{key}" not in meta]
    named += [(key, meta[key]) for key in bare]
    return tuple((name.replace("_", "-").lower(), str(value)) for name, value in named)
