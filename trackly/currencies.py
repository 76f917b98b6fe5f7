"""Owns the question what can be a currency and a time zone of an account or connection."""

from zoneinfo import available_timezones

from django.core.exceptions import ValidationError

# ISO 4217, the codes of money in use (list one of 2025-01-01), without metals, funds and test codes.
_CODES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP
CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD
IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR
MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP
SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XCG XOF
XPF YER ZAR ZMW ZWG
"""
CURRENCIES = frozenset(_CODES.split())


def demand(*, currency: str, time_zone: str) -> None:
    """Raise ValidationError by field for what is neither; '' means none was given."""
    wrong = {}
    if currency and currency not in CURRENCIES:
        wrong["currency"] = "Not the code of a currency: three capital letters such as USD."
    if time_zone and time_zone not in available_timezones():
        wrong["time_zone"] = "Not a time zone: a name such as Europe/Berlin, or UTC."
    if wrong:
        raise ValidationError(wrong)
