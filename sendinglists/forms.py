"""Owns the form of a provider account: the fields of its provider's adapter, secrets never shown again, credentials tried at
the provider before they are kept. How it looks is its faces' (sendinglists/admin_forms.py, trackly/pages/sending/forms.py)."""

from datetime import datetime
from typing import Any, TypeVar

from django import forms
from django.conf import settings
from django.core.validators import RegexValidator
from django.utils import timezone

from sendinglists import setup
from sendinglists.hosts import base_url
from sendinglists.models import ProviderAccount
from trackly.signing import new_token, token_hash
from trackly.text import clean
from webhooks import providers
from webhooks.orders import CannotUse, Checked
from webhooks.providers.base import Field

PREFIX = "setting_"
# Shown only where the provider could not be asked.
UNCHECKED = "save_unchecked"
UNCHECKED_LABEL = "Save all the same"


class CredentialsForm(forms.ModelForm):
    """form_for() adds the provider's own fields. A face names the columns it shows, and has `keep_old_until`, a DateTimeField,
    and `withdraw_old`, a BooleanField, where credentials rotate by it."""

    checked: Checked | None = None
    """What the provider said of new credentials that it takes."""
    not_asked: str = ""
    """Why it could not be asked."""
    offers_unchecked: bool = False
    has_new_settings: bool = False

    def clean_keep_old_until(self) -> datetime | None:
        until: datetime | None = self.cleaned_data["keep_old_until"]
        if until is not None and until <= timezone.now():
            raise forms.ValidationError("This moment is past; leave it empty to end the old credentials now.")
        return until

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        for item in self._config():
            if item.hosts and self.cleaned_data.get(PREFIX + item.name):
                self._clean_host(item)
        has_moved = self._has_moved()
        if has_moved:
            self._demand_secrets()
        if not self.errors:
            self.entered = self._settings(renews=has_moved or bool(self.cleaned_data.get("renew")))
            self.has_new_settings = self.entered != self.instance.settings
        if self.has_new_settings:
            self._ask()
        return cleaned

    def save(self, commit: bool = True) -> ProviderAccount:
        row: ProviderAccount = super().save(commit=False)
        if self.cleaned_data.get("withdraw_old"):
            row.credentials = row.credentials[:1]
        if self.has_new_settings:
            self._keep(row)
        row.callback_token_hash = token_hash(row.callback_token)
        if commit:
            row.save()
        return row

    def _keep(self, row: ProviderAccount) -> None:
        until, held = self.cleaned_data.get("keep_old_until"), row.settings
        old = [{"values": held, "until": until.isoformat()}] if held and until else []
        # What was promised until a date is kept until then, whatever is edited in between.
        row.credentials = [{"values": self.entered, "until": None}, *old, *old_credentials(row)]
        adapter = providers.get(row.provider)
        row.vendor_account = adapter.known_as(self.entered) if adapter else ""
        if self.checked is not None:
            setup.keep(row, self.checked, timezone.now())
        else:
            row.check_cause = clean(f"not checked when they were saved. {self.not_asked}", 500)

    def _config(self) -> tuple[Field, ...]:
        """The provider's own fields that stand in this form."""
        adapter = providers.get(self.instance.provider)
        return tuple(item for item in (adapter.config if adapter else ()) if PREFIX + item.name in self.fields)

    def _clean_host(self, item: Field) -> None:
        name = PREFIX + item.name
        try:
            self.cleaned_data[name] = base_url(
                self.cleaned_data[name], (*item.hosts, *settings.PROVIDER_HOSTS), item.help
            )
        except ValueError as error:
            self.add_error(name, str(error))

    def _has_moved(self) -> bool:
        held = self.instance.settings
        named = [item for item in self._config() if item.hosts and PREFIX + item.name in self.cleaned_data]
        return bool(held) and any(self.cleaned_data[PREFIX + item.name] != held.get(item.name, "") for item in named)

    def _demand_secrets(self) -> None:
        """Else whoever may edit could have the stored ones sent to a host of his own."""
        held = self.instance.settings
        for item in self._config():
            name = PREFIX + item.name
            if item.secret and not item.is_minted and held.get(item.name) and not self.cleaned_data.get(name):
                self.add_error(
                    name, "The base URL changes, so enter this again: a stored secret is not sent to another host."
                )

    def _settings(self, *, renews: bool) -> dict[str, str]:
        """The credential set as entered. A secret left empty keeps its value; a minted one gets one where it has none, and a
        new one where they are renewed."""
        held = self.instance.settings
        values = {}
        for item in self._config():
            value = self.cleaned_data.get(PREFIX + item.name) or ""
            if not value and (item.secret or item.is_minted):
                value = "" if item.is_minted and item.secret and renews else held.get(item.name, "")
            values[item.name] = value or (new_token() if item.is_minted else "")
        return {name: value for name, value in values.items() if value}

    def _ask(self) -> None:
        """Nothing is saved that the provider does not take. A call over the network: no transaction should be open here. (The
        admin holds one: it has only read.)"""
        missing = [item for item in self._config() if item.required and item.name not in self.entered]
        for item in missing:
            self.add_error(PREFIX + item.name, "This is needed.")
        if missing:
            return
        try:
            self.checked = setup.check(self.instance.provider, self.entered)
        except setup.NotAsked as error:
            self.not_asked = str(error)
            if not self.cleaned_data.get(UNCHECKED):
                self.offers_unchecked = True
                instead = f" Try again later, or switch on '{UNCHECKED_LABEL}' at the end of this form."
                self.add_error(None, self._refusal(error, instead))
        except CannotUse as error:
            self.add_error(None, self._refusal(error))

    def _refusal(self, error: Exception, instead: str = "") -> str:
        typed = [item.label for item in self._config() if item.secret and self.cleaned_data.get(PREFIX + item.name)]
        again = f" What is secret is not shown again, so type it once more: {', '.join(typed)}." if typed else ""
        return f"{error} Nothing was saved.{instead}{again}"


