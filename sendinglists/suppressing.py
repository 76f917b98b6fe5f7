"""Owns the form by which a number is closed by hand: in the spelling that sends ask for, and for a brand that some list has."""

from datetime import datetime
from typing import Any

from django import forms
from django.utils import timezone

from sendinglists.models import SendingList, Suppression
from trackly.models import Account
from trackly.phones import entered

# More would hide the sentence they stand in.
MOST_NAMED = 20


class SuppressionForm(forms.ModelForm):
    """The number is missing from it where a suppression is changed."""

    class Meta:
        model = Suppression
        fields = ["account", "phone", "brand", "is_active", "decided_at", "cause"]
        help_texts = {
            "phone": "With + and the country code, as +14155550101.",
            "brand": "A brand of the account's lists; empty: the whole account.",
            "decided_at": "Empty: now.",
            "cause": "Why, for whoever asks later: 'asked by mail', 'complained to the operator'.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "decided_at" in self.fields:
            self.fields["decided_at"].required = False

    def clean_phone(self) -> str:
        number = entered(self.cleaned_data["phone"])
        if not number:
            raise forms.ValidationError(
                "This is no number that can be called: write it with + (or 00) and the country code, as +14155550101."
            )
        return number

    def clean_decided_at(self) -> datetime:
        return self.cleaned_data["decided_at"] or self.instance.decided_at or timezone.now()

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        account = self.cleaned_data.get("account")
        # An old one stays, though its brand may be gone.
        if account and {"account", "brand"} & set(self.changed_data) and self.cleaned_data.get("brand"):
            self._clean_brand(account)
        if account and "brand" in self.cleaned_data:
            self._demand_once(account)
        return cleaned

    def _clean_brand(self, account: Account) -> None:
        """Sets it to the spelling of the lists."""
        named = SendingList.objects.filter(account=account).exclude(brand="").order_by("brand")
        brands = list(named.values_list("brand", flat=True).distinct())
        typed = self.cleaned_data["brand"].strip().casefold()
        found = next((brand for brand in brands if brand.strip().casefold() == typed), None)
        if found is not None:
            self.cleaned_data["brand"] = found
        elif brands:
            more = " and more" if len(brands) > MOST_NAMED else ""
            there = f"{', '.join(brands[:MOST_NAMED])}{more}"
            self.add_error(
                "brand", f"No list of {account} has this brand; there are: {there}. Empty closes the whole account."
            )
        else:
            self.add_error("brand", f"{account} has no list with a brand: leave it empty, for the whole account.")

    def _demand_once(self, account: Account) -> None:
        phone = self.cleaned_data.get("phone") or self.instance.phone
        brand = self.cleaned_data["brand"]
        same = Suppression.objects.filter(account=account, phone=phone, brand=brand).exclude(pk=self.instance.pk)
        held = same.first()
        if held is None:
            return
        where = brand or "the whole account"
        if held.is_active:
            said = f"This number is closed for {where} already, since {held.decided_at:%Y-%m-%d %H:%M} UTC."
        else:
            said = f"This number was closed for {where} and was opened again: on its page, switch 'Is active' on."
        self.add_error("phone" if "phone" in self.fields else "brand", said)
