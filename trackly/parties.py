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


class Recent(Generic[T]):
    """Values remembered for a few seconds, so that a busy callback URL costs no query a request.

    A revoked token is therefore believed for at most `seconds`; nothing is refused from here, `again` asks first.
    """

    def __init__(self, seconds: float = 5, size: int = 10_000, timer: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._size, self._timer = seconds, size, timer
        self._values: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, load: Callable[[], T]) -> T:
        """The remembered value, or a freshly loaded one."""
        return self._get(key, load, self._seconds)

    def again(self, key: Hashable, load: Callable[[], T]) -> T:
        """A value no older than a second: asked before anything is refused, at most once a second a key."""
        return self._get(key, load, 1)

    def clear(self) -> None:
        with self._lock:
            self._values.clear()

    def _get(self, key: Hashable, load: Callable[[], T], seconds: float) -> T:
        now = self._timer()
        known = self._values.get(key)
        if known is not None and now - known[0] < seconds:
            return known[1]
        value = load()
        with self._lock:
            self._values[key] = (now, value)
            self._values.move_to_end(key)
            self._shrink(now)
        return value

    def _shrink(self, now: float) -> None:
        """Drop what is over the size or its time. The oldest stand first, so this looks at no more than it drops."""
        while self._values:
            loaded_at, _ = next(iter(self._values.values()))
            if len(self._values) <= self._size and now - loaded_at < self._seconds:
                return
            self._values.popitem(last=False)
