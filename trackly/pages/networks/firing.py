"""Owns the hit that the tester fires: its form, its URL, and the real HTTP call to our own address."""

import shlex
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.conf import settings

from postbacks import building, networks
from postbacks.models import Click, NetworkConnection, Offer
from postbacks.money import BadMoney, parse_money
from trackly.calls import Answer, Call, Dialogue, Unanswered, Unreached
from trackly.outgoing import hold_now
from trackly.pages.forms import Form
from trackly.pages.visits import Visit

# Somebody waits for it.
HOLD_S = 20.0


class FireForm(Form):
    click = forms.CharField(
        required=False, max_length=64, label="Test click",
        help_text="The click id of a test click. Empty: one is made.",
    )  # fmt: skip
    offer = forms.ModelChoiceField(
        Offer.objects.none(), required=False, empty_label="None", help_text="Of the click that is made for this test."
    )
    payout = forms.CharField(required=False, max_length=64, help_text="As the network would send it.")
    transaction = forms.CharField(required=False, max_length=255, label="Transaction id")
    event = forms.CharField(
        required=False, max_length=100, label="Event or goal", help_text="Empty: the base conversion."
    )
    status = forms.CharField(required=False, max_length=64, label="Status word", help_text="Empty: approved.")

    def __init__(
        self, visit: Visit, row: NetworkConnection, typed: Any = None, *, initial: dict[str, Any] | None = None
    ) -> None:
        super().__init__(typed, initial=initial)
        self._visit = visit
        offers = visit.rows(Offer).filter(connection=row).exclude(status=Offer.State.ARCHIVED)
        self.fields["offer"].queryset = offers.order_by("name", "pk")  # type: ignore[attr-defined]

    def clean_click(self) -> str:
        text = self.cleaned_data["click"].strip().lower()
        if text and not self._visit.rows(Click).filter(click_id=text, is_test=True).exists():
            raise forms.ValidationError(
                "This is no test click of the account. Open a test link, or leave it empty: a hit for another click counts."
            )
        return text

    def clean_payout(self) -> str:
        """Warned of, not refused by the endpoint alone: who tests a comma knows it."""
        text = str(self.cleaned_data["payout"]).strip()
        try:
            if text:
                parse_money(text)
        except BadMoney as error:
            raise forms.ValidationError(f"A network could send that, and it would not count: {error}.") from error
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How the call ended."""

    status: int = 0
    said: str = ""
    """Its answer, or why there is none."""


def url_of(row: NetworkConnection, click_id: str, given: dict[str, Any]) -> str:
    """The connection's real URL with values where the network puts its own."""
    adapter = networks.get(row.network)
    if adapter is None:
        return ""
    names = {field: name for field, (name, _) in building.written(adapter).items()}
    values = {
        "click_id": click_id,
        "payout": given["payout"],
        "transaction_id": given["transaction"],
        "event": given["event"],
        "status_word": given["status"],
    }
    pairs = [(names.get(field) or adapter.aliases[field][0], value) for field, value in values.items() if value]
    return building.postback_url(settings.PUBLIC_BASE_URL, adapter, row.postback_token, urlencode(pairs))


def fire(url: str) -> Outcome:
    """One GET to our own address, by way of the world. Not to be called within a transaction."""
    if not settings.PUBLIC_BASE_URL:
        return Outcome(said="PUBLIC_BASE_URL is not set, so this service does not know its own address.")
    try:
        answer = hold_now(_ask(Call(method="GET", url=url, headers=(("User-Agent", "Trackly tester"),))), hold_s=HOLD_S)
    except (Unreached, Unanswered) as error:
        return Outcome(said=str(error))
    return Outcome(status=answer.status, said=answer.body[:500].decode("utf-8", "replace"))


def _ask(call: Call) -> Dialogue[Answer]:
    return (yield call)


def by_curl(url: str) -> str:
    """The same by hand."""
    return f"curl -i {shlex.quote(url)}"
