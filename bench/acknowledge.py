"""Measures durable acknowledgements per second: gunicorn as in production, keep-alive clients in a process of their own."""

import json
import subprocess
import sys

from django.db import connection

from bench.serving import free_port, web
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
    port = free_port()
    with web(port):
        for _ in range(2):
            for name, path in paths.items():
                figures[name].append(_load(port, path, seconds / 2))
    stored = InboundRequest.objects.count()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE webhooks_inboundrequest")
    note = f"{CLIENTS} keep-alive connections, gunicorn gthread 2 x 8, {stored} rows committed"
    return [_line("acknowledged a second, DRF view", figures["ours"], note), _line("", figures["ordinary"], "")]


def _line(what: str, runs: list[dict[str, float]], note: str) -> Line:
    mean = {key: sum(run[key] for run in runs) / len(runs) for key in runs[0]}
    return Line(what=what, per_second=mean["per_second"], p50_ms=mean["p50_ms"], p99_ms=mean["p99_ms"], note=note)


def _load(port: int, path: str, seconds: float) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.load", str(port), path, str(seconds), str(CLIENTS)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
