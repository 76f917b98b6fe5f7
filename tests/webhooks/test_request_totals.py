"""Every request that reached us stands in exactly one total, whatever happens to it; and what pages read from the totals."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from postbacks import conversions
from postbacks import directory as postbacks_directory
from postbacks.models import NetworkConnection
from sendinglists.models import ProviderAccount
from tests import factories
from tests.faults import processes
from tests.webhooks.calls import BASE, call, events, report, tell, token_url
from trackly import partitions
from trackly.management.commands import work
from trackly.signing import new_uid, token_hash
from webhooks.inbound import batches, directory, processing, replaying
from webhooks.inbound.models import FAILED, InboundRequest, RequestTotal, Source, State

WRONG = "wrongtoken"
Key = tuple[str, str, int, int, str]


def standing(row: InboundRequest) -> str:
    """What a row counts as; '' while it waits. Written a second time, apart from the SQL it checks."""
    if row.state == State.WAITING:
        return ""
    if row.state in (State.FAILED, State.DISCARDED):
        return row.state
    return "probe" if row.method == "HEAD" else row.refusal or "accepted"


def key_of(row: InboundRequest) -> Key:
    return row.source, row.slug, row.party_id or 0, row.account_id or 0, standing(row)


def recount() -> Counter[Key]:
    return Counter(key for row in InboundRequest.objects.all() if (key := key_of(row))[-1])


def totals() -> Counter[Key]:
    """As the table says, over all hours; a total below zero is none that could be meant."""
    found: Counter[Key] = Counter()
    for row in RequestTotal.objects.exclude(n=0):
        assert row.n > 0, row
        found[row.source, row.slug, row.party_id, row.account_id, row.standing] += row.n
    return found


# --- whatever happens


class Killed(BaseException):
    """The worker's process ends here."""


class World:
    """An account with a provider account and a connection; every step leaves the totals equal to a recount."""

    def __init__(self) -> None:
        self.party: Any = factories.ProviderAccountFactory()
        self.contract: Any = factories.NetworkConnectionFactory(account=self.party.account)
        self.moment = datetime.now(UTC) + timedelta(minutes=1)
        self.error: BaseException | None = RuntimeError("nobody thought of this")
        self.lost: Counter[Key] = Counter()
        self.jobs = [
            batches.Job(source=Source.WEBHOOK, handle=self._brittle(processing.process)),
            batches.Job(source=Source.POSTBACK, handle=self._brittle(conversions.record)),
        ]

    def _brittle(self, handle: batches.Handler) -> batches.Handler:
        def run(rows: list[InboundRequest], now: datetime) -> None:
            # Everything was done by then, and is undone.
            handle(rows, now)
            if self.error and any(b"poison" in bytes(row.body) + bytes(row.query) for row in rows):
                raise self.error

        return run

    def arrive(self, what: str) -> None:
        """One request; what is not kept is noted as the totals must know it."""
        party, contract, account = self.party, self.contract, self.party.account
        postbacks = f"/api/postbacks/{contract.network}"
        ours = ("webhook", party.provider, party.id, account.id)
        target, method, body, lost = {
            "report": (token_url(party), "POST", events(report("v-1")), (*ours, "never")),
            "poison": (token_url(party), "POST", events(report("poison")), (*ours, "never")),
            "half readable": (token_url(party), "POST", events(report("")), (*ours, "never")),
            "unreadable": (token_url(party), "POST", b"{", (*ours, "unreadable")),
            "unsigned": (
                f"{BASE}/{party.provider}?account={account.public_id}",
                "POST",
                events(report("poison")),
                (*ours, "bad_signature"),
            ),
            "wrong token": (
                f"{BASE}/{party.provider}/{WRONG}", "POST", events(report("v-2")),
                ("webhook", party.provider, 0, 0, "bad_secret"),
            ),
            "probe": (
                f"{postbacks}/{contract.postback_token}?click_id=k", "HEAD", b"",
                ("postback", contract.network, contract.id, account.id, "probe"),
            ),
            "hit": (f"{postbacks}/{contract.postback_token}?click_id=poison&payout=1", "GET", b"", (*ours, "never")),
            "hit with a wrong token": (
                f"{postbacks}/{WRONG}?click_id=k", "GET", b"", ("postback", contract.network, 0, 0, "bad_secret"),
            ),
            "hit of nobody's click": (
                f"{postbacks}?account={account.public_id}&click_id=made-up", "GET", b"",
                ("postback", contract.network, 0, account.id, "over_quota"),
            ),
        }[what]  # fmt: skip
        before = InboundRequest.objects.count()
        call(target, body, method=method)
        if InboundRequest.objects.count() == before:
            assert lost[-1] != "never"
            self.lost[lost] += 1

    def do(self, what: str) -> None:
        directory.forget()
        postbacks_directory.forget()
        if what in ARRIVALS:
            self.arrive(what)
        else:
            self._events()[what]()

    def _events(self) -> dict[str, Callable[[], object]]:
        rows, now = InboundRequest.objects.all(), self.moment
        return {
            "work": lambda: self._work(lambda job: batches.run(job, now=now, limit=3)),
            "work guarded": lambda: self._work(lambda job: batches.run_guarded(job, now=now)),
            "an hour passes": lambda: setattr(self, "moment", now + timedelta(hours=1)),
            "a bug": lambda: setattr(self, "error", RuntimeError("nobody thought of this")),
            "a bug that kills": lambda: setattr(self, "error", Killed()),
            "the database goes away": lambda: setattr(self, "error", OperationalError("connection closed")),
            "mended": lambda: setattr(self, "error", None),
            "the wrong token is made right": self._mend_tokens,
            "replay all": lambda: replaying.replay(rows, user=None, now=now),
            "replay failures": lambda: replaying.replay(rows.filter(FAILED), user=None, now=now),
            "discard all": lambda: replaying.discard(rows, user=None, reason="test"),
            "discard failures": lambda: replaying.discard(rows.filter(FAILED), user=None, reason="test"),
        }

    def _mend_tokens(self) -> None:
        ProviderAccount.objects.filter(id=self.party.id).update(callback_token_hash=token_hash(WRONG))
        NetworkConnection.objects.filter(id=self.contract.id).update(postback_token_hash=token_hash(WRONG))
        self.party.callback_token = self.contract.postback_token = WRONG

    def _work(self, run: Callable[[batches.Job], int]) -> None:
        for job in self.jobs:
            with suppress(Killed, OperationalError), transaction.atomic():
                run(job)


