"""Queues whose work is a call: slots and shares, that nothing ended is lost, and that nobody waits for one that hangs."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import OperationalError, connection, connections

from tests.fakes.server import FakeServer, Response, Seen
from trackly import dispatch, metrics
from trackly.calls import Answer, Call, Dialogue
from trackly.dispatch import Dispatcher, Line
from trackly.outgoing import Client, hold

Do = Callable[[int], Any]


class Numbers(Line[int, int]):
    """A queue of numbers in memory; what happened to it is written down."""

    def __init__(self, count: int, do: Do | None = None, *, name: str = "numbers", share: float = 1.0) -> None:
        self.name, self.share = name, share
        self.waiting = deque(range(count))
        self.claims: list[tuple[int, int]] = []
        """(free, how many were claimed)."""
        self.begun: list[int] = []
        self.recorded: list[int] = []
        self.batches: list[int] = []
        self.trouble: list[Exception] = []
        """What the next records raise."""
        self.threads: set[str] = set()
        self.open = self.most_open = 0
        self._do = do

    def claim(self, now: datetime, free: int) -> list[int]:
        self.threads.add(threading.current_thread().name)
        taken = [self.waiting.popleft() for _ in range(min(free, len(self.waiting)))]
        self.claims.append((free, len(taken)))
        return taken

    async def do(self, job: int, client: Client) -> int:
        self.begun.append(job)
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            if self._do is not None:
                await self._do(job)
            return job * 2
        finally:
            self.open -= 1

    def record(self, done: list[tuple[int, int]], now: datetime) -> None:
        self.threads.add(threading.current_thread().name)
        self.batches.append(len(done))
        if self.trouble:
            raise self.trouble.pop(0)
        assert all(result == job * 2 for job, result in done)
        self.recorded += [job for job, _ in done]


@pytest.fixture
def started() -> Iterator[Callable[..., Dispatcher]]:
    running: list[Dispatcher] = []

    def start(*lines: Line[Any, Any], slots: int = 8) -> Dispatcher:
        running.append(Dispatcher(lines, slots=slots))
        running[-1].start()
        return running[-1]

    yield start
    for dispatcher in running:
        dispatcher.stop()


def until(claim: Callable[[], object], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not claim():
        assert time.monotonic() < deadline, "it did not come to this in time"
        time.sleep(0.005)


async def a_moment(job: int) -> None:
    await asyncio.sleep(0.01)


def failures(name: str) -> float:
    return metrics.OWN.get_sample_value("trackly_chore_failures_total", {"chore": name}) or 0.0


# --- slots, shares, pace


def test_everything_is_done_and_recorded_once(started: Any) -> None:
    line = Numbers(500, a_moment)
    started(line)
    until(lambda: len(line.recorded) == 500)
    assert sorted(line.recorded) == list(range(500))
    assert sorted(line.begun) == list(range(500))


def test_no_more_calls_are_open_than_there_are_slots(started: Any) -> None:
    one, other = Numbers(100, a_moment), Numbers(100, a_moment)
    open_at_once = []
    one._do = other._do = lambda job: _note(open_at_once, one, other)
    started(one, other, slots=5)
    until(lambda: len(one.recorded) + len(other.recorded) == 200)
    assert max(open_at_once) == 5


async def _note(seen: list[int], *lines: Numbers) -> None:
    seen.append(sum(line.open for line in lines))
    await asyncio.sleep(0.005)


def test_a_line_takes_no_more_than_its_share(started: Any) -> None:
    greedy, other = Numbers(200, a_moment, share=0.25), Numbers(200, a_moment)
    started(greedy, other, slots=8)
    until(lambda: len(greedy.recorded) + len(other.recorded) == 400)
    assert greedy.most_open == 2
    assert max(free for free, _ in greedy.claims) == 2


def test_the_smallest_share_is_one_slot(started: Any) -> None:
    line = Numbers(3, a_moment, share=0.01)
    started(line, slots=8)
    until(lambda: len(line.recorded) == 3)
    assert line.most_open == 1


def test_a_line_with_endless_work_does_not_keep_another_from_its_turn(started: Any) -> None:
    endless, late = Numbers(100_000, a_moment), Numbers(1, a_moment)
    started(endless, late, slots=4)
    until(lambda: late.recorded == [0], 1.0)
    assert endless.waiting


def test_a_call_that_hangs_delays_nobody(started: Any) -> None:
    released = threading.Event()

    async def hang(job: int) -> None:
        while job == 0 and not released.is_set():
            await asyncio.sleep(0.01)

    line = Numbers(50, hang)
    started(line, slots=2)
    until(lambda: len(line.recorded) == 49, 2.0)
    assert line.open == 1
    released.set()
    until(lambda: len(line.recorded) == 50)


def test_a_nudge_is_heard_at_once(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "IDLE_S", 30.0)
    line = Numbers(0)
    dispatcher = started(line)
    until(lambda: line.claims)
    line.waiting.append(7)
    time.sleep(0.1)
    assert line.recorded == []
    dispatcher.nudge()
    until(lambda: line.recorded == [7], 1.0)


def test_nudges_without_end_do_not_make_claims_without_end(started: Any) -> None:
    line = Numbers(0)
    dispatcher = started(line)
    until_at = time.monotonic() + 0.5
    while time.monotonic() < until_at:
        dispatcher.nudge()
        time.sleep(0.0005)
    assert len(line.claims) < 40


def test_an_idle_line_is_looked_at_now_and_then(started: Any) -> None:
    line = Numbers(0)
    started(line)
    time.sleep(0.9)
    assert 3 <= len(line.claims) <= 5
    line.waiting.append(7)
    until(lambda: line.recorded == [7], 0.5)


class Reserved(Numbers):
    """Holds back some of the slots it is offered, as sending does for other provider accounts."""

    def claim(self, now: datetime, free: int) -> list[int]:
        return super().claim(now, min(free, max(2 - self.open, 0)))


def test_a_line_that_was_full_by_its_own_account_goes_on_as_soon_as_calls_end(
    started: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "IDLE_S", 30.0)

    async def short(job: int) -> None:
        await asyncio.sleep(0.05)

    line = Reserved(10, short)
    started(line)
    until(lambda: len(line.recorded) == 10, 10.0)


def test_full_slots_or_shares_do_not_make_it_spin(started: Any) -> None:
    """Waiting for calls costs no rounds; counted by how often the process' clock of work moves."""

    async def long(job: int) -> None:
        await asyncio.sleep(0.6)

    busy, idle = Numbers(100, long, share=0.5), Numbers(0)
    started(busy, idle, slots=4)
    until(lambda: busy.open == 2)
    began = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - began < 0.1


