"""Owns the real processes of the fault tests: workers and a web server beside the test, on its database, always ended."""

import http.client
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Barrier, Thread
from urllib.parse import urlsplit, urlunsplit

from django.db import connection, connections

ROOT = Path(__file__).resolve().parent.parent.parent
Process = subprocess.Popen[bytes]


def database_url() -> str:
    """The test database's, for a process that does not know that it is a test."""
    parts = urlsplit(os.environ["DATABASE_URL"])
    return urlunsplit(parts._replace(path=f"/{connection.settings_dict['NAME']}"))


@contextmanager
def worker(name: str = "worker", **environment: str) -> Iterator[Process]:
    """A `manage.py work`; its connections bear the name. Killed at the end if it still runs."""
    with _running([sys.executable, "manage.py", "work"], {"PGAPPNAME": name} | environment) as process:
        yield process


@contextmanager
def web(**environment: str) -> Iterator[int]:
    """A gunicorn as in production on a free port of the loopback, which it yields."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "-c", "python:trackly.serving", "trackly.wsgi"]
    with _running(command, {"BIND": f"127.0.0.1:{port}"} | environment):
        eventually(lambda: _answers(port), within_s=20)
        yield port


@contextmanager
def _running(command: list[str], environment: dict[str, str]) -> Iterator[Process]:
    everything = os.environ | {"DATABASE_URL": database_url(), "LOG_LEVEL": "WARNING"} | environment
    process = subprocess.Popen(command, cwd=ROOT, env=everything, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
            return True
    except OSError:
        return False


def post(port: int, path: str, body: bytes) -> int:
    """The status of one POST over a connection of its own."""
    return _request(port, "POST", path, body)


def get(port: int, path: str) -> int:
    return _request(port, "GET", path, None)


def _request(port: int, method: str, path: str, body: bytes | None) -> int:
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        link.request(method, path, body=body, headers={"Content-Type": "application/json"} if body else {})
        return link.getresponse().status
    finally:
        link.close()


def at_once(calls: Iterable[Callable[[], object]]) -> list[object]:
    """What each call gave, all begun at the same moment in threads of their own; an exception is given, not raised."""
    calls = list(calls)
    start, results = Barrier(len(calls)), [None] * len(calls)

    def run(index: int, call: Callable[[], object]) -> None:
        try:
            start.wait(10)
            results[index] = call()
        except Exception as error:
            results[index] = error
        finally:
            connections.close_all()

    threads = [Thread(target=run, args=entry) for entry in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "a thread hangs"
    return results


def eventually(claim: Callable[[], object], *, within_s: float, every_s: float = 0.02) -> None:
    """Wait until the claim is true."""
    deadline = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < deadline, f"not so within {within_s} s"
        time.sleep(every_s)
