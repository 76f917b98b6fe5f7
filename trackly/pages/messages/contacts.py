"""Owns the list of contacts: the numbers an account knows, on which lists they are, and where they are closed."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpResponse

from sendinglists.models import Contact, Subscription, Suppression
from trackly.pages.listing import Column, Listing, list_page
from trackly.pages.messages.fields import ChosenField, Filter, PhoneField
from trackly.pages.visits import Visit, page
from trackly.showing import Badge, Phone, Shown, counted

# So many lists of a contact are named in its line.
_MOST_NAMED = 3
_OUT = Subscription.State.OPTED_OUT


class ContactFilter(Filter):
    phone = PhoneField()
    state = ChosenField("State", [("out", "Opted out or closed anywhere"), ("closed", "Closed for a brand or wholly")])


def _narrow(rows: QuerySet[Any], chosen: Mapping[str, Any], visit: Visit) -> QuerySet[Any]:
    if "state" not in chosen:
        return rows
    closed = visit.rows(Suppression).filter(phone=OuterRef("phone"), is_active=True)
    met = Q(Exists(closed))
    if chosen["state"] == "out":
        met |= Q(Exists(Subscription.objects.filter(contact=OuterRef("pk"), state=_OUT)))
    return rows.filter(met)


def _state(row: Any) -> Shown:
    if row.closed:
        everywhere = any(not item.brand for item in row.closed)
        return Badge("Closed" if everywhere else f"Closed for {row.closed[0].brand}", "bad")
    out = sum(item.state == _OUT for item in row.held)
    if out:
        return Badge("Opted out" if out == len(row.held) else f"Opted out of {out} of {len(row.held)}", "bad")
    return Badge("Subscribed", "good") if row.held else Badge("On no list", "plain")


def _lists(row: Any) -> str:
    names = [f"{item.sending_list.name}{' (opted out)' if item.state == _OUT else ''}" for item in row.held]
    more = len(names) - _MOST_NAMED
    return ", ".join(names[:_MOST_NAMED]) + (f" and {counted(more, 'more', 'more')}" if more > 0 else "")


LISTING = Listing(
    noun="contact",
    nouns="contacts",
    columns=(
        Column(title="Phone", show=lambda row: Phone(row.phone)),
        Column(title="State", show=_state),
        Column(title="Lists", show=_lists, is_minor=True),
        Column(title="Known since", show=lambda row: row.created_at),
    ),
    empty="No contact yet. A number becomes one when it is written to, writes to you, or is imported.",
    form=ContactFilter,
    lookups={"phone": "phone"},
    selective=frozenset({"phone"}),
    narrow=_narrow,
)


@page()
def index(visit: Visit) -> HttpResponse:
    form = ContactFilter(visit)
    form.is_valid()
    phone = form.cleaned_data.get("phone", "")
    context = {"phone": phone, "closed": _closed(visit, phone) if phone else []}
    return list_page(
        visit,
        LISTING,
        visit.rows(Contact),
        form=form,
        leads=lambda row: visit.url("contact", row.pk),
        complete=lambda rows: _complete(visit, rows),
        template="pages/messages/contacts.html",
        context=context,
    )


def _closed(visit: Visit, phone: str) -> list[Suppression]:
    """Where a number is closed that no contact has: by staff, or before numbers became contacts when they were closed."""
    if visit.rows(Contact).filter(phone=phone).exists():
        return []
    return list(visit.rows(Suppression).filter(phone=phone, is_active=True).order_by("brand")[:50])


def _complete(visit: Visit, rows: list[Any]) -> None:
    """The subscriptions and suppressions of all contacts of a sheet."""
    held: dict[int, list[Subscription]] = defaultdict(list)
    closed: dict[str, list[Suppression]] = defaultdict(list)
    on_lists = Subscription.objects.filter(contact__in=[row.pk for row in rows]).select_related("sending_list")
    for item in on_lists.order_by("id"):
        held[item.contact_id].append(item)
    phones = [row.phone for row in rows]
    for one in visit.rows(Suppression).filter(phone__in=phones, is_active=True).order_by("brand"):
        closed[one.phone].append(one)
    for row in rows:
        row.held, row.closed = held[row.pk], closed[row.phone]
