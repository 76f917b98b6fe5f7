"""Owns the showing of progress: one line rewritten on a terminal, a line a phase elsewhere."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import OutputWrapper

EVERY_S = 0.1


class Progress:
    """How far the phase in hand is."""

    def __init__(self, out: OutputWrapper) -> None:
        self._out, self._is_terminal = out, out.isatty()
        self._name, self._n, self._total, self._shown_at = "", 0, 0, 0.0

    @contextmanager
    def phase(self, name: str, total: int) -> Iterator[None]:
        """The line of one phase, left standing when it ends."""
        self._name, self._n, self._total = name, 0, total
        yield
        self._write("\r\x1b[K" if self._is_terminal else "", "\n")

    def step(self) -> None:
        """One more is done."""
        self._n += 1
        if self._is_terminal and time.monotonic() - self._shown_at >= EVERY_S:
            self._shown_at = time.monotonic()
            self._write("\r\x1b[K", "")

    def _write(self, before: str, after: str) -> None:
        self._out.write(f"{before}{self._name:<42}{self._n:>6,} of {self._total:,}{after}", ending="")
        self._out.flush()
