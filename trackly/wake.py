"""Owns the waking of workers: NOTIFY after a commit, at most one per process per 50 ms, on a connection of its own.

Inside a data transaction a NOTIFY would serialise every commit. Nothing depends on it: workers poll every second as well.
"""

import os
import threading
import time

import psycopg
import structlog
from django.db import connections

logger = structlog.get_logger(__name__)

CHANNEL = "trackly_inbox"
PAUSE_S = 0.05
# What Django adds for its own wrapper means nothing to a bare connection.
CONNECTION_KEYS = {"dbname", "user", "password", "host", "port", "connect_timeout", "sslmode", "sslrootcert"}


class _Notifier:
    """A thread that turns any number of nudges into one NOTIFY per pause."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.event = threading.Event()
        self.is_closing = False
        self.thread = threading.Thread(target=self._run, daemon=True, name="notifier")
        self.thread.start()

    def _run(self) -> None:
        link: psycopg.Connection | None = None
        while True:
            self.event.wait()
            self.event.clear()
            if self.is_closing:
                break
            try:
                link = link or connect()
                link.execute(f"NOTIFY {CHANNEL}")
            except psycopg.Error as error:
                logger.warning("notify failed", error=str(error).strip().partition("\n")[0])
                if link is not None:
                    link.close()
                link = None
            time.sleep(PAUSE_S)
        if link is not None:
            link.close()


_notifier: _Notifier | None = None
_lock = threading.Lock()


def nudge() -> None:
    """Wake a worker soon. Returns at once and never raises."""
    global _notifier
    # gunicorn forks: a thread of the parent does not live in the child.
    if _notifier is None or _notifier.pid != os.getpid():
        with _lock:
            if _notifier is None or _notifier.pid != os.getpid():
                _notifier = _Notifier()
    _notifier.event.set()


def close() -> None:
    """End the thread and its connection; the next nudge begins anew."""
    global _notifier
    if _notifier is not None and _notifier.pid == os.getpid():
        _notifier.is_closing = True
        _notifier.event.set()
        _notifier.thread.join()
    _notifier = None


def connect() -> psycopg.Connection:
    """A connection of one's own to the same database, in autocommit, outside the pool."""
    wrapper = connections["default"]
    parameters = {key: value for key, value in wrapper.get_connection_params().items() if key in CONNECTION_KEYS}
    return psycopg.connect(**parameters, autocommit=True)


def wait(link: psycopg.Connection, seconds: float) -> bool:
    """Wait for a nudge at most so long; True when there was one. `link` must be listening."""
    return any(True for _ in link.notifies(timeout=seconds, stop_after=1))
