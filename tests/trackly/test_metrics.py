"""/metrics adds up exactly, whichever process answers; is right about the tables; and is nobody's business but ours."""

import re
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from postbacks.verdicts import Verdict
from sendinglists.models import Echo
from tests import factories
from tests.api.conftest import caller
from tests.fakes.server import Fault
from tests.faults import processes, traffic
from tests.sendinglists.wire import wired
from trackly import gauges, metrics
from trackly.management.commands import work
from trackly.partitions import SERIES
from trackly.totals import hour_of
from webhooks.inbound import batches
from webhooks.inbound.models import InboundRequest, RequestTotal, Source
from webhooks.inbound.watching import WEBHOOK_RESULTS, results_of, watch

pytestmark = pytest.mark.django_db(transaction=True)
DOCS = Path(__file__).resolve().parent.parent.parent / "docs" / "operations.md"


@pytest.fixture(autouse=True)
def _nothing_remembered() -> Iterator[None]:
    gauges.ASKED.forget()
    yield
    gauges.ASKED.forget()


def fetch(port: int, headers: dict[str, str] | None = None, path: str = "/metrics") -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def samples(text: str) -> dict[tuple[str, ...], float]:
    """(name, label values…) -> value, the labels in the order in which they are declared."""
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    order = ["source", "provider", "outcome", "result", "table", "chore", "route", "status", "le"]
    return {(s.name, *(s.labels[key] for key in order if key in s.labels)): s.value for s in found}


def counters(text: str) -> dict[tuple[str, ...], float]:
    """What was counted, without the zeros."""
    return {key: value for key, value in samples(text).items() if key[0].endswith("_total") and value}


def gauge(name: str, *labels: str) -> float:
    gauges.ASKED.forget()
    return samples(Client(REMOTE_ADDR="127.0.0.1", HTTP_HOST="localhost:8000").get("/metrics").content.decode())[
        (name, *labels)
    ]


def test_every_process_tells_the_same_and_it_adds_up_exactly(tmp_path: Path) -> None:
    known = traffic.messages(20)
    (click,) = traffic.clicks(1)
    contract, party = click.offer.connection, known[0].provider_account
    hook, postback = (
        f"/api/webhook-feedbacks/sandbox/{party.callback_token}",
        f"/api/postbacks/tune/{contract.postback_token}",
    )
    shared = {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "LOG_LEVEL": "CRITICAL", "BODY_CAP_BYTES": "100000"}
    calls: list[Any] = []
    with processes.web(**shared, WEB_CONCURRENCY="3") as port, processes.worker(**shared):
        for message in known:
            calls += [partial(processes.post, port, hook, traffic.body(traffic.report(message.reference)))] * 3
        calls += [lambda n=n: processes.post(port, hook, traffic.body(traffic.report(f"nobody{n}"))) for n in range(4)]
        calls += [lambda: processes.post(port, hook, b"no json")] * 5
        calls += [lambda: processes.post(port, "/api/webhook-feedbacks/sandbox/wrong", b"{}")] * 6
        calls += [lambda: processes.post(port, "/api/webhook-feedbacks/strangers", b"{}")] * 2
        calls += [lambda: processes.post(port, hook, b"x" * 100_001)] * 3
        calls += [lambda: processes.get(port, f"{postback}?click_id={click.click_id}&payout=10.00&txid=t1")] * 7
        calls += [lambda: processes.get(port, f"{postback}?click_id={'a' * 26}&payout=10.00")] * 2
        calls += [lambda: processes.get(port, "/api/postbacks/tune/wrong?click_id=x&payout=1")] * 3
        for start in range(0, len(calls), 12):
            processes.at_once(calls[start : start + 12])
        processes.eventually(lambda: traffic.waiting() == 0, within_s=20)
        seen = [counters(fetch(port)[1]) for _ in range(12)]
    assert seen[-1] == {
        ("trackly_requests_total", "webhook", "sandbox", "accepted"): 64,
        ("trackly_requests_total", "webhook", "sandbox", "unreadable"): 5,
        ("trackly_requests_total", "webhook", "sandbox", "bad_secret"): 6,
        ("trackly_requests_total", "webhook", "", "not_found"): 2,
        ("trackly_requests_total", "webhook", "", "too_large"): 3,
        ("trackly_requests_total", "postback", "tune", "accepted"): 9,
        ("trackly_requests_total", "postback", "tune", "bad_secret"): 3,
        ("trackly_items_total", "webhook", "new"): 20,
        ("trackly_items_total", "webhook", "duplicate"): 40,
        ("trackly_items_total", "webhook", "parked"): 4,
        ("trackly_items_total", "postback", "recorded"): 1,
        ("trackly_items_total", "postback", "duplicate"): 6,
        ("trackly_items_total", "postback", "unknown_click"): 2,
    }
    assert seen == [seen[-1]] * 12


