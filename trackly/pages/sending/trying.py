"""Owns test messages: sending one from a list, and watching what becomes of it until it is over."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from django.db import transaction
from django.http import HttpResponse

from sendinglists.models import Message, SendingList
from sendinglists.queueing import CannotQueue, Draft, queue
from trackly.pages.sending.endings import endings
from trackly.pages.sending.forms import TestForm, posted, test_form
from trackly.pages.sending.panel import LASTS, named_for
from trackly.pages.telling import story_of_message
from trackly.pages.visits import MEMBER, Visit, page
from trackly.showing import Link
from webhooks.statuses import FINAL, Status

# Where a report is late: its first one comes within seconds.
LATE = timedelta(minutes=1)
# What is wrong with a draft stands under the field it is about.
_FIELDS = {
    "invalid_to": "to",
    "missing_body": "text",
    "body_too_long": "text",
    "invalid_link": "text",
    "no_public_address": "text",
    "missing_offer": "offer",
    "missing_link_placeholder": "offer",
    "unknown_offer": "offer",
}


@page(changes=MEMBER)
def send(visit: Visit, list_id: int) -> HttpResponse:
    row = visit.one(SendingList.objects.select_related("provider_account", "account"), pk=list_id)
    form = test_form(row)(posted(visit.request))
    if form.is_bound and form.is_valid():
        message = _queue(visit, row, form)
        if message is not None:
            return visit.redirect("test_message", message.public_id)
    return visit.render(
        "pages/sending/list_test.html", {"title": f"Test {named_for(visit, row.name)}", **about(row, form)}
    )


def about(row: SendingList, form: TestForm) -> dict[str, Any]:
    """What the form needs of the page it stands on."""
    return {"row": row, "test_form": form, "endings": endings(row.provider_account.provider)}


def _queue(visit: Visit, row: SendingList, form: TestForm) -> Message | None:
    """None where it cannot be queued; the form then says why."""
    offer = form.cleaned_data.get("offer")
    draft = Draft(
        sending_list=row,
        to=form.cleaned_data["to"],
        body=form.cleaned_data["text"],
        offer_id=int(offer) if offer else None,
        is_test=True,
    )
    try:
        with transaction.atomic():
            message, _ = queue(draft, now=visit.now)
            visit.audit(message, "sent a test message", row.name)
    except CannotQueue as error:
        field = _FIELDS.get(error.code)
        said = str(error)
        form.add_error(field if field in form.fields else None, said)
        return None
    return message


@page()
def show(visit: Visit, message: str) -> HttpResponse:
    rows = Message.objects.select_related("account", "provider_account", "sending_list").filter(is_test=True)
    row = visit.one(rows, public_id=message)
    # What else there is of it stands on its own page.
    story = replace(story_of_message(visit, row), tables=())
    is_over = row.status in FINAL
    is_live = not is_over and visit.now - row.created_at < LASTS
    context = {
        "title": f"Test message {row.public_id}",
        "row": row,
        "story": story,
        "whole": visit.url("message", row.public_id),
        "again": visit.request.path if is_live else "",
        "waits": [] if is_over else [_waits_for(row)],
        "late": _late(visit, row) if not is_over and visit.now - row.created_at > LATE else None,
        "announces": story.headline if visit.wants_part and is_over else "",
    }
    template = "pages/_live_story.html" if visit.wants_part else "pages/sending/test_message.html"
    return visit.render(template, context)


def _waits_for(row: Message) -> str:
    """What must happen next."""
    if row.due_at is not None:
        return "Queued: it waits for its turn to be handed to the provider."
    if row.sent_at is None:
        return "Handed to the provider: waiting for its answer."
    if row.status == Status.SENT:
        return "The carrier has it: waiting for the phone to confirm."
    return "The provider took it: waiting for the carrier."


def _late(visit: Visit, row: Message) -> Link:
    url = visit.url("credentials", row.provider_account_id)
    return Link("No final report within a minute. Check my set-up tells whether callbacks reach us.", f"{url}#examine")
