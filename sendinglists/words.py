"""Owns the field in which words that opt out are entered, one a line, and what may stand in it."""

from typing import Any

from django import forms

from webhooks.keywords import DEMANDED, fold

MOST_WORDS, MOST_CHARACTERS = 200, 100


class WordsField(forms.CharField):
    """A list of words and phrases as lines of text."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("widget", forms.Textarea(attrs={"rows": 4}))
        super().__init__(required=False, max_length=30_000, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(str(word) for word in value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str]:
        words = [line.strip() for line in str(super().clean(value)).splitlines() if line.strip()]
        if len(words) > MOST_WORDS or any(len(word) > MOST_CHARACTERS for word in words):
            raise forms.ValidationError(f"At most {MOST_WORDS} lines of at most {MOST_CHARACTERS} characters.")
        return list(dict.fromkeys(words))

    def has_changed(self, initial: Any, data: Any) -> bool:
        return (initial or []) != [line.strip() for line in str(data or "").splitlines() if line.strip()]


def check_harmless(words: list[str]) -> list[str]:
    """The same words; raises ValidationError for one that must opt out."""
    taken = [word for word in words if fold(word).strip() in DEMANDED]
    if taken:
        raise forms.ValidationError(f"Law and carriers demand that '{taken[0]}' opts out; it cannot be made harmless.")
    return words