def test_failures_are_counted_once_a_try_and_rolled_back_work_not_at_all() -> None:
    party = factories.ProviderAccountFactory()
    message = factories.MessageFactory(provider_account=party)
    traffic.requests(party, [traffic.body(traffic.report(message.reference))] * 3)
    poison = InboundRequest.objects.order_by("due_at").first()
    assert poison is not None
    InboundRequest.objects.filter(uid=poison.uid).update(slug="removed")
    before = samples(metrics.counted().decode())
    for attempts in range(1, 5):
        work.work(datetime.now(UTC))
        traffic.make_all_due()
        assert InboundRequest.objects.get(uid=poison.uid).attempts == attempts
    after = samples(metrics.counted().decode())

    def grown(*key: str) -> float:
        return after.get(key, 0) - before.get(key, 0)

    assert grown("trackly_processing_failures_total", "webhook", "retried") == 3
    assert grown("trackly_processing_failures_total", "webhook", "failed") == 1
    assert grown("trackly_items_total", "webhook", "new") == 1
    assert grown("trackly_items_total", "webhook", "duplicate") == 1
    assert gauge("trackly_requests_failed") == 1


def test_what_was_rolled_back_is_not_counted() -> None:
    """Its handler was content; what failed came after it."""
    message = factories.MessageFactory()
    traffic.requests(message.provider_account, [traffic.body(traffic.report(message.reference))])
    now = datetime.now(UTC)
    before = metrics.counted()

    def run(job: batches.Job) -> int:
        with transaction.atomic():
            job.handle(batches.claim(job.source, now=now, limit=5), now)
            raise LookupError("the end of it")

    job = next(job for job in work.JOBS if job.source == Source.WEBHOOK)
    with pytest.raises(LookupError):
        watch(job, WEBHOOK_RESULTS, run, now)
    assert metrics.counted() == before


def test_gauges_tell_what_the_tables_hold() -> None:
    now = datetime.now(UTC)
    factories.InboundRequestFactory(due_at=now - timedelta(minutes=10))
    factories.InboundRequestFactory(due_at=now + timedelta(minutes=5), attempts=1)
    for hours, standing, n in ((1, "failed", 2), (1, "accepted", 7), (30, "failed", 5)):
        at = now - timedelta(hours=hours)
        RequestTotal.objects.create(
            hour=hour_of(at), source="webhook", slug="sandbox", standing=standing, n=n, last_at=at
        )
    factories.WorkerRunFactory(beat_at=now - timedelta(seconds=90), ended_at=None)
    factories.WorkerRunFactory(beat_at=now - timedelta(hours=2), ended_at=now)
    factories.ClickFactory.create_batch(3, is_tallied=False)
    factories.ClickFactory(is_tallied=True)
    traffic.requests(factories.ProviderAccountFactory(), [traffic.body(traffic.report("nobody"))])
    work.work(now + timedelta(seconds=1))
    InboundRequest.objects.filter(state="done").delete()
    factories.InboundRequestFactory(due_at=now - timedelta(minutes=10))
    assert 599 < gauge("trackly_oldest_due_seconds") < 640
    assert gauge("trackly_requests_retrying") == 1
    assert gauge("trackly_requests_failed") == 2
    assert gauge("trackly_reports_parked") == 1
    assert gauge("trackly_clicks_untallied") == 3
    assert 89 < gauge("trackly_worker_heartbeat_seconds") < 130
    assert gauge("trackly_database_up") == 1
    for series in SERIES:
        assert gauge("trackly_partitions_ahead_days", series.parent) > 10


def test_gauges_of_sending_tell_what_waits_what_is_unclear_and_what_failed() -> None:
    now = datetime.now(UTC)
    one, other = factories.SendingListFactory.create_batch(2)
    for line, minutes in ((one, 3), (one, 9), (other, 5), (other, -5)):
        factories.MessageFactory(sending_list=line, due_at=now - timedelta(minutes=minutes))
    handed: dict[str, Any] = {"sending_list": one, "handed_at": now - timedelta(hours=2), "tries": 1}
    factories.MessageFactory(**handed, leased_until=now - timedelta(minutes=1))
    factories.MessageFactory(**handed, leased_until=now + timedelta(minutes=1))
    asked = {"ask_at": now + timedelta(hours=4)}
    factories.MessageFactory(**handed, **asked)
    factories.MessageFactory(**handed, **asked, sent_at=now)
    factories.MessageFactory(**handed, **asked, status="sent")
    factories.MessageFactory(**(handed | asked | {"handed_at": now - timedelta(hours=25)}))
    factories.ProviderAccountFactory(webhook_state="failed")
    factories.ProviderAccountFactory(webhook_state="failed", removed_at=now)
    for seconds in (1, 2, -60):
        at = now - timedelta(seconds=seconds)
        Echo.objects.create(message=factories.MessageFactory(sending_list=one), body=b"{}", due_at=at)
    assert gauge("trackly_messages_due") == 3
    assert 539 < gauge("trackly_messages_oldest_due_seconds") < 580
    assert gauge("trackly_messages_leases_over") == 1
    assert gauge("trackly_messages_unclear") == 1
    assert gauge("trackly_setups_failed") == 1
    assert gauge("trackly_echoes_due") == 2