def test_calls_that_end_together_are_recorded_together(started: Any) -> None:
    line = Numbers(320, lambda job: asyncio.sleep(0.05 + job % 64 / 2000))
    started(line, slots=64)
    until(lambda: len(line.recorded) == 320)
    assert len(line.batches) <= 100
    assert max(line.batches) <= dispatch.BATCH


def test_a_lone_call_is_recorded_at_once(started: Any) -> None:
    line = Numbers(1)
    began = time.monotonic()
    started(line, slots=64)
    until(lambda: line.recorded == [0])
    assert time.monotonic() - began < 0.5


def test_everything_of_the_database_happens_in_one_thread_without_a_loop(started: Any) -> None:
    line = Numbers(50, a_moment)
    started(line)
    until(lambda: len(line.recorded) == 50)
    assert len(line.threads) == 1
    assert line.threads.pop().startswith("dispatcher-database")


# --- the end


def test_stop_waits_for_calls_in_flight_and_records_them(started: Any) -> None:
    async def long(job: int) -> None:
        await asyncio.sleep(0.4)

    line = Numbers(100, long)
    dispatcher = started(line, slots=4)
    until(lambda: line.open == 4)
    dispatcher.stop()
    assert sorted(line.recorded) == sorted(line.begun) == [0, 1, 2, 3]
    assert len(line.waiting) == 96
    assert [thread for thread in threading.enumerate() if thread.name.startswith("dispatcher")] == []


