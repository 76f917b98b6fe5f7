"""Owns what an owner changes about credentials: adding them, entering others, what is demanded of callers, retiring."""

from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone

from sendinglists import setup
from sendinglists.callbacks import is_switched_on
from sendinglists.forms import UNCHECKED, CredentialsForm, old_credentials
from sendinglists.models import ProviderAccount
from trackly.pages.sending.credentials import OVERLAP, one
from trackly.pages.sending.forms import ProofForm, RetireForm, credentials_form, posted
from trackly.pages.visits import OWNER, Visit, act, page
from trackly.stories.rows import state_of
from webhooks import providers
from webhooks.orders import Checked
from webhooks.providers.base import Provider

# What entering credentials writes; the rest of the row is others', who may be at it meanwhile.
ENTERED = ("name", "credentials", "vendor_account", "numbers", "checked_at", "check_cause")


@page()
def choose(visit: Visit) -> HttpResponse:
    """The first step to a list: credentials that are there, or a provider."""
    held = visit.rows(ProviderAccount).filter(removed_at=None).defer("credentials", "callback_token", "configured_url")
    return visit.render(
        "pages/sending/list_new.html",
        {
            "title": "New sending list",
            "held": [(row, state_of(row, "webhook_state")) for row in held.order_by("name", "pk")[:100]],
            "offered": [(adapter, _needs(adapter)) for adapter in _offered().values()],
        },
    )


def _offered() -> dict[str, Provider]:
    return {slug: adapter for slug, adapter in providers.all_providers().items() if is_switched_on(slug)}


def _needs(adapter: Provider) -> str:
    """What must be at hand, in a sentence."""
    labels = [item.label for item in adapter.config if item.required]
    if not labels:
        return "Lives on this machine: it sends to nobody, and reports like a real one. Nothing has to be at hand."
    return f"Have at hand: {', '.join(labels)}."


@page(sees=OWNER, changes=OWNER)
def new(visit: Visit) -> HttpResponse:
    slug = visit.request.GET.get("provider", "")
    adapter = _offered().get(slug)
    if adapter is None:
        return visit.redirect("list_new")
    row = ProviderAccount(account=visit.account, provider=slug, name=adapter.name)
    form = credentials_form(row)(posted(visit.request), instance=row)
    if form.is_bound and form.is_valid():
        _keep(visit, form, "added")
        return visit.redirect("credentials_numbers", form.instance.pk)
    return visit.render("pages/sending/credentials_new.html", _page(form, adapter, f"Credentials at {adapter.name}"))


@page(sees=OWNER, changes=OWNER)
def change(visit: Visit, credentials_id: int) -> HttpResponse:
    row = one(visit, credentials_id)
    if row.removed_at is not None:
        visit.warn("These credentials are retired; they cannot be changed.")
        return visit.redirect("credentials", row.pk)
    initial = {"keep_old_until": timezone.localtime(visit.now + OVERLAP)}
    form = credentials_form(row)(posted(visit.request), instance=row, initial=initial)
    if form.is_bound and form.is_valid():
        _keep(visit, form, "changed")
        return visit.redirect("credentials", row.pk)
    page = _page(form, providers.get(row.provider), f"Change {row.name}")
    return visit.render("pages/sending/credentials_change.html", page | {"row": row})


def _page(form: CredentialsForm, adapter: Provider | None, title: str) -> dict[str, Any]:
    """The field that keeps them unchecked is offered only where the provider could not be asked."""
    fields = [field for field in form.visible_fields() if field.name != UNCHECKED or form.offers_unchecked]
    return {"title": title, "form": form, "fields": fields, "adapter": adapter}


def _keep(visit: Visit, form: CredentialsForm, verb: str) -> None:
    """The provider was asked while the form was read, before this transaction."""
    is_new = form.instance.pk is None
    with transaction.atomic():
        row = form.save(commit=False)
        row.save(update_fields=None if is_new else ENTERED)
        is_unset = row.webhook_state == ProviderAccount.WebhookState.UNSET
        if (form.has_new_settings or is_unset) and setup.is_set_up(row):
            setup.want(row, setup.Task.CONFIGURE, timezone.now())
        visit.audit(row, verb, row.get_provider_display())
    if form.checked is not None:
        _tell(visit, form.checked)
    elif form.has_new_settings:
        visit.warn("Kept without being tried: the provider could not be asked. Press 'Check credentials' later.")
    else:
        visit.say("Saved.")


def _tell(visit: Visit, checked: Checked) -> None:
    visit.say(checked.said)
    for sentence in checked.warnings:
        visit.warn(sentence)


@act(changes=OWNER)
def withdraw(visit: Visit, credentials_id: int) -> HttpResponse:
    row = one(visit, credentials_id)
    with transaction.atomic():
        held = ProviderAccount.objects.select_for_update(no_key=True).get(pk=row.pk)
        had_old = bool(old_credentials(held))
        held.credentials = held.credentials[:1]
        held.save(update_fields=["credentials"])
        visit.audit(row, "withdrew the old credentials of")
    visit.say("The old credentials are not believed any more." if had_old else "There were no old credentials.")
    return visit.redirect("credentials", row.pk)


@page(sees=OWNER, changes=OWNER)
def proof(visit: Visit, credentials_id: int) -> HttpResponse:
    row = one(visit, credentials_id)
    stands = {"demands": "on" if row.demands_authentication else "off", "addresses": row.address_policy}
    form = ProofForm(posted(visit.request), initial=stands)
    if form.is_bound and form.is_valid():
        row.demands_authentication = form.cleaned_data["demands"] == "on"
        row.address_policy = form.cleaned_data["addresses"]
        with transaction.atomic():
            row.save(update_fields=["demands_authentication", "address_policy"])
            demand = "demanded" if row.demands_authentication else "waived"
            visit.audit(
                row, "changed what is believed of", f"proof {demand}, addresses: {row.get_address_policy_display()}"
            )
        visit.say("Saved. It counts for the next call.")
        return visit.redirect("credentials", row.pk)
    title = f"What is believed of {row.name}"
    return visit.render("pages/sending/credentials_proof.html", {"title": title, "row": row, "form": form})


@page(sees=OWNER, changes=OWNER)
def retire(visit: Visit, credentials_id: int) -> HttpResponse:
    row = one(visit, credentials_id)
    form = RetireForm(posted(visit.request))
    if form.is_bound and form.is_valid():
        with transaction.atomic():
            setup.remove(row, timezone.now())
            visit.audit(row, "retired")
        visit.say("Retired: its lists are closed, and the provider is told to forget us.")
        return visit.redirect("credentials", row.pk)
    title = f"Retire {row.name}"
    return visit.render("pages/sending/credentials_retire.html", {"title": title, "row": row, "form": form})
