"""Phone numbers: one spelling for one number, or an opt-out would not meet its message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackly import phones
from trackly.phones import e164, entered


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+14155550101", "+14155550101"),
        ("1 (415) 555-0101", "+14155550101"),
        ("0014155550101", "+14155550101"),
        ("+1114155550101", "+14155550101"),
        ("+4400 20 7946 0018", "+442079460018"),
        ("24680", "24680"),
        ("Acme", "Acme"),
        ("", ""),
    ],
)
def test_a_number_has_one_spelling(text: str, number: str) -> None:
    assert e164(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+14155550101", "+14155550101"),
        (" +1 (415) 555-0101 ", "+14155550101"),
        ("0014155550101", "+14155550101"),
        ("+44 (0)20 7946 0018", "+442079460018"),
        ("+39 06 1234 5678", "+390612345678"),
        ("4155550152", ""),
        ("14155550101", ""),
        ("(415) 555-0173", ""),
        ("415-555-0174", ""),
        ("020 7946 0018", ""),
        ("+4155550152", ""),
        ("+(415) 555-0173", ""),
        ("+5550101", ""),
        ("+15550101", ""),
        ("+1415555010", ""),
        ("+141555501011", ""),
        ("+24680", ""),
        ("+Acme", ""),
        ("+" + "1" * 100_000, ""),
        ("+", ""),
        ("", ""),
    ],
)
def test_a_number_that_is_entered_is_whole_or_none(text: str, number: str) -> None:
    """A number without its country code would be read as one of another country, and its opt-out never met."""
    assert entered(text) == number


@given(st.from_regex(r"\+?(1|44|49|55|61|91|54|52|39)[0-9]{0,3}[0-9]{6,10}", fullmatch=True))
def test_what_was_read_is_read_as_itself(text: str) -> None:
    assert e164(e164(text)) == e164(text)


def test_a_text_that_is_no_number_is_not_remembered_at_length() -> None:
    before = phones._number.cache_info().currsize
    assert e164("+" + "1" * 100_000) == "1" * 32
    assert e164("x" * 100_000) == "x" * 32
    assert phones._number.cache_info().currsize == before