def test_stop_does_not_wait_for_ever(started: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any) -> None:
    monkeypatch.setattr(dispatch, "CALLS_END_S", 0.3)
    line = Numbers(2, lambda job: asyncio.sleep(3600 if job else 0))
    dispatcher = started(line)
    until(lambda: line.open == 1)
    began = time.monotonic()
    dispatcher.stop()
    assert time.monotonic() - began < 2
    assert line.recorded == [0]
    assert line.open == 0
    said = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert [event["count"] for event in said if "cut off" in event["event"]] == [1]


def test_stop_without_a_database_does_not_wait_for_ever(
    started: Any, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    monkeypatch.setattr(dispatch, "RECORDS_END_S", 0.5)
    line = Numbers(3)
    line.trouble = [OperationalError("away")] * 1000
    dispatcher = started(line)
    until(lambda: line.batches)
    began = time.monotonic()
    dispatcher.stop()
    assert time.monotonic() - began < 3
    said = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert [event["count"] for event in said if "not recorded" in event["event"]] == [3]


def test_stop_may_come_first_twice_or_alone(started: Any) -> None:
    Dispatcher([Numbers(1)], slots=1).stop()
    dispatcher = started(Numbers(1))
    dispatcher.stop()
    dispatcher.stop()
    dispatcher.nudge()


# --- trouble


def test_results_are_kept_while_the_database_is_away(started: Any) -> None:
    line = Numbers(20, a_moment)
    line.trouble = [OperationalError("the database system is shutting down"), OperationalError("connection refused")]
    began = time.monotonic()
    started(line, slots=4)
    until(lambda: len(line.recorded) == 20)
    assert sorted(line.recorded) == sorted(line.begun) == list(range(20))
    assert time.monotonic() - began > 0.5  # 0.2 and 0.4 s


def test_claims_pause_while_the_database_is_away(started: Any) -> None:
    line, other = Numbers(4), Numbers(0, name="other")
    line.trouble = [OperationalError("away")] * 3
    started(line, other, slots=4)
    until(lambda: len(line.batches) == 1)
    before = len(other.claims)
    until(lambda: len(line.batches) == 4)
    assert len(other.claims) <= before + 1
    until(lambda: len(line.recorded) == 4)


def test_a_claim_without_a_database_is_tried_again(started: Any) -> None:
    line = Numbers(3)
    claim, answers = line.claim, [OperationalError("away"), OperationalError("away")]

    def troubled(now: datetime, free: int) -> list[int]:
        if answers:
            raise answers.pop()
        return claim(now, free)

    line.claim = troubled  # type: ignore[method-assign]
    started(line)
    until(lambda: len(line.recorded) == 3)
    assert failures("numbers") == 0


@pytest.mark.parametrize("poison", [[3], [0, 1], [7]])
def test_a_result_that_cannot_be_recorded_costs_no_other(started: Any, poison: list[int]) -> None:
    line = Numbers(8)
    record, before = line.record, failures("poisoned")
    line.name = "poisoned"

    def picky(done: list[tuple[int, int]], now: datetime) -> None:
        if any(job in poison for job, _ in done):
            raise ValueError("an odd row")
        record(done, now)

    line.record = picky  # type: ignore[method-assign]
    started(line, slots=8)
    until(lambda: len(line.recorded) == 8 - len(poison))
    until(lambda: failures("poisoned") == before + len(poison))
    line.waiting.append(100)
    until(lambda: 100 in line.recorded)
    assert not set(poison) & set(line.recorded)


def test_one_odd_job_stops_nobody(started: Any, caplog: Any) -> None:
    async def odd(job: int) -> None:
        if job == 3:
            raise KeyError("a defect")

    line, before = Numbers(40, odd, name="odd"), failures("odd")
    started(line, slots=4)
    until(lambda: len(line.recorded) == 39)
    assert 3 not in line.recorded
    assert failures("odd") == before + 1


def test_a_line_whose_jobs_all_fail_pauses_and_the_others_go_on(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "BROKEN_S", 2.0)

    async def fail(job: int) -> None:
        raise KeyError("a defect")

    broken, sound = Numbers(1000, fail), Numbers(60, a_moment)
    started(broken, sound, slots=8)
    until(lambda: len(sound.recorded) == 60)
    assert len(broken.begun) <= dispatch.BROKEN_AFTER + 2 * 8
    until(lambda: len(broken.begun) > dispatch.BROKEN_AFTER + 2 * 8)  # and it is tried again


def test_a_line_that_cannot_claim_pauses_and_the_others_go_on(started: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatch, "BROKEN_S", 2.0)
    broken, sound, before = Numbers(1), Numbers(60, a_moment), failures("wrong")
    broken.name = "wrong"
    tries = []

    def wrong(now: datetime, free: int) -> list[int]:
        tries.append(free)
        raise ValueError("a wrong statement")

    broken.claim = wrong  # type: ignore[method-assign]
    dispatcher = started(broken, sound)
    until(lambda: len(sound.recorded) == 60)
    dispatcher.nudge()
    time.sleep(0.05)
    assert len(tries) == 1
    until(lambda: len(tries) == 2)
    assert failures("wrong") == before + 2


# --- with a real database, and real calls


class Ticks(Numbers):
    """Records into a table of its own, and may lose its connection on the way."""

    is_cut = 0

    def record(self, done: list[tuple[int, int]], now: datetime) -> None:
        with connection.cursor() as cursor:
            if self.is_cut > 0:
                self.is_cut -= 1
                cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())")
            cursor.executemany("INSERT INTO ticks VALUES (%s) ON CONFLICT DO NOTHING", [(job,) for job, _ in done])


