"""Owns the form of a provider account: the fields of its provider's adapter, secrets never shown again, credentials tried at
the provider before they are kept."""

from datetime import datetime
from typing import Any

from django import forms
from django.conf import settings
from django.core.validators import RegexValidator
from django.utils import timezone
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from sendinglists import numbers, setup
from sendinglists.hosts import base_url
from sendinglists.models import ProviderAccount, SendingList
from trackly.signing import new_token, token_hash
from trackly.text import clean
from webhooks import providers
from webhooks.orders import CannotUse, Checked
from webhooks.providers.base import Field

PREFIX = "setting_"
# Shown only where the provider could not be asked.
UNCHECKED = "save_unchecked"
UNCHECKED_LABEL = "Save all the same"
# What the form may write; the rest of a row is a worker's, who may be at it.
WRITTEN = (
    "name", "demands_authentication", "address_policy", "credentials", "vendor_account", "numbers", "checked_at",
    "check_cause",
)  # fmt: skip


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
        help_texts = {
            "demands_authentication": "On: only proven requests count. Off: opt-outs and reports are believed from anybody who "
            "knows the account id."
        }

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

    def clean_more_numbers(self) -> list[str]:
        try:
            return numbers.typed(self.cleaned_data["more_numbers"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

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

    def new_numbers(self) -> dict[str, str]:
        """Number -> name of the lists to be made."""
        chosen = (*(self.cleaned_data.get("add_numbers") or ()), *(self.cleaned_data.get("more_numbers") or ()))
        names = numbers.offered(self.instance) if chosen else {}
        return {number: names.get(number, "") for number in chosen}

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
        """Nothing is saved that the provider does not take. (The admin holds a transaction here: it has only read.)"""
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

    def _refusal(self, error: CannotUse, instead: str = "") -> str:
        typed = [item.label for item in self._config() if item.secret and self.cleaned_data.get(PREFIX + item.name)]
        again = f" What is secret is not shown again, so type it once more: {', '.join(typed)}." if typed else ""
        return f"{error} Nothing was saved.{instead}{again}"


class SendingListForm(forms.ModelForm):
    """A list of an account stands on that account's own credentials."""

    class Meta:
        model = SendingList
        fields = [
            "account", "provider_account", "name", "brand", "number", "status", "opt_out_scope", "messages_per_minute",
            "records_external",
        ]  # fmt: skip

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        account, party = (self.cleaned_data.get(name) for name in ("account", "provider_account"))
        if account and party and party.account_id != account.pk:
            self.add_error("provider_account", f"These credentials belong to {party.account}, not to {account}.")
        return cleaned


def form_for(row: ProviderAccount | None) -> type[ProviderAccountForm]:
    """The form with the fields of this row's provider; without them while there is no row yet."""
    adapter = providers.get(row.provider) if row else None
    config = adapter.config if adapter else ()
    fields: dict[str, forms.Field] = {PREFIX + item.name: _field(item) for item in config}
    if row is not None:
        fields |= _more_fields(row, config)
    return type("ProviderAccountForm", (ProviderAccountForm,), fields)


def fields_of(row: ProviderAccount) -> list[str]:
    """The names of what form_for() adds, in the order of the page."""
    adapter = providers.get(row.provider)
    config = adapter.config if adapter else ()
    more = list(_more_fields(row, config))
    shown = ["keep_old_until", "withdraw_old"]
    return [*(PREFIX + item.name for item in config), *more[:-1], *shown, more[-1]]


def _more_fields(row: ProviderAccount, config: tuple[Field, ...]) -> dict[str, forms.Field]:
    minted = [item.label for item in config if item.is_minted and item.secret]
    fields = {} if row.removed_at else _number_fields(numbers.offered(row))
    if minted:
        fields["renew"] = _switch("Renew random values", f"New random values for: {', '.join(minted)}.")
    fields[UNCHECKED] = _switch(
        UNCHECKED_LABEL, "Keep these credentials although the provider cannot be asked now whether it takes them."
    )
    return fields


def _number_fields(offered: dict[str, str]) -> dict[str, forms.Field]:
    fields: dict[str, forms.Field] = {}
    if offered:
        fields["add_numbers"] = forms.MultipleChoiceField(
            label="Numbers at the provider",
            required=False,
            choices=[(number, f"{number} ({name})" if name else number) for number, name in offered.items()],
            widget=UnfoldAdminCheckboxSelectMultipleWidget(),
            help_text="A sending list is made for each one that is ticked.",
        )
    fields["more_numbers"] = forms.CharField(
        label="More numbers, one per line",
        required=False,
        max_length=10_000,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 3}),
        help_text="A sending list is made for each: with + and the country code, or a short code.",
    )
    return fields


def _switch(label: str, help_text: str) -> forms.Field:
    return forms.BooleanField(label=label, required=False, widget=UnfoldBooleanSwitchWidget(), help_text=help_text)


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


def _field(item: Field) -> forms.Field:
    help_text = f"{item.help}{_kept(item)}".strip()
    if item.choices:
        words = [(word, word) for word in item.choices]
        return forms.ChoiceField(
            label=item.label, choices=words, initial=item.default, widget=UnfoldAdminSelectWidget(), help_text=item.help
        )
    widget = UnfoldAdminPasswordWidget(render_value=False) if item.secret else UnfoldAdminTextInputWidget()
    required = item.required and not item.secret and not item.is_minted
    shape = [RegexValidator(rf"\A(?:{item.pattern})\Z", f"Not of this shape: {item.help}")] if item.pattern else []
    return forms.CharField(
        label=item.label, required=required, widget=widget, help_text=help_text, initial=item.default, validators=shape
    )


def _kept(item: Field) -> str:
    if item.is_minted:
        return " Left empty, a random value is made, and the provider learns it from us; one that is stored is kept."
    return " Leave empty to keep the one stored." if item.secret else ""
