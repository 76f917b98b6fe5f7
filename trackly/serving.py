"""Owns gunicorn's configuration: `gunicorn -c python:trackly.serving trackly.wsgi`. Options on the command line win."""

import os
import shutil
import tempfile
from typing import Any

from gunicorn.glogging import Logger

from trackly.logs import ID_HEADER, access, formatter
from trackly.redaction import mask

bind = os.environ.get("BIND", "127.0.0.1:8000")
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
threads = int(os.environ.get("WEB_THREADS", "8"))
# Providers keep connections open between bursts; a proxy in front does the same.
keepalive = 30
timeout = 30
graceful_timeout = 15
# Long enough for any URL a vendor sends (Twilio allows 4,000 characters), and no longer.
limit_request_line = 8190
limit_request_fields = 100
# One path for every instance of a user, and nothing here uses it.
control_socket_disable = True


class QuietLogger(Logger):
    """gunicorn's own lines in the shape of ours; its access log, where somebody wants that too, without secrets."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        for handler in self.error_log.handlers:
            handler.setFormatter(formatter())

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        atoms = super().atoms(resp, req, environ, request_time)
        return {name: mask(value) if isinstance(value, str) else value for name, value in atoms.items()}

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        super().access(resp, req, environ, request_time)
        if all(name != ID_HEADER for name, _ in resp.headers):
            _note_unreached(environ, int(str(resp.status)[:3]), request_time.total_seconds())


def _note_unreached(environ: Any, status: int, took_s: float) -> None:
    """Count and log what was answered in front of Django, where the ids of requests are given."""
    from trackly import metrics

    method, path = environ.get("REQUEST_METHOD", ""), environ.get("PATH_INFO", "")
    metrics.count_unreached(path, status)
    access.info("request answered", method=method, path=path, status=status, ms=round(took_s * 1000, 1))


def _share_counts() -> str:
    """A directory in which the processes keep what they count; '' where one was given. Before anything counts."""
    given = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    if given:
        os.makedirs(given, exist_ok=True)
        return ""
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = made = tempfile.mkdtemp(prefix="trackly-metrics-")
    return made


def child_exit(server: Any, worker: Any) -> None:
    """What a process counted stays; what it only was is forgotten."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def on_exit(server: Any) -> None:
    """Takes the directory away that was made here."""
    if _made:
        shutil.rmtree(_made, ignore_errors=True)


logger_class = QuietLogger
_made = _share_counts()
