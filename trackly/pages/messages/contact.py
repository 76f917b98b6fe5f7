"""Owns the page of one contact: its story, and what a person decides for the number: opt it out, in again, close it, open it."""

from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone

from sendinglists import subscriptions
from sendinglists.closings import Brands, NoSuchBrand
from sendinglists.models import Contact, SendingList, Subscription, SubscriptionChange, Suppression
from trackly.pages.forms import Form
from trackly.pages.visits import MEMBER, Visit, act, page
from trackly.redaction import mask_phone
from trackly.stories import without_numbers
from trackly.stories.people import contact_story
from trackly.text import clean

_MOST_LISTS = 500
_OUT = Subscription.State.OPTED_OUT
_PERSON = SubscriptionChange.Origin.PERSON


class OptOutForm(Form):
    where = forms.ChoiceField(label="Opt out of")


class OptInForm(Form):
    where = forms.ChoiceField(label="Opt in to")
    consent = forms.CharField(
        label="How consent was given anew",
        max_length=200,
        help_text="Such as: signed up again on the web site, 24 November. It is kept in the audit trail with your name.",
    )


class SuppressForm(Form):
    brand = forms.CharField(
        max_length=100, required=False, help_text="One that a list of yours has. Empty: the whole account."
    )
    cause = forms.CharField(label="Why", max_length=200, help_text="Such as: asked by mail.")


class LiftForm(Form):
    where = forms.ChoiceField(label="Open again for")
    cause = forms.CharField(label="Why", max_length=200)


@page()
def show(visit: Visit, contact_id: int) -> HttpResponse:
    return _page(visit, _contact(visit, contact_id))


@act(changes=MEMBER)
def opt_out(visit: Visit, contact_id: int) -> HttpResponse:
    row = _contact(visit, contact_id)
    form = OptOutForm(visit.request.POST, offers={"where": _to_close(visit, row)})
    if not form.is_valid():
        return _page(visit, row, opt_out_form=form)
    list_id, name = _chosen_list(visit, form.cleaned_data["where"])
    with transaction.atomic():
        at = timezone.now()
        subscriptions.opt_out(visit.account.pk, [row.phone], list_id=list_id, origin=_PERSON, at=at)
        visit.audit(row, "opted out", f"of {name}")
    visit.say(f"Opted out of {name}: nothing is sent to this number from there any more.")
    return visit.redirect("contact", row.pk)


@act(changes=MEMBER)
def opt_in(visit: Visit, contact_id: int) -> HttpResponse:
    row = _contact(visit, contact_id)
    form = OptInForm(visit.request.POST, offers={"where": _to_open(visit, row)})
    if not form.is_valid():
        return _page(visit, row, opt_in_form=form)
    list_id, name = _chosen_list(visit, form.cleaned_data["where"])
    assert list_id is not None
    with transaction.atomic():
        n = subscriptions.opt_in(visit.account.pk, [row.phone], list_id=list_id, origin=_PERSON, at=timezone.now())
        visit.audit(row, "opted in", f"to {name}; consent: {form.cleaned_data['consent']}")
    _tell_opened(visit, row, name, n)
    return visit.redirect("contact", row.pk)


@act(changes=MEMBER)
def suppress(visit: Visit, contact_id: int) -> HttpResponse:
    row = _contact(visit, contact_id)
    form = SuppressForm(visit.request.POST)
    brand = brand_of(visit, form)
    if not form.is_valid():
        return _page(visit, row, suppress_form=form)
    cause = clean(form.cleaned_data["cause"], 200)
    where = f"every list of {brand}" if brand else "the whole account"
    with transaction.atomic():
        subscriptions.suppress(visit.account.pk, [row.phone], brand=brand, cause=cause, at=timezone.now())
        visit.audit(row, "closed", f"for {where}: {cause}")
    visit.say(f"Closed for {where}: nothing is sent to this number.")
    return visit.redirect("contact", row.pk)


