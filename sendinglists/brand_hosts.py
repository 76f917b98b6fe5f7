"""Owns what is answered under a host of a customer's own: short links and the proof that it reaches us, and nothing else.

Django answers 400 to any host that ALLOWED_HOSTS does not name. Hosts of customers stand in a table, and are let through here;
sign-in, API and inbound paths stay unknown under them.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db import Error as DatabaseError
from django.db.models import Max
from django.http import HttpRequest, HttpResponse
from django.http.request import split_domain_port
from psycopg_pool import PoolTimeout

from sendinglists.domains import PROOF_PATH, is_ours, proof
from sendinglists.models import LinkDomain
from trackly.parties import Recent
from trackly.signing import same

_LINK = re.compile(r"/c/[^/]{1,64}/?")
TEXT = "text/plain; charset=utf-8"
View = Callable[[HttpRequest], HttpResponse]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Hosts:
    """Those of all accounts: a flood of made-up hosts is compared with them, and costs no query each."""

    by_name: Mapping[str, tuple[int, str]]
    """Host -> (account, token)."""
    newest: int
    """The highest id among them."""


_HOSTS: Recent[_Hosts] = Recent()
_NEWEST: Recent[int] = Recent()


def brand_hosts(get_response: View) -> View:
    """Middleware; stands before everything that asks for the host or serves files."""

    def answer(request: HttpRequest) -> HttpResponse:
        header = request.META.get("HTTP_HOST", "")
        try:
            known = _known(header)
        except (DatabaseError, PoolTimeout):
            return HttpResponse("Please try again in a moment.", status=503, content_type=TEXT)
        if known is None:
            return get_response(request)
        if _LINK.fullmatch(request.path_info):
            # Asked by CommonMiddleware, which would refuse it.
            request.get_host = lambda: header  # type: ignore[method-assign]
            return get_response(request)
        return _prove(request, known[1])

    return answer


def account_of(header: str) -> int | None:
    """Whose host a Host header names; None: ours, or nobody's."""
    known = _known(header)
    return known[0] if known else None


def forget() -> None:
    _HOSTS.clear()
    _NEWEST.clear()


def _prove(request: HttpRequest, token: str) -> HttpResponse:
    asked = request.path_info.removeprefix(PROOF_PATH)
    if request.path_info.startswith(PROOF_PATH) and same(asked, token) and request.method in ("GET", "HEAD"):
        answer = HttpResponse(f"{proof(token)}\n", content_type=TEXT)
    else:
        answer = HttpResponse("There is nothing here.\n", status=404, content_type=TEXT)
    answer["Cache-Control"] = "no-store"
    return answer


def _known(header: str) -> tuple[int, str] | None:
    host, _ = split_domain_port(header)
    if not host or is_ours(host):
        return None
    hosts = _HOSTS.get("all", _load)
    # A host just added answers at once: one number tells whether there is a new one, and a flood does not ask for it each time.
    if host not in hosts.by_name and _NEWEST.again("newest", _newest) > hosts.newest:
        _HOSTS.clear()
        hosts = _HOSTS.get("all", _load)
    return hosts.by_name.get(host)


def _load() -> _Hosts:
    rows = list(LinkDomain.objects.filter(removed_at=None).values_list("host", "account_id", "token", "id"))
    by_name = {host: (account_id, token) for host, account_id, token, _ in rows}
    return _Hosts(by_name=by_name, newest=max((row[3] for row in rows), default=0))


def _newest() -> int:
    return LinkDomain.objects.filter(removed_at=None).aggregate(newest=Max("id"))["newest"] or 0
