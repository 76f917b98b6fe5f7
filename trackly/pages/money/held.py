"""Owns accepting all held postbacks of a filter at once: asked with their number and sum, done for exactly those."""

from django.db.models import Count, QuerySet, Sum
from django.http import HttpResponse
from django.utils import timezone

from postbacks import correcting
from postbacks.cases import REJECTED
from postbacks.models import Conversion
from postbacks.verdicts import Verdict
from trackly.pages.listing import NEWEST, newest
from trackly.pages.money.asked import Filter, narrowed, reached, rows_of
from trackly.pages.visits import MEMBER, Visit, page
from trackly.showing import counted, money

# Judging takes a moment for each, and a person waits.
AT_ONCE = 500


@page(sees=MEMBER, changes=MEMBER)
def accept(visit: Visit) -> HttpResponse:
    held = _held(visit)
    if visit.request.method == "POST":
        return _accept(visit, held)
    sums = held.values("currency").annotate(n=Count("pk"), amount=Sum("payout")).order_by("currency")
    groups = list(sums)
    newest_id = held.order_by("-pk").values_list("pk", flat=True).first()
    context = {
        "title": "Accept held postbacks",
        "n": sum(group["n"] for group in groups),
        "worth": " and ".join(money(group["amount"], group["currency"]) for group in groups if group["amount"]),
        "upto": newest_id or 0,
        "at_once": AT_ONCE,
        "query": visit.request.GET.urlencode(),
    }
    return visit.render("pages/money/conversions_accept.html", context)


def _held(visit: Visit) -> QuerySet[Conversion]:
    form = Filter(visit)
    rows = narrowed(newest(reached(rows_of(visit), visit, form), NEWEST), form, visit)
    return rows.filter(verdict=Verdict.HELD).exclude(flags__contains=[REJECTED])


def _accept(visit: Visit, held: QuerySet[Conversion]) -> HttpResponse:
    """Those that were counted when it was asked, the oldest first; what came since was not agreed to."""
    upto = visit.request.POST.get("upto", "")
    ids = list(
        held.filter(pk__lte=int(upto[:18])).order_by("pk").values_list("pk", flat=True)[: AT_ONCE + 1]
        if upto.isascii() and upto.isdigit()
        else []
    )
    chosen = visit.rows(Conversion).filter(pk__in=ids[:AT_ONCE])
    n = len(correcting.accept(chosen, user=visit.request.user, now=timezone.now()))
    said = f"{counted(n, 'postback')} {'was' if n == 1 else 'were'} accepted and judged again."
    visit.say(f"{said} There are more: accept the next ones." if len(ids) > AT_ONCE else said)
    address = visit.url("conversions_accept" if len(ids) > AT_ONCE else "conversions")
    answer = visit.redirect("conversions")
    answer["Location"] = f"{address}?{visit.request.GET.urlencode()}"
    return answer
