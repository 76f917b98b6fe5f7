"""Owns the processes of a measurement: the web as in production, and whatever else it needs, ended with it."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def web(port: int, **environment: str) -> Iterator[None]:
    """gunicorn with two processes of eight threads, ready."""
    # Whitenoise says that no static files were collected; nobody asks for any.
    mine = {"BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "2", "WEB_THREADS": "8", "PYTHONWARNINGS": "ignore"}
    command = ("-m", "gunicorn", "-c", "python:trackly.serving", "--log-level", "error", "trackly.wsgi")
    with process(*command, **mine, **environment):
        _wait_until_ready(port)
        yield


@contextmanager
def process(*command: str, **environment: str) -> Iterator[None]:
    """Python with these arguments, until the block ends."""
    running = subprocess.Popen([sys.executable, *command], env=os.environ | environment)
    try:
        yield
    finally:
        running.terminate()
        running.wait(30)


def _wait_until_ready(port: int) -> None:
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("The web server did not start.")
