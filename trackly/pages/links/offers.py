"""Owns the pages of offers: what a link may lead to, and what a sale of it is worth."""

from datetime import timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpResponse

from postbacks.models import Conversion, NetworkConnection, Offer
from sendinglists.destinations import destination, validate_click_parameter, validate_destination
from sendinglists.domains import short_url
from sendinglists.models import Link
from trackly.pages.forms import Form, ModelForm, typed
from trackly.pages.links import counting
from trackly.pages.listing import NEWEST, Column, Listing, list_page, newest
from trackly.pages.visits import MEMBER, Visit, act, page
from trackly.showing import Shown, money
from trackly.stories import Table
from trackly.stories.rows import link as to
from trackly.stories.rows import state_of

EXAMPLE = "k3v9q2m7x4c5t6b2n7p5r2w6yd"
_STATE = Offer.State
# Verb -> the state after it, the word for it, and from which states.
_MOVES = {
    "pause": (_STATE.PAUSED, "paused", (_STATE.ACTIVE,)),
    "activate": (_STATE.ACTIVE, "activated", (_STATE.PAUSED, _STATE.ARCHIVED)),
    "archive": (_STATE.ARCHIVED, "archived", (_STATE.ACTIVE, _STATE.PAUSED)),
}
EMPTY = "No offer yet. An offer is what your short links lead to: the tracking link your network gave you. Add the first one."


class Filter(Form):
    status = forms.ChoiceField(
        required=False, choices=(("", "Active and paused"), *_STATE.choices, ("all", "All")), label="Status"
    )
    name = forms.CharField(required=False, max_length=100, label="Name contains")


class OfferForm(ModelForm):
    window_days = forms.IntegerField(
        required=False, min_value=1, max_value=3650, label="Attribution window in days",
        help_text="A sale so many days after its click is late. Empty: as its network's contract says.",
    )  # fmt: skip

    class Meta:
        model = Offer
        fields = ("name", "connection", "destination", "default_payout", "ceiling")
        labels = {
            "connection": "Network",
            "destination": "Tracking link",
            "default_payout": "Default payout",
            "ceiling": "Ceiling without the token",
        }
        help_texts = {
            "connection": "Whose offer it is. It decides under which parameter our click id goes out.",
            "destination": "As the network gives it. Write {click_id} where our click id belongs; else it is added.",
        }
        widgets = {"destination": forms.TextInput(attrs={"inputmode": "url", "spellcheck": "false"})}

    def __init__(self, visit: Visit, **options: Any) -> None:
        connections = visit.rows(NetworkConnection).order_by("name")
        super().__init__(typed(visit), offers={"connection": connections}, **options)
        fields: dict[str, Any] = self.fields
        fields["connection"].empty_label = "None"
        fields["destination"].validators.append(validate_destination)
        unit = f"In {visit.account.currency}, or in the currency of its network's contract if that has one of its own."
        fields["default_payout"].help_text = f"What a sale counts when the postback names no amount. {unit}"
        most = "The most a sale may count that came without the postback token."
        fields["ceiling"].help_text = f"{most} {unit} Empty: the account's ceiling."

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        connection = given.get("connection")
        try:
            validate_click_parameter(given.get("destination", ""), connection.click_parameters if connection else ())
        except ValidationError as error:
            self.add_error("destination", error)
        for name in ("default_payout", "ceiling"):
            if (given.get(name) or 0) < 0:
                self.add_error(name, "An amount cannot be below 0.")
        return given

    def save(self, commit: bool = True) -> Any:
        days = self.cleaned_data["window_days"]
        self.instance.attribution_window = timedelta(days=days) if days else None
        return super().save(commit)


@page()
def listed(visit: Visit) -> HttpResponse:
    clicks, conversions = counting.offers_of_week(visit.account, visit.now)
    none = counting.Openings()

    def people(row: Offer) -> str:
        found = clicks.get(row.pk, none)
        return found.told(found.people)

    columns = (
        Column(title="Offer", show=lambda row: row.name),
        Column(title="Network", show=lambda row: to(row.connection)),
        Column(title="Leads to", show=lambda row: _shortened(row.destination), is_minor=True),
        Column(title="Default payout", show=_payout, is_number=True, is_minor=True),
        Column(title="Status", show=lambda row: state_of(row, "status")),
        Column(title="Clicks, 7 days", show=people, is_number=True),
        Column(title="Conversions, 7 days", show=lambda row: conversions.get(row.pk, 0), is_number=True),
    )
    listing = Listing(
        noun="offer", nouns="offers", columns=columns, empty=EMPTY, form=Filter,
        lookups={"name": "name__icontains"}, narrow=_narrow, is_big=False,
    )  # fmt: skip
    is_more = any(item.is_more for item in clicks.values())
    return list_page(
        visit, listing, visit.rows(Offer).select_related("connection", "account"),
        leads=lambda row: visit.url("offer", row.pk), template="pages/links/offers.html",
        context={"newest": f"{NEWEST:,}" if is_more else ""},
    )  # fmt: skip


def _narrow(rows: QuerySet[Offer], chosen: Any, visit: Visit) -> QuerySet[Offer]:
    status = chosen.get("status")
    if status == "all":
        return rows
    return rows.filter(status=status) if status else rows.exclude(status=_STATE.ARCHIVED)


@page(changes=MEMBER)
def new(visit: Visit) -> HttpResponse:
    form = OfferForm(visit, instance=Offer(account=visit.account))
    if visit.request.method == "POST" and form.is_valid():
        with transaction.atomic():
            row = form.save()
            visit.audit(row, "added")
        visit.say(f"{row.name} was added. Make a link to it, or name it when you send.")
        return visit.redirect("offer", row.pk)
    return visit.render(
        "pages/links/offer_form.html", {"title": "Add an offer", "form": form, **_known_parameters(visit)}
    )


