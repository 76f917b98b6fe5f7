"""Owns the postback token of a connection: a new one, for how long the old one stays, and its end."""

from datetime import timedelta

from django import forms
from django.db import transaction
from django.http import HttpResponse

from postbacks.models import NetworkConnection
from trackly.pages.forms import Form
from trackly.pages.visits import OWNER, Visit, act

# Days -> how they are offered.
OVERLAPS = {1: "1 day", 7: "7 days", 30: "30 days"}
# What rotating writes; the rest of the row is others'.
TOKEN = ["postback_token", "postback_token_hash", "previous_token_hash", "previous_token_until"]


class RotateForm(Form):
    days = forms.TypedChoiceField(
        choices=list(OVERLAPS.items()), coerce=int, initial=7, label="The old URL is accepted for",
        help_text="So long the network has to enter the new one.",
    )  # fmt: skip


@act(changes=OWNER)
def rotate(visit: Visit, connection_id: int) -> HttpResponse:
    visit.one(NetworkConnection, pk=connection_id)
    form = RotateForm(visit.request.POST)
    if not form.is_valid():
        visit.warn("Nothing was changed: choose for how long the old URL stays.")
        return visit.redirect("connection_edit", connection_id)
    days = form.cleaned_data["days"]
    with transaction.atomic():
        row = _locked(visit, connection_id)
        row.rotate_token(until=visit.now + timedelta(days=days))
        row.save(update_fields=TOKEN)
        visit.audit(row, "rotated token", f"The old one stays for {OVERLAPS[days]}.")
    visit.say(f"There is a new postback URL: give it to the network. The old one is accepted for {OVERLAPS[days]}.")
    return visit.redirect("connection", row.pk)


@act(changes=OWNER)
def withdraw(visit: Visit, connection_id: int) -> HttpResponse:
    with transaction.atomic():
        row = _locked(visit, connection_id)
        row.previous_token_hash, row.previous_token_until = None, None
        row.save(update_fields=TOKEN[2:])
        visit.audit(row, "withdrew token", "The former one, before its time.")
    # Each process believes what it asked for a few seconds ago.
    visit.say("The old postback URL is withdrawn: within seconds its hits are kept and do not count.")
    return visit.redirect("connection_edit", row.pk)


def _locked(visit: Visit, connection_id: int) -> NetworkConnection:
    # Two people who rotate at once must not each keep the other's new token as the old one.
    return visit.one(NetworkConnection.objects.select_for_update(), pk=connection_id)
