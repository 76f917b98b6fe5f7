"""Owns the work whose heart is a call over the network: many at once, in one thread beside the worker's batches.

A line says what to claim, what to call and how to record it; the dispatcher keeps its slots full. Calls run on an event loop,
everything of the database in one other thread, so that no transaction is ever open over a call. What a call came to is kept
until it is recorded, however long the database is away; a process that dies leaves it to the leases of its claims.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event, Thread
from typing import Any, Generic, TypeVar

import structlog
from django.db import connections
from django.utils import timezone

from trackly import metrics
from trackly.outgoing import DEADLINE_S, Client
from trackly.worker import TROUBLE

logger = structlog.get_logger(__name__)

J = TypeVar("J")
R = TypeVar("R")
T = TypeVar("T")

IDLE_S = 0.25
# Ended calls wait so long for others, to be recorded in one transaction.
GATHER_S = 0.02
BATCH = 200
# A line that cannot go on: its claim() raised, or do() of so many jobs in a row. One odd job alone stops nobody.
BROKEN_AFTER = 5
BROKEN_S = 30.0
# For the calls in flight at the end, and then for the database to take what they came to: `up` ends a worker after 20 s.
CALLS_END_S = DEADLINE_S + 1
RECORDS_END_S = CALLS_END_S + 2


class Line(Generic[J, R]):
    """One queue: a subclass says what to do."""

    name: str
    share: float = 1.0
    """Of the slots, at most, so that one line cannot take all."""

    def claim(self, now: datetime, free: int) -> list[J]:
        """At most `free` jobs, leased in a short transaction of its own."""
        raise NotImplementedError

    async def do(self, job: J, client: Client) -> R:
        """The calls. Errors one must expect are part of the result; a job whose do() raises is left to its lease."""
        raise NotImplementedError

    def record(self, done: list[tuple[J, R]], now: datetime) -> None:
        """In a transaction of its own. May be called again with the same, when nobody knows whether it was committed."""
        raise NotImplementedError


@dataclass(slots=True, kw_only=True, eq=False)
class _Lane:
    line: Line[Any, Any]
    most: int
    in_flight: int = 0
    done: list[tuple[Any, Any]] = field(default_factory=list)
    look_at: float = 0.0
    """When to claim again; by the monotonic clock, as are the next two."""
    looked_at: float = 0.0
    broken_until: float = 0.0
    raised: int = 0
    """Jobs in a row whose do() raised."""

    def due_at(self) -> float:
        return max(self.look_at, self.broken_until)


class Dispatcher:
    """Keeps the slots of its lines full, from start() to stop()."""

    def __init__(self, lines: Sequence[Line[Any, Any]], *, slots: int) -> None:
        self._lanes = deque(_Lane(line=line, most=max(1, int(slots * line.share))) for line in lines)
        self._slots = slots
        self._enough = max(1, min(BATCH, slots // 2))
        self._stopping = Event()
        self._stop_at = float("inf")
        self._thread: Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause_s = 0.0

    def start(self) -> None:
        self._thread = Thread(target=self._run, name="dispatcher", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Claim no more, let the calls in flight end, record them; returns when that is done, at the latest after
        RECORDS_END_S and a statement of the database."""
        if not self._stopping.is_set():
            self._stop_at = time.monotonic()
            self._stopping.set()
        self.nudge()
        if self._thread is not None:
            self._thread.join()

    def nudge(self) -> None:
        """Look at the queues now. From any thread, at any time."""
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # the loop is closed: nothing will be looked at any more
                loop.call_soon_threadsafe(self._look_now)

    def drain(self, now: datetime | None = None) -> int:
        """Work everything off here, instead of start(); how many jobs. The lines are called in this thread; errors come out."""
        total, runner = 0, asyncio.Runner()
        # The loop has a thread of its own: Django's ORM refuses to work in one that has a loop.
        with ThreadPoolExecutor(1, "drain") as thread:

            def run(calls: Coroutine[Any, Any, T]) -> T:
                return thread.submit(runner.run, calls).result()

            client = run(Client().__aenter__())
            try:
                while taken := sum(_drain(lane, client, run, now) for lane in self._lanes):
                    total += taken
            finally:
                run(client.__aexit__(None, None, None))
                thread.submit(runner.close).result()
        return total

    # --- in the thread of the loop

    def _run(self) -> None:
        while not self._is_over():
            try:
                asyncio.run(self._main())
            except Exception:
                # Nobody else would start it again. What was claimed is left to its leases.
                self._broke("dispatcher failed", "dispatcher")
                self._stopping.wait(BROKEN_S / 10)
        self._loop = None

    async def _main(self) -> None:
        for lane in self._lanes:
            lane.in_flight = 0
        self._tasks.clear()
        self._bell = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "dispatcher-database") as self._database:
            try:
                async with Client() as client:
                    while not self._is_over():
                        await self._turn_or_wait(client)
                    await self._cut_off()
            finally:
                self._database.submit(connections.close_all)
        if left := self._unrecorded():
            logger.error("calls not recorded at the end, left to their leases", count=left)
            for lane in self._lanes:
                lane.done.clear()

    def _is_over(self) -> bool:
        if not self._stopping.is_set():
            return False
        waited = time.monotonic() - self._stop_at
        return waited > RECORDS_END_S or (not self._unrecorded() and (not self._flying() or waited > CALLS_END_S))

    async def _turn_or_wait(self, client: Client) -> None:
        # In turn: whoever claims first may take every free slot.
        self._lanes.rotate()
        try:
            await self._record()
            if not self._stopping.is_set():
                await self._claim(client)
            self._pause_s = 0.0
        except TROUBLE as error:
            self._pause_s = min(self._pause_s * 2 or 0.2, 5.0)
            # The first line only: what follows may quote a row.
            said = str(error).strip().partition("\n")[0] or type(error).__name__
            logger.warning(
                "database trouble, trying again", in_s=self._pause_s, error=said, unrecorded=self._unrecorded()
            )
            await self._in_database(connections.close_all)
            await asyncio.sleep(self._pause_s)
        else:
            await self._rest()

    async def _record(self) -> None:
        for lane in self._lanes:
            while batch := lane.done[:BATCH]:
                await self._in_database(self._record_batch, lane.line, batch)
                del lane.done[: len(batch)]
                # Ended calls made room, also where a line held back more than its slots demand.
                lane.look_at = min(lane.look_at, lane.looked_at + GATHER_S)

    async def _claim(self, client: Client) -> None:
        for lane in self._lanes:
            now, free = time.monotonic(), self._free(lane)
            if free > 0 and lane.due_at() <= now:
                # Before the claim: a nudge during it may be about a row it did not see.
                lane.looked_at, lane.look_at = now, now + IDLE_S
                jobs = await self._in_database(self._claim_jobs, lane, free)
                self._begin(lane, jobs, client)
                if jobs:
                    lane.look_at = 0.0 if len(jobs) >= free else min(lane.look_at, now + GATHER_S)

    def _free(self, lane: _Lane) -> int:
        return min(lane.most - lane.in_flight, self._slots - self._flying())

    def _begin(self, lane: _Lane, jobs: list[Any], client: Client) -> None:
        for job in jobs:
            lane.in_flight += 1
            task = asyncio.create_task(self._call(lane, job, client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _call(self, lane: _Lane, job: Any, client: Client) -> None:
        try:
            lane.done.append((job, await lane.line.do(job, client)))
            lane.raised = 0
        except Exception:
            self._broke("call failed", lane.line.name)
            lane.raised += 1
            if lane.raised >= BROKEN_AFTER:
                lane.broken_until = time.monotonic() + BROKEN_S
        finally:
            lane.in_flight -= 1
            self._ring_when_worth_it()

    def _ring_when_worth_it(self) -> None:
        unrecorded = self._unrecorded()
        if unrecorded >= self._enough or not self._flying():
            self._bell.set()
        elif unrecorded <= 1 and self._loop is not None:
            self._loop.call_later(GATHER_S, self._bell.set)

    async def _rest(self) -> None:
        """Until a line with free slots is due, or somebody rings: enough calls ended, or a nudge."""
        waits = [lane.due_at() - time.monotonic() for lane in self._lanes if self._free(lane) > 0]
        wait_s = IDLE_S if self._stopping.is_set() else min(waits, default=IDLE_S)
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(wait_s, 0.0), IDLE_S)):
                await self._bell.wait()
        self._bell.clear()

    def _look_now(self) -> None:
        # Nudged without end, it still claims no more often than this.
        for lane in self._lanes:
            lane.look_at = min(lane.look_at, lane.looked_at + GATHER_S)
        self._bell.set()

    async def _cut_off(self) -> None:
        """Whatever still flies at the end is left to its lease."""
        if self._tasks:
            logger.error("calls cut off at the end, left to their leases", count=len(self._tasks))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _flying(self) -> int:
        return sum(lane.in_flight for lane in self._lanes)

    def _unrecorded(self) -> int:
        return sum(len(lane.done) for lane in self._lanes)

    async def _in_database(self, do: Callable[..., T], *values: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._database, do, *values)

    # --- in the thread of the database

    def _claim_jobs(self, lane: _Lane, free: int) -> list[Any]:
        try:
            return lane.line.claim(timezone.now(), free)
        except TROUBLE:
            raise
        except Exception:
            self._broke("claim failed", lane.line.name)
            lane.broken_until = time.monotonic() + BROKEN_S
            return []

    def _record_batch(self, line: Line[Any, Any], batch: list[tuple[Any, Any]]) -> None:
        now = timezone.now()
        try:
            line.record(batch, now)
        except TROUBLE:
            raise
        except Exception:
            logger.warning("recording failed, one by one now", line=line.name, count=len(batch), exc_info=True)
            for one in batch:
                self._record_one(line, one, now)

    def _record_one(self, line: Line[Any, Any], one: tuple[Any, Any], now: datetime) -> None:
        try:
            line.record([one], now)
        except TROUBLE:
            raise
        except Exception:
            # Its lease will tell.
            self._broke("recording failed", line.name)

    def _broke(self, what: str, name: str) -> None:
        logger.exception(what, line=name)
        metrics.CHORE_FAILURES.labels(name).inc()


def _drain(lane: _Lane, client: Client, run: Callable[[Coroutine[Any, Any, Any]], Any], now: datetime | None) -> int:
    async def call_all() -> list[Any]:
        return await asyncio.gather(*(lane.line.do(job, client) for job in jobs), return_exceptions=True)

    jobs = lane.line.claim(now or timezone.now(), lane.most)
    if not jobs:
        return 0
    ends = list(zip(jobs, run(call_all()), strict=True))
    if done := [(job, end) for job, end in ends if not isinstance(end, BaseException)]:
        lane.line.record(done, now or timezone.now())
    for _, end in ends:
        if isinstance(end, BaseException):
            raise end
    return len(jobs)
