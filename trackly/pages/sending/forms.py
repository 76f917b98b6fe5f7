"""Owns the forms of sending lists and credentials as owners and members see them."""

from typing import Any

from django import forms
from django.http import HttpRequest, QueryDict

from postbacks.models import Offer
from sendinglists import numbers
from sendinglists.forms import PREFIX, UNCHECKED, CredentialsForm, form_for, initial_for
from sendinglists.models import ProviderAccount, SendingList
from trackly.models import AddressPolicy
from trackly.pages.calling_out import Busy, may_call
from trackly.pages.forms import Form, ModelForm, within_reach
from trackly.phones import HOW_TO_WRITE, entered
from webhooks import providers

# So many numbers of a provider stand in the form; others are typed.
MOST_NUMBERS = 200
# Rows for numbers that are typed.
TYPED = 3


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form is bound to; None while it is only looked at. (An empty POST is one, too.)"""
    return request.POST if request.method == "POST" else None


class _TriedForm(CredentialsForm):
    """Its call to the provider is one that a page waits for."""

    def _ask(self) -> None:
        try:
            with may_call(self.instance.account):
                super()._ask()
        except Busy as error:
            self.add_error(None, self._refusal(error))


class NewCredentialsForm(ModelForm, _TriedForm):
    """A name, and what the provider wants."""

    class Meta:
        model = ProviderAccount
        fields = ["name"]
        help_texts = {"name": "How you call them here, for instance the name of your account there."}


class ChangedCredentialsForm(ModelForm, _TriedForm):
    """The same of credentials that are held."""

    keep_old_until = forms.DateTimeField(
        label="Keep the old ones valid until",
        required=False,
        validators=[within_reach],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="Callbacks signed with the old credentials are believed until then. Empty: they end now.",
    )

    class Meta:
        model = ProviderAccount
        fields = ["name"]


def credentials_form(row: ProviderAccount) -> type[CredentialsForm]:
    """The form for this row, with its provider's fields; what is no secret stands in them."""
    face: type[CredentialsForm] = ChangedCredentialsForm if row.pk else NewCredentialsForm
    made = form_for(row, face)
    for name, value in initial_for(row).items():
        made.base_fields[name].initial = value
    adapter = providers.get(row.provider)
    for item in adapter.config if adapter else ():
        if item.secret:
            # A browser's password manager would put the person's own password here.
            made.base_fields[PREFIX + item.name].widget.attrs["autocomplete"] = "new-password"
    order = [
        "name",
        *(name for name in made.base_fields if name.startswith(PREFIX)),
        "renew",
        "keep_old_until",
        UNCHECKED,
    ]
    made.field_order = order
    return made


class NumbersForm(Form):
    """Which numbers become lists. Subclassed by numbers_form(), which adds the fields of each row of the page. They are named by
    their numbers, so that what changed at the provider meanwhile mixes up nothing."""

    keys: tuple[tuple[str, str], ...] = ()
    """(number, '' where it is typed; what its fields are called by)."""

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        self.chosen: dict[str, tuple[str, str]] = {}
        """Number -> (name, brand) of the lists to be made."""
        for number, key in self.keys:
            taken = self.cleaned_data.get(f"take_{key}")
            for one in [number] if number and taken else self._typed(key, str(taken or "")):
                self.chosen[one] = (self.cleaned_data.get(f"name_{key}", ""), self.cleaned_data.get(f"brand_{key}", ""))
        if not self.errors and not self.chosen:
            self.add_error(None, "Choose a number, or type one.")
        return cleaned

    def _typed(self, key: str, text: str) -> list[str]:
        if not key.startswith("typed"):
            return []
        try:
            return numbers.typed(text)
        except ValueError as error:
            self.add_error(f"take_{key}", str(error))
            return []

    @property
    def rows(self) -> list[dict[str, Any]]:
        """For the page: the fields of each row."""
        return [
            {"number": number, "take": self[f"take_{key}"], "texts": (self[f"name_{key}"], self[f"brand_{key}"])}
            for number, key in self.keys
        ]


