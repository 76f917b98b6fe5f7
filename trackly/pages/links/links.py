"""Owns the pages of short links: what was made, where it leads, who opened it, and when it ends."""

from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.http import HttpResponse

from postbacks.models import Click, Offer
from sendinglists.destinations import destination, validate_click_parameter, validate_destination
from sendinglists.domains import short_url
from sendinglists.models import Link
from trackly.pages.forms import Form, ModelForm, typed, within_reach
from trackly.pages.links import counting
from trackly.pages.links.clicks import opening_row
from trackly.pages.links.offers import EXAMPLE
from trackly.pages.listing import Column, Listing, list_page
from trackly.pages.visits import MEMBER, Visit, act, page
from trackly.showing import Badge, Shown
from trackly.stories import Table
from trackly.stories.rows import link as to
from trackly.text import clean

EMPTY = "No link yet. Make one to use anywhere; messages that name an offer or track their addresses make theirs by themselves."
# Recent openings on the page of one link.
RECENT = 20
_SHORTEST = 3


class Filter(Form):
    code = forms.CharField(required=False, max_length=200, label="Code or short URL")
    campaign = forms.CharField(required=False, max_length=100, label="Campaign")
    offer = forms.ModelChoiceField(queryset=Offer.objects.none(), required=False, label="Offer", empty_label="Any")
    kind = forms.ChoiceField(
        required=False,
        label="Of messages",
        choices=(("", "Left out"), ("all", "Shown, too"), ("messages", "Only those")),
    )

    def __init__(self, visit: Visit) -> None:
        super().__init__(visit.request.GET, offers={"offer": visit.rows(Offer).order_by("name")})

    def clean_code(self) -> str:
        """A whole address may be pasted: the code is its end."""
        return clean(str(self.cleaned_data["code"]).strip().rstrip("/").rpartition("/")[2].partition("?")[0], 64)


