"""Owns the list of network connections, with how each stands, and the making of one."""

from collections import Counter
from datetime import timedelta
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery, Sum
from django.http import HttpResponse

from postbacks import networks
from postbacks.models import NetworkConnection
from postbacks.verdicts import Verdict
from trackly.currencies import CURRENCIES
from trackly.models import HourlyTotal
from trackly.pages.forms import ModelForm
from trackly.pages.listing import Column, Listing, list_page
from trackly.pages.visits import OWNER, Visit, page
from trackly.showing import Badge, Shown, counted
from webhooks.inbound.models import RequestTotal, Source, Standing

EMPTY = (
    "No network is connected yet. A connection is your contract with one affiliate network: it gives you the postback URL by"
    " which the network tells us what your links earned."
)
DAY = timedelta(days=1)
# Of hits that came, those somebody should look at.
NEEDS_A_LOOK = (
    Verdict.LITERAL_MACRO, Verdict.MISSING_CLICK_ID, Verdict.MALFORMED_CLICK_ID, Verdict.TOO_LONG, Verdict.UNKNOWN_CLICK,
    Verdict.WRONG_ACCOUNT, Verdict.AMBIGUOUS_PARAMETERS, Verdict.BAD_PAYOUT, Verdict.NEGATIVE_PAYOUT,
    Verdict.STATUS_UNMAPPED, Verdict.HELD, Verdict.DUPLICATE_DIFFERS, Verdict.UNREADABLE,
)  # fmt: skip
_LOOK = {f"postback_{verdict}" for verdict in NEEDS_A_LOOK}
_FINE = {Standing.ACCEPTED, Standing.DISCARDED, Standing.PROBE}


class NewForm(ModelForm):
    currency = forms.ChoiceField(required=False)
    time_zone = forms.ChoiceField(required=False, label="Time zone")

    class Meta:
        model = NetworkConnection
        fields = ("network", "name", "currency", "time_zone")
        help_texts = {
            "network": "The software the network runs on: it decides the macros of the URLs.",
            "name": "As you know it; several contracts with one network are several connections.",
        }

    def __init__(self, visit: Visit, typed: Any, *, instance: NetworkConnection) -> None:
        super().__init__(typed, instance=instance)
        network = self.fields["network"]
        assert isinstance(network, forms.ChoiceField)
        network.choices = [("", "Choose the network"), *networks.choices()]
        offer_places(self, visit)


def offer_places(form: forms.BaseForm, visit: Visit) -> None:
    """The currencies and time zones to choose from."""
    currency, zone = form.fields["currency"], form.fields["time_zone"]
    for field, own, names in (
        (currency, visit.account.currency, CURRENCIES),
        (zone, visit.account.time_zone, available_timezones()),
    ):
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", f"The account's, {own}"), *((name, name) for name in sorted(names))]
    currency.help_text = "Of postbacks that name none."
    zone.help_text = "In which the network counts its days."


@page()
def index(visit: Visit) -> HttpResponse:
    columns = (
        Column(title="Connection", show=lambda row: row.name),
        Column(title="Network", show=_network, is_minor=True),
        Column(title="Needs attention", show=_attention),
        Column(title="Last hit", show=lambda row: row.last_at or "never", is_minor=True),
        Column(title="Hits, 24 h", show=lambda row: row.hits, is_number=True),
        Column(title="Conversions, 24 h", show=lambda row: row.converted, is_number=True),
        Column(title="Refused, 24 h", show=lambda row: row.refused, is_number=True, is_minor=True),
    )
    listing = Listing(noun="connection", nouns="connections", columns=columns, empty=EMPTY, is_big=False)
    return list_page(
        visit, listing, _with_last_hit(visit.rows(NetworkConnection)),
        leads=lambda row: visit.url("connection", row.pk), template="pages/networks/connections.html",
        context={"title": "Networks"}, complete=lambda rows: _count(visit, rows),
    )  # fmt: skip


def _with_last_hit(rows: QuerySet[NetworkConnection]) -> QuerySet[NetworkConnection]:
    """Each with `last_at`. No list shows the token, and decrypting takes longer than reading the row."""
    heard = RequestTotal.objects.filter(
        source=Source.POSTBACK, slug=OuterRef("network"), party_id=OuterRef("pk"), n__gt=0
    )
    return rows.defer("postback_token").annotate(
        last_at=Subquery(heard.order_by("-hour", "-last_at").values("last_at")[:1])
    )


def _count(visit: Visit, rows: list[Any]) -> None:
    """Put what came within a day into each row: `hits`, `refused`, `converted`, `to_look_at`."""
    ids, since = [row.pk for row in rows], visit.now - DAY
    slugs = {row.network for row in rows}
    totals = RequestTotal.objects.filter(source=Source.POSTBACK, slug__in=slugs, party_id__in=ids, hour__gte=since)
    hits: Counter[int] = Counter()
    refused: Counter[int] = Counter()
    for party_id, standing, n in totals.values_list("party_id", "standing").annotate(sum=Sum("n")):
        hits[party_id] += n
        refused[party_id] += 0 if standing in _FINE else n
    judged: dict[int, Counter[str]] = {}
    kinds = visit.rows(HourlyTotal).filter(hour__gte=since, connection_id__in=ids)
    for connection_id, kind, n in kinds.values_list("connection_id", "kind").annotate(sum=Sum("n")):
        judged.setdefault(connection_id, Counter())[kind] += n
    for row in rows:
        counts = judged.get(row.pk, Counter())
        row.hits, row.refused = hits[row.pk], refused[row.pk]
        row.converted = sum(n for kind, n in counts.items() if kind.startswith("conversion"))
        row.to_look_at = sum(n for kind, n in counts.items() if kind in _LOOK)


def _network(row: Any) -> str:
    """A network whose file is gone keeps its slug."""
    adapter = networks.get(row.network)
    return adapter.name if adapter else row.network


def _attention(row: Any) -> Shown:
    if row.last_at is None:
        return Badge("Nothing came yet", "wait")
    if row.refused:
        return Badge(f"{row.refused:,} refused", "bad")
    return Badge(f"{row.to_look_at:,} to look at", "wait") if row.to_look_at else Badge("Nothing", "good")


@page(sees=OWNER, changes=OWNER)
def new(visit: Visit) -> HttpResponse:
    made = NetworkConnection.with_token(account=visit.account)
    form = NewForm(visit, visit.request.POST or None, instance=made)
    if form.is_bound and form.is_valid():
        with transaction.atomic():
            row = form.save()
            visit.audit(row, "added", f"{row.name}, {row.network}")
        visit.say(f"{row.name} is connected. The steps below make its postbacks arrive.")
        return visit.redirect("connection", row.pk)
    context = {"title": "Connect a network", "form": form, "known": counted(len(networks.all_networks()), "network")}
    return visit.render("pages/networks/connection_new.html", context)
