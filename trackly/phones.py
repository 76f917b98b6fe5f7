"""Owns phone numbers: E.164 text, or the digits of a short code."""

from functools import lru_cache

import phonenumbers

# No spelling of a number is longer. What is remembered is bounded by it: whoever may import could fill the memory else.
LONGEST = 64


def e164(text: str) -> str:
    """'+14155550101' for any international spelling (+, 00 or bare digits); a short code or a sender name as it came, cleaned.

    Vendors print numbers without the plus, so bare digits are read as international; '' for ''. Read again, it stays as it is:
    a message and the STOP that answers it must come to the same number.
    """
    compact = text.strip()
    return _number(compact) if len(compact) <= LONGEST else compact.lstrip("+")[:32]


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