F = TypeVar("F", bound=CredentialsForm)


def form_for(row: ProviderAccount, face: type[F]) -> type[F]:
    """This face with the fields of the row's provider."""
    return type(face.__name__, (face,), fields_for(row))


def fields_for(row: ProviderAccount) -> dict[str, forms.Field]:
    """The provider's own, and what is asked about them."""
    adapter = providers.get(row.provider)
    config = adapter.config if adapter else ()
    fields: dict[str, forms.Field] = {PREFIX + item.name: _field(item, is_held=bool(row.settings)) for item in config}
    minted = [item.label for item in config if item.is_minted and item.secret]
    if minted:
        fields["renew"] = _switch("Renew random values", f"New random values for: {', '.join(minted)}.")
    fields[UNCHECKED] = _switch(
        UNCHECKED_LABEL, "Keep these credentials although the provider cannot be asked now whether it takes them."
    )
    return fields


def _switch(label: str, help_text: str) -> forms.Field:
    return forms.BooleanField(label=label, required=False, help_text=help_text)


def old_credentials(row: ProviderAccount) -> list[dict[str, Any]]:
    """The older credential sets that are still valid."""
    now = timezone.now()
    return [entry for entry in row.credentials[1:] if entry["until"] and datetime.fromisoformat(entry["until"]) > now]


def initial_for(row: ProviderAccount) -> dict[str, Any]:
    """What the form may show: everything but secrets."""
    adapter = providers.get(row.provider)
    held = row.settings
    return {
        PREFIX + item.name: held.get(item.name, item.default)
        for item in (adapter.config if adapter else ())
        if not item.secret
    }


def _field(item: Field, *, is_held: bool) -> forms.Field:
    help_text = f"{item.help}{_kept(item, is_held=is_held)}".strip()
    if item.choices:
        words = [(word, word) for word in item.choices]
        return forms.ChoiceField(label=item.label, choices=words, initial=item.default, help_text=item.help)
    required = item.required and not item.secret and not item.is_minted
    shape = [RegexValidator(rf"\A(?:{item.pattern})\Z", f"Not of this shape: {item.help}")] if item.pattern else []
    # What was typed into a password field never stands in an answer.
    widget = forms.PasswordInput(render_value=False) if item.secret else forms.TextInput()
    return forms.CharField(
        label=item.label, required=required, widget=widget, help_text=help_text, initial=item.default, validators=shape
    )


def _kept(item: Field, *, is_held: bool) -> str:
    if item.is_minted:
        kept = "; one that is stored is kept" if is_held else ""
        return f" Left empty, a random value is made, and the provider learns it from us{kept}."
    return " Leave empty to keep the one stored." if item.secret and is_held else ""
