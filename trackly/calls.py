"""Owns what a conversation over HTTP is made of: a call, its answer, and a dialogue, which is a generator that yields calls
and is sent their answers.

Adapters describe dialogues and stay pure; trackly/outgoing.py holds them.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP request of ours."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, whole."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    """(lower-case name, value), in the order they came."""
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first value of this header (name in lower case); None when it was not sent."""
        return next((value for key, value in self.headers if key == name), None)


class Unreached(Exception):
    """Nothing was sent: no such host, no connection, no TLS. Doing it again is safe. The text says why, without secrets."""


class Barred(Unreached):
    """Our own guard refuses this address; doing it again changes nothing."""


class Unanswered(Exception):
    """The request went out, at least in part, and no whole answer came: it may have been carried out, or not."""


# What a dialogue returns at its end is its result. Unreached and Unanswered are thrown into it where a call ends so.
Dialogue = Generator[Call, Answer, T]
