"""Owns the three ways Infobip proves a callback: Basic credentials, a fixed secret header, an HMAC of the body."""

from base64 import b64decode, b64encode

from trackly.raw import RawRequest
from trackly.signing import ALGORITHMS, digest, same
from webhooks.providers.base import Config

HMAC_HEADER = "X-Infobip-Signature"
# What the notification profile we make is given where no user name is set.
USER = "trackly"


def by_basic(request: RawRequest, config: Config) -> bool:
    scheme, _, given = (request.header("authorization") or "").strip().partition(" ")
    password, user = config.get("basic_password", ""), config.get("basic_username", "")
    if not password or scheme.lower() != "basic":
        return False
    try:
        pair = b64decode(given.strip(), validate=True)
    except ValueError:
        return False
    # Compared as one text, so that a colon in the password needs no splitting.
    return same(pair, f"{user}:{password}") or (not user and same(pair, f"{USER}:{password}"))


def by_header(request: RawRequest, config: Config) -> bool:
    name, value = config.get("header_name", "").strip().lower(), config.get("header_value", "")
    given = request.header(name) if name and value else None
    return given is not None and same(given.encode("latin-1", "replace"), value)


def by_hmac(request: RawRequest, config: Config) -> bool:
    key = config.get("hmac_key", "")
    given = request.header((config.get("hmac_header") or HMAC_HEADER).lower())
    algorithm = ALGORITHMS.get(config.get("hmac_algorithm") or "HMAC_SHA_256")
    if not key or given is None or algorithm is None:
        return False
    expected = digest(key, request.body, algorithm)
    # Some public receivers of these hooks describe the value with GitHub's prefix.
    given = given.strip().removeprefix(f"{algorithm}=")
    if config.get("hmac_encoding") == "base64":
        return same(given, b64encode(expected))
    return same(given.lower(), expected.hex())
