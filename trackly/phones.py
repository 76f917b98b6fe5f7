"""Owns phone numbers: E.164 text, or the digits of a short code."""

import re
from functools import lru_cache

import phonenumbers

# No spelling of a number is longer. What is remembered is bounded by it: whoever may import could fill the memory else.
LONGEST = 64
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
HOW_TO_WRITE = "Write it with + and the country code, such as +14155550101."


def e164(text: str) -> str:
    """'+14155550101' for any international spelling (+, 00 or bare digits); a short code or a sender name as it came, cleaned.

    Vendors print numbers without the plus, so bare digits are read as international; '' for ''. Read again, it stays as it is:
    a message and the STOP that answers it must come to the same number.
    """
    compact = text.strip()
    return _number(compact) if len(compact) <= LONGEST else compact.lstrip("+")[:32]


def entered(text: str) -> str:
    """The number a person or their own system gives, as E.164; '' unless it is whole: with + or 00, and as long as its country's.

    A vendor always prints the country code. A person may leave it out, and (415) 555-0173 would be a number in Switzerland.
    """
    number = with_country(text)
    return number if _is_possible(number) else ""


def with_country(text: str) -> str:
    """The same for a number that is only looked for: of any length, a provider may have named it so; '' for other texts."""
    number = e164(text) if text.strip().startswith(("+", "00")) else ""
    return number if _E164.fullmatch(number) else ""


@lru_cache(maxsize=65_536)
def _is_possible(number: str) -> bool:
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return False
    # is_possible_number() would take +15550101 as well, a number as it is dialled within one town.
    return phonenumbers.is_possible_number_with_reason(parsed) == phonenumbers.ValidationResult.IS_POSSIBLE


@lru_cache(maxsize=65_536)
def _number(compact: str) -> str:
    digits = compact.lstrip("+").replace(" ", "").replace("-", "").replace("(", "").replace(")", "").replace(".", "")
    if not digits.isascii() or not digits.isdigit():
        return compact[:32]
    number, before = f"+{digits[2:] if digits.startswith('00') else digits}", ""
    # Once is not enough: of '+4400…' the first reading takes one zero.
    while number != before:
        if not 8 <= len(number) <= 16:
            return digits[:32]
        before = number
        try:
            parsed = phonenumbers.parse(number)
        except phonenumbers.NumberParseException:
            return digits[:32]
        number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return number