def test_a_message_is_unclear_from_its_lost_answer_until_its_provider_told_of_it(
    settings: Any, monkeypatch: pytest.MonkeyPatch, dispatch: Callable[..., int]
) -> None:
    at = datetime.now(UTC)
    with wired(settings, monkeypatch) as wire:
        line = factories.SendingListFactory(provider_account=factories.ProviderAccountFactory(provider="wire"))
        message = factories.MessageFactory(sending_list=line, due_at=at, created_at=at)
        wire.faults.append(Fault(kind="drop_after"))
        dispatch(at)
        assert gauge("trackly_messages_unclear") == 1
        wire.known[message.reference] = [{"status": "sent"}]
        dispatch(at + timedelta(minutes=2))
    assert gauge("trackly_messages_unclear") == 0


def test_no_message_due_is_zero() -> None:
    factories.MessageFactory(due_at=datetime.now(UTC) + timedelta(minutes=5))
    assert gauge("trackly_messages_due") == gauge("trackly_messages_oldest_due_seconds") == 0


def test_answers_of_the_api_are_counted_by_address_and_class_and_no_caller_names_one() -> None:
    us = caller(factories.AccountFactory())
    before = samples(metrics.counted().decode())
    us.get("lists")
    us.get("lists/")
    us.get("messages/a2B3c4D5")
    us.get("messages/e5F6g7H8")
    us.get("whatever/they/please")
    us.post("send", {})
    us.key = "trk_wrong"
    us.get("lists")
    after = samples(metrics.counted().decode())
    name = "trackly_api_requests_total"
    grown = {key[1:]: value - before.get(key, 0) for key, value in after.items() if key[0] == name}
    assert {key: n for key, n in grown.items() if n} == {
        ("lists", "2xx"): 2,
        ("lists", "4xx"): 1,
        ("messages/<slug:message_id>", "4xx"): 2,
        ("other", "4xx"): 1,
        ("send", "4xx"): 1,
    }
    assert grown["send", "5xx"] == 0


def test_nothing_due_is_zero_and_no_worker_ever_is_infinite() -> None:
    assert gauge("trackly_oldest_due_seconds") == 0
    assert gauge("trackly_worker_heartbeat_seconds") == float("inf")


def test_a_gap_in_the_partitions_ends_the_days_ahead() -> None:
    daily = next(series for series in SERIES if not series.monthly)
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    names = {daily.name(now + timedelta(days=n)) for n in (0, 1, 3, 4)}
    assert gauges.days_ahead(daily, names, now) == 1.5
    assert gauges.days_ahead(daily, names - {daily.name(now)}, now) == 0


def test_without_a_database_it_still_tells_what_was_counted() -> None:
    with processes.web(DATABASE_URL="postgres://nobody@127.0.0.1:1/none", LOG_LEVEL="CRITICAL") as port:
        assert processes.post(port, "/api/webhook-feedbacks/sandbox/any", b"{}") == 503
        status, text = fetch(port)
    assert status == 200
    assert samples(text)[("trackly_database_up",)] == 0
    assert samples(text)[("trackly_requests_total", "webhook", "sandbox", "busy")] == 1
    assert "trackly_oldest_due_seconds" not in text


@pytest.mark.parametrize("gauge", gauges.GAUGES, ids=lambda gauge: gauge.name)
def test_no_gauge_reads_the_whole_of_a_big_table(gauge: gauges.Gauge) -> None:
    """As the planner sees it when a sequential scan is dear, as it is with millions of rows."""
    with connection.cursor() as cursor:
        cursor.execute("SET enable_seqscan = off")
        cursor.execute(f"EXPLAIN {gauge.query}")
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("RESET enable_seqscan")
    # A bounded look at a table of which every row is wanted needs no index, nor does one that is always small.
    is_free = gauge.name in ("trackly_reports_parked", "trackly_setups_failed")
    assert "Seq Scan" not in plan or "Limit" in plan and is_free, plan


