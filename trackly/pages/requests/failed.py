"""Owns the list of failed webhooks: what was refused, failed, or waits for another try."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.http import HttpResponse

from trackly.pages.listing import Column, Listing, Order, list_page
from trackly.pages.messages.fields import ChosenField, Filter, MomentField, TextField, within
from trackly.pages.requests.troubles import cause_label, parties, worst
from trackly.pages.visits import Visit, page
from trackly.stories.requests import standing_of
from webhooks.inbound.models import FAILED, Cause, InboundRequest, Source, State, time_of

# What names an id is followed to so many requests, the newest.
FOLLOWED = 500
# By receive time, as the table's indexes have it; a uid carries that time.
BY_TIME = Order(
    fields=("received_at", "uid"),
    place=lambda row: row.uid.int,
    values=lambda place: (time_of(UUID(int=place)), UUID(int=place)),
)
_STATES = [
    ("refused", "Refused"),
    ("waiting", "Waits for another try"),
    ("failed", "Failed"),
    ("done", "Read, and not or not wholly counted"),
]
_MOST_CHARACTERS = 160


class RequestFilter(Filter):
    party = ChosenField("From whom")
    source = ChosenField("Kind", [(Source.WEBHOOK.value, "SMS provider"), (Source.POSTBACK.value, "Network")])
    cause = ChosenField("Cause", Cause.choices[1:])
    state = ChosenField("State", _STATES)
    q = TextField("Names the id or phone")
    since = MomentField("From")
    until = MomentField("Until")
    hidden = ("q",)

    def __init__(self, visit: Visit, senders: list[tuple[str, int, str, str]]) -> None:
        super().__init__(visit, party=[(f"{source}-{key}", name) for source, key, _, name in senders])

    def clean(self) -> dict[str, Any]:
        """Other pages name a sender by its kind and id."""
        chosen = super().clean() or self.cleaned_data
        key = str(self.data.get("party_id", ""))
        if key.isdecimal() and chosen.get("source") and not chosen.get("party"):
            chosen["party"] = f"{chosen['source']}-{key}"
        return chosen


def _narrow(rows: QuerySet[Any], chosen: Mapping[str, Any], visit: Visit) -> QuerySet[Any]:
    if "party" in chosen:
        source, _, key = chosen["party"].partition("-")
        rows = rows.filter(source=source, party_id=int(key[:18]))
    if "q" in chosen:
        rows = rows.filter(_naming(visit, chosen["q"]))
    return within(rows, chosen, "received_at")


def _naming(visit: Visit, term: str) -> Q:
    """The account's requests in which this id or phone was found."""
    # In an order that no index has: else the planner goes back in time and looks whether each one has it.
    named = visit.rows(InboundRequest).filter(ids__contains=[term]).order_by((F("received_at") + timedelta(0)).desc())
    keys = list(named.values_list("uid", "received_at")[:FOLLOWED])
    # All of the primary key, so that each is looked for in its own partition.
    return Q(uid__in=[uid for uid, _ in keys], received_at__in=[at for _, at in keys], source__in=Source.values)


def why(row: InboundRequest) -> str:
    """The cause in words: the error's last line, what came of it, or why it was refused."""
    error = row.error_line if row.state in (State.WAITING, State.FAILED) else ""
    said = error or row.outcome or cause_label(row.refusal)
    return said if len(said) <= _MOST_CHARACTERS else f"{said[:_MOST_CHARACTERS]}…"


LISTING = Listing(
    noun="webhook",
    nouns="failed webhooks",
    columns=(
        Column(title="Received", show=lambda row: row.received_at),
        Column(title="From", show=lambda row: row.sender),
        Column(title="State", show=standing_of),
        Column(title="Cause", show=why),
        Column(title="We answered", show=lambda row: row.answer_status, is_number=True, is_minor=True),
        Column(title="Tries", show=lambda row: row.attempts, is_number=True, is_minor=True),
        Column(title="Next try", show=lambda row: row.due_at if row.state == State.WAITING else None, is_minor=True),
    ),
    empty="Nothing failed: every webhook that reached this account was read and counted. What is refused or fails appears here.",
    form=RequestFilter,
    lookups={"source": "source", "cause": "refusal", "state": "state"},
    indexed=frozenset({"since", "until"}),
    selective=frozenset({"q"}),
    narrow=_narrow,
    order=BY_TIME,
    is_live=True,
)  # fmt: skip


def failed_rows(visit: Visit) -> QuerySet[InboundRequest]:
    """The account's log of failures. What names no account is nobody's, and in no account's log."""
    return (
        visit.rows(InboundRequest).filter(FAILED).defer("headers", "body", "sealed", "ids", "answer", "query", "path")
    )


@page()
def index(visit: Visit) -> HttpResponse:
    senders = parties(visit)
    form = RequestFilter(visit, senders)
    names = {(source, key): name for source, key, _, name in senders}

    def complete(rows: list[Any]) -> None:
        for row in rows:
            row.sender = names.get((row.source, row.party_id), "") or f"{row.slug}, no sender of yours"

    rows = failed_rows(visit)
    form.is_valid()
    if form.cleaned_data.get("q"):
        # Who follows an id wants to see what became of all that names it.
        rows = visit.rows(InboundRequest).defer("headers", "body", "sealed", "ids", "answer", "query", "path")
    context = {"title": "Failed webhooks"}
    if not visit.wants_part:
        context |= {"trouble": worst(visit, senders), "asked": visit.request.GET.urlencode()}  # type: ignore[dict-item]
    return list_page(
        visit,
        LISTING,
        rows,
        form=form,
        leads=lambda row: visit.url("request", row.uid),
        complete=complete,
        template="pages/requests/requests.html",
        context=context,
    )
