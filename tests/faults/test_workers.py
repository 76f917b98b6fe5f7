"""Several workers, workers that are killed and workers that are told to stop: every row is applied exactly once."""

import os
import random
import signal
import time
from contextlib import ExitStack

import pytest
from django.db import connection

from tests.faults import processes, traffic
from trackly.models import WorkerRun
from webhooks.inbound.models import InboundRequest, State

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("workers", [2, 4])
def test_several_workers_never_apply_one_row_twice(workers: int) -> None:
    distinct = traffic.reports(2_000, traffic.messages(300))
    traffic.postbacks(400, traffic.clicks(40))
    with ExitStack() as stack:
        for index in range(workers):
            stack.enter_context(processes.worker(f"worker-{index}", WORKER_BATCH="20"))
        processes.eventually(lambda: traffic.waiting() == 0, within_s=40)
    traffic.check_reports(distinct)
    traffic.check_postbacks(400, 40)
    assert set(InboundRequest.objects.values_list("attempts", flat=True)) == {1}
    assert WorkerRun.objects.filter(ended_cleanly=True).count() == workers


def test_a_worker_killed_in_the_middle_of_a_batch_again_and_again_loses_and_doubles_nothing() -> None:
    distinct = traffic.reports(3_000, traffic.messages(300))
    traffic.postbacks(300, traffic.clicks(30))
    dice, kills = random.Random(7), 6
    for index in range(kills):
        with processes.worker(f"doomed-{index}", WORKER_BATCH="25") as doomed:
            kill_in_a_transaction(doomed, f"doomed-{index}", after_s=dice.random() * 0.2)
    assert traffic.waiting() > 0, "everything was done before the last kill; the test proves nothing"
    # Rows that were alone in hand when a worker died wait for their next try.
    assert InboundRequest.objects.filter(attempts__gt=1).count() == 0
    traffic.make_all_due()
    with processes.worker():
        processes.eventually(lambda: traffic.waiting() == 0, within_s=40)
    traffic.check_reports(distinct)
    traffic.check_postbacks(300, 30)
    assert WorkerRun.objects.filter(ended_cleanly=False).count() == kills
    assert max(InboundRequest.objects.values_list("attempts", flat=True)) <= 2


def kill_in_a_transaction(process: processes.Process, name: str, *, after_s: float) -> None:
    """SIGKILL at a random moment at which it has a transaction open and rows in hand."""
    before = InboundRequest.objects.filter(state=State.DONE).count()
    processes.eventually(
        lambda: InboundRequest.objects.filter(state=State.DONE).count() > before, within_s=20, every_s=0.005
    )
    time.sleep(after_s)
    for _ in range(2_000):
        os.kill(process.pid, signal.SIGSTOP)
        if has_rows_in_hand(name):
            break
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.001)
    else:
        pytest.fail("it was never seen in a transaction")
    process.kill()
    process.wait()
    processes.eventually(lambda: not is_connected(name), within_s=10)


def has_rows_in_hand(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = %s AND backend_xid IS NOT NULL)",
            [name],
        )
        return bool(cursor.fetchone()[0])


def is_connected(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = %s)", [name])
        return bool(cursor.fetchone()[0])


def test_after_an_unclean_exit_the_first_rows_run_one_by_one() -> None:
    """The row that killed the worker is the only one whose attempt is counted when it kills again."""
    traffic.reports(40, traffic.messages(10))
    WorkerRun.objects.create(
        host=os.uname().nodename, pid=2**22 + 1, version="x", started_at=traffic.SENT_AT, beat_at=traffic.SENT_AT
    )
    with processes.worker("careful", WORKER_BATCH="500") as process:
        processes.eventually(
            lambda: 0 < InboundRequest.objects.filter(state=State.DONE).count() < 40, within_s=20, every_s=0.002
        )
        process.kill()
        process.wait()
    assert WorkerRun.objects.get(pid=2**22 + 1).ended_cleanly is False
    blamed = InboundRequest.objects.filter(state=State.WAITING, attempts=1)
    assert blamed.count() <= 1
    assert all("The worker died" in row.last_error for row in blamed)


def test_sigterm_finishes_the_batch_and_ends_within_seconds() -> None:
    distinct = traffic.reports(4_000, traffic.messages(300))
    with processes.worker(WORKER_BATCH="100") as process:
        processes.eventually(lambda: traffic.waiting() < 4_000, within_s=20, every_s=0.005)
        began = time.monotonic()
        process.terminate()
        assert process.wait(5) == 0
    print(f"stopped after {time.monotonic() - began:.2f} s with {traffic.waiting()} rows left")
    left = traffic.waiting()
    assert 0 < left < 4_000
    assert left % 100 == 0, "a batch was cut short"
    run = WorkerRun.objects.get()
    assert run.ended_cleanly is True
    assert run.ended_at is not None
    with processes.worker():
        processes.eventually(lambda: traffic.waiting() == 0, within_s=20)
    traffic.check_reports(distinct)
