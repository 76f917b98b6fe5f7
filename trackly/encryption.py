"""Owns secrets at rest: MultiFernet over the keys in the settings, and the model field that uses it."""

import json
from functools import lru_cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.db import models


class Undecryptable(Exception):
    """None of ENCRYPTION_KEYS opens this value; the key it was written with has been removed."""


@lru_cache(maxsize=4)
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def seal(value: Any) -> bytes:
    """JSON of `value`, encrypted with the newest key."""
    return _fernet(tuple(settings.ENCRYPTION_KEYS)).encrypt(json.dumps(value).encode())


def unseal(sealed: bytes | memoryview) -> Any:
    """What was sealed; raises Undecryptable."""
    try:
        return json.loads(_fernet(tuple(settings.ENCRYPTION_KEYS)).decrypt(bytes(sealed)))
    except InvalidToken as error:
        raise Undecryptable("no key in ENCRYPTION_KEYS opens this value") from error


class EncryptedField(models.Field):
    """A JSON value that is ciphertext in the database; never in a form, never searchable."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs["editable"] = False
        super().__init__(*args, **kwargs)

    def get_internal_type(self) -> str:
        return "BinaryField"

    def from_db_value(self, value: bytes | None, expression: Any, connection: Any) -> Any:
        return None if value is None else unseal(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> bytes | None:
        return None if value is None else seal(value)

    def value_to_string(self, obj: models.Model) -> str:
        raise TypeError("secrets are not serialised")
