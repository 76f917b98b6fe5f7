"""Owns the list of what was done in an account by hand, and by whom."""

from django import forms
from django.http import HttpResponse

from trackly.models import AuditEntry
from trackly.pages.forms import Form
from trackly.pages.listing import Column, Listing, list_page
from trackly.pages.visits import Visit, page
from trackly.stories.rows import who_did


class HistoryForm(Form):
    verb = forms.CharField(label="What was done", max_length=50, required=False)
    target = forms.CharField(label="To what", max_length=100, required=False)


_LISTING = Listing(
    noun="entry",
    nouns="entries",
    columns=(
        Column(title="When", show=lambda row: row.at),
        Column(title="Who", show=who_did),
        Column(title="Did", show=lambda row: row.verb),
        Column(title="To what", show=lambda row: row.target),
        Column(title="Detail", show=lambda row: row.detail[:300], is_minor=True),
    ),
    empty="Nothing was changed by hand yet.",
    form=HistoryForm,
    lookups={"verb": "verb__icontains", "target": "target__icontains"},
)


@page()
def history(visit: Visit) -> HttpResponse:
    rows = visit.rows(AuditEntry).select_related("user")
    return list_page(
        visit, _LISTING, rows, template="pages/settings/history.html", context={"title": "History", "here": "history"}
    )
