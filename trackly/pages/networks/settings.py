"""Owns the settings of a connection: the rules its postbacks are judged by, and what its status words mean."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.db import transaction
from django.http import HttpResponse

from postbacks import conversions, networks
from postbacks.models import Conversion, NetworkConnection
from postbacks.verdicts import ConversionStatus, Verdict
from trackly.pages.forms import Form, ModelForm
from trackly.pages.networks.connections import offer_places
from trackly.pages.networks.rotation import RotateForm
from trackly.pages.networks.setup import one
from trackly.pages.visits import OWNER, Visit, page
from trackly.showing import counted

Rule = NetworkConnection.DuplicateRule
_RULES = (
    (
        Rule.IGNORE,
        "Ignore it. 20.00, then 25.00 for the same sale: 20.00 counts, and the repeat is shown as a duplicate.",
    ),
    (Rule.UPDATE, "Update the amount. 20.00, then 25.00 for the same sale: 25.00 counts."),
    (
        Rule.ADD,
        "Add it as an upsell. 20.00, then 25.00: both count, 45.00. The same amount again counts only without a transaction"
        " id and outside the duplicate window.",
    ),
)
# Words are looked for so far back, among so many of the newest hits.
_LATELY = timedelta(days=90)
_LOOKED_THROUGH = 1_000
_MOST_WORDS = 50


class EditForm(ModelForm):
    currency = forms.ChoiceField(required=False)
    time_zone = forms.ChoiceField(required=False, label="Time zone")
    duplicate_rule = forms.ChoiceField(
        choices=_RULES, widget=forms.RadioSelect, label="When a sale is reported again with another amount"
    )
    duplicate_minutes = forms.DecimalField(
        min_value=0, max_value=43_200, decimal_places=2, label="Duplicate window in minutes",
        help_text="Two hits without a transaction id and with one amount are one sale within this time. With 10: the same 20.00"
        " after 5 minutes is a repeat.",
    )  # fmt: skip
    attribution_days = forms.IntegerField(
        min_value=1, max_value=3650, label="Attribution window in days",
        help_text="A conversion so many days after its click is late. An offer may have its own.",
    )  # fmt: skip

    class Meta:
        model = NetworkConnection
        fields = (
            "name", "currency", "time_zone", "click_parameter", "duplicate_rule", "duplicate_minutes", "attribution_days",
            "excludes_late", "token_only", "address_policy", "addresses",
        )  # fmt: skip
        labels = {
            "excludes_late": "Late conversions do not count",
            "token_only": "Only the URL with the token counts",
            "address_policy": "Calls from addresses that are not on the list",
        }
        help_texts = {
            "excludes_late": "Otherwise they count, marked late.",
            "token_only": "Hits on the bare URL are then held for you instead of counting as unverified.",
            "address_policy": "The list is what support keeps for this network and the addresses below. While both are empty"
            " nobody is refused.",
            "addresses": "One address or range a line, such as 203.0.113.0/24.",
        }
        widgets = {"addresses": forms.Textarea(attrs={"rows": 3})}

    def __init__(self, visit: Visit, typed: Any, *, instance: NetworkConnection) -> None:
        row = instance
        minutes = row.duplicate_window.total_seconds() / 60
        initial = {
            "duplicate_minutes": Decimal(f"{minutes:.2f}".rstrip("0").rstrip(".")),
            "attribution_days": max(row.attribution_window.days, 1),
        }
        super().__init__(typed, instance=row, initial=initial)
        offer_places(self, visit)
        adapter = networks.get(row.network)
        usual = adapter.click_parameters[0] if adapter else "click_id"
        self.fields["click_parameter"].help_text = (
            f"The parameter of tracking links that carries our click id. Empty: {usual}. Changing it changes the postback URL,"
            " which the network then needs anew."
        )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        # One that was not touched keeps its seconds and hours.
        if "duplicate_minutes" in self.changed_data and given.get("duplicate_minutes") is not None:
            self.instance.duplicate_window = timedelta(minutes=float(given["duplicate_minutes"]))
        if "attribution_days" in self.changed_data and given.get("attribution_days") is not None:
            self.instance.attribution_window = timedelta(days=given["attribution_days"])
        return given


class WordForm(Form):
    word = forms.CharField(required=False, max_length=64, label="Status word")
    means = forms.ChoiceField(required=False, choices=[("", "Not decided"), *ConversionStatus.choices], label="Means")

    def clean_word(self) -> str:
        return str(self.cleaned_data["word"]).strip().lower()

    def clean(self) -> None:
        if self.cleaned_data.get("means") and not self.cleaned_data.get("word"):
            self.add_error("word", "Which word means this?")


# Whatever number of rows a form claims to have.
WordForms = forms.formset_factory(WordForm, extra=2, max_num=_MOST_WORDS + 50, absolute_max=_MOST_WORDS + 50)


@page(sees=OWNER, changes=OWNER)
def edit(visit: Visit, connection_id: int) -> HttpResponse:
    row = one(visit, connection_id)
    posted, unmapped = visit.request.POST or None, _unmapped(visit, row)
    rows = [{"word": word, "means": means} for word, means in sorted(row.status_words.items())]
    rows += [{"word": word} for word in unmapped if word not in row.status_words]
    # What was typed stands for itself: words that came meanwhile would move the rows it is compared with.
    words = WordForms(posted, prefix="words", initial=None if posted else rows)
    before, parameters = dict(row.status_words), row.click_parameters
    form = EditForm(visit, posted, instance=row)
    # Both, so that everything that is wrong is said at once.
    if form.is_bound and all([words.is_valid(), form.is_valid()]):
        _keep(visit, form, _meaning(words), before)
        if row.click_parameters != parameters:
            visit.warn("The postback URL has changed with the click parameter: give the network the new one.")
        return visit.redirect("connection", row.pk)
    adapter = networks.get(row.network)
    context = {
        "title": "Settings", "row": row, "form": form, "words": words, "rotate": RotateForm(),
        "unmapped": list(unmapped.items()), "known": sorted(adapter.statuses.items()) if adapter else [],
        "has_old": row.previous_token_until is not None and row.previous_token_until > visit.now,
    }  # fmt: skip
    return visit.render("pages/networks/connection_edit.html", context)


def _meaning(words: Any) -> dict[str, str]:
    given = [form.cleaned_data for form in words if form.cleaned_data]
    return {item["word"]: item["means"] for item in given if item["word"] and item["means"]}


def _keep(visit: Visit, form: EditForm, words: dict[str, str], before: dict[str, str]) -> None:
    row = form.instance
    with transaction.atomic():
        row.status_words = words
        changed = [*form.changed_data, *(["status words"] if words != before else [])]
        # The token and its overlap are changed elsewhere, maybe meanwhile.
        fields = {*form.Meta.fields, "duplicate_window", "attribution_window", "status_words"}
        row.save(update_fields=fields - {"duplicate_minutes", "attribution_days"})
        visit.audit(row, "changed", ", ".join(changed).replace("_", " ") or "nothing")
    n = _judge_again(visit, row, {word for word in words if words[word] != before.get(word)})
    said = f" {counted(n, 'kept postback')} {'was' if n == 1 else 'were'} judged again." if n else ""
    visit.say(f"The settings of {row.name} are saved.{said}")


def _judge_again(visit: Visit, row: NetworkConnection, words: set[str]) -> int:
    """Hits that waited for one of these words; how many. What is over a batch, the worker's sweep takes."""
    if not words:
        return 0
    waiting = visit.rows(Conversion).filter(verdict=Verdict.STATUS_UNMAPPED, connection=row, status_word__in=words)
    return len(conversions.rejudge(waiting, visit.now))


def _unmapped(visit: Visit, row: NetworkConnection) -> Counter[str]:
    """Status words that hits of this connection came with lately and that mean nothing yet, the most frequent first."""
    kept = visit.rows(Conversion).filter(
        verdict=Verdict.STATUS_UNMAPPED, connection=row, received_at__gte=visit.now - _LATELY
    )
    words = kept.order_by("-received_at", "-id").values_list("status_word", flat=True)[:_LOOKED_THROUGH]
    return Counter(dict(Counter(words).most_common(_MOST_WORDS)))
