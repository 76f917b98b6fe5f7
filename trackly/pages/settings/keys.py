"""Owns the page of an account's API keys. A key is shown in the answer to the form that made it, and never again."""

from django.db import transaction
from django.http import HttpResponse

from trackly.models import ApiKey
from trackly.pages.forms import ModelForm
from trackly.pages.visits import OWNER, Visit, act, page

MOST = 200


class KeyForm(ModelForm):
    class Meta:
        model = ApiKey
        fields = ["name"]
        help_texts = {"name": "What uses it, so that you know which to revoke."}


@page(sees=OWNER, changes=OWNER)
def keys(visit: Visit) -> HttpResponse:
    form = KeyForm(visit.request.POST or None)
    made = ""
    if visit.request.method == "POST" and form.is_valid():
        made = _make(visit, form)
        form = KeyForm()
    rows = visit.rows(ApiKey).order_by("revoked_at", "-id")[:MOST]
    context = {"title": "API keys", "here": "keys", "form": form, "made": made, "keys": rows}
    answer = visit.render("pages/settings/keys.html", context)
    answer.headers["Cache-Control"] = "no-store"
    return answer


def _make(visit: Visit, form: KeyForm) -> str:
    row: ApiKey = form.save(commit=False)
    row.account = visit.account
    key = row.mint()
    with transaction.atomic():
        row.save()
        visit.audit(row, "added", row.name)
    return key


@act(changes=OWNER)
def revoke(visit: Visit, key_id: int) -> HttpResponse:
    row = visit.one(ApiKey, pk=key_id)
    if row.revoked_at is None:
        with transaction.atomic():
            row.revoked_at = visit.now
            row.save(update_fields=["revoked_at"])
            visit.audit(row, "revoked", row.name)
    visit.say(f"{row.name} is revoked: whoever uses it is refused from now on.")
    return visit.redirect("keys")
