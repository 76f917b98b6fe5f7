"""manage.py up: database, migrations, web and worker in the foreground; one Ctrl-C stops them all."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from io import StringIO
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError

from postbacks import networks
from postbacks.models import NetworkConnection
from sendinglists.models import Link, ProviderAccount
from trackly.embedded import VAR, write_served
from trackly.models import WorkerRun

READY_WITHIN_S = 30
STOP_WITHIN_S = 20


class Command(BaseCommand):
    help = "Run everything on this machine: the address is http://127.0.0.1:$PORT (8000)."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--port", type=int, default=int(os.environ.get("PORT") or 8000))

    def handle(self, *args: Any, port: int, **options: Any) -> None:
        base = os.environ.get("PUBLIC_BASE_URL") or f"http://127.0.0.1:{port}"
        _demand_free(port)
        call_command("migrate", verbosity=0)
        call_command("collectstatic", interactive=False, verbosity=0)
        first = call_command("first_start", stdout=StringIO())
        processes = _start(port, base)
        # Raised in the main thread wherever it waits, so that either signal ends like Ctrl-C.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            _wait_until_ready(port, processes)
            self.stdout.write("\n".join(part for part in (_welcome(base), first, "Ctrl-C stops everything.") if part))
            self.stdout.flush()
            _watch(processes)
        except KeyboardInterrupt:
            self.stdout.write("\nStopping.")
        finally:
            _stop(processes)
            write_served(_var(), {})


def _demand_free(port: int) -> None:
    with socket.socket() as probe:
        # A listener of a moment ago, still in TIME_WAIT, does not count; gunicorn ignores it as well.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            hint = f"PORT={port + 1} make run uses another."
            raise CommandError(f"Port {port} is taken ({error.strerror}); {hint}") from error


def _start(port: int, base: str) -> dict[str, subprocess.Popen[bytes]]:
    """Web and worker, each in a session of its own, so that a Ctrl-C reaches this process alone."""
    environment = os.environ | {"PUBLIC_BASE_URL": base, "BIND": f"127.0.0.1:{port}"}
    environment.setdefault("SANDBOX_ENABLED", "true")
    # The sandbox calls back on this machine, which nothing else may be made to call.
    environment.setdefault("OUTGOING_ALLOW", "127.0.0.0/8")
    # A line for every request is for a log, not for the terminal somebody reads the addresses in.
    environment.setdefault("LOG_LEVEL", "WARNING")
    write_served(_var(), environment)
    # One directory, so that /metrics of the web shows what the worker counts, too.
    environment["PROMETHEUS_MULTIPROC_DIR"] = str(_emptied(_var() / "metrics"))
    commands = {
        "web": [
            sys.executable,
            "-m",
            "gunicorn",
            "-c",
            "python:trackly.serving",
            "trackly.wsgi",
            "--log-level",
            "warning",
        ],
        "worker": [sys.executable, "manage.py", "work"],
    }
    return {
        name: subprocess.Popen(command, env=environment, start_new_session=True) for name, command in commands.items()
    }


def _var() -> Path:
    return Path(os.environ.get("TRACKLY_VAR") or VAR)


def _emptied(directory: Path) -> Path:
    """What was counted before this start belongs to processes that are gone."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory


def _wait_until_ready(port: int, processes: dict[str, subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline:
        _demand_alive(processes)
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                if WorkerRun.objects.filter(pid=processes["worker"].pid, ended_at__isnull=True).exists():
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.1)
    raise CommandError(f"Web and worker were not there within {READY_WITHIN_S} s; their messages stand above.")


def _watch(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    while True:
        _demand_alive(processes)
        time.sleep(0.5)


def _demand_alive(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    for name, process in processes.items():
        if process.poll() is not None:
            raise CommandError(
                f"The {name} process ended by itself (code {process.returncode}); everything is stopped."
            )


def _stop(processes: dict[str, subprocess.Popen[bytes]]) -> None:
    """Web first, so that nothing new is acknowledged; the worker finishes its batch."""
    for process in processes.values():
        process.terminate()
    deadline = time.monotonic() + STOP_WITHIN_S
    for process in processes.values():
        try:
            process.wait(max(deadline - time.monotonic(), 0.1))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _welcome(base: str) -> str:
    """Addresses, and lines to paste that show the way of a message from click to conversion."""
    lines = ["", f"Trackly webhooks is running at {base}", f"  pages     {base}/", f"  admin     {base}/admin/"]
    party = ProviderAccount.objects.filter(provider="sandbox").order_by("id").first()
    if party is not None:
        lines.append(f"  webhooks  {base}/api/webhook-feedbacks/sandbox/{party.callback_token}")
    lines.append(f"  API       {base}/api/v2/docs")
    for connection in NetworkConnection.objects.order_by("id")[:2]:
        adapter = networks.get(connection.network)
        query = adapter.template if adapter else ""
        path = f"{base}/api/postbacks/{connection.network}/{connection.postback_token}"
        lines.append(f"  postback  {path}?{query}   ({connection.name})")
    demo = "Or play a day of traffic: make demo, in another terminal (with the same PORT=, if you gave one)."
    return "\n".join([*lines, *_try_it(base, party), "", demo, ""])


def _try_it(base: str, party: ProviderAccount | None) -> list[str]:
    link = Link.objects.filter(message__isnull=False, offer__connection__isnull=False).order_by("id").first()
    if link is None or link.message is None or link.offer is None or link.offer.connection is None or party is None:
        return []
    connection = link.offer.connection
    sandbox = f"{base}/api/webhook-feedbacks/sandbox/{party.callback_token}"
    postback = f"{base}/api/postbacks/{connection.network}/{connection.postback_token}"
    report = f'{{"type":"report","message":"{link.message.reference}","status":"delivered"}}'
    number = link.message.sending_list.number if link.message.sending_list else ""
    message = f'{{"to":"+14155550123","list_number":"{number}","body":"Hello https://example.com/autumn"}}'
    reply = f'{{"type":"reply","id":"r1","from":"{link.message.to}","to":"{number}","text":"STOP"}}'
    return [
        "",
        "Try it, line by line (a phone opens the link, the network reports the sale, the phone confirms delivery, STOP):",
        f"  CLICK=$(curl -s -o /dev/null -w '%{{redirect_url}}' -A 'Mozilla/5.0 (iPhone)' {base}/c/{link.code}"
        " | sed 's/.*aff_click_id=//')",
        f'  curl "{postback}?click_id=$CLICK&payout=42.00&txid=T1"',
        f"  curl -d '{report}' {sandbox}",
        f"  curl -d '{reply}' {sandbox}",
        "And send one yourself; the sandbox reports it delivered within seconds (KEY is the API key of the first start):",
        f"  curl -H \"X-Api-Key: $KEY\" -H 'Content-Type: application/json' -d '{message}' {base}/api/v2/send",
    ]
