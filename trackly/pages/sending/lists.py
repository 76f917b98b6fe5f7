"""Owns the page of all sending lists, and of the credentials they send with."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django import forms
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery
from django.http import HttpResponse

from sendinglists.models import ProviderAccount, SendingList
from trackly.pages.forms import Form
from trackly.pages.listing import Column, Listing, list_page
from trackly.pages.sending.figures import Sent, sent_lately
from trackly.pages.telling import of_set_up
from trackly.pages.visits import Visit, page
from trackly.showing import Phone, Shown
from trackly.stories.rows import state_of
from webhooks.inbound.models import RequestTotal, Source

MOST = 200
# Ciphertext that no list shows; opening it would cost, and fail where a key is lost.
_SECRET = ("credentials", "callback_token", "configured_url")
_SECRET_OF_PARTY = tuple(f"provider_account__{name}" for name in _SECRET)


class ListsForm(Form):
    state = forms.ChoiceField(
        required=False,
        choices=[("", "All but deleted"), *SendingList.State.choices, ("all", "All, deleted ones too")],
    )
    number = forms.CharField(required=False, max_length=40)


@page()
def index(visit: Visit) -> HttpResponse:
    rows = visit.rows(SendingList).select_related("provider_account").defer(*_SECRET_OF_PARTY)
    with_retired = "retired" in visit.request.GET
    parties = _parties(visit, with_retired=with_retired)
    known = _Known(visit)
    form = ListsForm(visit.request.GET)
    if not visit.may_change:
        # Whoever may ask for the digits of a masked number learns them by asking often.
        del form.fields["number"]
    return list_page(
        visit,
        _listing(known),
        rows,
        form=form,
        leads=lambda row: visit.url("list", row.pk),
        template="pages/sending/lists.html",
        context={
            "title": "Sending lists",
            "parties": parties,
            "with_retired": with_retired,
            "has_lists": visit.rows(SendingList).exists(),
        },
        complete=known.read,
    )


class _Known:
    """What the rows of a sheet show besides their own columns; read at once for all of them."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._sent: dict[int, Sent] = {}
        self._calls: dict[int, datetime] = {}

    def read(self, rows: list[SendingList]) -> None:
        self._sent = sent_lately(self._visit.account.pk, [row.pk for row in rows], self._visit.now)
        self._calls = last_calls({row.provider_account_id for row in rows})

    def sent(self, row: SendingList) -> int:
        return self._sent.get(row.pk, Sent()).sent

    def delivered(self, row: SendingList) -> int:
        return self._sent.get(row.pk, Sent()).delivered

    def last_call(self, row: SendingList) -> Shown:
        return self._calls.get(row.provider_account_id) or "never"


def _listing(known: _Known) -> Listing:
    return Listing(
        noun="sending list",
        nouns="sending lists",
        form=ListsForm,
        narrow=_narrow,
        is_big=False,
        empty="No list yet. A sending list is one number of yours at a provider, from which messages are sent and to which people"
        " reply.",
        columns=(
            Column(title="List", show=lambda row: row.name),
            Column(title="Number", show=lambda row: Phone(row.number)),
            Column(title="Brand", show=lambda row: row.brand, is_minor=True),
            Column(title="Provider", show=lambda row: row.provider_account.get_provider_display(), is_minor=True),
            Column(title="State", show=lambda row: state_of(row, "status")),
            Column(title="Webhooks", show=lambda row: state_of(row.provider_account, "webhook_state")),
            Column(title="Sent in 24 h", show=known.sent, is_number=True),
            Column(title="Delivered", show=known.delivered, is_number=True),
            Column(title="Last callback", show=known.last_call, is_minor=True),
        ),
    )


def _narrow(rows: QuerySet[Any], chosen: Mapping[str, Any], visit: Visit) -> QuerySet[Any]:
    state = chosen.get("state", "")
    if not state:
        rows = rows.exclude(status=SendingList.State.DELETED)
    elif state != "all":
        rows = rows.filter(status=state)
    digits = "".join(letter for letter in chosen.get("number", "") if letter.isdigit())
    return rows.filter(number__contains=digits) if digits else rows


def _parties(visit: Visit, *, with_retired: bool) -> list[dict[str, Any]]:
    """The account's credentials, each with how it stands."""
    rows = visit.rows(ProviderAccount).defer(*_SECRET)
    if not with_retired:
        rows = rows.filter(removed_at=None)
    is_there = ~Q(sendinglist__status=SendingList.State.DELETED)
    found = list(rows.annotate(n_lists=Count("sendinglist", filter=is_there)).order_by("name", "pk")[:MOST])
    calls = last_calls({row.pk for row in found})
    return [
        {
            "row": row,
            "state": state_of(row, "webhook_state"),
            "last_call": calls.get(row.pk) or "never",
            "cause": of_set_up(visit, row.check_cause or row.webhook_state_cause),
        }
        for row in found
    ]


def last_calls(ids: set[int]) -> dict[int, datetime]:
    """When each of these provider accounts called last; one that never did is missing."""
    totals = RequestTotal.objects.filter(source=Source.WEBHOOK, slug=OuterRef("provider"), party_id=OuterRef("pk"))
    newest = totals.order_by("-hour", "-last_at").values("last_at")[:1]
    rows = ProviderAccount.objects.filter(pk__in=ids).values_list("pk", Subquery(newest))
    return {pk: at for pk, at in rows if at is not None}