class ExpiryForm(ModelForm):
    """What may change while a link is out."""

    class Meta:
        model = Link
        fields: tuple[str, ...] = ("campaign", "expires_at")
        labels = {"expires_at": "Expires"}
        help_texts = {"campaign": "A word of your own to find it by."}
        field_classes = {"expires_at": forms.DateTimeField}
        widgets = {"expires_at": forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")}

    def __init__(self, visit: Visit, **options: Any) -> None:
        super().__init__(typed(visit), **options)
        self._now = visit.now
        zone, expires = visit.account.time_zone, self.fields["expires_at"]
        expires.validators.append(within_reach)
        expires.help_text = f"In {zone}. From then on it leads to the account's fall-back. Empty: never."

    def clean_expires_at(self) -> datetime | None:
        at: datetime | None = self.cleaned_data["expires_at"]
        before: datetime | None = self.instance.expires_at
        # The field shows minutes alone.
        if before is not None and at == before.replace(second=0, microsecond=0):
            return before
        if at is not None and at <= self._now:
            raise ValidationError(
                "This time is over. Choose a later one; 'End now' on the link's page ends it at once."
            )
        return at


class LinkForm(ExpiryForm):
    code = forms.CharField(
        required=False, max_length=32, label="Own code", help_text="What stands behind /c/. Empty: one is made up."
    )

    class Meta(ExpiryForm.Meta):
        fields = ("offer", "destination", "code", "campaign", "expires_at", "is_test")
        labels = {**ExpiryForm.Meta.labels, "destination": "Or an address of your own", "is_test": "A test"}
        help_texts = {
            **ExpiryForm.Meta.help_texts,
            "destination": "It begins with https://. {click_id} stands where our click id belongs.",
            "is_test": "Its openings and their sales count in no total.",
        }

    def __init__(self, visit: Visit, **options: Any) -> None:
        active = visit.rows(Offer).filter(status=Offer.State.ACTIVE).order_by("name")
        super().__init__(visit, offers={"offer": active}, **options)
        self.fields["offer"].empty_label = "None: the address below"  # type: ignore[attr-defined]
        self.fields["destination"].validators.append(validate_destination)

    def clean_code(self) -> str:
        code = str(self.cleaned_data["code"]).strip()
        if not code:
            return self.instance.code
        if len(code) < _SHORTEST:
            raise ValidationError(f"At least {_SHORTEST} characters.")
        if Link.objects.filter(code=code).exists():
            raise ValidationError("This code is in use. Choose another one.")
        return code

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if "destination" in given and bool(given.get("offer")) == bool(given["destination"]):
            self.add_error("destination", "Choose an offer, or write an address of your own: one of both.")
        elif given.get("destination"):
            try:
                validate_click_parameter(given["destination"], ())
            except ValidationError as error:
                self.add_error("destination", error)
        return given


@page()
def listed(visit: Visit) -> HttpResponse:
    form = Filter(visit)
    opened: dict[int, counting.Openings] = {}

    def people(row: Link) -> str:
        return opened[row.pk].told(opened[row.pk].people)

    def machines(row: Link) -> str:
        return opened[row.pk].told(opened[row.pk].machines)

    columns = (
        Column(title="Code", show=lambda row: row.code),
        Column(title="Short URL", show=short_url, is_minor=True),
        Column(title="Leads to", show=lambda row: to(row.offer) or row.destination[:80], is_minor=True),
        Column(title="Campaign", show=lambda row: row.campaign, is_minor=True),
        Column(title="Message", show=lambda row: to(row.message), is_minor=True),
        Column(title="People", show=people, is_number=True),
        Column(title="Machines", show=machines, is_number=True),
        Column(title="State", show=lambda row: _state(row, visit.now)),
    )
    listing = Listing(
        noun="link", nouns="links", columns=columns, empty=EMPTY,
        lookups={"campaign": "campaign", "code": "code", "offer": "offer"},
        # Which rows `kind` means is decided before anything is looked for among the newest of them.
        indexed=frozenset({"code", "kind"}),
    )  # fmt: skip
    return list_page(
        visit, listing, _rows(visit, form), form=form, template="pages/links/links.html",
        leads=lambda row: visit.url("link", row.code),
        complete=lambda rows: opened.update(counting.openings([row.pk for row in rows])),
    )  # fmt: skip


def _rows(visit: Visit, form: Filter) -> QuerySet[Link]:
    rows = visit.rows(Link).select_related("offer", "message__sending_list")
    asked = form.cleaned_data if form.is_valid() else {}
    kind = asked.get("kind")
    # Whoever names a code wants that one.
    if kind == "all" or asked.get("code"):
        return rows
    return rows.filter(message__isnull=kind != "messages")


@page(changes=MEMBER)
def new(visit: Visit) -> HttpResponse:
    first = visit.request.GET.get("offer", "")
    initial = {"offer": first if first.isdigit() else None, "code": ""}
    form = LinkForm(visit, instance=Link(account=visit.account), initial=initial)
    if visit.request.method == "POST" and form.is_valid() and (row := _made(visit, form)):
        visit.say("The link was made. Copy it from here.")
        return visit.redirect("link", row.code)
    return visit.render("pages/links/link_form.html", {"title": "Make a link", "form": form})


def _made(visit: Visit, form: LinkForm) -> Link | None:
    """None when another one took the code in this very moment; the form says so."""
    try:
        with transaction.atomic():
            row: Link = form.save()
            visit.audit(row, "made")
    except IntegrityError:
        form.add_error("code", "This code is in use. Choose another one.")
        return None
    return row


@page(changes=MEMBER)
def edit(visit: Visit, code: str) -> HttpResponse:
    row = visit.one(Link, code=code)
    form = ExpiryForm(visit, instance=row)
    if visit.request.method == "POST" and form.is_valid():
        with transaction.atomic():
            row.save(update_fields=["campaign", "expires_at"])
            visit.audit(row, "changed", ", ".join(form.changed_data))
        visit.say("Saved.")
        return visit.redirect("link", row.code)
    return visit.render("pages/links/link_form.html", {"title": f"Change /c/{row.code}", "form": form, "link": row})


@act(changes=MEMBER)
def end(visit: Visit, code: str) -> HttpResponse:
    row = visit.one(Link, code=code)
    if _is_open(row, visit.now):
        row.expires_at = visit.now
        with transaction.atomic():
            row.save(update_fields=["expires_at"])
            visit.audit(row, "ended")
    visit.say("The link has ended: it leads to the account's fall-back from now on.")
    return visit.redirect("link", row.code)


@page()
def show(visit: Visit, code: str) -> HttpResponse:
    links = Link.objects.select_related("account", "offer__connection", "message__sending_list")
    row = visit.one(links, code=code)
    counts = counting.count_link(row)
    offer = row.offer
    parameters = offer.connection.click_parameters if offer and offer.connection else ()
    leads = offer.destination if offer else row.destination
    facts: list[tuple[str, Shown]] = [
        ("Offer", to(offer)), ("Campaign", row.campaign), ("Message", to(row.message)), ("Made", row.created_at),
        ("Expires", row.expires_at or "never"), ("Test", "yes: it counts in no total" if row.is_test else "no"),
    ]  # fmt: skip
    return visit.render("pages/links/link.html", {
        "title": f"/c/{row.code}", "link": row, "url": short_url(row), "has_address": bool(settings.PUBLIC_BASE_URL),
        "state": _state(row, visit.now), "is_open": _is_open(row, visit.now), "facts": facts, "leads": leads,
        "example": destination(leads, EXAMPLE, parameters), "counts": counts, "most": f"{counting.MOST:,}",
        "table": _openings(visit, row),
    })  # fmt: skip


def _openings(visit: Visit, row: Link) -> Table:
    found = Click.objects.filter(link=row).order_by("-pk")[:RECENT]
    return Table(
        title="Recent openings",
        columns=("When", "Who", "Counted", "Browser"),
        rows=[opening_row(click, visit) for click in found],
        empty="Nobody opened it yet.",
    )


def _is_open(row: Link, now: datetime) -> bool:
    return row.expires_at is None or row.expires_at > now


def _state(row: Link, now: datetime) -> Shown:
    if not _is_open(row, now):
        return Badge("Expired", "wait")
    return Badge("Test", "note") if row.is_test else Badge("Open", "good")