ARRIVALS = ["report", "poison", "half readable", "unreadable", "unsigned", "wrong token", "probe", "hit"]
ARRIVALS += ["hit with a wrong token", "hit of nobody's click"]
EVENTS = ["work", "work guarded", "an hour passes", "a bug", "a bug that kills", "the database goes away", "mended"]
EVENTS += ["the wrong token is made right", "replay all", "replay failures", "discard failures", "discard all"]
AGAIN = ["an hour passes", "work"] * 4


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


@pytest.mark.django_db
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.sampled_from(ARRIVALS) | st.sampled_from(EVENTS), max_size=25))
@example(steps=["poison", *AGAIN, "replay failures", "mended", "work", "discard all", "replay all", "work"])
@example(steps=["wrong token", "the wrong token is made right", "replay all", "mended", "work"])
@example(steps=["poison", *["an hour passes", "work guarded"] * 4, "replay all", "a bug that kills", "work guarded"])
@example(steps=["poison", "a bug that kills", *["an hour passes", "work guarded"] * 5, "discard failures"])
@example(steps=["poison", *AGAIN[:6], "the database goes away", "an hour passes", "work guarded", "work"])
@example(steps=[*ARRIVALS, *ARRIVALS, "work", "mended", *AGAIN, "replay all", "work", "work", "work", "work"])
def test_totals_equal_a_recount_of_the_inbox_after_any_sequence_of_events(steps: list[str]) -> None:
    with undone(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(django_settings, "REFUSED_KEPT_PER_DAY", 1)
        patch.setattr(django_settings, "REFUSED_SAMPLED_PER_MINUTE", 1)
        world = World()
        for step in steps:
            world.do(step)
            assert totals() == recount() + world.lost, step


@pytest.mark.django_db
def test_accepted_request_pays_for_no_total_before_it_is_answered(django_assert_num_queries: Any) -> None:
    party: Any = factories.ProviderAccountFactory()
    tell(party, report("v-1"))
    with django_assert_num_queries(1) as captured:
        tell(party, report("v-1"))
    assert "requesttotal" not in captured[0]["sql"]
    assert not RequestTotal.objects.exists()


@pytest.mark.django_db
def test_request_counts_in_the_hour_it_was_received_and_leaves_it_when_replayed(work_off: Callable[[], int]) -> None:
    begin = datetime(2026, 11, 20, 9, 59, 59, 999_000, tzinfo=UTC)
    partitions.ensure(begin, begin)
    for later_ms in (0, 1, 2):
        uid = new_uid(int(begin.timestamp() * 1000) + later_ms)
        factories.InboundRequestFactory(uid=uid, party_id=None)
    work_off()
    stood = [(begin.replace(minute=0, second=0, microsecond=0) + timedelta(hours=n), n + 1) for n in (0, 1)]
    assert list(RequestTotal.objects.order_by("hour").values_list("hour", "n")) == stood
    newest = RequestTotal.objects.order_by("hour").last()
    assert newest is not None
    assert newest.last_at == begin + timedelta(milliseconds=2)
    replaying.replay(InboundRequest.objects.filter(received_at__gt=begin), user=None, now=datetime.now(UTC))
    assert list(RequestTotal.objects.order_by("hour").values_list("n", flat=True)) == [1, 0]


@pytest.mark.django_db
def test_totals_are_forgotten_after_the_longest_retention() -> None:
    now = datetime.now(UTC)
    kept = timedelta(days=django_settings.RETENTION_POSTBACKS_DAYS)
    factories.RequestTotalFactory(last_at=now - kept - timedelta(hours=2))
    young = factories.RequestTotalFactory(last_at=now - kept + timedelta(hours=2))
    work.forget(now)
    assert RequestTotal.objects.get() == young


# --- at the same moment


def test_two_people_who_replay_one_request_at_once_take_it_out_of_the_totals_once(transactional_db: None) -> None:
    row = refused(1)[0]
    named = InboundRequest.objects.by_uid(row.uid)
    results = processes.at_once([lambda: replaying.replay(named, user=None, now=datetime.now(UTC))] * 4)
    assert results == [1] * 4
    assert totals() == Counter()


def test_replay_that_meets_the_worker_takes_back_what_the_worker_has_just_counted(transactional_db: None) -> None:
    """The row waits on its schedule when the replay begins, and is done when the replay gets its lock."""
    now = datetime.now(UTC) + timedelta(minutes=1)
    row: Any = factories.InboundRequestFactory(attempts=1)
    in_hand = Event()

    def handle(rows: list[InboundRequest], now: datetime) -> None:
        in_hand.set()
        processes.eventually(somebody_waits_for_a_lock, within_s=10)

    def replay() -> int:
        assert in_hand.wait(10)
        return replaying.replay(InboundRequest.objects.by_uid(row.uid), user=None, now=now)

    job = batches.Job(source=Source.WEBHOOK, handle=handle)
    assert processes.at_once([lambda: batches.run(job, now=now, limit=5), replay]) == [1, 1]
    assert InboundRequest.objects.get().state == State.WAITING
    assert totals() == Counter()
    assert batches.run(work.JOBS[0], now=now, limit=5) == 1
    assert totals() == recount() == Counter({("webhook", "sandbox", 0, 0, "accepted"): 1})


def test_request_replayed_and_done_by_another_worker_while_this_one_was_about_to_guard_it_is_left_alone(
    transactional_db: None,
) -> None:
    now = datetime.now(UTC) + timedelta(minutes=1)
    row: Any = factories.InboundRequestFactory(attempts=3)
    tried: list[object] = []

    class Meanwhile:
        """Between the two transactions of a guarded run: the row is failed, replayed, and worked off by somebody else."""

        def __call__(self, execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
            is_lock = sql.startswith("SELECT") and sql.endswith("FOR UPDATE") and not tried
            if is_lock and InboundRequest.objects.get().state == State.FAILED:
                tried.append("elsewhere")
                processes.at_once([elsewhere])
            return execute(sql, params, many, context)

    def elsewhere() -> None:
        replaying.replay(InboundRequest.objects.by_uid(row.uid), user=None, now=now)
        assert batches.run(work.JOBS[0], now=now, limit=5) == 1

    job = batches.Job(source=Source.WEBHOOK, handle=lambda rows, now: tried.append("here"))
    with connection.execute_wrapper(Meanwhile()):
        batches.run_guarded(job, now=now)
    assert tried == ["elsewhere"]
    assert totals() == recount() == Counter({("webhook", "sandbox", 0, 0, "accepted"): 1})


def test_replays_discards_and_workers_in_each_other_s_way_neither_deadlock_nor_miscount(transactional_db: None) -> None:
    rows = refused(60) + factories.InboundRequestFactory.create_batch(20)
    now = datetime.now(UTC) + timedelta(minutes=1)
    uids = [row.uid for row in rows]

    def some(order: str) -> QuerySet[InboundRequest]:
        return InboundRequest.objects.filter(uid__in=uids).order_by(order)

    def work_on() -> None:
        for _ in range(6):
            batches.run(work.JOBS[0], now=now, limit=7)

    verbs: list[Callable[[], object]] = [
        lambda: replaying.replay(some("uid"), user=None, now=now),
        lambda: replaying.discard(some("-uid"), user=None, reason="x"),
        lambda: replaying.replay(some("-uid"), user=None, now=now),
        work_on,
        work_on,
    ]
    for _ in range(3):
        results = processes.at_once(verbs)
        assert not [result for result in results if isinstance(result, Exception)], results
        assert totals() == recount()


def refused(n: int) -> list[InboundRequest]:
    """Requests that were refused, with their totals."""
    party: Any = factories.ProviderAccountFactory()
    for _ in range(n):
        call(f"{BASE}/sandbox?account={party.account.public_id}", events())
    assert totals() == Counter({("webhook", "sandbox", party.id, party.account_id, "bad_signature"): n})
    return list(InboundRequest.objects.all())


def somebody_waits_for_a_lock() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock')")
        return bool(cursor.fetchone()[0])
