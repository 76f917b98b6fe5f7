"""Owns the shapes of Infobip's requests as its OpenAPI (3.210.0) writes them, and what is wrong with a value.

An unknown property is refused, which the vendor may not do: what we send is to be in its documents.
"""

from collections.abc import Iterator
from typing import Any

# A schema: field -> kind, '*' in front where it is required. A kind is a type, a tuple of words, (low, high), another schema,
# or [kind] for a list.
Kind = Any
WEBHOOK = {"*notifyUrl": 512, "contentType": 255}
CREDENTIALS = {"*username": 255, "*password": 255}
SECURITY = {"type": ("BASIC", "HMAC", "OAUTH", "CUSTOM"), "credentials": CREDENTIALS}
TUNING = {
    "clientCertificateId": 255,
    "maxBucketSize": (1, 2000),
    "windowSize": (20, 10000),
    "connectTimeout": (300, 30000),
    "readTimeout": (1000, 90000),
    "enabledSSLProtocols": [("TLSv1.2", "TLSv1.3")],
    "headers": dict,
    "responseRegex": str,
    "responseBodyRegex": str,
    "rateLimit": (1, 5000),
}
PROFILE = {"webhook": WEBHOOK, "security": {"*authId": 255}} | TUNING
NEW_SECURITY = {"*authId": 255} | SECURITY
NEW_PROFILE = {"*profileId": 255, "webhook": WEBHOOK, "security": NEW_SECURITY} | TUNING
SUBSCRIPTION = {
    "name": 255,
    "*events": [("DELIVERY", "INBOUND_MESSAGE", "CLICK")],
    "criteria": [{"applicationId": 255, "entityId": 255}],
    "resources": [255],
    "users": [255],
    "*profile": {"*profileId": 255},
}
NEW_SUBSCRIPTION = {"*subscriptionId": 255} | SUBSCRIPTION | {"*profile": NEW_PROFILE}
FORWARDING = {"*type": ("HTTP_FORWARD", "PULL"), "url": 2000, "format": ("MO_JSON_2",)}
CONFIGURATION = {
    "*channel": ("SMS",),
    "number": str,
    "numberKey": str,
    "countryCode": 2,
    "keyword": 50,
    "forwarding": FORWARDING,
    "autoResponse": {"*message": str},
    "unset": [
        ("USERNAME", "PLATFORM", "FORWARDING", "CONVERSATIONS", "ANSWERS", "AUTORESPONSE", "BLOCKLISTCONFIGURATION")
    ],
}
DELIVERY = {"url": str, "intermediateReport": bool, "notify": bool}
MESSAGES = {
    "*messages": [
        {
            "sender": str,
            "*destinations": [{"*to": 64, "messageId": 200}],
            "*content": {"*text": str},
            "webhooks": {"delivery": DELIVERY, "contentType": str, "callbackData": 4000},
        }
    ],
    "options": {"tracking": {"shortenUrl": bool, "trackClicks": bool}, "includeSmsCountInResponse": bool},
}


def faults_in(value: Any, kind: Kind, where: str = "") -> Iterator[tuple[str, str]]:
    """(property, violation) of each thing wrong with it."""
    if isinstance(kind, dict):
        yield from _faults_in_object(value, kind, where)
    elif isinstance(kind, list):
        if not isinstance(value, list) or len(value) > 255:
            yield where, "must be a list of at most 255"
            return
        for index, item in enumerate(value):
            yield from faults_in(item, kind[0], f"{where}[{index}]")
    elif cause := _fault(value, kind):
        yield where, cause


def _fault(value: Any, kind: Kind) -> str:
    """What is wrong with a scalar; '' when nothing is."""
    if isinstance(kind, type):
        return "" if isinstance(value, kind) else f"must be {kind.__name__}"
    if isinstance(kind, int):
        return "" if isinstance(value, str) and len(value) <= kind else f"size must be between 0 and {kind}"
    if isinstance(kind[0], int):
        return (
            "" if isinstance(value, int) and kind[0] <= value <= kind[1] else f"must be between {kind[0]} and {kind[1]}"
        )
    return "" if value in kind else f"is not one of {', '.join(kind)}"


def _faults_in_object(value: Any, kind: dict[str, Kind], where: str) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield where, "must be an object"
        return
    known = {name.removeprefix("*"): inner for name, inner in kind.items()}
    for name in kind:
        if name.startswith("*") and value.get(name[1:]) in (None, "", []):
            yield f"{where}.{name[1:]}".lstrip("."), "must not be blank"
    for name, item in value.items():
        path = f"{where}.{name}".lstrip(".")
        if name not in known:
            yield path, "unknown property"
        elif item is not None:
            yield from faults_in(item, known[name], path)
