"""Measures durable acknowledgements per second: gunicorn as in production, keep-alive clients in a process of their own."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

from django.db import connection

from bench.table import Line
from sendinglists.models import ProviderAccount
from trackly.models import Account
from trackly.signing import token_hash
from webhooks.inbound.models import InboundRequest

CLIENTS = 32
TOKEN = "measurementtoken"


def measure(seconds: float) -> list[Line]:
    """The real view and the ordinary one, in turns, so that a busy moment of the machine hits both."""
    account = Account.objects.create(name="Measured")
    ProviderAccount.objects.create(
        account=account,
        provider="infobip",
        name="Measured",
        callback_token=TOKEN,
        callback_token_hash=token_hash(TOKEN),
    )
    paths = {"ours": f"/api/webhook-feedbacks/infobip/{TOKEN}", "ordinary": f"/ordinary/infobip/{TOKEN}"}
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in paths}
    port, server = _serve()
    try:
        for _ in range(2):
            for name, path in paths.items():
                figures[name].append(_load(port, path, seconds / 2))
    finally:
        server.terminate()
        server.wait(20)
    stored = InboundRequest.objects.count()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE webhooks_inboundrequest")
    note = f"{CLIENTS} keep-alive connections, gunicorn gthread 2 x 8, {stored} rows committed"
    return [_line("acknowledged a second, DRF view", figures["ours"], note), _line("", figures["ordinary"], "")]


def _line(what: str, runs: list[dict[str, float]], note: str) -> Line:
    mean = {key: sum(run[key] for run in runs) / len(runs) for key in runs[0]}
    return Line(what=what, per_second=mean["per_second"], p50_ms=mean["p50_ms"], p99_ms=mean["p99_ms"], note=note)


def _serve() -> tuple[int, subprocess.Popen[bytes]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = os.environ | {"BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "2", "WEB_THREADS": "8"}
    # Whitenoise says that no static files were collected; nobody asks for any.
    environment["PYTHONWARNINGS"] = "ignore"
    command = ["-m", "gunicorn", "-c", "python:trackly.serving", "--log-level", "error", "trackly.wsgi"]
    server = subprocess.Popen([sys.executable, *command], env=environment)
    for _ in range(100):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2).close()
            return port, server
        except OSError:
            time.sleep(0.1)
    server.kill()
    raise SystemExit("The web server did not start.")


def _load(port: int, path: str, seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load", str(port), path, str(seconds), str(CLIENTS)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
