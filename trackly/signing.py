"""Owns secrets in comparison: constant-time equality, HMAC, and the hashes secrets are looked up by."""

import hashlib
import hmac
import secrets
from base64 import b32encode
from uuid import UUID

ALGORITHMS = {
    "HMAC_MD5": "md5",
    "HMAC_SHA_1": "sha1",
    "HMAC_SHA_224": "sha224",
    "HMAC_SHA_256": "sha256",
    "HMAC_SHA_384": "sha384",
    "HMAC_SHA_512": "sha512",
}


def same(given: str | bytes, expected: str | bytes) -> bool:
    """Equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(_bytes(given), _bytes(expected))


def digest(key: str | bytes, data: bytes, algorithm: str) -> bytes:
    """HMAC of `data`; `algorithm` is a hashlib name."""
    return hmac.new(_bytes(key), data, algorithm).digest()


def token_hash(token: str) -> bytes:
    """What a random token is looked up by. Tokens have 130 random bits, so a plain SHA-256 cannot be reversed."""
    return hashlib.sha256(_bytes(token)).digest()


def new_token() -> str:
    """26 characters of [a-z2-7], 130 random bits: tokens, references and click ids."""
    return b32encode(secrets.token_bytes(17)).decode().lower()[:26]


def new_code(length: int, alphabet: str = "23456789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ") -> str:
    """A short public id for people: no 0/O, 1/l/I."""
    return "".join(secrets.choice(alphabet) for _ in range(length))


def new_uid(milliseconds: int) -> UUID:
    """A UUID of version 7: sorts by time, 74 random bits (RFC 9562 section 5.7)."""
    value = (milliseconds & (1 << 48) - 1) << 80 | secrets.randbits(80)
    value = value & ~(0xF << 76) | 0x7 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)


def _bytes(value: str | bytes) -> bytes:
    # surrogatepass: whatever a header held, comparing it must not raise.
    return value if isinstance(value, bytes) else value.encode("utf-8", "surrogatepass")
