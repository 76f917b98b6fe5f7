"""Owns Party: who a callback URL belongs to, frozen, as the receiving code needs to know it; and its short-lived cache."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from threading import Lock
from typing import Generic, TypeVar

from trackly.clients import Network, within
from trackly.models import AddressPolicy

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A provider account or a network connection: whom an authenticated request may speak for."""

    id: int
    account_id: int
    configs: tuple[Mapping[str, str], ...] = ()
    """Credential sets valid now, newest first."""
    demands_proof: bool = True
    address_policy: str = AddressPolicy.OFF
    networks: tuple[Network, ...] = ()
    """Where its provider calls from. Empty: nobody knows, so nobody is refused for it."""

    def is_elsewhere(self, peer: str) -> bool:
        """True when the list is to be looked at, addresses are known and this is none of them."""
        return self.address_policy != AddressPolicy.OFF and bool(self.networks) and not within(peer, self.networks)

    def refuses(self, peer: str) -> bool:
        return self.address_policy == AddressPolicy.ENFORCE and self.is_elsewhere(peer)


# So many refusals a second of one key are looked up each.
AGAIN = 20


@dataclass(frozen=True, slots=True)
class _Held(Generic[T]):
    loaded_at: float
    value: T
    began: float
    """Of the second in which it was asked for again `n` times."""
    n: int


class Recent(Generic[T]):
    """Values remembered for a few seconds, so that a busy callback URL costs no query a request.

    A revoked token is therefore believed for at most `seconds`; nothing is refused from here, `again` asks first. Only a flood
    is answered from it: who is refused more than AGAIN times a second costs no more queries.
    """

    def __init__(self, seconds: float = 5, size: int = 10_000, timer: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._size, self._timer = seconds, size, timer
        self._values: OrderedDict[Hashable, _Held[T]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, load: Callable[[], T]) -> T:
        """The remembered value, or a freshly loaded one."""
        now, known = self._timer(), self._values.get(key)
        if known is not None and now - known.loaded_at < self._seconds:
            return known.value
        return self._load(key, load, now, *((known.began, known.n) if known else (now, 0)))

    def again(self, key: Hashable, load: Callable[[], T]) -> T:
        """A freshly loaded value, asked for before anything is refused; one of this second for a key that asks too often.

        Not simply one of this second: credentials may have been changed within it, and their first callback be refused.
        """
        now, known = self._timer(), self._values.get(key)
        began, n = (known.began, known.n) if known and now - known.began < 1 else (now, 0)
        if known is not None and n >= AGAIN and now - known.loaded_at < 1:
            return known.value
        return self._load(key, load, now, began, n + 1)

    def clear(self) -> None:
        with self._lock:
            self._values.clear()

    def _load(self, key: Hashable, load: Callable[[], T], now: float, began: float, n: int) -> T:
        value = load()
        with self._lock:
            self._values[key] = _Held(now, value, began, n)
            self._values.move_to_end(key)
            self._shrink(now)
        return value

    def _shrink(self, now: float) -> None:
        """Drop what is over the size or its time. The oldest stand first, so this looks at no more than it drops."""
        while self._values:
            oldest = next(iter(self._values.values()))
            if len(self._values) <= self._size and now - oldest.loaded_at < self._seconds:
                return
            self._values.popitem(last=False)
