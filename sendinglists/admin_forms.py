"""Owns the forms of the admin: those of sendinglists/forms.py as the admin's theme shows them, and a list's."""

from typing import Any

from django import forms
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanSwitchWidget,
)

from sendinglists import forms as logic
from sendinglists import numbers
from sendinglists.forms import PREFIX, UNCHECKED, CredentialsForm
from sendinglists.models import ProviderAccount, SendingList
from webhooks import providers

# What the form may write; the rest of a row is a worker's, who may be at it.
WRITTEN = (
    "name", "demands_authentication", "address_policy", "credentials", "vendor_account", "numbers", "checked_at",
    "check_cause",
)  # fmt: skip


class ProviderAccountForm(CredentialsForm):
    """Subclassed by form_for(), which adds the provider's own fields and the numbers."""

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

    def clean_more_numbers(self) -> list[str]:
        try:
            return numbers.typed(self.cleaned_data["more_numbers"])
        except ValueError as error:
            raise forms.ValidationError(str(error)) from error

    def new_numbers(self) -> dict[str, str]:
        """Number -> name of the lists to be made."""
        chosen = (*(self.cleaned_data.get("add_numbers") or ()), *(self.cleaned_data.get("more_numbers") or ()))
        names = numbers.offered(self.instance) if chosen else {}
        return {number: names.get(number, "") for number in chosen}


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
    fields = {name: _dressed(field) for name, field in _more_fields(row).items()} if row else {}
    return type("ProviderAccountForm", (ProviderAccountForm,), fields)


def fields_of(row: ProviderAccount) -> list[str]:
    """The names of what form_for() adds, in the order of the page."""
    more = [name for name in _more_fields(row) if name != UNCHECKED]
    return [*more, "keep_old_until", "withdraw_old", UNCHECKED]


def _more_fields(row: ProviderAccount) -> dict[str, forms.Field]:
    fields = logic.fields_for(row)
    adapter = providers.get(row.provider)
    own = [PREFIX + item.name for item in (adapter.config if adapter else ())]
    offers = {} if row.removed_at else _number_fields(numbers.offered(row))
    rest = {name: field for name, field in fields.items() if name not in own}
    return {name: fields[name] for name in own} | offers | rest


def _number_fields(offered: dict[str, str]) -> dict[str, forms.Field]:
    fields: dict[str, forms.Field] = {}
    if offered:
        fields["add_numbers"] = forms.MultipleChoiceField(
            label="Numbers at the provider",
            required=False,
            choices=[(number, f"{number} ({name})" if name else number) for number, name in offered.items()],
            widget=forms.CheckboxSelectMultiple(),
            help_text="A sending list is made for each one that is ticked.",
        )
    fields["more_numbers"] = forms.CharField(
        label="More numbers, one per line",
        required=False,
        max_length=10_000,
        widget=forms.Textarea(),
        help_text="A sending list is made for each: with + and the country code, or a short code.",
    )
    return fields


def _dressed(field: forms.Field) -> forms.Field:
    """With the widget of the admin's theme."""
    match field.widget:
        case forms.PasswordInput():
            field.widget = UnfoldAdminPasswordWidget(render_value=False)
        case forms.CheckboxSelectMultiple():
            field.widget = UnfoldAdminCheckboxSelectMultipleWidget(choices=field.widget.choices)
        case forms.Textarea():
            field.widget = UnfoldAdminTextareaWidget(attrs={"rows": 3})
        case forms.CheckboxInput():
            field.widget = UnfoldBooleanSwitchWidget()
        case forms.Select():
            field.widget = UnfoldAdminSelectWidget(choices=field.widget.choices)
        case forms.TextInput():
            field.widget = UnfoldAdminTextInputWidget()
    field.widget.is_required = field.required
    return field
