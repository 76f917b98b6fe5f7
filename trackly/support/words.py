"""Owns the admin's form of an account: its words stand there as lines."""

from django import forms
from unfold.widgets import UnfoldAdminTextareaWidget

from sendinglists.words import WordsField, check_harmless
from trackly.models import Account


class AccountForm(forms.ModelForm):
    """An account, its words as lines."""

    opt_out_words = WordsField(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text="Words and phrases that opt out here, beside the known ones; one a line.",
    )
    harmless_words = WordsField(
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text="Words and phrases that do not opt out here, although they are known; one a line.",
    )

    class Meta:
        model = Account
        fields = [
            "name", "status", "currency", "time_zone", "fallback_url", "payout_ceiling", "opt_out_words", "harmless_words",
            "junk_opts_out",
        ]  # fmt: skip

    def clean_harmless_words(self) -> list[str]:
        return check_harmless(self.cleaned_data["harmless_words"])
