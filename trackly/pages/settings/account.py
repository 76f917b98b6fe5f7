"""Owns the page on which an account is named, and told its currency and time zone."""

from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.db import transaction
from django.http import HttpResponse

from trackly.currencies import CURRENCIES
from trackly.models import Account
from trackly.pages.forms import ModelForm
from trackly.pages.visits import OWNER, Visit, page


def _zones() -> list[tuple[str, Any]]:
    """Time zones, those of a continent together; what stands outside of one comes last."""
    named: dict[str, list[tuple[str, str]]] = {}
    for zone in sorted(available_timezones()):
        continent, _, rest = zone.partition("/")
        if rest and continent not in ("Etc", "SystemV", "posix", "right"):
            named.setdefault(continent, []).append((zone, rest.replace("_", " ")))
    return [("UTC", "UTC"), *((continent, cities) for continent, cities in named.items())]


class AccountForm(ModelForm):
    time_zone = forms.ChoiceField(help_text="Where a day begins, on every page and in every sum.")
    currency = forms.ChoiceField(
        help_text="Of money that names none of its own. What came before keeps the currency it came in."
    )

    class Meta:
        model = Account
        fields = ["name", "currency", "time_zone", "payout_ceiling"]
        help_texts = {
            "payout_ceiling": "A larger payout is taken for an error: it is kept and shown, and does not count."
        }

    def __init__(self, *args: Any, instance: Account, **kwargs: Any) -> None:
        # As a person writes it: 10000, not 10000.000000.
        initial = {"payout_ceiling": Decimal(f"{instance.payout_ceiling.normalize():f}")}
        super().__init__(*args, instance=instance, initial=initial, **kwargs)
        zones = _zones()
        known = {zone for zone, _ in zones} | {zone for _, cities in zones[1:] for zone, _ in cities}
        held = self.instance.time_zone
        # One that was chosen elsewhere stays.
        self.fields["time_zone"].choices = zones if held in known else [(held, held), *zones]  # type: ignore[attr-defined]
        self.fields["currency"].choices = [(code, code) for code in sorted(CURRENCIES)]  # type: ignore[attr-defined]


@page(changes=OWNER)
def settings(visit: Visit) -> HttpResponse:
    """The account itself."""
    row = Account.objects.get(pk=visit.account.pk)
    form = AccountForm(visit.request.POST or None, instance=row)
    if visit.request.method == "POST" and form.is_valid():
        with transaction.atomic():
            row.save(update_fields=list(form.fields))
            visit.audit(row, "changed", ", ".join(form.changed_data))
        visit.say("Saved." if form.changed_data else "Nothing was different.")
        return visit.redirect("settings")
    return visit.render("pages/settings/account.html", {"title": "Settings", "form": form, "here": "settings"})
