"""/readyz says ready only when it has just made something durable, and says why not in a sentence."""

import socket
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import Barrier, Event, Thread

import pytest
from django.db import connection, connections, transaction
from django.test import Client

from tests.faults import processes
from trackly.models import Pulse
from trackly.views import PULSE

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    PULSE.forget()
    yield
    PULSE.forget()


def ask(port: int, path: str = "/readyz") -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=15) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_ready_means_that_a_row_was_committed_just_now(client: Client) -> None:
    before = datetime.now(UTC)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.content) == (200, b"ready\n")
    pulse = Pulse.objects.get()
    assert pulse.host == socket.gethostname()
    assert pulse.at >= before - timedelta(seconds=1)


def test_it_commits_once_a_second_however_often_it_is_asked(client: Client) -> None:
    client.get("/readyz")
    first = Pulse.objects.get().at
    for _ in range(20):
        assert client.get("/readyz").status_code == 200
    assert Pulse.objects.get().at == first
    time.sleep(1.05)
    assert client.get("/readyz").status_code == 200
    assert Pulse.objects.get().at > first


def test_a_commit_that_hangs_is_given_up_after_seconds_and_is_not_remembered(client: Client) -> None:
    locked, done = Event(), Event()

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("LOCK TABLE trackly_pulse")
            locked.set()
            done.wait(30)
        connections.close_all()

    thread = Thread(target=hold)
    thread.start()
    assert locked.wait(10)
    try:
        began = time.monotonic()
        answer = client.get("/readyz")
        assert (answer.status_code, answer.content) == (503, b"the database did not commit within 2 seconds\n")
        assert time.monotonic() - began < 4
    finally:
        done.set()
        thread.join()
    assert client.get("/readyz").status_code == 200


def test_a_read_only_database_is_not_ready() -> None:
    url = processes.database_url()
    read_only = f"{url}{'&' if '?' in url else '?'}options=-c%20default_transaction_read_only%3Don"
    with processes.web(DATABASE_URL=read_only) as port:
        assert ask(port) == (503, "the database is read-only\n")
        assert ask(port, "/healthz") == (200, "ok\n")
    assert Pulse.objects.count() == 0


def test_a_database_that_is_away_is_not_ready() -> None:
    with processes.web(DATABASE_URL="postgres://nobody@127.0.0.1:1/none", LOG_LEVEL="CRITICAL") as port:
        assert ask(port) == (503, "the database does not answer\n")
        assert ask(port, "/healthz") == (200, "ok\n")


def test_a_database_that_hangs_is_not_ready_and_holds_up_nobody_else() -> None:
    """It takes connections and never says a word, as a stopped server does."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"postgres://nobody@127.0.0.1:{mute.getsockname()[1]}/none"
        with processes.web(DATABASE_URL=url, LOG_LEVEL="CRITICAL", WEB_CONCURRENCY="1", WEB_THREADS="4") as port:
            began = time.monotonic()
            assert processes.at_once([lambda: ask(port)] * 8) == [(503, "the database does not answer\n")] * 8
            assert time.monotonic() - began < 10
            assert ask(port, "/healthz") == (200, "ok\n")


def test_many_who_ask_at_once_share_one_commit(client: Client) -> None:
    ready, answers = Barrier(8), []

    def look() -> None:
        ready.wait(10)
        answers.append(Client().get("/readyz").status_code)
        connections.close_all()

    threads = [Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == [200] * 8
    assert Pulse.objects.count() == 1
