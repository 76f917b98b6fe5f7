"""Owns the page of one connection, the way to postbacks that arrive: its URLs, the linter, the tests, what comes in."""

from typing import Any

from django import forms
from django.conf import settings
from django.http import HttpResponse

from postbacks import networks
from postbacks.linting import Kind, Report, lint
from postbacks.models import NetworkConnection, Offer
from postbacks.networks.base import Network
from sendinglists.setup import public_address_warning
from trackly.pages.forms import Form
from trackly.pages.networks import tail, urls_of, watching
from trackly.pages.networks.firing import FireForm
from trackly.pages.visits import MEMBER, Visit, act, page
from trackly.showing import Badge

_KINDS = {
    Kind.POSTBACK: "Read as a postback URL.",
    Kind.TRACKING: "Read as a tracking link.",
    Kind.UNREADABLE: "",
}
_SEVERITIES = {"wrong": Badge("Wrong", "bad"), "doubt": Badge("Better", "wait"), "note": Badge("Note", "note")}


class PasteForm(Form):
    url = forms.CharField(
        max_length=4000, strip=False, label="A postback URL or a tracking link",
        help_text="As it stands at the network, or as somebody sent it to you.",
        widget=forms.Textarea(attrs={"rows": 3, "spellcheck": "false"}),
    )  # fmt: skip


@page()
def show(visit: Visit, connection_id: int) -> HttpResponse:
    row = one(visit, connection_id)
    return whole(visit, row) if not visit.wants_part else _part(visit, row)


def _part(visit: Visit, row: NetworkConnection) -> HttpResponse:
    """What htmx asks for by itself or when a box is ticked."""
    match visit.request.GET.get("show"):
        case "tail":
            return visit.render("pages/networks/_tail.html", {"row": row, "tail": tail.read(visit, row)})
        case "click":
            return visit.render("pages/networks/_click.html", {"row": row, "watched": watching.link(visit, row)})
        case "verdict":
            return visit.render("pages/networks/_verdict.html", {"row": row, "fired": watching.fired(visit, row)})
    watched = watching.link(visit, row)
    return visit.render("pages/networks/_url.html", {"watched": watched, **_urls(visit, row, watched)})


def one(visit: Visit, connection_id: int) -> NetworkConnection:
    return visit.one(NetworkConnection.objects.select_related("account"), pk=connection_id)


def whole(visit: Visit, row: NetworkConnection, **more: Any) -> HttpResponse:
    """The whole page; `more` is what a form on it came to."""
    watched = watching.link(visit, row)
    adapter = networks.get(row.network)
    offers = _offers(visit, row)
    context = {
        "title": row.name,
        "row": row,
        "adapter": adapter,
        "warning": public_address_warning(),
        "trackings": urls_of.trackings(row, offers[: urls_of.MOST_OFFERS]),
        "is_more": len(offers) > urls_of.MOST_OFFERS,
        "parameter": (row.click_parameters or ("",))[0],
        "paste": PasteForm(),
        "offers": offers,
        "watched": watched,
        "fired": watching.fired(visit, row),
        "fire": FireForm(visit, row, initial=watching.to_fire(visit, watched) | _first(offers)),
        "tail": tail.read(visit, row),
    }
    return visit.render("pages/networks/connection.html", context | _urls(visit, row, watched) | more)


def _first(offers: list[Offer]) -> dict[str, Any]:
    """The offer that a test is of, unless somebody chooses another."""
    return {"offer": offers[0].pk} if offers else {}


def _offers(visit: Visit, row: NetworkConnection) -> list[Offer]:
    offers = visit.rows(Offer).filter(connection=row).exclude(status=Offer.State.ARCHIVED)
    return list(offers.order_by("name", "pk")[: urls_of.MOST_OFFERS + 1])


def _urls(visit: Visit, row: NetworkConnection, watched: watching.Watched | None) -> dict[str, Any]:
    adapter = networks.get(row.network)
    if adapter is None:
        return {"row": row, "built": None, "letter": ""}
    built = urls_of.built(row, adapter, visit.request.GET, is_masked=not visit.may_change)
    test_url = watched.url if watched and watched.link.offer_id else ""
    letter = urls_of.letter(row, adapter, built.url, test_url) if visit.may_change else ""
    return {"row": row, "built": built, "letter": letter, "adapter": adapter, "accepted": _accepted(adapter)}


def _accepted(adapter: Network) -> str:
    """Which macros besides the recommended work as our click id."""
    return ", ".join(adapter.other_macros.get("click_id", ()))


@act(changes=MEMBER)
def look_at(visit: Visit, connection_id: int) -> HttpResponse:
    """The linter. It changes nothing; a POST, because what is pasted holds a token."""
    row = one(visit, connection_id)
    form, adapter = PasteForm(visit.request.POST), networks.get(row.network)
    context: dict[str, Any] = {"paste": form}
    if adapter is not None and form.is_valid():
        tracked = urls_of.trackings(row, _offers(visit, row))
        context |= told(lint(form.cleaned_data["url"], urls_of.expected(row, adapter, tracked)))
    if visit.wants_part:
        return visit.render("pages/networks/_findings.html", {"row": row, **context})
    return whole(visit, row, **context)


def told(report: Report) -> dict[str, Any]:
    """A report for the template."""
    return {
        "report": report,
        "kind": _KINDS[report.kind],
        "findings": [(_SEVERITIES[finding.severity], finding) for finding in report.findings],
        "is_local": not settings.PUBLIC_BASE_URL,
    }
