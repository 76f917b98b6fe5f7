"""Owns the list of delivery events: what providers said, in the order it reached us."""

from collections.abc import Mapping
from typing import Any

from django.db.models import QuerySet
from django.http import HttpResponse

from trackly.pages.listing import Column, Listing, list_page
from trackly.pages.messages.fields import ChosenField, ListFilter, MomentField, within
from trackly.pages.visits import Visit, page
from trackly.showing import Phone
from trackly.stories.rows import state_of
from webhooks.inbound.models import DeliveryEvent
from webhooks.statuses import Reason, Status


class EventFilter(ListFilter):
    status = ChosenField("Status", Status.choices)
    reason = ChosenField("Reason", Reason.choices)
    list = ChosenField("List")
    since = MomentField("From")
    until = MomentField("Until")


def _narrow(rows: QuerySet[Any], chosen: Mapping[str, Any], visit: Visit) -> QuerySet[Any]:
    return within(rows, chosen, "received_at")


def _word(row: DeliveryEvent) -> str:
    return f"{row.vendor_status} {row.vendor_code}".strip()


LISTING = Listing(
    noun="event",
    nouns="delivery events",
    columns=(
        Column(title="Received", show=lambda row: row.received_at),
        Column(title="To", show=lambda row: Phone(row.message.to)),
        Column(title="Status", show=lambda row: state_of(row, "status")),
        Column(title="Reason", show=lambda row: row.get_reason_display() or row.error_text[:80]),
        Column(title="Provider's word", show=_word, is_minor=True),
        Column(title="Came as", show=lambda row: row.get_origin_display(), is_minor=True),
        Column(title="List", show=lambda row: row.message.sending_list and row.message.sending_list.name, is_minor=True),
    ),
    empty="No provider has reported anything yet. Events come by themselves once a message is sent and the webhooks are set up.",
    form=EventFilter,
    lookups={"status": "status", "reason": "reason", "list": "message__sending_list"},
    narrow=_narrow,
    is_live=True,
)  # fmt: skip


@page()
def index(visit: Visit) -> HttpResponse:
    rows = visit.rows(DeliveryEvent).select_related("message__sending_list").defer("message__body")
    lead = lambda row: visit.url("message", row.message.public_id)  # noqa: E731
    return list_page(visit, LISTING, rows, form=EventFilter(visit), leads=lead)
