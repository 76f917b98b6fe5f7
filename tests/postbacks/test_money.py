"""What an amount's text is read as, and which texts are refused, with what reason."""

from decimal import Decimal
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbacks.money import BadMoney, Money, parse_money

ACCEPTED = [
    ("42.00", "42", ()),
    ("18.5", "18.50", ()),
    ("0", "0", ()),
    ("007", "7", ()),
    ("-18.50", "-18.5", ()),
    (" 5.00 ", "5", ()),
    ("\t5\r\n", "5", ()),
    ("999999999999.999999", "999999999999.999999", ()),
    ("0.123456000000", "0.123456", ()),
    ("0.1234565", "0.123457", ("rounded",)),
    ("-0.1234565", "-0.123457", ("rounded",)),
    ("0.000000000001", "0", ("rounded",)),
    ("12,50", "12.50", ("comma_decimal",)),
    ("12,5", "12.5", ("comma_decimal",)),
    ("-12,50", "-12.5", ("comma_decimal",)),
    ("1.234,50", "1234.50", ("comma_decimal",)),
    ("999.999.999.999,99", "999999999999.99", ("comma_decimal",)),
    ("1234,5", "1234.5", ("comma_decimal",)),
    ("1,234.50", "1234.50", ("thousands_comma",)),
    ("1,234.5", "1234.5", ("thousands_comma",)),
    ("12,345,678.90", "12345678.90", ("thousands_comma",)),
    ("1,234.5678901", "1234.567890", ("thousands_comma", "rounded")),
]

NOT_PLAIN = "it is not a plain amount such as 12.50"
FOREIGN = "it has characters other than ASCII digits, a minus sign and a decimal point"
TOO_LARGE = "it has more than 12 digits before the decimal point"
AMBIGUOUS = "its comma may separate decimals or thousands; write it with a decimal point and no commas"
EXPONENT = "it is written with an exponent; write a plain amount such as 12.50"
PLUS = "it begins with a plus sign; write a plain amount such as 12.50"

REFUSED = [
    ("", NOT_PLAIN),
    (" ", NOT_PLAIN),
    ("-", NOT_PLAIN),
    (".", NOT_PLAIN),
    ("5.", NOT_PLAIN),
    (".5", NOT_PLAIN),
    ("--5", NOT_PLAIN),
    ("- 5", NOT_PLAIN),
    ("5 0", NOT_PLAIN),
    ("5\n5", FOREIGN),
    ("0x10", NOT_PLAIN),
    ("1_000", NOT_PLAIN),
    ("$5.00", NOT_PLAIN),
    ("5.00USD", NOT_PLAIN),
    ("10%", NOT_PLAIN),
    ("1,2345", NOT_PLAIN),
    ("1234,567", NOT_PLAIN),
    ("1,234,567", NOT_PLAIN),
    ("12,34.50", NOT_PLAIN),
    ("1.23,50", NOT_PLAIN),
    ("1.234.567", NOT_PLAIN),
    ("1,234", AMBIGUOUS),
    ("-1,234", AMBIGUOUS),
    ("NaN", "it is not a number"),
    ("sNaN", "it is not a number"),
    ("-Infinity", "it is not a number"),
    ("inf", "it is not a number"),
    ("1e5", EXPONENT),
    ("1E+400", EXPONENT),
    ("+4.50", PLUS),
    ("12%2C50", "it is percent-encoded twice"),
    ("\uff15", FOREIGN),
    ("\uff11\uff12.\uff15\uff10", FOREIGN),
    ("\u0665\u0660", FOREIGN),
    ("5\u00a0", FOREIGN),
    ("\u22125", FOREIGN),
    ("\u20ac5", FOREIGN),
    ("5\x00", FOREIGN),
    ("\ud800", FOREIGN),
    ("1000000000000", TOO_LARGE),
    ("99999999999999999999.99", TOO_LARGE),
    ("999999999999.9999999", TOO_LARGE),
    ("1,234,567,890,123.00", TOO_LARGE),
    ("1.234.567.890.123,00", TOO_LARGE),
    ("9" * 10_000, TOO_LARGE),
    ("1." + "9" * 10_000, "it has more than 12 decimals"),
]


@pytest.mark.parametrize(("text", "amount", "flags"), ACCEPTED)
def test_amounts_are_read_and_their_oddities_flagged(text, amount, flags):
    assert parse_money(text) == Money(amount=Decimal(amount), flags=flags)


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_doubtful_amounts_are_refused_with_the_reason(text, reason):
    with pytest.raises(BadMoney) as refusal:
        parse_money(text)
    assert str(refusal.value) == reason


@pytest.mark.parametrize("text", ["-0", "-0.00", "-0,0", "-0.0000001"])
def test_nothing_has_no_minus_sign(text):
    assert str(parse_money(text).amount) == "0.000000"


def reference(text):
    """Whether `text` is an amount, decided without a regular expression."""
    body = text.strip(" \t\r\n").removeprefix("-")
    if not body or not set(body) <= set("0123456789.,"):
        return False
    whole, comma, cents = body.rpartition(",")
    if comma and "." not in cents:
        return len(cents) in (1, 2) and (is_number(whole) or is_grouped(whole, "."))
    whole, point, decimals = body.partition(".")
    if not point:
        return is_number(body)
    return is_number(decimals) and (is_number(whole) or ("," in whole and is_grouped(whole, ",")))


def is_number(text):
    return text.isdigit() and len(text) <= 12


def is_grouped(text, separator):
    first, *others = text.split(separator)
    return (
        is_number(first)
        and len(first) <= 3
        and 1 <= len(others) <= 3
        and all(is_number(group) and len(group) == 3 for group in others)
    )


def accepts(text):
    try:
        money = parse_money(text)
    except BadMoney:
        return False
    assert money.amount.is_finite()
    assert money.amount.as_tuple().exponent == -6
    assert abs(money.amount) < 10**12
    return True


@pytest.mark.parametrize("length", range(9))
def test_every_short_text_is_accepted_exactly_when_the_reference_accepts_it(length):
    texts = ["".join(letters) for letters in product("1.,-", repeat=length)]
    assert [text for text in texts if accepts(text)] == [text for text in texts if reference(text)]


@settings(deadline=None, max_examples=500)
@given(
    st.text() | st.text(alphabet="0123456789.,-+ eE_%\u0665\uff15") | st.from_regex(r"-?[\d,.]{1,20}", fullmatch=True)
)
def test_nothing_is_accepted_that_the_reference_refuses(text):
    if accepts(text):
        assert reference(text)


@settings(deadline=None)
@given(st.decimals(min_value=-(10**12) + 1, max_value=10**12 - 1, places=6))
def test_every_amount_a_column_can_hold_is_read_back(amount):
    assert parse_money(f"{amount:f}") == Money(amount=amount)
