"""Owns the page of conversions: what they earned in a time, its parts, what needs somebody, and the list of postbacks."""

from dataclasses import replace
from typing import Any

from django.db.models import Model
from django.http import HttpResponse, QueryDict

from postbacks.models import Conversion, NetworkConnection, Offer
from postbacks.verdicts import ConversionStatus
from sendinglists.models import SendingList
from trackly.pages.listing import Column, Listing, Sheet, read
from trackly.pages.money import earning
from trackly.pages.money.asked import GROUPS, SPLITS, Filter, Span, narrowed, reached, rows_of
from trackly.pages.money.earning import Sum, nothing
from trackly.pages.money.needs import needs
from trackly.pages.visits import Visit, page
from trackly.showing import Badge, Shown, money, tone_of
from trackly.stories.rows import link, state_of

# So many parts stand in the table; further ones are named in a sentence.
_MOST_PARTS = 200
_MOST_CHARACTERS = 18
# Of what needs somebody; further ones are folded, or they would push the sums off the screen.
_MOST_NEEDS = 4
# Filters that are folded while none of them is used.
_FOLDED = ("offer", "list", "verified", "group", "verdict", "status", "transaction", "click")
_NAMES: dict[str, type[Model]] = {"offer": Offer, "connection": NetworkConnection, "list": SendingList}
_TONES = {"approved": "good", "pending": "wait", "rejected": "bad"}
# What does not narrow the list to some of the postbacks of the time.
_TIME = frozenset({"days", "since", "until", "by", "clock", "split"})


def _status(row: Conversion) -> Shown:
    return Badge(row.get_status_display(), tone_of(row.status)) if row.kind else None


def _cut(text: str) -> str:
    """The whole stands on the postback's own page."""
    return text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"


LISTING = Listing(
    noun="postback",
    nouns="postbacks",
    columns=(
        Column(title="Received", show=lambda row: row.received_at),
        Column(title="Verdict", show=lambda row: state_of(row, "verdict")),
        Column(title="Status", show=_status),
        Column(title="Payout", show=lambda row: money(row.payout, row.currency), is_number=True),
        Column(title="Offer", show=lambda row: link(row.offer), is_minor=True),
        Column(title="Connection", show=lambda row: link(row.connection) or row.network, is_minor=True),
        Column(title="Transaction", show=lambda row: _cut(row.transaction_id), is_minor=True),
    ),
    empty="No postback came in this time. Choose a longer one, or check a network's set-up with its tester.",
    form=Filter,
    indexed=frozenset({"transaction", "click", "split", "by"}),
    selective=frozenset({"transaction", "click"}),
    is_live=True,
)


@page()
def index(visit: Visit) -> HttpResponse:
    form = Filter(visit)
    sheet = listed(visit, form)
    if visit.wants_part:
        return visit.render("pages/_rows.html", {"sheet": sheet})
    told = [(need, f"?{_asking(need.verdict)}") for need in needs(visit)]
    context = {
        "title": "Conversions",
        "sheet": sheet,
        "needs": told[:_MOST_NEEDS],
        "needs_more": told[_MOST_NEEDS:],
        "groups": [
            (words, _address(visit, group=code), form.chosen("group") == code)
            for code, words in [("", "All"), *GROUPS.items()]
        ],
        # Which ones is also told by the buttons above the list.
        "is_more_open": any(form.chosen(name) or name in form.errors for name in _FOLDED if name != "group"),
        "folded": _FOLDED,
        "query": _kept(visit).urlencode(),
    }
    return visit.render("pages/money/conversions.html", {**context, **_earned(visit, form)})


def _asking(verdict: str) -> str:
    asked = QueryDict(mutable=True)
    asked.update({"group": "needs", "verdict": verdict, "days": "90"})
    return asked.urlencode()


