"""Owns gunicorn's configuration: `gunicorn -c python:trackly.serving trackly.wsgi`. Options on the command line win."""

import os
from typing import Any

from gunicorn.glogging import Logger

from trackly.redaction import mask_tokens

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


class MaskingLogger(Logger):
    """The access log with the secret segment of callback and postback URLs masked."""

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        atoms = super().atoms(resp, req, environ, request_time)
        return {name: mask_tokens(value) if isinstance(value, str) else value for name, value in atoms.items()}


logger_class = MaskingLogger
