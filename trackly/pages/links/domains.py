"""Owns the pages of brand domains, hosts of the account's own for its short links; and of the fall-back of links that ended."""

from typing import Any
from urllib.parse import urlsplit

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpResponse

from sendinglists import brand_hosts, domains
from sendinglists.models import LinkDomain, SendingList
from trackly.models import Account
from trackly.pages.calling_out import Busy, may_call
from trackly.pages.forms import Form, ModelForm, typed
from trackly.pages.listing import Column, Listing, list_page
from trackly.pages.visits import OWNER, Visit, act, page
from trackly.showing import Badge, Shown

ALL = "All brands without a domain of their own"
EMPTY = "No domain yet. Short links stand under the address of this service. A domain of your brand makes people trust them more."
_TAKEN = (
    "This host is in use here already, or was until lately: whoever adds a host first holds it, and for 30 days after it was"
    " removed. If it is yours and you did not add it, ask support."
)


class DomainForm(Form):
    host = forms.CharField(
        max_length=253, label="Host name", help_text="Such as go.example.com. A short one leaves more room in the message.",
        widget=forms.TextInput(attrs={"inputmode": "url", "spellcheck": "false", "autocapitalize": "none"}),
    )  # fmt: skip
    brand = forms.ChoiceField(required=False, label="Brand", help_text="Messages of its lists then name this host.")

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        lists = visit.rows(SendingList).exclude(status=SendingList.State.DELETED).exclude(brand="")
        brands = lists.order_by("brand").values_list("brand", flat=True).distinct()[:200]
        free = domains.brands_without_host(visit.account.pk, brands)
        super().__init__(typed(visit), offers={"brand": [(brand, brand or ALL) for brand in free]})

    def clean_host(self) -> str:
        host = domains.read_host(self.cleaned_data["host"])
        if domains.is_held(host, self._visit.account.pk, self._visit.now):
            raise ValidationError(_TAKEN)
        return host

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        # An empty value is not compared with the choices by Django.
        if not given.get("brand") and "" not in dict(self.fields["brand"].choices):  # type: ignore[attr-defined]
            self.add_error("brand", "All brands have a domain already. Choose a brand, or remove that domain first.")
        return given


class FallbackForm(ModelForm):
    class Meta:
        model = Account
        fields = ("fallback_url",)
        labels = {"fallback_url": "Fall-back address"}
        help_texts = {"fallback_url": "Where links that ended lead. Empty: to a page that says so."}

    def clean_fallback_url(self) -> str:
        url = str(self.cleaned_data["fallback_url"])
        bases = domains.known_base_urls(self.instance.pk)
        if url.startswith(tuple(f"{base}/c/" for base in bases)):
            raise ValidationError("This is a short link itself: people would be led in a circle. Write where it leads.")
        return url


_LISTING = Listing(
    noun="domain", nouns="domains", empty=EMPTY, is_big=False,
    columns=(
        Column(title="Host", show=lambda row: row.host),
        Column(title="Brand", show=lambda row: row.brand or ALL),
        Column(title="State", show=lambda row: state(row)),
        Column(title="Last seen", show=lambda row: row.checked_at, is_minor=True),
    ),
)  # fmt: skip


@page()
def listed(visit: Visit) -> HttpResponse:
    return list_page(
        visit, _LISTING, _rows(visit), leads=lambda row: visit.url("domain", row.pk),
        template="pages/links/domains.html",
        context={"leads": visit.account.fallback_url, "ours": settings.PUBLIC_BASE_URL, "title": "Brand domains"},
    )  # fmt: skip


def _rows(visit: Visit) -> QuerySet[LinkDomain]:
    return visit.rows(LinkDomain).filter(removed_at=None)


@page(sees=OWNER, changes=OWNER)
def new(visit: Visit) -> HttpResponse:
    form = DomainForm(visit)
    if visit.request.method == "POST" and form.is_valid() and (row := _added(visit, form)):
        visit.say("The domain was added. Two things make it work: its DNS record, and the proxy.")
        return visit.redirect("domain", row.pk)
    return visit.render(
        "pages/links/domain_form.html", {"title": "Add a domain", "form": form, "ours": settings.PUBLIC_BASE_URL}
    )