# --- who may see it


@pytest.mark.parametrize(
    ("proxies", "meta", "seen"),
    [
        ([], {"REMOTE_ADDR": "127.0.0.1"}, True),
        ([], {"REMOTE_ADDR": "::1"}, True),
        ([], {"REMOTE_ADDR": "203.0.113.7"}, False),
        ([], {"REMOTE_ADDR": ""}, False),
        ([], {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, False),
        ([], {"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=127.0.0.1"}, False),
        ([], {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_PROTO": "https"}, False),
        (["127.0.0.1"], {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.7"}, False),
        (["127.0.0.1"], {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1, 203.0.113.7"}, False),
        (["127.0.0.1"], {"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=203.0.113.7"}, False),
        (["10.0.0.1"], {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, False),
        (["127.0.0.1"], {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "203.0.113.7:4711"}, False),
        ([], {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "hooks.example.com"}, False),
        (["10.0.0.1"], {"REMOTE_ADDR": "203.0.113.7", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, False),
    ],
)
def test_only_this_machine_itself_sees_it(
    settings: Any, client: Client, proxies: list[str], meta: dict[str, str], seen: bool
) -> None:
    settings.TRUSTED_PROXIES = proxies
    assert client.get("/metrics", **({"HTTP_HOST": "localhost"} | meta)).status_code == (200 if seen else 404)


@pytest.mark.parametrize(
    ("token", "authorization", "seen"),
    [
        ("s3cret", "Bearer s3cret", True),
        ("s3cret", "bearer s3cret", True),
        ("s3cret", "Bearer s3cre", False),
        ("s3cret", "Bearer ", False),
        ("s3cret", "Basic s3cret", False),
        ("", "Bearer ", False),
        ("", "", False),
    ],
)
def test_the_token_opens_it_from_anywhere(
    settings: Any, client: Client, token: str, authorization: str, seen: bool
) -> None:
    settings.METRICS_TOKEN = token
    meta = {"REMOTE_ADDR": "203.0.113.7", "HTTP_X_FORWARDED_FOR": "203.0.113.9", "HTTP_AUTHORIZATION": authorization}
    assert client.get("/metrics", **meta).status_code == (200 if seen else 404)


def test_a_worker_elsewhere_shows_its_own(settings: Any) -> None:
    settings.METRICS_TOKEN = "s3cret"
    server = metrics.serve("127.0.0.1:0")
    try:
        port = server.server_address[1]
        status, text = fetch(port)
        assert status == 200
        assert ("trackly_processing_failures_total", "webhook", "failed") in samples(text)
        assert fetch(port, path="/")[0] == 404
        assert fetch(port, {"X-Forwarded-For": "203.0.113.9"})[0] == 404
        assert fetch(port, {"X-Forwarded-For": "203.0.113.9", "Authorization": "Bearer s3cret"})[0] == 200
    finally:
        server.shutdown()
        server.server_close()


# --- what is promised of it


def families() -> set[str]:
    text = Client(REMOTE_ADDR="127.0.0.1", HTTP_HOST="localhost:8000").get("/metrics").content.decode()
    return set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))


def test_the_operators_guide_names_every_metric_and_no_other() -> None:
    named = {re.sub(r"_(bucket|count|sum)$", "", name) for name in re.findall(r"\btrackly_\w+", DOCS.read_text())}
    assert named == families()


def test_the_modules_docstring_names_every_metric_and_no_other() -> None:
    assert set(re.findall(r"\btrackly_\w+", metrics.__doc__ or "")) == families()


def test_every_result_is_counted_by_its_name() -> None:
    row = InboundRequest(state="done")
    row.results = {
        "new": 2, "duplicate": 1, "parked, its message is not known yet": 3, "wrong_account": 1, "not readable (no status)": 4,
        "not readable (2 new, here)": 1, "new reply": 1, "duplicate reply": 2, "opt-out": 1, "reply unproven and ignored": 1,
    }  # fmt: skip
    assert results_of(row, WEBHOOK_RESULTS) == {
        "new": 2, "duplicate": 1, "parked": 3, "wrong_account": 1, "unreadable": 5, "reply": 1, "reply_duplicate": 2,
        "ignored": 1,
    }  # fmt: skip
    row.results = {verdict.label.lower(): 2 for verdict in Verdict}
    assert results_of(row, work.RESULTS["postback"]) == {verdict.value: 2 for verdict in Verdict}
    row.state = "refused"
    assert results_of(row, WEBHOOK_RESULTS) == {"refused": 1}
