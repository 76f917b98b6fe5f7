"""Owns how a page is opened and timed: warm, by Django's test client, with its queries counted."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

from django.db import connection

# Opened once to warm it, then until it is clearly quick or was opened so often. The best counts: the rest is the machine's.
CLEARLY_MS, TIMES = 100, 5


class Page(Protocol):
    """What is opened; its words tell which."""

    @property
    def group(self) -> str: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowed:
    """What no page may take more of."""

    ms: float
    queries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Took:
    """How long a page took, warm, and what it asked."""

    asked: Any
    ms: float
    queries: int
    allowed: Allowed

    @property
    def is_over(self) -> bool:
        return self.ms > self.allowed.ms or self.queries > self.allowed.queries

    def __str__(self) -> str:
        mark = f"  OVER {self.allowed.ms:.0f} ms or {self.allowed.queries} queries" if self.is_over else ""
        return f"{self.ms:.0f} ms, {self.queries} queries: {self.asked}{mark}"


def timed(asked: Page, look: Callable[[], None], allowed: Allowed, *, is_warm: bool = False) -> Took:
    asks = 0

    def count(execute: Any, *args: Any) -> Any:
        nonlocal asks
        asks += 1
        return execute(*args)

    began = time.perf_counter()
    with connection.execute_wrapper(count):
        look()
    took = [(time.perf_counter() - began) * 1000] if is_warm else []
    while not is_warm and len(took) < TIMES and (not took or min(took) > CLEARLY_MS):
        began = time.perf_counter()
        look()
        took.append((time.perf_counter() - began) * 1000)
    return Took(asked=asked, ms=min(took), queries=asks, allowed=allowed)


def groups(took: list[Took]) -> Iterator[str]:
    """A line for each group: how many, and the slowest."""
    for group in dict.fromkeys(item.asked.group for item in took):
        of = [item for item in took if item.asked.group == group]
        worst = max(of, key=lambda item: item.ms)
        yield f"{group}: {len(of)} pages, median {median(item.ms for item in of):.0f} ms, slowest {worst}"
