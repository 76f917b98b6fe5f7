"""Owns the paths affiliate networks and phones call: postbacks and short links."""

from datetime import UTC, datetime

from django.conf import settings
from django.db import Error as DatabaseError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from psycopg_pool import PoolTimeout

from postbacks import clicks, directory, networks
from postbacks.networks.base import Network
from postbacks.receiving import PREFIX, read, receive
from trackly.raw import RawRequest
from webhooks.inbound.inbox import Receipt, store
from webhooks.inbound.routes import Route, read_route
from webhooks.inbound.views import InboundView, raw_request


class NetworkView(InboundView):
    """/api/postbacks/…"""

    prefix = PREFIX

    def answer(self, request: RawRequest) -> Receipt:
        route = read_route(request, self.prefix)
        network = networks.get(route.slug) if route else None
        if route is None or network is None:
            return Receipt(status=404, content_type="text/plain; charset=utf-8", answer=b"There is no such network.")
        return store(judge(request, route, network))


def judge(request: RawRequest, route: Route, network: Network) -> Receipt:
    """The receipt of a postback; before anything is called wrong the tables are asked anew."""
    reading = read(request, network)
    found = directory.find(route)
    if found.party is None or (route.account and found.account_id is None):
        found = directory.find_again(route, reading.click_ids)
    return receive(request, route, network, reading, found, https_required=settings.HTTPS_REQUIRED)


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
        response["Location"] = opened
    response["Cache-Control"] = "no-store"
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex"
    return response
