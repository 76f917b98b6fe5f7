"""Owns the page of one provider account: how its webhooks stand, what came of it, and the buttons that change nothing it is."""

from datetime import timedelta

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone

from sendinglists import setup
from sendinglists.forms import old_credentials
from sendinglists.models import ProviderAccount, SendingList
from trackly.doctor import accounts, house
from trackly.doctor.findings import Finding, note, worst_first
from trackly.models import AddressPolicy
from trackly.pages.calling_out import Busy, may_call
from trackly.pages.sending.panel import holds_token, named_for, panel, shown_url
from trackly.pages.visits import MEMBER, OWNER, Visit, act, page
from trackly.showing import Phone, Shown
from trackly.stories import Table
from trackly.stories.rows import link, state_of
from webhooks import providers
from webhooks.orders import CannotUse

# Long enough to change the URL at a provider by hand.
OVERLAP = timedelta(hours=24)
MOST_LISTS = 100
_ADDRESSES = {
    AddressPolicy.OFF: "any address",
    AddressPolicy.LOG: "any address; unknown ones are noted",
    AddressPolicy.ENFORCE: "the provider's known addresses alone",
}


def one(visit: Visit, credentials_id: int) -> ProviderAccount:
    return visit.one(ProviderAccount.objects.select_related("account"), pk=credentials_id)


@page()
def show(visit: Visit, credentials_id: int) -> HttpResponse:
    row = one(visit, credentials_id)
    stands = panel(visit, row, visit.request.path)
    if visit.wants_part:
        return visit.render("pages/sending/_webhooks.html", {"panel": stands})
    adapter = providers.get(row.provider)
    return visit.render(
        "pages/sending/credentials.html",
        {
            "title": named_for(visit, row.name),
            "row": row,
            "panel": stands,
            "is_new": "made" in visit.request.GET,
            "adapter": adapter,
            "url": shown_url(visit, row),
            "holds_token": holds_token(row),
            "facts": _facts(row, visit),
            "lists": _lists(row),
            "has_old": bool(old_credentials(row)),
            "may_retry": row.removed_at is not None and row.webhook_state == ProviderAccount.WebhookState.FAILED,
        },
    )


def _facts(row: ProviderAccount, visit: Visit) -> list[tuple[str, Shown]]:
    until = row.previous_token_until
    facts: list[tuple[str, Shown]] = [
        ("Provider", row.get_provider_display()),
        ("Account id there", row.vendor_account),
        ("Credentials last taken by the provider", row.checked_at or "never checked"),
        ("Former callback URL valid until", until if until and until > visit.now else None),
        ("Proof", "demanded" if row.demands_authentication else "not demanded"),
        ("Calls are taken from", _ADDRESSES[AddressPolicy(row.address_policy)]),
        ("Retired", row.removed_at),
    ]
    old = [
        ("Old credentials valid until", entry["until"][:16].replace("T", " ") + " UTC")
        for entry in old_credentials(row)
    ]
    return [(label, value) for label, value in (*facts, *old) if value not in (None, "")]


def _lists(row: ProviderAccount) -> Table:
    rows = row.sendinglist_set.exclude(status=SendingList.State.DELETED).order_by("name", "pk")[:MOST_LISTS]
    return Table(
        title="Its sending lists",
        columns=("List", "Number", "Brand", "State"),
        rows=[(link(item), Phone(item.number), item.brand, state_of(item, "status")) for item in rows],
        empty="None yet: add a number to send from and to take replies at.",
    )


@act(changes=MEMBER)
def configure(visit: Visit, credentials_id: int) -> HttpResponse:
    row = one(visit, credentials_id)
    if row.removed_at is not None:
        visit.warn("These credentials are retired. Add new ones to send with this provider again.")
    elif lacking := setup.missing(row):
        visit.warn(f"Enter the credentials first: {', '.join(lacking)}.")
    else:
        with transaction.atomic():
            setup.want(row, setup.Task.CONFIGURE, timezone.now())
            visit.audit(row, "configured the webhooks of")
    return visit.redirect("credentials", row.pk)


@act(changes=MEMBER)
def check(visit: Visit, credentials_id: int) -> HttpResponse:
    """Outside any transaction: it calls the provider."""
    row = one(visit, credentials_id)
    if row.removed_at is not None:
        visit.warn("These credentials are retired; nothing is sent with them.")
        return visit.redirect("credentials", row.pk)
    try:
        with may_call(visit.account):
            visit.audit(row, "checked the credentials of")
            checked = setup.check_again(row, timezone.now())
    except (CannotUse, Busy) as error:
        visit.warn(str(error))
    else:
        visit.say(checked.said)
        for sentence in checked.warnings:
            visit.warn(sentence)
    return visit.redirect("credentials", row.pk)


@act(changes=MEMBER)
def examine(visit: Visit, credentials_id: int) -> HttpResponse:
    """Asks the provider and our own address; slow, and changes nothing."""
    row = one(visit, credentials_id)
    found = _examined(visit, row)
    template = "_findings" if visit.wants_part else "examined"
    return visit.render(
        f"pages/sending/{template}.html",
        {"title": f"Check of {row.name}", "row": row, "found": found, "at": timezone.now()},
    )


def _examined(visit: Visit, row: ProviderAccount) -> list[Finding]:
    try:
        with may_call(visit.account):
            return worst_first([*accounts.examine(row, visit.now, may_call=True), house.worker(visit.now)])
    except Busy as error:
        return [note("Not looked at", str(error))]


@act(changes=OWNER)
def rotate(visit: Visit, credentials_id: int) -> HttpResponse:
    row = one(visit, credentials_id)
    until = row.previous_token_until
    if row.removed_at is not None:
        visit.warn("These credentials are retired; their URL stays as it is.")
    elif until and until > visit.now:
        ends = timezone.localtime(until)
        visit.warn(
            f"The former URL is still valid, until {ends:%Y-%m-%d %H:%M}, and only one can be: whoever still calls it would be"
            " cut off. Rotate again after that."
        )
    else:
        _rotate(visit, row)
    return visit.redirect("credentials", row.pk)


def _rotate(visit: Visit, row: ProviderAccount) -> None:
    ends = visit.now + OVERLAP
    with transaction.atomic():
        setup.rotate(row, ends, visit.now)
        visit.audit(row, "rotated the token of")
    visit.say(
        f"There is a new callback URL; the old one stays valid until {timezone.localtime(ends):%Y-%m-%d %H:%M}. The provider is"
        " told by itself where that can be; what was registered by hand must be changed by hand until then."
    )
