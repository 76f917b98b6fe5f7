"""Owns phone numbers: E.164 text, or the digits of a short code."""

from functools import lru_cache

import phonenumbers


@lru_cache(maxsize=65_536)
def e164(text: str) -> str:
    """'+14155550101' for any international spelling (+, 00 or bare digits); a short code or a sender name as it came, cleaned.

    Vendors print numbers without the plus, so bare digits are read as international; '' for ''.
    """
    compact = text.strip()
    digits = compact.lstrip("+").replace(" ", "").replace("-", "").replace("(", "").replace(")", "").replace(".", "")
    if not digits.isascii() or not digits.isdigit():
        return compact[:32]
    international = digits[2:] if digits.startswith("00") else digits
    if len(international) < 7 or len(international) > 15:
        return digits[:32]
    try:
        number = phonenumbers.parse(f"+{international}")
    except phonenumbers.NumberParseException:
        return digits[:32]
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
