"""Owns the list of messages."""

from collections.abc import Mapping
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpResponse

from sendinglists.models import Message
from trackly.pages.listing import Column, Listing, list_page
from trackly.pages.messages.fields import ChosenField, ListFilter, MomentField, PhoneField, TextField, within
from trackly.pages.visits import Visit, page
from trackly.showing import Phone, Shown
from trackly.stories.rows import state_of
from webhooks.statuses import FINAL, Status

_FAILED = FINAL - {Status.DELIVERED, Status.READ}
# What several statuses have in common, by the word in the address.
_GROUPS: dict[str, tuple[str, Q]] = {
    "due": ("Waiting to be sent", Q(due_at__isnull=False)),
    "open": ("No final status", ~Q(status__in=sorted(FINAL))),
    "lost": ("Failed in any way", Q(status__in=sorted(_FAILED))),
}


class MessageFilter(ListFilter):
    message = TextField("Message id")
    phone = PhoneField(label="To")
    status = ChosenField("Status", [*((word, label) for word, (label, _) in _GROUPS.items()), *Status.choices])
    list = ChosenField("List")
    campaign = TextField("Campaign", max_length=100)
    since = MomentField("From")
    until = MomentField("Until")
    tests = ChosenField("Tests", [("with", "With tests"), ("only", "Only tests")], anything="Without tests")


def _narrow(rows: QuerySet[Any], chosen: Mapping[str, Any], visit: Visit) -> QuerySet[Any]:
    if "status" in chosen:
        word = chosen["status"]
        rows = rows.filter(_GROUPS[word][1] if word in _GROUPS else Q(status=word))
    if "message" in chosen:
        rows = rows.filter(named(chosen["message"]))
    # Looked for by its own id, a test is found as any other.
    elif chosen.get("tests") != "with":
        rows = rows.filter(is_test=chosen.get("tests") == "only")
    return within(rows, chosen, "created_at")


def named(text: str) -> Q:
    """By our id of a message, the provider's, or the customer's own."""
    return Q(public_id=text) | Q(provider_message_id=text) | Q(external_id=text)


def why(row: Message) -> Shown:
    """The reason why it failed, else the provider's own word."""
    return row.get_reason_display() or row.error_text[:80] or row.status_detail


LISTING = Listing(
    noun="message",
    nouns="messages",
    columns=(
        Column(title="To", show=lambda row: Phone(row.to)),
        Column(title="Status", show=lambda row: state_of(row, "status")),
        Column(title="Reason or provider's word", show=why),
        Column(title="List", show=lambda row: row.sending_list and row.sending_list.name, is_minor=True),
        Column(title="Campaign", show=lambda row: row.campaign, is_minor=True),
        Column(title="Created", show=lambda row: row.created_at),
        Column(title="Sent", show=lambda row: row.sent_at, is_minor=True),
    ),
    empty="No message yet. Send a test message from the page of a sending list, or send by the API.",
    form=MessageFilter,
    lookups={"phone": "to", "list": "sending_list", "campaign": "campaign"},
    selective=frozenset({"phone", "message"}),
    narrow=_narrow,
    is_live=True,
)


@page()
def index(visit: Visit) -> HttpResponse:
    """An id leads straight to its message."""
    form = MessageFilter(visit)
    form.is_valid()
    text = form.cleaned_data.get("message")
    found = visit.rows(Message).filter(named(text)).first() if text else None
    if found is not None and not visit.wants_part:
        return visit.redirect("message", found.public_id)
    rows = visit.rows(Message).select_related("sending_list").defer("body")
    return list_page(visit, LISTING, rows, form=form, leads=lambda row: visit.url("message", row.public_id))
