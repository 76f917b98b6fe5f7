"""Owns how an amount is read from a postback's text: a Decimal with six places, or why not.

Decimal() alone takes NaN, 1e5, 1_000 and full-width digits, so the shapes that count are spelt out in ASCII here.
"""

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

# A column of 12 digits before the point and 6 after it holds every amount that is accepted.
PLACES = Decimal("0.000001")
CEILING = Decimal(10) ** 12

_PLAIN = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,12})?")
_COMMA_DECIMAL = re.compile(r"-?(?:[0-9]{1,12}|[0-9]{1,3}(?:\.[0-9]{3}){1,3}),[0-9]{1,2}")
_THOUSANDS_COMMA = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3}){1,3}\.[0-9]{1,12}")

_TOO_LARGE = "it has more than 12 digits before the decimal point"
# The first one that is found in a refused text is the reason.
_REASONS = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"\A-?[0-9]{13}", _TOO_LARGE),
        (r"\A-?[0-9]{1,3}(?:,[0-9]{3}){4}|\A-?[0-9]{1,3}(?:\.[0-9]{3}){4},", _TOO_LARGE),
        (
            r"\A-?[0-9]{1,3},[0-9]{3}\Z",
            "its comma may separate decimals or thousands; write it with a decimal point and no commas",
        ),
        (r"\A-?[0-9]+[.,][0-9]{13}", "it has more than 12 decimals"),
        (r"(?i)\A[+-]?s?(?:nan|inf|infinity)\Z", "it is not a number"),
        (r"%[0-9A-Fa-f]{2}", "it is percent-encoded twice"),
        (r"[^ -~]", "it has characters other than ASCII digits, a minus sign and a decimal point"),
        (r"(?i)\A[+-]?[0-9.]+e[+-]?[0-9]+\Z", "it is written with an exponent; write a plain amount such as 12.50"),
        (r"\A\+", "it begins with a plus sign; write a plain amount such as 12.50"),
    )
)
_NOT_PLAIN = "it is not a plain amount such as 12.50"


class BadMoney(Exception):
    """The text is no amount; the message says why, as a clause about it, and repeats nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """An amount with six places, and what was odd about its text."""

    amount: Decimal
    flags: tuple[str, ...] = ()
    """Any of 'comma_decimal', 'thousands_comma', 'rounded'."""


def parse_money(text: str) -> Money:
    """The amount `text` spells, ASCII spaces around it aside; 1,234 could be two amounts and is refused; raises BadMoney."""
    plain, flags = _in_plain_form(text.strip(" \t\r\n"))
    exact = Decimal(plain)
    amount = exact.quantize(PLACES, rounding=ROUND_HALF_UP)
    if abs(amount) >= CEILING:
        raise BadMoney(_TOO_LARGE)
    if amount != exact:
        flags += ("rounded",)
    # A minus sign on nothing would show as "-0.00".
    return Money(amount=amount if amount else abs(amount), flags=flags)


def _in_plain_form(text: str) -> tuple[str, tuple[str, ...]]:
    if _PLAIN.fullmatch(text):
        return text, ()
    if _COMMA_DECIMAL.fullmatch(text):
        return text.replace(".", "").replace(",", "."), ("comma_decimal",)
    if _THOUSANDS_COMMA.fullmatch(text):
        return text.replace(",", ""), ("thousands_comma",)
    raise BadMoney(next((reason for pattern, reason in _REASONS if pattern.search(text)), _NOT_PLAIN))
