"""Owns the paths affiliate networks and phones call: postbacks and short links."""

from datetime import UTC, datetime

from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.encoding import iri_to_uri
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from psycopg_pool import PoolTimeout

from postbacks import clicks, networks
from postbacks.answering import PREFIX, judge
from trackly import metrics
from trackly.raw import RawRequest
from webhooks.inbound.inbox import Receipt
from webhooks.inbound.models import Source
from webhooks.inbound.routes import Route
from webhooks.inbound.views import InboundView, raw_request

# A postback is a handful of parameters.
MAX_BODY = 65_536
metrics.expect(Source.POSTBACK.value, networks.all_networks())


class NetworkView(InboundView):
    """/api/postbacks/…"""

    prefix = PREFIX
    source = Source.POSTBACK

    def knows(self, slug: str) -> bool:
        return networks.get(slug) is not None

    def judge(self, request: RawRequest, route: Route | None) -> Receipt:
        network = networks.get(route.slug) if route else None
        if route is None or network is None:
            return _plain(404, "There is no such network.")
        if len(request.body) > MAX_BODY:
            return _plain(413, f"The body is over {MAX_BODY} bytes.")
        return judge(request, route, network)


def _plain(status: int, text: str) -> Receipt:
    return Receipt(status=status, content_type="text/plain; charset=utf-8", answer=text.encode())


@csrf_exempt
@require_safe
def open_link(request: HttpRequest, code: str) -> HttpResponse:
    """302 to the link's destination with a click id of its own; unknown or expired: the fall-back, or a plain 404."""
    raw = raw_request(request, b"")
    try:
        opened = clicks.open(code, raw, now=datetime.now(UTC))
    except (DatabaseError, PoolTimeout):
        return HttpResponse("Please try again in a moment.", status=503, content_type="text/plain; charset=utf-8")
    if opened is None:
        response = render(request, "postbacks/unknown_link.html", status=404)
    else:
        response = HttpResponse(status=302)
        # A fall-back may hold letters that no header can.
        response["Location"] = iri_to_uri(opened)
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response