def listed(visit: Visit, form: Filter) -> Sheet:
    """The list alone."""
    # Narrowed once the newest rows are taken, and not before: or all would be read to find out which those are.
    listing = replace(LISTING, narrow=lambda rows, chosen, visit: narrowed(rows, form, visit))
    # The time is always bounded, so always only the newest rows are looked through.
    form.cleaned_data["days"] = form.days_asked
    sheet = read(
        visit,
        listing,
        reached(rows_of(visit), visit, form),
        form=form,
        leads=lambda row: visit.url("conversion", f"{row.request_uid}-{row.item}"),
    )
    narrows = {name for name, value in form.cleaned_data.items() if value} - _TIME
    return replace(sheet, is_filtered=bool(narrows))


# --- what was earned


def _earned(visit: Visit, form: Filter) -> dict[str, Any]:
    span, split = form.span, form.parts
    only = {name: form.chosen(name) for name in ("connection", "offer", "list")}
    is_trusted = {"yes": True, "no": False}.get(form.chosen("verified"))
    earned = earning.read(visit.account, span, split=split, only=only, is_trusted=is_trusted)
    days = earned.days
    own = earning.in_own_currency(visit.account, days)
    unverified = earning.by_currency([entry for entry in days if not entry.is_trusted])
    parts = _by_day(days) if split == "day" else _by_name(visit, earned.parts, split)
    return {
        "span": span,
        "totals": [(currency, _cells(total, currency)) for currency, total in earning.by_currency(days).items()],
        "unverified": [(currency, _cells(total, currency)) for currency, total in unverified.items()],
        "own": [f"{money(_rounded(own.approved), visit.account.currency)}"] if own else [],
        "splits": [(words, _address(visit, split=code), code == split) for code, words in SPLITS.items()],
        "split": SPLITS[split],
        "parts": parts[:_MOST_PARTS],
        "parts_more": max(len(parts) - _MOST_PARTS, 0),
        "chart": _chart(days, span, visit.account.currency) if split == "day" else None,
    }


def _rounded(amount: Any) -> Any:
    return round(amount, 2)


def _cells(total: Sum, currency: str) -> list[tuple[str, int, str]]:
    """(what, how many, how much)."""
    return [
        (ConversionStatus(status).label, n, money(amount, currency) if n or amount else "")
        for status, n, amount in total.shown()
    ]


Part = tuple[Shown, str, list[tuple[str, int, str]]]


def _by_day(found: list[earning.Entry]) -> list[Part]:
    rows = earning.by_part(found)
    return [
        (f"{day:%a %d %b %Y}", currency, _cells(rows[day, currency], currency))
        for day, currency in sorted(rows, reverse=True)
    ]


def _by_name(visit: Visit, found: list[earning.Entry], split: str) -> list[Part]:
    rows = earning.by_part(found)
    most = sorted(rows, key=lambda key: (key[1], -rows[key].approved, key[0] or 0))
    # Of a connection its token is not read: it would be decrypted for nothing.
    known = visit.rows(_NAMES[split]).only("pk", "name").in_bulk({part for part, _ in most[:_MOST_PARTS] if part})
    return [
        (link(known.get(part)) or f"No {split}", currency, _cells(rows[part, currency], currency))
        for part, currency in most
    ]


def _chart(found: list[earning.Entry], span: Span, own: str) -> dict[str, Any] | None:
    """Of one currency, the account's or the first: lines of different ones would be read as one sum."""
    currencies = sorted({entry.currency for entry in found}, key=lambda currency: (currency != own, currency))
    if not currencies:
        return None
    rows = earning.by_part(entry for entry in found if entry.currency == currencies[0])
    days = span.days
    series = [
        {
            "name": f"{ConversionStatus(status).label}, {currencies[0]}",
            "values": [float(rows.get((day, currencies[0]), nothing()).amounts[status]) for day in days],
            "tone": tone,
        }
        for status, tone in _TONES.items()
    ]
    return {"labels": [f"{day:%d %b}" for day in days], "series": series, "unit": currencies[0]}


# --- addresses


def _kept(visit: Visit) -> QueryDict:
    kept = visit.request.GET.copy()
    for name in ("before", "after", "live"):
        kept.pop(name, None)
    return kept


def _address(visit: Visit, **asked: str) -> str:
    kept = _kept(visit)
    for name, value in asked.items():
        kept[name] = value
    return f"?{kept.urlencode()}"
