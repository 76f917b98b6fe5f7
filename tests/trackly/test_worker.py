"""The worker's life: chores at their times, careful rounds after a death, patience with the database, a clean end."""

import os
import signal
import socket
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Timer
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import OperationalError, ProgrammingError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from tests import factories
from trackly import wake, worker
from trackly.management.commands import work
from trackly.models import WorkerRun
from trackly.worker import Chore, Worker

pytestmark = pytest.mark.django_db(transaction=True)
NOBODY = 2**22 + 1


class Script:
    """Plays the queues: what each round takes, in order; after the last the worker is told to stop."""

    def __init__(self, *rounds: int | Exception, chores: list[Chore] | None = None) -> None:
        self.rounds, self.calls = list(rounds), []
        self.worker = Worker(work=self._play("work"), recover=self._play("recover"), chores=chores or [])

    def _play(self, name: str) -> Callable[[datetime], int]:
        def play(now: datetime) -> int:
            self.calls.append(name)
            taken = self.rounds.pop(0)
            if not self.rounds:
                self.worker.stop()
            if isinstance(taken, Exception):
                raise taken
            return taken

        return play

    def run(self) -> list[str]:
        self.worker.run()
        return self.calls


@pytest.fixture
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "IDLE_S", 0.01)


def test_batches_follow_each_other_without_a_pause_while_there_are_any() -> None:
    began = time.monotonic()
    assert Script(5, 5, 5, 5).run() == ["work"] * 4
    assert time.monotonic() - began < 0.5


def test_a_clean_end_is_noted() -> None:
    Script(0).run()
    run = WorkerRun.objects.get()
    assert (run.pid, run.host, run.ended_cleanly) == (os.getpid(), socket.gethostname(), True)
    assert run.ended_at is not None


@pytest.mark.usefixtures("_short_waits")
def test_after_an_unclean_exit_rows_run_one_by_one_until_a_batch_of_them_is_through(settings: Any) -> None:
    settings.WORKER_BATCH = 3
    factories.WorkerRunFactory(host=socket.gethostname(), pid=NOBODY)
    assert Script(1, 1, 1, 9, 0).run() == ["recover"] * 3 + ["work"] * 2
    assert WorkerRun.objects.get(pid=NOBODY).ended_cleanly is False


@pytest.mark.usefixtures("_short_waits")
def test_after_an_unclean_exit_an_empty_inbox_ends_the_careful_rounds() -> None:
    factories.WorkerRunFactory(host=socket.gethostname(), pid=NOBODY)
    assert Script(1, 0, 4, 0).run() == ["recover"] * 2 + ["work"] * 2


@pytest.mark.parametrize(
    ("host", "pid", "ended"),
    [("elsewhere", NOBODY, None), (None, os.getppid(), None), (None, NOBODY, datetime(2026, 1, 1, tzinfo=UTC))],
    ids=["another host", "alive", "ended"],
)
def test_runs_that_did_not_die_here_are_left_alone(host: str | None, pid: int, ended: datetime | None) -> None:
    other = factories.WorkerRunFactory(host=host or socket.gethostname(), pid=pid, ended_at=ended)
    assert Script(0).run() == ["work"]
    before = other.ended_at
    other.refresh_from_db()
    assert (other.ended_at, other.ended_cleanly) == (before, None)


def test_the_own_process_id_from_before_a_restart_is_a_death() -> None:
    """In a container every worker may be process 1."""
    factories.WorkerRunFactory(host=socket.gethostname(), pid=os.getpid())
    assert Script(0).run() == ["recover"]
    assert WorkerRun.objects.filter(ended_cleanly=False).count() == 1


def test_trouble_with_the_database_is_waited_out() -> None:
    gone = OperationalError("the database system is shutting down")
    assert Script(gone, gone, 5, 0).run() == ["work"] * 4
    assert WorkerRun.objects.get().ended_cleanly is True


def test_a_chore_that_fails_keeps_nobody_from_working(caplog: pytest.LogCaptureFixture) -> None:
    done = []

    def fail(now: datetime) -> None:
        done.append("failed")
        raise ValueError("one odd row")

    chores = [Chore(name="odd", every=timedelta(hours=1), do=fail)]
    chores.append(Chore(name="even", every=timedelta(hours=1), do=lambda now: done.append("even")))
    assert Script(5, 5, 0, chores=chores).run() == ["work"] * 3
    assert done == ["failed", "even"]
    said = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert [event["chore"] for event in said if event["event"] == "chore failed"] == ["odd"]


@pytest.mark.parametrize("fault", [OperationalError("gone"), ProgrammingError("permission denied to create")])
def test_a_chore_the_database_refuses_is_tried_again_and_holds_up_no_work(
    monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    monkeypatch.setattr(worker, "CHORE_AGAIN", timedelta(0))
    done = []

    def sometimes(now: datetime) -> None:
        done.append(now)
        if len(done) == 1:
            raise fault

    script = Script(5, 0, chores=[Chore(name="c", every=timedelta(hours=1), do=sometimes)])
    assert script.run() == ["work"] * 2
    assert len(done) == 2


def test_a_nudge_ends_the_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "IDLE_S", 10.0)
    script = Script(0, 0)
    timer = Timer(0.3, wake.nudge)
    timer.start()
    began = time.monotonic()
    script.run()
    assert 0.2 < time.monotonic() - began < 5


def test_many_nudges_are_few_notifications() -> None:
    with wake.connect() as ear:
        ear.execute(f"LISTEN {wake.CHANNEL}")
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            wake.nudge()
            time.sleep(0.001)
        heard = len(list(ear.notifies(timeout=0.3)))
    assert 1 <= heard <= 8


def test_the_command_stops_at_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    timer = Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGTERM))
    timer.start()
    try:
        work.Command().handle()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert WorkerRun.objects.get().ended_cleanly is True


def test_sessions_that_ended_a_day_ago_are_deleted_in_one_statement_the_oldest_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = timezone.now()
    for hours in (25, 72, 48, 23, -24):
        Session.objects.create(session_key=str(hours), expire_date=now - timedelta(hours=hours))
    monkeypatch.setattr(work, "SESSIONS", 2)
    with CaptureQueriesContext(connection) as asked:
        assert work.forget_sessions(now) == 2
    assert [query["sql"].split()[0] for query in asked] == ["BEGIN", "DELETE", "COMMIT"]
    assert set(Session.objects.values_list("pk", flat=True)) == {"25", "23", "-24"}
    assert work.forget_sessions(now) == 1
    assert set(Session.objects.values_list("pk", flat=True)) == {"23", "-24"}


def test_the_worker_looks_for_ended_sessions_every_hour() -> None:
    Session.objects.create(session_key="ended", expire_date=timezone.now() - timedelta(days=2))
    (chore,) = [chore for chore in work.build().chores if chore.name == "sessions"]
    chore.do(timezone.now())
    assert chore.every == timedelta(hours=1)
    assert not Session.objects.exists()