@act(changes=MEMBER)
def lift(visit: Visit, contact_id: int) -> HttpResponse:
    row = _contact(visit, contact_id)
    form = LiftForm(visit.request.POST, offers={"where": _to_lift(visit, row)})
    if not form.is_valid():
        return _page(visit, row, lift_form=form)
    held = visit.one(Suppression, pk=int(form.cleaned_data["where"]))
    where, cause = held.brand or "the whole account", clean(form.cleaned_data["cause"], 200)
    with transaction.atomic():
        subscriptions.unsuppress(visit.account.pk, [row.phone], brand=held.brand, cause=cause, at=timezone.now())
        visit.audit(row, "opened", f"for {where}: {cause}")
    visit.say(f"Open again for {where}. Lists it opted out of stay closed to it.")
    return visit.redirect("contact", row.pk)


def brand_of(visit: Visit, form: Form) -> str:
    """The brand of a form as its lists write it; what is wrong with it is said in the form."""
    if not form.is_valid() or not form.cleaned_data["brand"].strip():
        return ""
    try:
        return Brands(visit.account).named(form.cleaned_data["brand"])
    except NoSuchBrand as error:
        form.add_error("brand", error.words)
        return ""


def _contact(visit: Visit, contact_id: int) -> Contact:
    return visit.one(Contact.objects.select_related("account"), pk=contact_id)


def _chosen_list(visit: Visit, where: str) -> tuple[int | None, str]:
    """(id, name) of a list; (None, …) for the whole account."""
    if where == "account":
        return None, "the whole account"
    row = visit.one(SendingList, pk=int(where))
    return row.pk, row.name


def _tell_opened(visit: Visit, row: Contact, name: str, n: int) -> None:
    closed = visit.rows(Suppression).filter(phone=row.phone, is_active=True).order_by("brand")
    still = [item.brand or "the whole account" for item in closed[:5]]
    if still:
        visit.warn(f"Opted in to {name}, but the number is still closed for {', '.join(still)}: lift that as well.")
    elif n:
        visit.say(f"Opted in to {name}: it may be written to again.")
    else:
        visit.say(f"It was opted in to {name} already.")


# --- what may be decided for this number now


def _held(visit: Visit, row: Contact) -> dict[int, str]:
    """List -> state."""
    return dict(Subscription.objects.filter(contact=row).values_list("sending_list_id", "state"))


def _lists(visit: Visit) -> list[tuple[int, str]]:
    lists = visit.rows(SendingList).exclude(status=SendingList.State.DELETED).order_by("name", "id")
    return list(lists.values_list("id", "name")[:_MOST_LISTS])


def _to_close(visit: Visit, row: Contact) -> list[tuple[str, str]]:
    held = _held(visit, row)
    here = [(str(key), name) for key, name in _lists(visit) if held.get(key) != _OUT]
    return [("account", "the whole account"), *here]


def _to_open(visit: Visit, row: Contact) -> list[tuple[str, str]]:
    held = _held(visit, row)
    return [(str(key), name) for key, name in _lists(visit) if held.get(key) == _OUT]


def _to_lift(visit: Visit, row: Contact) -> list[tuple[str, str]]:
    closed = visit.rows(Suppression).filter(phone=row.phone, is_active=True).order_by("brand")
    return [(str(item.pk), item.brand or "the whole account") for item in closed[:_MOST_LISTS]]


def _page(visit: Visit, row: Contact, **bound: Form) -> HttpResponse:
    """With the form that was wrong, as it was typed."""
    context: dict[str, Any] = {
        "title": row.phone if visit.may_change else mask_phone(row.phone),
        "row": row,
        "story": without_numbers(contact_story(row, is_revealed=visit.may_change)),
    }
    if visit.may_change:
        to_open, to_lift = _to_open(visit, row), _to_lift(visit, row)
        context |= {
            "opt_out_form": OptOutForm(offers={"where": _to_close(visit, row)}),
            "opt_in_form": OptInForm(offers={"where": to_open}) if to_open else None,
            "suppress_form": SuppressForm(),
            "lift_form": LiftForm(offers={"where": to_lift}) if to_lift else None,
        } | bound
    return visit.render("pages/messages/contact.html", context)