def numbers_form(row: ProviderAccount) -> type[NumbersForm]:
    """With a row for each number the provider listed that is no list, and some for others."""
    offered = dict(list(numbers.offered(row).items())[:MOST_NUMBERS])
    keys = [*((number, number) for number in offered), *(("", f"typed{n}") for n in range(1, TYPED + 1))]
    fields: dict[str, Any] = {"keys": tuple(keys)}
    for number, key in keys:
        what = number or f"typed number {key.removeprefix('typed')}"
        # Nobody looks for what to tick where there is one.
        fields[f"take_{key}"] = (
            forms.BooleanField(label=f"Make a list for {number}", required=False, initial=len(offered) == 1)
            if number
            else forms.CharField(label=what.capitalize(), required=False, max_length=32)
        )
        fields[f"name_{key}"] = forms.CharField(
            label=f"Name of the list for {what}", required=False, max_length=100, initial=offered.get(number, "")
        )
        fields[f"brand_{key}"] = forms.CharField(label=f"Brand of the list for {what}", required=False, max_length=100)
    return type("NumbersForm", (NumbersForm,), fields)


class ListForm(ModelForm):
    """What may be changed of a list; its number and its credentials stay."""

    class Meta:
        model = SendingList
        fields = ["name", "brand", "opt_out_scope", "messages_per_minute", "records_external"]
        labels = {
            "opt_out_scope": "A STOP to this list closes",
            "messages_per_minute": "Messages a minute",
            "records_external": "Make messages from reports",
        }
        help_texts = {
            "brand": "Lists of one brand can be closed together by a STOP.",
            "messages_per_minute": "How fast it sends at most. Your provider or registration may allow less.",
            "records_external": "A report about a message from this number not sent here makes a message marked external.",
        }


class ProofForm(Form):
    """What is believed of the provider's calls, in words with their consequences."""

    demands = forms.ChoiceField(
        label="Proof",
        widget=forms.RadioSelect,
        choices=[
            ("on", "Demand it: a call counts only with our token, the provider's signature or its credentials."),
            (
                "off",
                "Believe anybody who knows your account's address: reports and opt-outs are taken without proof. For a"
                " while, where a provider sends neither token nor signature. Opt-outs taken so can be undone by support.",
            ),
        ],
    )
    addresses = forms.ChoiceField(
        label="Addresses the calls come from",
        widget=forms.RadioSelect,
        choices=[
            (AddressPolicy.OFF.value, "Any address."),
            (AddressPolicy.LOG.value, "Any address; what comes from outside the provider's known ones is noted."),
            (
                AddressPolicy.ENFORCE.value,
                "Only the provider's known ones; other calls are refused and stand among the failed webhooks. When the provider"
                " moves, its reports are refused until its new addresses are known.",
            ),
        ],
    )


class RetireForm(Form):
    is_sure = forms.BooleanField(label="Yes, retire these credentials and close their lists")


class DeleteListForm(Form):
    is_sure = forms.BooleanField(label="Yes, delete this list")


class TestForm(Form):
    """A test message of one list. Subclassed by test_form(), which knows the account's offers."""

    # Or pytest would look for tests in it.
    __test__ = False

    to = forms.CharField(
        label="To",
        max_length=40,
        help_text="With + and the country code, such as +14155550101.",
        widget=forms.TextInput(attrs={"autocomplete": "tel", "inputmode": "tel"}),
    )
    text = forms.CharField(label="Text", max_length=5_000, widget=forms.Textarea(attrs={"rows": 3}))

    def clean_to(self) -> str:
        number = entered(self.cleaned_data["to"])
        if not number:
            raise forms.ValidationError(HOW_TO_WRITE)
        return number


def test_form(row: SendingList) -> type[TestForm]:
    """With a text to begin with; where the account has offers, with a link to the newest."""
    offers = Offer.objects.filter(account_id=row.account_id, status=Offer.State.ACTIVE).order_by("-id")
    found = list(offers.values_list("pk", "name")[:200])
    text = f"Test message of {row.brand or row.name}."
    made: type[TestForm] = type("TestForm", (TestForm,), {"offer": _offer_field(found)} if found else {})
    made.base_fields["text"].initial = f"{text} {{{{link}}}}" if found else text
    return made


def _offer_field(found: list[tuple[int, str]]) -> forms.Field:
    choices = [("", "none: the text has no {{link}}"), *((str(key), name) for key, name in found)]
    return forms.ChoiceField(label="Where {{link}} leads", required=False, choices=choices, initial=str(found[0][0]))


# Nor here.
test_form.__test__ = False  # type: ignore[attr-defined]
