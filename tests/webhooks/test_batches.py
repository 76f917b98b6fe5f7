"""A batch costs the same whatever its size; a poison row fails alone; trouble with the database is nobody's fault."""

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext

from tests import factories
from tests.faults import processes, traffic
from trackly import retries
from trackly.columns import columns
from trackly.management.commands import work
from trackly.models import HourlyTotal
from trackly.signing import new_uid
from webhooks import providers
from webhooks.inbound import batches, processing, replaying
from webhooks.inbound.models import DeliveryEvent, InboundRequest, Source, State
from webhooks.providers.sandbox import Sandbox

WEBHOOKS, POSTBACKS = work.JOBS
LATER = timedelta(days=1)


@pytest.fixture
def now(db: None) -> datetime:
    # A moment after which nothing made in this test was received.
    return datetime.now(UTC) + timedelta(minutes=1)


class Brittle(Sandbox):
    """An adapter with a bug: it raises what no adapter may, for a body with a certain word."""

    is_mended = False
    error: Exception = RuntimeError("nobody thought of this")

    def parse(self, request: Any) -> list[Any]:
        if b"poison" in request.body and not self.is_mended:
            raise self.error
        return super().parse(request)


@pytest.fixture
def brittle() -> Iterator[Brittle]:
    """The adapter of the provider `sandbox` for the length of a test; the registry is the real one."""
    adapter, registry = Brittle(), providers.all_providers()
    adapter.slug, before = "sandbox", registry["sandbox"]
    registry["sandbox"] = adapter
    yield adapter
    registry["sandbox"] = before


def statements(do: Callable[[], object]) -> int:
    with CaptureQueriesContext(
        connection,
    ) as captured:
        do()
    return len([query for query in captured if "SAVEPOINT" not in query["sql"]])


def run(now: datetime, limit: int = 500) -> int:
    return batches.run(WEBHOOKS, now=now, limit=limit)


