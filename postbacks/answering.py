"""Owns judge(): receive() fed from the tables, asked anew before anything is called wrong; and verifying a stored hit."""

from django.conf import settings

from postbacks import directory, networks
from postbacks.networks.base import Network
from postbacks.receiving import read, receive, refusal
from trackly.raw import RawRequest
from webhooks.inbound.inbox import Receipt, renew, restore
from webhooks.inbound.models import InboundRequest, State
from webhooks.inbound.routes import Route, read_route

PREFIX = "/api/postbacks/"


def judge(request: RawRequest, route: Route, network: Network) -> Receipt:
    """The receipt of a postback, not yet stored."""
    reading = read(request, network)
    found = directory.find(route)
    # Nothing is refused by what is only remembered: a token may have been made, an address added, a moment ago.
    if found.party is None or refusal(request, route, found, https_required=False)[0]:
        found = directory.find_again(route, reading.click_ids)
    return receive(request, route, network, reading, found, https_required=settings.HTTPS_REQUIRED)


def verify_again(row: InboundRequest) -> bool:
    """Judge a refused hit by today's tokens and lists; False when it is refused still and names nobody we know."""
    request = restore(row, base_url=settings.PUBLIC_BASE_URL)
    route, network = read_route(request, PREFIX), networks.get(row.slug)
    if route is None or network is None:
        return False
    judged = renew(row, judge(request, route, network))
    return judged.state != State.REFUSED
