"""Owns the HTTP side of receiving: exact bytes in, the receipt's answer out, and nothing answered that is not committed."""

import re
import time
from typing import Any, ClassVar
from urllib.parse import quote

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from psycopg_pool import PoolTimeout
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.parsers import BaseParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.views import APIView

from sendinglists.callbacks import is_switched_on
from trackly import metrics
from trackly.clients import client_address, is_secure, parse_networks
from trackly.encryption import Undecryptable
from trackly.logs import uid_of
from trackly.raw import RawRequest
from trackly.signing import new_uid
from webhooks import providers
from webhooks.inbound.answering import PREFIX, is_known, judge
from webhooks.inbound.inbox import Receipt, store
from webhooks.inbound.models import Source, time_of
from webhooks.inbound.routes import Route, read_route

logger = structlog.get_logger(__name__)

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
    source: ClassVar[Source]

    def get(self, request: Request, rest: str) -> HttpResponse:
        began = time.perf_counter()
        body: Any = request.data
        raw = raw_request(request._request, body or b"")
        route = read_route(raw, self.prefix)
        judged = BUSY
        try:
            judged = self.judge(raw, route)
            receipt = store(judged)
        except (DatabaseError, PoolTimeout, Undecryptable) as error:
            # Said to the sender, who tries again; a 2xx would be a lie. A key missing from ENCRYPTION_KEYS can be put back.
            logger.exception("store failed", path=self.prefix, error=type(error).__name__)
            receipt = BUSY
        # Slugs are counted by name only where they are ours: a stranger may think of any number of others.
        slug = route.slug if route and self.knows(route.slug) else ""
        metrics.REQUESTS.labels(self.source.value, slug, _outcome(raw, judged, receipt)).inc()
        metrics.ACKNOWLEDGEMENT.labels(self.source.value).observe(time.perf_counter() - began)
        response = respond(receipt)
        if request.method == "HEAD":
            # What would be said stands in the row; a body here is nothing but a warning of the server's.
            response.content = b""
        return response

    post = get
    head = get

    def knows(self, slug: str) -> bool:
        """True for a provider or network that is ours."""
        raise NotImplementedError

    def judge(self, request: RawRequest, route: Route | None) -> Receipt:
        """The receipt of this request, not yet stored."""
        raise NotImplementedError


class ProviderView(InboundView):
    """/api/webhook-feedbacks/…"""

    prefix = PREFIX
    source = Source.WEBHOOK

    def knows(self, slug: str) -> bool:
        return providers.get(slug) is not None

    def judge(self, request: RawRequest, route: Route | None) -> Receipt:
        provider = providers.get(route.slug) if route else None
        if route is None or provider is None or not is_switched_on(route.slug):
            return _plain(404, "There is no such provider.")
        if request.method == "HEAD":
            # Nobody reports by HEAD: it is asked whether this address leads to us, and whether we know whose it is.
            return _plain(200, "") if is_known(route) else _plain(404, "")
        if request.method not in provider.methods:
            return _plain(405, f"{provider.name} calls this address with {' or '.join(provider.methods)}.")
        return judge(request, route, provider)


def _outcome(request: RawRequest, judged: Receipt, receipt: Receipt) -> str:
    """What became of a request, in the words of /metrics."""
    if receipt is BUSY:
        return "busy"
    if judged.row is None:
        return _UNJUDGED.get(judged.status, "not_found")
    # A batch with some items that make no sense bears a cause, and was accepted. What comes over a quota is told apart only
    # where nothing else was wrong with it.
    if judged.row.refusal and not (judged.row.source == Source.WEBHOOK and judged.status == 200):
        return str(judged.row.refusal)
    if receipt is not judged and receipt.status != judged.status:
        return "over_quota"
    return "probe" if request.method == "HEAD" else "accepted"


_UNJUDGED = {200: "probe", 404: "not_found", 405: "wrong_method", 413: "too_large"}
metrics.expect(Source.WEBHOOK.value, providers.all_providers())


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
    # What its answer is told by is the key of its row, and the time inside is when it came.
    uid = uid_of(request) or new_uid(int(time.time() * 1000))
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
        received_at=time_of(uid),
        uid=uid,
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