def poison_and_siblings(n: int = 4) -> tuple[InboundRequest, list[InboundRequest]]:
    known = traffic.messages(n)
    bodies = [traffic.body(traffic.report(message.reference)) for message in known]
    bodies[n // 2] = traffic.body(traffic.report("poison"))
    rows = traffic.requests(known[0].provider_account, bodies)
    return rows[n // 2], [row for row in rows if row is not rows[n // 2]]


def test_a_batch_of_500_requests_costs_as_many_statements_as_one_of_50(now: datetime) -> None:
    def cost(n: int) -> int:
        traffic.reports(n, traffic.messages(n))
        return statements(lambda: run(now))

    assert (cost(50), cost(500)) == (10, 10)
    assert traffic.waiting() == 0


def test_a_batch_with_replies_and_opt_outs_costs_the_same_too(now: datetime) -> None:
    def cost(n: int) -> int:
        known = traffic.messages(n)
        bodies = []
        for index, message in enumerate(known):
            refused = traffic.report(message.reference, "failed") | {"error": {"code": "opt_out", "text": "x"}}
            reply = {"type": "reply", "id": f"{n}-{index}", "from": message.to, "to": message.sending_list.number}
            bodies.append(traffic.body(refused, reply | {"text": "STOP"}, traffic.report(f"unknown-{n}-{index}")))
        traffic.requests(known[0].provider_account, bodies)
        return statements(lambda: run(now))

    small, large = cost(50), cost(500)
    assert small == large
    assert large <= 25


def test_a_batch_of_500_postbacks_costs_as_many_statements_as_one_of_50(now: datetime) -> None:
    def cost(n: int) -> int:
        traffic.postbacks(n, traffic.clicks(n))
        return statements(lambda: batches.run(POSTBACKS, now=now, limit=500))

    cost(1)
    assert cost(50) == cost(500)
    assert traffic.waiting() == 0


def test_a_poison_row_fails_alone(now: datetime, brittle: Brittle) -> None:
    poison, siblings = poison_and_siblings()
    assert run(now) == 4
    for row in siblings:
        row.refresh_from_db()
        assert (row.state, row.attempts) == (State.DONE, 1)
    poison.refresh_from_db()
    assert (poison.state, poison.attempts, poison.due_at) == (State.WAITING, 1, now + timedelta(minutes=1))
    assert DeliveryEvent.objects.count() == 3
    assert traffic.total("report") == 3


def test_a_poison_row_is_tried_four_times_then_failed_and_counts_when_it_is_replayed(
    now: datetime, brittle: Brittle, settings: Any
) -> None:
    settings.VERSION = "7.7"
    poison, _ = poison_and_siblings()
    moments, moment = [], now
    while True:
        assert run(moment) > 0
        poison.refresh_from_db()
        if poison.state != State.WAITING:
            break
        assert run(poison.due_at - timedelta(microseconds=1)) == 0, "it was not due yet"
        moments.append(poison.due_at - moment)
        moment = poison.due_at
    assert moments == [timedelta(minutes=1), timedelta(minutes=5), timedelta(minutes=30)]
    assert (poison.state, poison.attempts, poison.version) == (State.FAILED, 4, "7.7")
    assert poison.last_error.startswith("Traceback")
    assert "RuntimeError: nobody thought of this" in poison.last_error
    assert run(now + LATER) == 0

    brittle.is_mended = True
    assert replaying.replay(InboundRequest.objects.by_uid(poison.uid), user=None, now=now) == 1
    assert run(now) == 1
    poison.refresh_from_db()
    assert (poison.state, poison.attempts) == (State.DONE, 1)
    assert poison.outcome == "1 parked, its message is not known yet"


def test_a_traceback_with_nul_in_it_is_kept(now: datetime, brittle: Brittle) -> None:
    brittle.error = ValueError("\x00\ud800 and " + "x" * 50_000)
    poison, _ = poison_and_siblings()
    # What pytest keeps of the log goes to the process that reports, and half a character does not get there.
    logging.disable(logging.CRITICAL)
    try:
        run(now)
    finally:
        logging.disable(logging.NOTSET)
    poison.refresh_from_db()
    assert poison.attempts == 1
    assert len(poison.last_error) <= 20_000


@pytest.mark.django_db(transaction=True)
def test_a_row_of_an_account_that_is_gone_fails_alone(brittle: Brittle) -> None:
    """Its foreign key is found broken only at commit, when the batch as a whole would fail, and fail again."""
    now = datetime.now(UTC) + timedelta(minutes=1)
    _, siblings = poison_and_siblings()
    brittle.is_mended = True
    orphan = factories.InboundRequestFactory(
        account_id=2**40, party_id=2**40, proof="token", body=traffic.body(traffic.report("unknown"))
    )
    assert run(now) == 5
    orphan.refresh_from_db()
    assert (orphan.state, orphan.attempts) == (State.WAITING, 1)
    assert "IntegrityError" in orphan.last_error
    assert InboundRequest.objects.filter(state=State.DONE).count() == len(siblings) + 1


@pytest.mark.parametrize("error", [OperationalError("server closed the connection"), OperationalError("deadlock")])
def test_database_trouble_consumes_no_attempt(now: datetime, brittle: Brittle, error: Exception) -> None:
    brittle.error = error
    poison, _ = poison_and_siblings()
    with pytest.raises(OperationalError):
        run(now)
    assert InboundRequest.objects.filter(state=State.WAITING, attempts=0).count() == 4
    assert DeliveryEvent.objects.count() == 0


def test_database_trouble_in_a_run_row_by_row_consumes_no_attempt_and_undoes_nothing(
    now: datetime, brittle: Brittle
) -> None:
    brittle.error = OperationalError("deadlock")
    poison, siblings = poison_and_siblings()
    InboundRequest.objects.by_uid(siblings[0].uid).update(due_at=now - LATER)
    InboundRequest.objects.by_uid(poison.uid).update(due_at=now - LATER / 2)
    with pytest.raises(OperationalError):
        batches.run_apart(WEBHOOKS, now=now, limit=500)
    assert InboundRequest.objects.filter(state=State.WAITING, attempts=0).count() == 3
    assert InboundRequest.objects.get(state=State.DONE).uid == siblings[0].uid
    assert DeliveryEvent.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_run_row_by_row_holds_no_lock_of_one_row_while_it_works_on_the_next() -> None:
    """Else it would hold the totals of the first while it waits for the messages of the second."""
    known = traffic.messages(3)
    traffic.reports(3, known)
    left_locked: list[int] = []

    def process(rows: list[InboundRequest], now: datetime) -> None:
        taken = processes.at_once([lambda: len(free_totals())])
        left_locked.append(HourlyTotal.objects.count() - taken[0])
        processing.process(rows, now)

    def free_totals() -> list[int]:
        with transaction.atomic():
            return list(HourlyTotal.objects.select_for_update(skip_locked=True).values_list("id", flat=True))

    job = batches.Job(source=Source.WEBHOOK, handle=process)
    assert batches.run_apart(job, now=datetime.now(UTC) + timedelta(minutes=1), limit=500) == 3
    assert left_locked == [0, 0, 0]
    assert HourlyTotal.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_run_row_by_row_leaves_alone_what_another_worker_took_meanwhile() -> None:
    now = datetime.now(UTC) + timedelta(minutes=1)
    first, second, third = (factories.InboundRequestFactory(due_at=now - timedelta(hours=n)) for n in (3, 2, 1))
    seen: list[Any] = []

    def other_worker(rows: list[InboundRequest], moment: datetime) -> None:
        seen.extend(row.uid for row in rows)
        if len(seen) == 1:
            done = InboundRequest.objects.by_uid(second.uid)
            processes.at_once([lambda: done.update(state=State.DONE)])

    job = batches.Job(source=Source.WEBHOOK, handle=other_worker)
    assert batches.run_apart(job, now=now, limit=500) == 2
    assert seen == [first.uid, third.uid]


def test_database_trouble_while_guarded_gives_the_attempt_back(now: datetime, brittle: Brittle) -> None:
    brittle.error = OperationalError("deadlock")
    poison = factories.InboundRequestFactory(body=traffic.body(traffic.report("poison")))
    with pytest.raises(OperationalError):
        batches.run_guarded(WEBHOOKS, now=now)
    again = InboundRequest.objects.get()
    assert (again.state, again.attempts, again.due_at, again.last_error) == (State.WAITING, 0, poison.due_at, "")


def test_a_guarded_row_is_blamed_before_it_is_tried(now: datetime, brittle: Brittle) -> None:
    """Killed in the middle, the worker leaves the attempt counted and the row on its schedule."""

    class Killed(BaseException):
        pass

    brittle.error = Killed()  # type: ignore[assignment]
    poison, siblings = poison_and_siblings()
    InboundRequest.objects.by_uid(siblings[0].uid).update(due_at=now)
    InboundRequest.objects.by_uid(poison.uid).update(due_at=now - LATER)
    with pytest.raises(Killed):
        batches.run_guarded(WEBHOOKS, now=now)
    poison.refresh_from_db()
    assert (poison.state, poison.attempts, poison.due_at) == (State.WAITING, 1, now + timedelta(minutes=1))
    assert "The worker died" in poison.last_error
    assert [batches.run_guarded(WEBHOOKS, now=now) for _ in range(4)] == [1, 1, 1, 0]
    done = InboundRequest.objects.filter(state=State.DONE)
    assert {(row.attempts, row.last_error) for row in done} == {(1, "")}
    assert done.count() == 3


def test_a_batch_holds_no_more_items_than_the_bound_but_always_one_request(now: datetime) -> None:
    half = batches.MAX_ITEMS // 2
    for place, items in enumerate((batches.MAX_ITEMS + 1, half, half, 1)):
        factories.InboundRequestFactory(items=items, due_at=now - timedelta(hours=9 - place))
    taken = []
    for _ in range(3):
        rows = batches.claim(Source.WEBHOOK, now=now, limit=500)
        taken.append([row.items for row in rows])
        InboundRequest.objects.filter(uid__in=[row.uid for row in rows]).update(state=State.DONE)
    assert taken == [[batches.MAX_ITEMS + 1], [half, half], [1]]


def test_a_batch_holds_no_more_bytes_than_the_bound_and_fetches_no_other_body(
    now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batches, "MAX_BYTES", 1_000)
    for place, size in enumerate((1_001, 500, 500, 1)):
        factories.InboundRequestFactory(body=b"x" * size, due_at=now - timedelta(hours=9 - place))
    taken = []
    for _ in range(3):
        fetched: list[int] = []
        with connection.execute_wrapper(note_bodies(fetched)):
            rows = batches.claim(Source.WEBHOOK, now=now, limit=500)
        assert sum(fetched) == len(rows)
        taken.append([len(row.body) for row in rows])
        InboundRequest.objects.filter(uid__in=[row.uid for row in rows]).update(state=State.DONE)
    assert taken == [[1_001], [500, 500], [1]]


def note_bodies(fetched: list[int]) -> Callable[..., Any]:
    """Notes how many rows each statement gave that read whole bodies."""

    def run(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: dict[str, Any]) -> Any:
        result = execute(sql, params, many, context)
        if sql.lstrip().startswith("SELECT") and "body" in sql.replace("octet_length(body)", ""):
            fetched.append(context["cursor"].rowcount)
        return result

    return run


def test_of_rows_due_at_one_moment_the_first_received_are_taken_first(now: datetime) -> None:
    replayed = [
        factories.InboundRequestFactory(uid=new_uid(int(now.timestamp() * 1000) - age), due_at=now)
        for age in (1_000, 3_000, 2_000)
    ]
    claimed = [row.uid for row in batches.claim(Source.WEBHOOK, now=now, limit=2)]
    assert claimed == [replayed[1].uid, replayed[2].uid]


def test_marking_rows_of_a_backlog_done_reads_them_by_key_and_none_between(now: datetime) -> None:
    """Rows on the retry schedule lie far apart; of a young partition the planner knows nothing."""
    begin = now - timedelta(minutes=2)
    rows = InboundRequest.objects.bulk_create(
        factories.InboundRequestFactory.build(uid=new_uid(int(begin.timestamp() * 1000) + n), due_at=now + LATER)
        for n in range(20_000)
    )
    chosen = rows[::400]
    stamps, uids = columns((row.received_at, row.uid) for row in chosen)
    for sql, params in (
        (batches._FETCH, [stamps, uids, "webhook", stamps]),
        (batches._DONE, [now, "1", *columns(done_of(row) for row in chosen), "webhook", stamps]),
    ):
        with connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
            (plan,) = cursor.fetchone()
        assert most_rows(plan[0]["Plan"]) == len(chosen)


def done_of(row: InboundRequest) -> tuple[object, ...]:
    return (row.uid, row.received_at, "done", "", 1, "", "", None, None)


def most_rows(node: dict[str, Any]) -> float:
    """The most rows that any step of a plan read of a table, those it threw away included."""
    read = (node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"]
    handled = read if "Relation Name" in node else 0
    return max([handled, *(most_rows(child) for child in node.get("Plans", []))])


@pytest.mark.parametrize("do", ["give_back", "fail", "replay", "fetch one"])
def test_a_row_whose_source_is_known_is_looked_for_in_the_partitions_of_that_source_alone(
    do: str, now: datetime
) -> None:
    row = factories.InboundRequestFactory()
    with CaptureQueriesContext(connection) as captured:
        match do:
            case "give_back":
                batches._give_back(row)
            case "fail":
                batches._fail(row, "", now)
            case "replay":
                replaying.replay(InboundRequest.objects.by_uid(row.uid, "webhook"), user=None, now=now)
            case _:
                batches.run_apart(batches.Job(source="webhook", handle=lambda rows, now: None), now=now, limit=1)
    asked = [query["sql"] for query in captured if "webhooks_inboundrequest" in query["sql"]]
    assert asked
    for sql in asked:
        with connection.cursor() as cursor:
            cursor.execute("EXPLAIN " + sql.replace("%", "%%"))
            assert "inbound_postback" not in str(cursor.fetchall())


def test_rows_are_taken_as_they_fall_due_and_of_one_source(now: datetime) -> None:
    third, first, second = (
        factories.InboundRequestFactory(due_at=now - timedelta(minutes=minutes)) for minutes in (1, 3, 2)
    )
    factories.InboundRequestFactory(due_at=now + timedelta(microseconds=1))
    factories.InboundRequestFactory(source="postback", slug="tune")
    for state in (State.DONE, State.FAILED, State.REFUSED, State.DISCARDED):
        factories.InboundRequestFactory(state=state)
    claimed = [row.uid for row in batches.claim(Source.WEBHOOK, now=now, limit=500)]
    assert claimed == [first.uid, second.uid, third.uid]


def test_the_attempts_of_the_schedule_are_all_there_are(now: datetime) -> None:
    assert retries.next_attempt_at(retries.INBOUND, 4, now) is None
