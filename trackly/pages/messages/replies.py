"""Owns the list of replies: what people wrote back, and what that did."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse

from sendinglists.models import Contact
from trackly.pages.listing import Column, Listing, list_page
from trackly.pages.messages.fields import ChosenField, ListFilter, MomentField, PhoneField, within
from trackly.pages.telling import of_person
from trackly.pages.visits import Visit, page
from trackly.showing import Badge, Phone, Shown, tone_of
from webhooks.inbound.models import Reply
from webhooks.statuses import Decision

_DID = {
    Decision.OPT_OUT: "Opted out",
    Decision.OPT_IN: "Opted in",
    Decision.HELP: "Asked for help",
    Decision.NONE: "Nothing",
}
_MOST_CHARACTERS = 300


class ReplyFilter(ListFilter):
    phone = PhoneField(label="From")
    decision = ChosenField("What it did", [(word.value, said) for word, said in _DID.items()])
    list = ChosenField("List")
    since = MomentField("Since")
    until = MomentField("Until")


def _narrow(rows: QuerySet[Any], chosen: Mapping[str, Any], visit: Visit) -> QuerySet[Any]:
    return within(rows, chosen, "received_at")


def _text(row: Reply) -> str:
    return row.text if len(row.text) <= _MOST_CHARACTERS else f"{row.text[:_MOST_CHARACTERS]}…"


def _did(row: Reply) -> Shown:
    said = _DID[Decision(row.decision)]
    return said if row.decision == Decision.NONE else Badge(said, tone_of(row.decision))


LISTING = Listing(
    noun="reply",
    nouns="replies",
    columns=(
        Column(title="Received", show=lambda row: row.received_at),
        Column(title="From", show=lambda row: Phone(row.sender)),
        Column(title="Text", show=_text),
        Column(title="What it did", show=_did),
        Column(title="List", show=lambda row: row.sending_list and row.sending_list.name, is_minor=True),
    ),
    empty="Nobody has replied yet. Replies come by themselves once the inbound webhook of a list is set up.",
    form=ReplyFilter,
    lookups={"phone": "sender", "decision": "decision", "list": "sending_list"},
    selective=frozenset({"phone"}),
    narrow=_narrow,
    is_live=True,
)


@page()
def index(visit: Visit) -> HttpResponse:
    """A reply leads to everything about the number that wrote it."""
    contacts: dict[str, int] = {}

    def complete(rows: list[Any]) -> None:
        for row in rows:
            row.text = of_person(visit, row.text, [row.sender, row.recipient])
        known = visit.rows(Contact).filter(phone__in={row.sender for row in rows})
        contacts.update(known.values_list("phone", "pk"))

    def lead(row: Reply) -> str:
        return visit.url("contact", contacts[row.sender]) if row.sender in contacts else ""

    rows = visit.rows(Reply).select_related("sending_list")
    return list_page(visit, LISTING, rows, form=ReplyFilter(visit), leads=lead, complete=complete)
