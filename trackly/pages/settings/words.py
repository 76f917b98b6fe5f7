"""Owns the page of the words that opt out, where a reply can be tried before it is written."""

from dataclasses import dataclass

from django import forms
from django.db import transaction
from django.http import HttpResponse

from sendinglists.models import SendingList
from sendinglists.words import WordsField, check_harmless
from trackly.models import Account
from trackly.pages.forms import Form, ModelForm
from trackly.pages.visits import OWNER, Visit, page
from trackly.showing import Badge, tone_of
from webhooks.keywords import Words, classify
from webhooks.statuses import Decision

_SAID = {
    Decision.OPT_OUT: "It opts the sender out.",
    Decision.OPT_IN: "It opts the sender in again.",
    Decision.HELP: "It asks for help: kept as a reply, and nobody is opted out.",
}


class WordsForm(ModelForm):
    opt_out_words = WordsField(
        label="Also opt out", help_text="Words and phrases that opt out here beside the known ones, one a line."
    )
    harmless_words = WordsField(
        label="Do not opt out",
        help_text="Words and phrases that are known to opt out and do not here, one a line. STOP and its like always do.",
    )

    class Meta:
        model = Account
        fields = ["opt_out_words", "harmless_words", "junk_opts_out"]
        labels = {"junk_opts_out": "A reply that only says spam, scam or junk opts out, too"}
        help_texts = {"junk_opts_out": ""}

    def clean_harmless_words(self) -> list[str]:
        return check_harmless(self.cleaned_data["harmless_words"])


class TryForm(Form):
    reply = forms.CharField(
        label="A reply",
        max_length=1_600,
        required=False,
        help_text="What somebody might write back. Nothing is sent and nothing is kept.",
    )


@dataclass(frozen=True, slots=True)
class Tried:
    """What a reply would do."""

    badge: Badge
    said: str


@page(changes=OWNER)
def words(visit: Visit) -> HttpResponse:
    row = Account.objects.get(pk=visit.account.pk)
    form = WordsForm(visit.request.POST or None, instance=row)
    if visit.request.method == "POST" and form.is_valid():
        with transaction.atomic():
            row.save(update_fields=list(form.fields))
            visit.audit(row, "changed", ", ".join(form.changed_data))
        visit.say("Saved: replies that come from now on are read by these words.")
        return visit.redirect("words")
    trying = TryForm(visit.request.GET if "reply" in visit.request.GET else None)
    context = {
        "title": "Opt-out words",
        "here": "words",
        "form": form,
        "trying": trying,
        "tried": _tried(visit.account, trying),
        "lists": visit.rows(SendingList).exclude(status=SendingList.State.DELETED).order_by("name")[:50],
    }
    return visit.render("pages/settings/words.html", context)


def _tried(account: Account, form: TryForm) -> Tried | None:
    if not form.is_bound or not form.is_valid() or not form.cleaned_data["reply"].strip():
        return None
    entered = Words(account.opt_out_words, account.harmless_words, account.junk_opts_out)
    decision = classify(form.cleaned_data["reply"], entered)
    said = _SAID.get(decision, "It is kept as a reply, and nobody is opted out.")
    return Tried(Badge(decision.label, tone_of(decision)), said)
