"""Owns the form of a provider account: the fields of its provider's adapter, secrets never shown again."""

from datetime import datetime
from typing import Any

from django import forms
from django.core.validators import RegexValidator
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from sendinglists.models import ProviderAccount
from trackly.signing import token_hash
from webhooks import providers
from webhooks.providers.base import Field

PREFIX = "setting_"


class ProviderAccountForm(forms.ModelForm):
    """Subclassed by form_for(), which adds the provider's own fields."""

    keep_old_until = forms.DateTimeField(
        required=False,
        widget=UnfoldAdminTextInputWidget(attrs={"type": "datetime-local"}),
        help_text="While credentials rotate: until when (UTC) the old ones stay valid. Empty: not at all.",
    )
    withdraw_old = forms.BooleanField(
        required=False, widget=UnfoldBooleanSwitchWidget(), help_text="Old credentials stop being valid now."
    )

    class Meta:
        model = ProviderAccount
        fields = ["account", "provider", "name", "demands_authentication", "address_policy"]

    def clean_keep_old_until(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["keep_old_until"]
        if until is not None and until <= timezone.now():
            raise forms.ValidationError("This moment is past; leave it empty to end the old credentials now.")
        return until

    def settings(self) -> dict[str, str]:
        """The credential set as entered; a secret left empty keeps its value."""
        held = current_settings(self.instance)
        adapter = providers.get(self.instance.provider)
        values = {}
        for item in adapter.config if adapter else ():
            entered = self.cleaned_data.get(PREFIX + item.name) or ""
            values[item.name] = held.get(item.name, "") if item.secret and not entered else entered
        return {name: value for name, value in values.items() if value}

    def save(self, commit: bool = True) -> ProviderAccount:
        row: ProviderAccount = super().save(commit=False)
        entered, held = self.settings(), current_settings(row)
        if self.cleaned_data.get("withdraw_old"):
            row.credentials = row.credentials[:1]
        if entered != held:
            until = self.cleaned_data.get("keep_old_until")
            old = [{"values": held, "until": until.isoformat()}] if held and until else []
            # What was promised until a date is kept until then, whatever is edited in between.
            row.credentials = [{"values": entered, "until": None}, *old, *old_credentials(row)]
            adapter = providers.get(row.provider)
            row.vendor_account = adapter.known_as(entered) if adapter else ""
        row.callback_token_hash = token_hash(row.callback_token)
        if commit:
            row.save()
        return row


def form_for(provider: str | None) -> type[ProviderAccountForm]:
    """The form with the fields of this provider; without them while none has been chosen."""
    adapter = providers.get(provider) if provider else None
    fields = {PREFIX + item.name: _field(item) for item in (adapter.config if adapter else ())}
    return type("ProviderAccountForm", (ProviderAccountForm,), fields)


def old_credentials(row: ProviderAccount) -> list[dict[str, Any]]:
    """The older credential sets that are still valid."""
    now = timezone.now()
    return [entry for entry in row.credentials[1:] if entry["until"] and datetime.fromisoformat(entry["until"]) > now]


def current_settings(row: ProviderAccount) -> dict[str, str]:
    """The newest credential set; empty when there is none."""
    return dict(row.credentials[0]["values"]) if row.credentials else {}


def initial_for(row: ProviderAccount) -> dict[str, Any]:
    """What the form may show: everything but secrets."""
    adapter = providers.get(row.provider)
    held = current_settings(row)
    return {
        PREFIX + item.name: held.get(item.name, item.default)
        for item in (adapter.config if adapter else ())
        if not item.secret
    }


def _field(item: Field) -> forms.Field:
    help_text = item.help + (" Leave empty to keep the one stored." if item.secret else "")
    if item.choices:
        words = [(word, word) for word in item.choices]
        return forms.ChoiceField(
            label=item.label, choices=words, initial=item.default, widget=UnfoldAdminSelectWidget()
        )
    widget = UnfoldAdminPasswordWidget(render_value=False) if item.secret else UnfoldAdminTextInputWidget()
    required = item.required and not item.secret
    shape = [RegexValidator(rf"\A(?:{item.pattern})\Z", f"Not of this shape: {item.help}")] if item.pattern else []
    return forms.CharField(
        label=item.label, required=required, widget=widget, help_text=help_text, initial=item.default, validators=shape
    )
