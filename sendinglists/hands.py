"""Owns what a line's worker has in hand: which messages, of which provider accounts, so that one that hangs gets no more."""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from threading import Lock


class Hands:
    """Message -> its provider account, until its call is certainly over. Used from several threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: dict[int, tuple[int, datetime]] = {}

    def take(self, messages: Mapping[int, int], until: datetime) -> None:
        """These (message -> provider account), at most until then."""
        with self._lock:
            self._held |= {id: (party_id, until) for id, party_id in messages.items()}

    def drop(self, ids: Iterable[int]) -> None:
        with self._lock:
            for id in ids:
                self._held.pop(id, None)

    def by_party(self, now: datetime) -> Counter[int]:
        """Provider account -> how many of its messages are in hand."""
        with self._lock:
            self._held = {id: held for id, held in self._held.items() if held[1] > now}
            return Counter(party_id for party_id, _ in self._held.values())
