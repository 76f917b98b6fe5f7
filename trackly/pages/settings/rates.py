"""Owns the page of the rates by which an account's sums are converted when they are shown."""

from datetime import timedelta
from typing import Any

from django import forms
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.utils import timezone

from trackly.currencies import CURRENCIES
from trackly.models import ExchangeRate, HourlyTotal
from trackly.pages.forms import ModelForm, within_reach
from trackly.pages.visits import OWNER, Visit, act, page

# A currency without a rate is missed when money came in it within so long.
LATELY = timedelta(days=90)
MOST = 500


class RateForm(ModelForm):
    currency = forms.ChoiceField()
    valid_from = forms.DateField(
        label="From", widget=forms.DateInput(attrs={"type": "date"}), help_text="The first day it is used for.",
        validators=[within_reach],
    )  # fmt: skip
    rate = forms.DecimalField(min_value=0, max_digits=18, decimal_places=8)

    class Meta:
        model = ExchangeRate
        fields = ["currency", "rate", "valid_from"]

    def __init__(self, *args: Any, own: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = sorted(CURRENCIES - {own})
        self.fields["currency"].choices = [(code, code) for code in others]  # type: ignore[attr-defined]
        self.fields["rate"].help_text = f"How many {own} one unit is worth."

    def clean_rate(self) -> Any:
        if self.cleaned_data["rate"] == 0:
            raise forms.ValidationError("A rate is above zero.")
        return self.cleaned_data["rate"]


@page(changes=OWNER)
def rates(visit: Visit) -> HttpResponse:
    own = visit.account.currency
    today = timezone.localdate(visit.now, visit.zone)
    form = RateForm(visit.request.POST or None, own=own, initial={"valid_from": today, "currency": _asked(visit)})
    if visit.request.method == "POST" and form.is_valid() and _add(visit, form):
        visit.say("Added. Sums are converted by it from its day on.")
        return visit.redirect("rates")
    context = {
        "title": "Exchange rates",
        "here": "rates",
        "form": form,
        "rates": visit.rows(ExchangeRate).order_by("currency", "-valid_from")[:MOST],
        "lacking": _lacking(visit),
        "today": today,
    }
    return visit.render("pages/settings/rates.html", context)


def _asked(visit: Visit) -> str:
    """The currency a link to this page spoke of."""
    asked = visit.request.GET.get("currency", "")
    return asked if asked in CURRENCIES else ""


def _add(visit: Visit, form: RateForm) -> bool:
    row: ExchangeRate = form.save(commit=False)
    row.account = visit.account
    try:
        with transaction.atomic():
            row.save(force_insert=True)
            visit.audit(row, "added", str(row))
    except IntegrityError:
        form.add_error("valid_from", f"There is a rate of {row.currency} from that day on already; remove it first.")
        return False
    return True


def _lacking(visit: Visit) -> list[str]:
    """Currencies in which money came lately and that have no rate."""
    totals = visit.rows(HourlyTotal).filter(hour__gte=visit.now - LATELY)
    seen = set(totals.exclude(currency="").values_list("currency", flat=True).distinct())
    have = set(visit.rows(ExchangeRate).values_list("currency", flat=True))
    return sorted(seen - have - {visit.account.currency})


@act(changes=OWNER)
def remove(visit: Visit, rate_id: int) -> HttpResponse:
    row = visit.one(ExchangeRate, pk=rate_id)
    with transaction.atomic():
        visit.audit(row, "removed", str(row))
        row.delete()
    visit.say("Removed. Sums of its days are converted by the rate before it, or not at all.")
    return visit.redirect("rates")
