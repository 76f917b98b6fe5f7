"""Owns Visit, one person on one page of one account; and page(), the only way a view is reached.

A view takes a Visit and asks it for rows, so it cannot reach another account's. Who does not belong to the account named in
the address gets 404, as for one that never was. What a role may change is said where the view is decorated, and a test reads it
there for every address there is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.contrib import messages
from django.contrib.auth.views import redirect_to_login
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from trackly import audit
from trackly.models import Account, Membership
from trackly.pages import ways
from trackly.showing import plain

M = TypeVar("M", bound=Model)
Role = Membership.Role
OWNER, MEMBER, VIEWER = Role.OWNER, Role.MEMBER, Role.VIEWER
# What each may do, all that stand before it may as well.
_RANK = {VIEWER: 0, MEMBER: 1, OWNER: 2}
_LONGEST_TITLE = 200
_SAID = {
    MEMBER: "You are a viewer of this account: you see everything but change nothing. Its owner can make you a member.",
    OWNER: "Only an owner of this account may do this.",
}
View = Callable[..., HttpResponse]


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """Templates know it as `visit`."""

    request: HttpRequest
    account: Account
    role: Role
    now: datetime
    others: tuple[Account, ...]
    """The person's other accounts."""

    @property
    def zone(self) -> ZoneInfo:
        """The account's time zone: in it every page tells the time."""
        return ZoneInfo(self.account.time_zone)

    @property
    def may_change(self) -> bool:
        """Members and owners; also who sees phone numbers and tokens in full."""
        return self.may(MEMBER)

    @property
    def is_owner(self) -> bool:
        return self.may(OWNER)

    def may(self, role: Role) -> bool:
        return _RANK[self.role] >= _RANK[role]

    @property
    def wants_part(self) -> bool:
        """True when htmx asks, for the part of the page that it replaces."""
        return self.request.headers.get("HX-Request") == "true"

    def rows(self, model: type[M]) -> QuerySet[M]:
        """The account's rows of a table."""
        return model._default_manager.filter(account=self.account)

    def one(self, rows: QuerySet[M] | type[M], **lookup: Any) -> M:
        """The account's one row, or 404; another account's is as unknown as one that was never made."""
        found = self.rows(rows) if isinstance(rows, type) else rows.filter(account=self.account)
        # The database knows no text with a NUL, and fails when it is asked for one.
        is_text = not any("\0" in value for value in lookup.values() if isinstance(value, str))
        row = found.filter(**lookup).first() if is_text else None
        if row is None:
            raise Http404("There is no such thing in this account.")
        return row

    def url(self, name: str, *args: Any, **query: Any) -> str:
        """The address of one of this account's pages, by its name in the URL table."""
        return ways.address(self.account, name, *args, **query)

    def way(self, to: Any) -> str:
        """Where a reader of this account finds a row a story speaks of; '' where there is no page of it."""
        return ways.way(self.account, to)

    def render(self, template: str, context: dict[str, Any] | None = None, status: int = 200) -> HttpResponse:
        """A `title` often names what strangers named: in it nothing acts."""
        told = {"visit": self, **(context or {})}
        if "title" in told:
            told["title"] = plain(str(told["title"]), _LONGEST_TITLE)
        return render(self.request, template, told, status=status)

    def redirect(self, name: str, *args: Any, **query: Any) -> HttpResponse:
        return HttpResponseRedirect(self.url(name, *args, **query))

    def say(self, words: str) -> None:
        """On the next page: it was done."""
        messages.success(self.request, words)

    def warn(self, words: str) -> None:
        """On the next page: it was not done, or not wholly, and what to do."""
        messages.error(self.request, words)

    def audit(self, row: Model, verb: str, detail: str = "") -> None:
        """Put down that this person did this to this row; in the transaction of what was done."""
        audit.audit(self.request.user.pk, row, verb, detail)


def page(*, sees: Role = VIEWER, changes: Role | None = None) -> Callable[[Callable[..., HttpResponse]], View]:
    """A page that `sees` and higher roles may look at. With `changes` it takes POST as well, from that role and higher."""
    return _guarded(sees=sees, changes=changes, methods=("GET", "HEAD", "POST") if changes else ("GET", "HEAD"))


def act(*, changes: Role = MEMBER) -> Callable[[Callable[..., HttpResponse]], View]:
    """A button: POST alone, from `changes` and higher roles."""
    return _guarded(sees=changes, changes=changes, methods=("POST",))


def _guarded(
    *, sees: Role, changes: Role | None, methods: tuple[str, ...]
) -> Callable[[Callable[..., HttpResponse]], View]:
    def guard(view: Callable[..., HttpResponse]) -> View:
        @wraps(view)
        def shown(request: HttpRequest, account: str, *args: Any, **kwargs: Any) -> HttpResponse:
            if not request.user.is_authenticated:
                return _sign_in(request)
            if request.method not in methods:
                return HttpResponseNotAllowed(methods)
            visit = _visit(request, account)
            needs = (changes if request.method == "POST" else sees) or sees
            refused = _refusal(visit, needs)
            # The account's own days and hours, also in what the template formats.
            with timezone.override(visit.zone):
                return _refuse(visit, refused) if refused else view(visit, *args, **kwargs)

        # What the test of every address reads.
        shown.sees, shown.changes, shown.methods = sees, changes, methods  # type: ignore[attr-defined]
        return shown

    return guard


def _visit(request: HttpRequest, public_id: str) -> Visit:
    """Raises Http404 where the person does not belong to the account."""
    held = Membership.objects.filter(user=request.user.pk or 0).exclude(account__status=Account.Status.DELETED)
    memberships = list(held.select_related("account").order_by("account__name", "id"))
    here = next((item for item in memberships if item.account.public_id == public_id), None)
    if here is None:
        raise Http404("There is no such account, or you do not belong to it.")
    others = tuple(item.account for item in memberships if item is not here)
    return Visit(request=request, account=here.account, role=Role(here.role), now=timezone.now(), others=others)


def _refusal(visit: Visit, needs: Role) -> str:
    """Why this may not be done; '' when it may."""
    if not visit.may(needs):
        return _SAID[needs]
    if visit.request.method == "POST" and visit.account.status == Account.Status.SUSPENDED:
        return "The account is suspended: everything can be looked at, nothing changed. Ask support."
    return ""


def _refuse(visit: Visit, said: str) -> HttpResponse:
    return visit.render("pages/refused.html", {"said": said}, status=403)


def _sign_in(request: HttpRequest) -> HttpResponse:
    """To the sign-in, and back; a part of a page cannot hold it, so there the whole page goes."""
    if request.headers.get("HX-Request") == "true":
        return HttpResponse(status=204, headers={"HX-Redirect": reverse("account_login")})
    return redirect_to_login(request.get_full_path())