@page(changes=MEMBER)
def edit(visit: Visit, offer_id: int) -> HttpResponse:
    row = visit.one(Offer, pk=offer_id)
    name = row.name
    form = OfferForm(visit, instance=row, initial=_plainly(row))
    if visit.request.method == "POST" and form.is_valid():
        with transaction.atomic():
            form.save()
            visit.audit(row, "changed", ", ".join(form.changed_data))
        visit.say("Saved. Links that are out lead to the new address from now on.")
        return visit.redirect("offer", row.pk)
    return visit.render(
        "pages/links/offer_form.html",
        {"title": f"Change {name}", "form": form, "offer": row, **_known_parameters(visit)},
    )


def _plainly(row: Offer) -> dict[str, Any]:
    """Amounts without the zeros they are kept with, and the window in days."""
    amounts = {"default_payout": row.default_payout, "ceiling": row.ceiling}
    known: dict[str, Any] = {name: f"{amount.normalize():f}" for name, amount in amounts.items() if amount is not None}
    if row.attribution_window is not None:
        known["window_days"] = max(row.attribution_window.days, 1)
    return known


def _known_parameters(visit: Visit) -> dict[str, Any]:
    connections = visit.rows(NetworkConnection).order_by("name")[:50]
    return {"parameters": [(item.name, (*item.click_parameters, "click_id")[0]) for item in connections]}


@page()
def show(visit: Visit, offer_id: int) -> HttpResponse:
    row = visit.one(Offer.objects.select_related("connection", "account"), pk=offer_id)
    parameters = row.connection.click_parameters if row.connection else ()
    clicks, conversions = counting.offers_of_week(visit.account, visit.now)
    found = clicks.get(row.pk, counting.Openings())
    facts: list[tuple[str, Shown]] = [
        ("Network", to(row.connection) or "none"),
        ("Click id goes out under", parameters[0] if parameters else "click_id"),
        ("Default payout", _payout(row) or "none: a postback that names no amount counts 0"),
        ("Ceiling without the token", money(row.ceiling, _currency(row)) or "the account's"),
        ("Attribution window", _window(row)),
        ("Added", row.created_at),
    ]
    figures = [
        ("Clicks by people, 7 days", found.told(found.people)),
        ("Openings by machines, 7 days", found.told(found.machines)),
        ("Conversions, 7 days", f"{conversions.get(row.pk, 0):,}"),
    ]
    return visit.render("pages/links/offer.html", {
        "title": row.name, "offer": row, "state": state_of(row, "status"), "facts": facts, "figures": figures,
        "example": destination(row.destination, EXAMPLE, parameters), "moves": _moves(row),
        "tables": (_links(visit, row), _conversions(visit, row)),
    })  # fmt: skip


@act(changes=MEMBER)
def move(visit: Visit, offer_id: int, verb: str) -> HttpResponse:
    row = visit.one(Offer, pk=offer_id)
    if verb not in _MOVES:
        raise Http404("There is no such thing to do with an offer.")
    state, word, before = _MOVES[verb]
    with transaction.atomic():
        if Offer.objects.filter(pk=row.pk, status__in=before).update(status=state):
            visit.audit(row, word)
    visit.say(f"{row.name} is {word}.")
    return visit.redirect("offer", row.pk)


def _moves(row: Offer) -> list[tuple[str, str]]:
    """(verb, words on the button), from the state it is in."""
    return [(verb, verb.capitalize()) for verb, (_, _, before) in _MOVES.items() if row.status in before]


def _currency(row: Offer) -> str:
    return (row.connection.currency if row.connection else "") or row.account.currency


def _payout(row: Offer) -> str:
    return money(row.default_payout, _currency(row))


def _window(row: Offer) -> str:
    window = row.attribution_window or (row.connection.attribution_window if row.connection else None)
    own = "" if row.attribution_window else " (its network's)"
    return f"{window.days} days{own}" if window else "none"


def _shortened(url: str) -> str:
    return url if len(url) <= 60 else f"{url[:60]}…"


def _links(visit: Visit, row: Offer) -> Table:
    """Those made for themselves. Without an order the planner finds them by the offer; a page of them is sorted here."""
    ids = list(visit.rows(Link).filter(offer=row, message=None).values_list("pk", flat=True)[:1_000])
    found = Link.objects.filter(pk__in=sorted(ids)[-10:]).order_by("-pk")
    opened = counting.openings([item.pk for item in found])
    return Table(
        title="Links to it",
        columns=("Link", "Campaign", "People", "Machines", "Made"),
        rows=[
            (to(item, short_url(item)), item.campaign, opened[item.pk].told(opened[item.pk].people),
             opened[item.pk].told(opened[item.pk].machines), item.created_at)
            for item in found
        ],
        empty="No link of its own leads here yet. Messages that name the offer make theirs by themselves.",
    )  # fmt: skip


def _conversions(visit: Visit, row: Offer) -> Table:
    found = newest(visit.rows(Conversion), NEWEST).filter(offer=row).order_by("-pk")[:10]
    return Table(
        title="Recent conversions",
        columns=("Received", "Verdict", "Payout", "Transaction"),
        rows=[
            (to(item, f"{item.received_at.astimezone(visit.zone):%Y-%m-%d %H:%M:%S}"), state_of(item, "verdict"),
             money(item.payout, item.currency), item.transaction_id)
            for item in found
        ],
        empty=f"None among the account's newest {NEWEST:,} postbacks.",
    )  # fmt: skip
