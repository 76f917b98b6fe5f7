"""Owns judge(): receive() fed from the tables, asked anew before anything is refused; and verifying a stored request."""

import re

from django.conf import settings

from trackly.raw import RawRequest
from webhooks import providers
from webhooks.inbound import directory
from webhooks.inbound.inbox import Receipt, renew, restore
from webhooks.inbound.models import InboundRequest
from webhooks.inbound.receiving import read, receive
from webhooks.inbound.routes import Route, read_route
from webhooks.providers.base import Provider

PREFIX = "/api/webhook-feedbacks/"
# Every vendor's account id is of this shape. Anything else is nobody's, and no key of a megabyte is remembered for it.
_VENDOR_ACCOUNT = re.compile(r"[A-Za-z0-9]{1,64}")


def judge(request: RawRequest, route: Route, provider: Provider) -> Receipt:
    """The receipt of a provider's request, not yet stored."""
    vendor_account = _vendor_account(request, provider) if not route.token else ""
    # Once: the items are the dear part, and anybody may send them.
    reading = read(request, provider)
    # Signatures are judged by the time the request came, so that a replay is not called stale.
    now, https_required = request.received_at, settings.HTTPS_REQUIRED
    found = directory.find(route, vendor_account)
    receipt = receive(request, route, provider, reading, found, now=now, https_required=https_required)
    if receipt.status in (403, 404):
        found = directory.find_again(route, vendor_account, receipt.references)
        receipt = receive(request, route, provider, reading, found, now=now, https_required=https_required)
    return receipt


def is_known(route: Route) -> bool:
    """True where the token, or the account, of this address is one we have; and where it names neither."""
    if not route.token and not route.account:
        return True
    found = directory.find(route, "")
    if not found.parties and found.account_id is None:
        found = directory.find_again(route, "", ())
    return bool(found.parties) if route.token else found.account_id is not None


def _vendor_account(request: RawRequest, provider: Provider) -> str:
    """The vendor's account id the request names; '' for none, and for what can be no such id."""
    named = provider.names(request)
    return named if _VENDOR_ACCOUNT.fullmatch(named) else ""


def verify_again(row: InboundRequest) -> bool:
    """Judge a refused request by today's credentials, with the secrets it came with; True when it may count now."""
    request = restore(row, base_url=settings.PUBLIC_BASE_URL)
    route, provider = read_route(request, PREFIX), providers.get(row.slug)
    if route is None or provider is None:
        return False
    judged = renew(row, judge(request, route, provider))
    return judged.answer_status == 200