@pytest.mark.django_db(transaction=True)
def test_a_connection_cut_in_the_middle_of_recording_loses_nothing(started: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE ticks (job int PRIMARY KEY)")
    try:
        line = Ticks(30, a_moment)
        line.is_cut = 2
        started(line, slots=4)
        until(lambda: _ticks() == 30)
        assert line.is_cut == 0
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE ticks")


def _ticks() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM ticks")
        return int(cursor.fetchone()[0])


@pytest.mark.django_db(transaction=True)
def test_connections_are_given_back_at_the_end(started: Any) -> None:
    line = Numbers(1)
    held = []

    def claim(now: datetime, free: int) -> list[int]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        held.append(connections["default"])
        return []

    line.claim = claim  # type: ignore[method-assign]
    dispatcher = started(line)
    until(lambda: held)
    assert held[0].connection is not None
    dispatcher.stop()
    assert held[0].connection is None


class Echoing(FakeServer):
    def answer(self, seen: Seen) -> Response:
        return Response(body=seen.body)


class Calls(Numbers):
    url = ""

    async def do(self, job: int, client: Client) -> int:
        answer = await hold(self._dialogue(job), client)
        return int(answer.body)

    def _dialogue(self, job: int) -> Dialogue[Answer]:
        return (yield Call(method="POST", url=self.url, body=str(job * 2).encode()))


def test_real_calls_go_through_one_client(started: Any) -> None:
    with Echoing() as server:
        line = Calls(50)
        line.url = server.url
        started(line, slots=8)
        until(lambda: len(line.recorded) == 50)
        assert len(server.requests) == 50


def test_drain_works_everything_off_in_this_thread() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    with Echoing() as server:
        line, other = Calls(20), Numbers(30)
        line.url = server.url
        assert Dispatcher([line, other], slots=8).drain(now) == 50
    assert len(line.recorded) == 20
    assert line.threads == other.threads == {threading.current_thread().name}


def test_drain_tells_of_errors_after_it_recorded_the_others() -> None:
    async def odd(job: int) -> None:
        if job == 3:
            raise KeyError("a defect")

    line = Numbers(8, odd)
    with pytest.raises(KeyError):
        Dispatcher([line], slots=8).drain()
    assert line.recorded == [0, 1, 2, 4, 5, 6, 7]


@pytest.mark.django_db
def test_drain_may_use_the_database_and_stand_in_a_test_without_transactions() -> None:
    line = Numbers(1)
    record = line.record

    def store(done: list[tuple[int, int]], now: datetime) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        record(done, now)

    line.record = store  # type: ignore[method-assign]
    assert Dispatcher([line], slots=8).drain() == 1
