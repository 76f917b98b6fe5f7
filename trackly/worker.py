"""Owns the worker's life: batches while there are any, chores at their times, sleep otherwise, and a clean end.

Composition (which jobs, which chores) is the command's; this file knows only how to keep going: it finishes its batch on
SIGTERM, and when the database goes away it waits and tries again without costing any request an attempt.
"""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import psycopg
import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connections
from django.utils import timezone
from psycopg_pool import PoolTimeout

from trackly import metrics, wake
from trackly.models import WorkerRun

logger = structlog.get_logger(__name__)

IDLE_S = 1.0
BEAT = timedelta(seconds=10)
CHORE_AGAIN = timedelta(seconds=30)
# The database is away or overloaded; a wrong statement is not among these, and waiting would not mend it.
TROUBLE = (OperationalError, InterfaceError, psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)


@dataclass(slots=True, kw_only=True)
class Chore:
    """Something done every so often between batches."""

    name: str
    every: timedelta
    do: Callable[[datetime], object]
    due_at: datetime | None = None


@dataclass(slots=True, kw_only=True)
class Worker:
    """One worker process."""

    work: Callable[[datetime], int]
    """One round over the queues; how many rows it took."""
    recover: Callable[[datetime], int]
    """The same row by row, after a run that died."""
    chores: list[Chore]
    run_id: int = 0
    is_stopping: bool = False
    guarded_rounds: int = 0
    """How many rounds are still to be done row by row: as many as a batch has rows, after a run that died."""
    _ear: psycopg.Connection | None = field(default=None)

    def stop(self, *_: object) -> None:
        """Finish the batch in hand, then end. Also a signal handler."""
        self.is_stopping = True

    def run(self) -> None:
        """Until stopped."""
        pause_s = 0.2
        while not self.is_stopping:
            try:
                self._round()
                pause_s = 0.2
            except TROUBLE as error:
                # The first line only: what follows may quote a row.
                said = str(error).strip().partition("\n")[0] or type(error).__name__
                logger.warning("database trouble, trying again", in_s=pause_s, error=said)
                self._drop_connections()
                time.sleep(pause_s)
                pause_s = min(pause_s * 2, 5.0)
        self._end()

    def _round(self) -> None:
        now = timezone.now()
        if not self.run_id:
            self._begin(now)
        self._do_chores(now)
        if self.guarded_rounds:
            # No batch before: it would take the row that kills, too.
            self.guarded_rounds = self.guarded_rounds - 1 if self.recover(now) else 0
        elif self.work(now) == 0 and not self.is_stopping:
            wake.wait(self._listen(), IDLE_S)

    def _begin(self, now: datetime) -> None:
        host = socket.gethostname()
        for run in WorkerRun.objects.filter(host=host, ended_at__isnull=True):
            if run.pid == os.getpid() or not _is_alive(run.pid):
                WorkerRun.objects.filter(id=run.id).update(ended_at=now, ended_cleanly=False)
                self.guarded_rounds = settings.WORKER_BATCH
        run = WorkerRun.objects.create(
            host=host, pid=os.getpid(), version=settings.VERSION, started_at=now, beat_at=now
        )
        self.run_id = run.id
        self.chores.append(Chore(name="heartbeat", every=BEAT, do=self._beat))
        logger.info("worker started", pid=os.getpid(), after_unclean_exit=self.guarded_rounds > 0)

    def _beat(self, now: datetime) -> None:
        WorkerRun.objects.filter(id=self.run_id).update(beat_at=now)

    def _do_chores(self, now: datetime) -> None:
        for chore in self.chores:
            if chore.due_at is None or chore.due_at <= now:
                chore.due_at = now + chore.every
                try:
                    chore.do(now)
                except Exception:
                    # Whatever keeps a chore from being done must not keep the inbox from being worked off.
                    logger.exception("chore failed", chore=chore.name)
                    metrics.CHORE_FAILURES.labels(chore.name).inc()
                    chore.due_at = now + min(chore.every, CHORE_AGAIN)

    def _listen(self) -> psycopg.Connection:
        if self._ear is None:
            self._ear = wake.connect()
            self._ear.execute(f"LISTEN {wake.CHANNEL}")
        return self._ear

    def _drop_connections(self) -> None:
        if self._ear is not None:
            self._ear.close()
            self._ear = None
        connections.close_all()

    def _end(self) -> None:
        try:
            WorkerRun.objects.filter(id=self.run_id).update(ended_at=timezone.now(), ended_cleanly=True)
        except TROUBLE:
            logger.warning("could not note the end of this run")
        self._drop_connections()
        logger.info("worker stopped", pid=os.getpid())


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
