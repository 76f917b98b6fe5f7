"""Owns postbacks without a known click: their list with the money at stake, and finding the click that one of them means."""

from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.utils import timezone

from postbacks import correcting
from postbacks.correcting import CannotCorrect
from postbacks.judging import NAMES_NO_CLICK
from postbacks.models import Click, Conversion, Offer
from postbacks.verdicts import Verdict
from sendinglists.models import Message
from trackly.pages.listing import NEWEST, Column, Listing, list_page, newest
from trackly.pages.messages.fields import ChosenField, Filter, MomentField, PhoneField, TextField
from trackly.pages.money.asked import needing, rows_of
from trackly.pages.money.conversion import found, name_of
from trackly.pages.money.earning import SLACK, place_of
from trackly.pages.money.needs import sums
from trackly.pages.visits import MEMBER, Visit, page
from trackly.showing import Link, Phone, Shown, money
from trackly.stories.rows import link, state_of

# So many candidates are shown, and so many clicks before the postback are looked through for them.
_SHOWN = 50
_LOOKED_THROUGH = 3_000
_MOST_MESSAGES = 500


# --- the list


class UnmatchedFilter(Filter):
    verdict = ChosenField("Verdict", [(word.value, word.label) for word in Verdict if word in NAMES_NO_CLICK])
    transaction = TextField("Transaction id")


@page()
def unmatched(visit: Visit) -> HttpResponse:
    met = needing(visit.now) & Q(verdict__in=NAMES_NO_CLICK, click__isnull=True)
    rows = newest(rows_of(visit), NEWEST).filter(met)
    return list_page(
        visit,
        _listing(visit),
        rows,
        form=UnmatchedFilter(visit),
        leads=lambda row: visit.url("conversion", name_of(row)),
        template="pages/money/unmatched.html",
        context={"needs": [] if visit.wants_part else sums(visit, met), "newest": NEWEST},
    )


def _listing(visit: Visit) -> Listing:
    columns = [
        Column(title="Received", show=lambda row: row.received_at),
        Column(title="Verdict", show=lambda row: state_of(row, "verdict")),
        Column(title="Payout", show=lambda row: money(row.payout, row.currency), is_number=True),
        Column(title="Click id as it came", show=lambda row: row.click_text[:64], is_minor=True),
        Column(title="Transaction", show=lambda row: row.transaction_id, is_minor=True),
        Column(title="Connection", show=lambda row: link(row.connection) or row.network, is_minor=True),
    ]
    if visit.may_change:
        columns.append(Column(title="Its click", show=lambda row: _match_link(visit, row)))
    return Listing(
        noun="unmatched postback",
        nouns="unmatched postbacks",
        columns=columns,
        empty="Every postback names a click that is known. There is nothing to do.",
        form=UnmatchedFilter,
        lookups={"verdict": "verdict", "transaction": "transaction_id"},
        indexed=frozenset({"verdict", "transaction"}),
        is_live=True,
    )


def _match_link(visit: Visit, row: Conversion) -> Shown:
    return Link("Match", visit.url("conversion_match", name_of(row)))


# --- finding the click of one


class SearchForm(Filter):
    click = TextField("Click id")
    phone = PhoneField()
    message = TextField("Message id")
    at = MomentField("Around")


@page(sees=MEMBER, changes=MEMBER)
def match(visit: Visit, conversion: str) -> HttpResponse:
    row = found(visit, conversion)
    if visit.request.method == "POST":
        return _matched(visit, row)
    form = SearchForm(visit)
    form.is_valid()
    clicks = _candidates(visit, row, form.cleaned_data)
    counted = set(visit.rows(Conversion).filter(click__in=clicks).exclude(kind="").values_list("click_id", flat=True))
    context = {
        "title": "Match a postback with its click",
        "row": row,
        "name": name_of(row),
        "worth": money(row.payout, row.currency),
        "form": form,
        "is_searched": any(form.cleaned_data.values()),
        "candidates": [(click, _told(click, is_counted=click.pk in counted)) for click in clicks],
        "is_matchable": row.verdict in NAMES_NO_CLICK and row.click_id is None,
    }
    return visit.render("pages/money/conversion_match.html", context)


def _matched(visit: Visit, row: Conversion) -> HttpResponse:
    click = visit.one(Click, click_id=visit.request.POST.get("click", "")[:64])
    try:
        verdict = correcting.match(row, click, user=visit.request.user, now=timezone.now())
    except CannotCorrect as error:
        visit.warn(str(error))
        return visit.redirect("conversion_match", name_of(row))
    visit.say(f"Matched with the click and judged: {verdict.label.lower()}.")
    return visit.redirect("conversion", name_of(row))


def _told(click: Click, *, is_counted: bool) -> list[tuple[str, Shown]]:
    return [
        ("When", click.at),
        ("Offer", link(click.offer)),
        ("Link", link(click.link, f"/c/{click.link.code}")),
        ("Message", link(click.message, "message")),
        ("To", Phone(click.message.to) if click.message else None),
        ("Sale", "has one already" if is_counted else "none yet"),
    ]


def _candidates(visit: Visit, row: Conversion, asked: dict[str, Any]) -> list[Click]:
    """Clicks of people that it may mean, the nearest before it first."""
    rows = visit.rows(Click).select_related("offer", "link", "message")
    if asked.get("click"):
        return list(rows.filter(click_id=asked["click"].lower()))
    rows = rows.filter(is_test=False, bot="")
    if asked.get("message") or asked.get("phone"):
        return list(rows.filter(message__in=_messages(visit, asked)).order_by("-at", "-pk")[:_SHOWN])
    at = asked.get("at") or row.received_at
    near = _newest_before(visit, rows, at).filter(at__lte=at)
    if row.connection_id:
        offers = Offer.objects.filter(connection=row.connection_id).values("pk")
        near = near.filter(Q(offer__in=offers) | Q(offer__isnull=True) | Q(offer__connection__isnull=True))
    return list(near.order_by("-pk")[:_SHOWN])


def _messages(visit: Visit, asked: dict[str, Any]) -> list[int]:
    rows = visit.rows(Message)
    if asked.get("message"):
        rows = rows.filter(public_id=asked["message"])
    if asked.get("phone"):
        rows = rows.filter(to=asked["phone"])
    return list(rows.order_by("-pk").values_list("pk", flat=True)[:_MOST_MESSAGES])


def _newest_before(visit: Visit, rows: QuerySet[Click], at: datetime) -> QuerySet[Click]:
    return newest(rows.filter(pk__lt=place_of(visit.account, at) + SLACK), _LOOKED_THROUGH)
