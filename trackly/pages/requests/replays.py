"""Owns what is done to all that a filter of the failed webhooks finds: replay, whose progress is watched, and discard.

Each asks first, with the number; what failed after the asking is left alone.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django import forms
from django.db import connection
from django.db.models import QuerySet
from django.http import HttpResponse, HttpResponseRedirect
from django.utils import timezone

from trackly import cursors
from trackly.models import AuditEntry
from trackly.pages.forms import Form
from trackly.pages.listing import filtered
from trackly.pages.requests.failed import BY_TIME, LISTING, RequestFilter, failed_rows
from trackly.pages.requests.troubles import parties
from trackly.pages.visits import MEMBER, Visit, page
from trackly.showing import counted
from webhooks.inbound import replaying
from webhooks.inbound.models import InboundRequest, time_of

MOST = 10_000
_BEGUN, _ENDED = "replay begun", "replay ended"


class AskedForm(Form):
    """When it was asked: what failed since is not meant."""

    asked_at = forms.DateTimeField(widget=forms.HiddenInput)


class DiscardForm(AskedForm):
    reason = forms.CharField(
        label="Why", max_length=200, help_text="It stays with each of them and in the audit trail."
    )


@page(sees=MEMBER, changes=MEMBER)
def replay(visit: Visit) -> HttpResponse:
    """Asks first; then all of them are due again, and a page shows what comes of it."""
    form = AskedForm(visit.request.POST or None)
    if not form.is_valid():
        return _ask(visit, "pages/requests/replay.html", "Replay all", form)
    begun = _last_entry(visit)
    n = replaying.replay(_meant(visit, form.cleaned_data["asked_at"]), user=visit.request.user, now=timezone.now())
    if not n:
        visit.warn("There is nothing left to replay: somebody may have done it meanwhile.")
        return visit.redirect("requests")
    named = {"begun": cursors.make(begun, _BEGUN), "ended": cursors.make(_last_entry(visit), _ENDED)}
    return visit.redirect("requests_replayed", **named)


@page(sees=MEMBER, changes=MEMBER)
def discard(visit: Visit) -> HttpResponse:
    form = DiscardForm(visit.request.POST or None)
    if not form.is_valid():
        return _ask(visit, "pages/requests/discard.html", "Discard all", form)
    rows = _meant(visit, form.cleaned_data["asked_at"])
    n = replaying.discard(rows, user=visit.request.user, reason=form.cleaned_data["reason"])
    visit.say(f"{counted(n, 'webhook')} {'is' if n == 1 else 'are'} discarded.")
    return visit.redirect("requests")


@page()
def replayed(visit: Visit) -> HttpResponse:
    """How many of a replay wait, are done, failed again; read again until none waits."""
    asked = visit.request.GET
    try:
        bounds = cursors.read(asked.get("begun", ""), _BEGUN), cursors.read(asked.get("ended", ""), _ENDED)
    except cursors.BadCursor:
        visit.warn("That replay is not known any more. What failed again stands here.")
        return HttpResponseRedirect(visit.url("requests"))
    standing = _standing(visit, list(_replayed(visit, *bounds)))
    context = {
        "title": "Replay",
        "standing": standing,
        "total": sum(standing.values()),
        "done": sum(standing.values()) - standing["waits"],
        "again": visit.request.get_full_path() if standing["waits"] else "",
    }
    return visit.render(f"pages/requests/{'_replayed' if visit.wants_part else 'replayed'}.html", context)


# --- which are meant


def _found(visit: Visit) -> QuerySet[InboundRequest]:
    """The failed webhooks that the filter in the address finds; the newest 10,000 of them."""
    rows = filtered(visit, LISTING, failed_rows(visit), RequestFilter(visit, parties(visit))).exclude(method="HEAD")
    over = list(BY_TIME.newest_first(rows).only("uid")[MOST : MOST + 1])
    return rows.filter(BY_TIME.newer(BY_TIME.place(over[0]))) if over else rows


def _meant(visit: Visit, asked_at: datetime) -> QuerySet[InboundRequest]:
    return _found(visit).filter(received_at__lte=asked_at)


def _ask(visit: Visit, template: str, title: str, form: AskedForm) -> HttpResponse:
    now = timezone.now()
    form.initial["asked_at"] = now.isoformat()
    n = len(_found(visit).values_list("uid", flat=True))
    context = {
        "title": title,
        "form": form,
        "n": n,
        "counted": counted(n, "failed webhook"),
        "most": f"{MOST:,}" if n >= MOST else "",
        "asked": visit.request.GET.urlencode(),
    }
    return visit.render(template, context)


# --- what came of it


def _last_entry(visit: Visit) -> int:
    last = visit.rows(AuditEntry).order_by("-id").values_list("id", flat=True).first()
    return last or 0


def _replayed(visit: Visit, begun: int, ended: int) -> Iterator[UUID]:
    """By the audit entries between the two, which it wrote itself."""
    entries = visit.rows(AuditEntry).filter(id__gt=begun, id__lte=ended, verb="replayed", target__startswith="request ")
    for target in entries.order_by("-id").values_list("target", flat=True)[: MOST * 2]:
        yield UUID(target.removeprefix("request "))


def _standing(visit: Visit, uids: list[UUID]) -> Counter[str]:
    """How many of them stand how."""
    found: Counter[str] = Counter()
    with connection.cursor() as cursor:
        cursor.execute(_STANDING, [uids, [time_of(uid) for uid in uids], visit.account.pk])
        found.update(dict(cursor.fetchall()))
    # Refused again, and nothing in them names the account by today's rules; or their time of keeping is over.
    found["gone"] = len(uids) - found.total()
    return found


# One look-up for each, which LIMIT enforces: joined, all partitions would be read. A uid carries its receive time, by which it
# is looked for in its own partition.
_STANDING = """
SELECT CASE WHEN request.state = 'waiting' AND request.attempts > 0 THEN 'tried'
            WHEN request.state = 'waiting' THEN 'waits'
            WHEN request.state = 'done' AND request.refusal <> '' THEN 'partly'
            ELSE request.state END AS word, count(*)
FROM unnest(%s::uuid[], %s::timestamptz[]) AS asked (uid, received_at)
CROSS JOIN LATERAL (
    SELECT state, attempts, refusal FROM webhooks_inboundrequest
    WHERE uid = asked.uid AND received_at = asked.received_at AND source IN ('webhook', 'postback') AND account_id = %s
    LIMIT 1
) AS request
GROUP BY word
"""
