"""Owns how many pages may wait at once for somebody outside: the threads that serve them take the webhooks of all accounts in."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore

from django.core.cache import cache

from trackly.models import Account
from trackly.signing import new_token

AT_ONCE = 2
"""In this process, of its threads."""
# Longer than most checks take; a process that died in one leaves its account's place no longer than this.
_HELD_S = 90
_PLACES = BoundedSemaphore(AT_ONCE)


class Busy(Exception):
    """Nothing was begun; asking again in a moment is all there is to do."""

    def __init__(self) -> None:
        super().__init__("Another check is running. Try again in a moment.")


@contextmanager
def may_call(account: Account) -> Iterator[None]:
    """Around calls that a page waits for: one of an account, and AT_ONCE of all in this process. Raises Busy, never waits."""
    if not _PLACES.acquire(blocking=False):
        raise Busy
    try:
        with _only_one(account):
            yield
    finally:
        _PLACES.release()


@contextmanager
def _only_one(account: Account) -> Iterator[None]:
    key, ours = f"calling:{account.pk}", new_token()
    if not cache.add(key, ours, timeout=_HELD_S):
        raise Busy
    try:
        yield
    finally:
        # What outlasted its time may be another's by now.
        if cache.get(key) == ours:
            cache.delete(key)
