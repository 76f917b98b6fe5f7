"""Owns questions to a database that may hang: asked in a thread of their own, so that a machine that asks holds up nobody."""

import time
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Generic, TypeVar

from django.db import connections

T = TypeVar("T")
# After so long a thread is given up: its connection may be one that nobody will ever answer on.
GIVEN_UP_S = 20.0


class Patient(Generic[T]):
    """One question, asked once at a time whoever wants to know; its last good answer serves for a moment."""

    def __init__(self, ask: Callable[[], T], *, patience_s: float, keep_s: float) -> None:
        self._ask, self._patience_s, self._keep_s = ask, patience_s, keep_s
        self._lock = Lock()
        self._asked_at = 0.0
        self._answer: Future[T] | None = None

    def get(self) -> T:
        """The answer; raises TimeoutError when there is none in time, and whatever asking raised."""
        with self._lock:
            if self._answer is None or not self._serves(self._answer):
                self._answer, self._asked_at = Future(), time.monotonic()
                Thread(target=self._run, args=(self._answer,), daemon=True, name="patient").start()
            answer = self._answer
        return answer.result(self._patience_s)

    def forget(self) -> None:
        """The next who asks gets an answer of his own."""
        with self._lock:
            self._answer = None

    def _serves(self, answer: Future[T]) -> bool:
        age = time.monotonic() - self._asked_at
        if not answer.done():
            return age < GIVEN_UP_S
        return age <= self._keep_s and answer.exception() is None

    def _run(self, answer: Future[T]) -> None:
        try:
            answer.set_result(self._ask())
        except BaseException as error:
            answer.set_exception(error)
        finally:
            connections.close_all()