def _added(visit: Visit, form: DomainForm) -> LinkDomain | None:
    """None when another one took the host in this very moment; the form says so."""
    given = form.cleaned_data
    try:
        with transaction.atomic():
            row = domains.add(visit.account, given["host"], given["brand"], visit.now)
            visit.audit(row, "added", row.host)
    except IntegrityError:
        form.add_error("host", _TAKEN)
        return None
    _forget()
    return row


@page()
def show(visit: Visit, domain_id: int) -> HttpResponse:
    row = visit.one(_rows(visit), pk=domain_id)
    ours = urlsplit(settings.PUBLIC_BASE_URL).hostname or ""
    return visit.render("pages/links/domain.html", {
        "title": row.host, "domain": row, "state": state(row), "brand": row.brand or ALL, "ours": ours,
        "record": f"{row.host}. CNAME {ours}." if ours else "", "server": _server_block(row.host),
        "address": domains.address_of(row.host),
    })  # fmt: skip


@act(changes=OWNER)
def check_now(visit: Visit, domain_id: int) -> HttpResponse:
    row = visit.one(_rows(visit), pk=domain_id)
    if not settings.PUBLIC_BASE_URL:
        visit.warn("This service does not know its own address yet: whoever runs it sets PUBLIC_BASE_URL.")
    else:
        try:
            with may_call(visit.account):
                _check(visit, row)
        except Busy as error:
            visit.warn(str(error))
    return visit.redirect("domain", row.pk)


def _check(visit: Visit, row: LinkDomain) -> None:
    if domains.check(row, visit.now):
        visit.say(f"{row.host} reaches this service. New texts name it from now on.")
    else:
        visit.warn(f"{row.host} does not reach this service. {row.check_cause}")
    visit.audit(row, "checked", row.check_cause[:200])


@act(changes=OWNER)
def remove(visit: Visit, domain_id: int) -> HttpResponse:
    row = visit.one(_rows(visit), pk=domain_id)
    with transaction.atomic():
        visit.audit(row, "removed", row.host)
        row.removed_at = visit.now
        row.save(update_fields=["removed_at"])
    _forget()
    visit.say(
        f"{row.host} was removed. Links already sent under it do not work any more. If its DNS record still leads here, remove"
        " that now: after 30 days another account may add the host."
    )
    return visit.redirect("domains")


@page(sees=OWNER, changes=OWNER)
def fallback(visit: Visit) -> HttpResponse:
    """Where links that ended lead."""
    account = Account.objects.get(pk=visit.account.pk)
    form = FallbackForm(typed(visit), instance=account)
    if visit.request.method == "POST" and form.is_valid():
        with transaction.atomic():
            account.save(update_fields=["fallback_url"])
            visit.audit(account, "changed the fall-back", account.fallback_url)
        visit.say(
            "Saved. Links that ended lead there from now on." if account.fallback_url else "Saved: there is none now."
        )
        return visit.redirect("domains")
    return visit.render("pages/links/fallback.html", {"title": "Fall-back address", "form": form})


def _forget() -> None:
    domains.forget()
    brand_hosts.forget()


def state(row: LinkDomain) -> Shown:
    if row.check_cause:
        return Badge("Does not reach us", "bad")
    return Badge("In use", "good") if row.checked_at else Badge("Not checked yet", "wait")


def _server_block(host: str) -> str:
    """For the proxy; the rest of a block stands in the README, with what keeps tokens out of its log."""
    return f"""server {{
  listen 443 ssl;
  server_name {host};
  ssl_certificate /etc/letsencrypt/live/{host}/fullchain.pem;
  ssl_certificate_key /etc/letsencrypt/live/{host}/privkey.pem;
  location / {{
    proxy_pass http://127.0.0.1:8000;
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
  }}
}}"""
