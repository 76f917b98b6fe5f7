"""Owns the cursors of lists that are turned newest first by id: sealed, because ids count the rows of all accounts."""

from trackly.encryption import Undecryptable, seal, unseal


class BadCursor(ValueError):
    """Not a cursor of this list."""


def make(place: int, noun: str) -> str:
    """What leads back to this row's place in the list of this noun."""
    return seal([noun, place]).decode()


def read(cursor: str, noun: str) -> int:
    """The place a cursor names; raises BadCursor."""
    try:
        of, place = unseal(cursor.encode("ascii"))
        if of == noun:
            return int(place)
    except (Undecryptable, ValueError, TypeError) as error:
        raise BadCursor from error
    raise BadCursor
