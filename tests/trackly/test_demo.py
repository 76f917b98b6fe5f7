"""`make demo` against the real service: it must add up, and when the service loses or changes anything it must say so."""

import os
import re
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from threading import Thread

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper
from django.db import connection, transaction
from django.db.models import F, Sum

from postbacks.models import Click, Conversion
from postbacks.verdicts import Verdict
from sendinglists.models import Message, SubscriptionChange
from tests.faults import processes
from tests.trackly.test_up import Service
from trackly.demo import book, campaign, stage, traffic, visits
from trackly.demo.progress import Progress
from trackly.demo.run import Run
from trackly.demo.sending import Call, Client
from trackly.models import Account, HourlyTotal, WorkerRun
from trackly.phones import e164
from webhooks.inbound.models import DeliveryEvent, InboundRequest, ParkedReport, Reply
from webhooks.statuses import Status

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).resolve().parent.parent.parent
# Enough for every story of reports, clicks and sales to be told at least once.
MESSAGES = 60
_ENTRY = re.compile(r"^  (.+?) {2,}(-?[\d,.]+) +(-?[\d,.]+)$", re.MULTILINE)


@pytest.fixture
def base() -> Iterator[str]:
    """A service with one worker."""
    with processes.web() as port, processes.worker():
        processes.eventually(WorkerRun.objects.exists, within_s=20)
        yield f"http://127.0.0.1:{port}"


def play(base: str, **options: object) -> str:
    """What the command prints."""
    out = StringIO()
    call_command("demo", base=base, **{"messages": MESSAGES, "seed": 1} | options, stdout=out)
    return out.getvalue()


def ledger(text: str) -> dict[str, Decimal]:
    """What was found, by the words of the line; what was expected is the same."""
    entries = _ENTRY.findall(text)
    assert [entry for entry in entries if entry[1] != entry[2]] == []
    return {words: Decimal(found.replace(",", "")) for words, _, found in entries}


def approved(currency: str, **of: object) -> Decimal:
    hits = Conversion.objects.filter(currency=currency, status__in=["approved", "reversed"], **of).exclude(kind="")
    return hits.filter(original__isnull=True).aggregate(sum=Sum("payout"))["sum"]


def test_the_ledger_says_what_is_in_the_tables_and_a_second_run_counts_only_its_own(base: str) -> None:
    text = play(base)
    assert "\nIt adds up.\n" in text
    assert f"Look at it: {base}/ as owner, or {base}/admin/ as staff (account: " in text
    first = ledger(text)
    assert first["counted: entered in the timeline of a message"] == DeliveryEvent.objects.count()
    assert first["still parked: the message never came"] == ParkedReport.objects.count() > 0
    assert first["counted: stored replies"] == Reply.objects.count()
    assert first["opt-outs by a reply"] == SubscriptionChange.objects.filter(origin="reply", decision="opt_out").count()
    assert first["by machines: previews, crawlers, scripts"] == Click.objects.exclude(bot="").count()
    kept = InboundRequest.objects
    assert first["provider callbacks: 200, acknowledged"] == kept.filter(source="webhook", answer_status=200).count()
    assert (
        first["provider callbacks: 403, refused: nothing proves the sender"] == kept.filter(answer_status=403).count()
    )
    assert first["postbacks: 200, acknowledged"] == kept.filter(source="postback").count() == Conversion.objects.count()
    for verdict, n in Counter(Conversion.objects.values_list("verdict", flat=True)).items():
        assert first[Verdict(verdict).label.lower()] == n
    for status, n in Counter(Message.objects.values_list("status", flat=True)).items():
        assert first[Status(status).label.lower()] == n
    assert first["EUR approved, unverified"] == approved("EUR", is_verified=False)
    events = DeliveryEvent.objects.count()
    again = ledger(play(base, seed=2))
    assert again["counted: entered in the timeline of a message"] == DeliveryEvent.objects.count() - events
    assert Account.objects.get().name == "Demo account"
    proofs = set(InboundRequest.objects.filter(source="webhook").values_list("proof", flat=True))
    assert proofs == {"token", "signature", "reference", ""}


def test_everything_a_newcomer_should_see_is_in_it() -> None:
    """By what is planned; that it comes true is the ledger's."""
    planned = campaign.draw(stage.set_up(), MESSAGES, seed=1, now=datetime.now(UTC))
    calls = [*traffic.early(planned), *traffic.callbacks(planned), *(call for call, _ in visits.visits(planned))]
    found = {line.words for line in planned.expected}
    never = {Verdict.WAITING, Verdict.TOO_LONG, Verdict.EXPIRED_CLICK, Verdict.WRONG_ACCOUNT, Verdict.IP_NOT_ALLOWED,
             Verdict.PLAIN_HTTP, Verdict.UNREADABLE}  # fmt: skip
    assert {verdict for verdict in Verdict if book.verdict(verdict) not in planned.expected.lines} == never
    rare = {Status.UNKNOWN, Status.ACCEPTED, Status.SENDING, Status.DROPPED}
    assert {status for status in Status if book.status(status) not in planned.expected.lines} == rare
    assert {"GBP approved", "USD pending", "EUR approved, unverified"} <= found
    assert {book.REPEATED, book.PARKED, book.STILL_PARKED, book.UNREADABLE, book.UNKNOWN_WORD, book.ANOTHERS, book.OPTED_IN,
            book.OPTED_OUT_BY_CODE, book.CLOSED, book.BY_MACHINES} <= planned.expected.lines.keys()  # fmt: skip
    assert {call.status for call in calls} == {200, 302, 400, 403, 404}


def _lose_an_event() -> None:
    DeliveryEvent.objects.filter(status="delivered")[0].delete()


def _change_an_amount() -> None:
    Conversion.objects.filter(pk=Conversion.objects.filter(kind="upsell")[0].pk).update(payout=F("payout") + 1)


def _count_twice() -> None:
    HourlyTotal.objects.filter(pk=HourlyTotal.objects.filter(kind="click")[0].pk).update(n=F("n") + 1)


def _lose_a_request() -> None:
    InboundRequest.objects.filter(state="refused")[:1].get().delete()


def _move_a_status() -> None:
    Message.objects.filter(pk=Message.objects.filter(status="read")[0].pk).update(status="delivered")


def _count_a_machine() -> None:
    Click.objects.filter(pk=Click.objects.exclude(bot="")[0].pk).update(bot="")


def _forget_a_stop() -> None:
    SubscriptionChange.objects.filter(origin="reply", decision="opt_out")[0].delete()


_TAMPERED: tuple[tuple[Callable[[], None], str], ...] = (
    (_lose_an_event, "counted: entered in the timeline of a message"),
    (_change_an_amount, "EUR approved"),
    (_count_twice, "click"),
    (_lose_a_request, "provider callbacks: refused"),
    (_move_a_status, "read"),
    (_count_a_machine, "by people"),
    (_forget_a_stop, "opt-outs by a reply"),
)


def test_whatever_is_lost_or_changed_before_the_ledger_stands_in_it(base: str) -> None:
    run = Run(base, MESSAGES, seed=1, now=datetime.now(UTC), progress=Progress(OutputWrapper(StringIO())))
    run.send()
    assert run.ledger().wrong == ()
    for tamper, words in _TAMPERED:
        with transaction.atomic():
            tamper()
            wrong = run.ledger()
            transaction.set_rollback(True)
        assert any(entry.words.startswith(words) for entry in wrong.wrong), words
        assert "It does not add up" in str(wrong)
    assert run.ledger().wrong == ()


@pytest.fixture
def _deaf_to_read() -> Iterator[None]:
    """A database that swallows every report of 'read', as a faulty service might."""
    with connection.cursor() as cursor:
        cursor.execute("CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
        cursor.execute(
            "CREATE TRIGGER swallow BEFORE INSERT ON webhooks_deliveryevent FOR EACH ROW"
            " WHEN (NEW.status = 'read') EXECUTE FUNCTION swallow()"
        )
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION swallow() CASCADE")


@pytest.mark.usefixtures("_deaf_to_read")
def test_a_service_that_loses_reports_ends_the_demo_with_code_1(base: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = StringIO()
    with pytest.raises(SystemExit) as end:
        call_command("demo", base=base, messages=MESSAGES, seed=1, stdout=out)
    assert end.value.code == 1
    text = out.getvalue()
    assert "It adds up." not in text
    differing = text[text.index("It does not add up") :]
    assert re.search(r"^  read +\d+ +0  <- differs$", differing, re.MULTILINE)
    assert "message_read" in differing


def demo(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    everything = os.environ | {"DATABASE_URL": processes.database_url()} | environment
    command = [sys.executable, "manage.py", "demo", *options]
    return subprocess.run(command, cwd=ROOT, env=everything, capture_output=True, text=True, timeout=120)


def test_without_a_service_it_says_what_to_start() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        ended = demo("--base", f"http://127.0.0.1:{probe.getsockname()[1]}")
    assert ended.returncode == 1
    assert "start the service with `make run`" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not Account.objects.exists()


def test_without_a_worker_or_a_sandbox_it_says_so() -> None:
    with processes.web() as port, pytest.raises(CommandError, match="No worker is running"):
        play(f"http://127.0.0.1:{port}")
    with processes.web(SANDBOX_ENABLED="false") as port, pytest.raises(CommandError, match="SANDBOX_ENABLED=true"):
        play(f"http://127.0.0.1:{port}")
    assert not Account.objects.exists()


def test_a_service_on_another_database_is_told_apart(base: str) -> None:
    """Its tables do not have our tokens; here, because they were changed under it."""
    stage.set_up()
    with connection.cursor() as cursor:
        cursor.execute("UPDATE sendinglists_provideraccount SET callback_token_hash = sha256(callback_token_hash)")
    with pytest.raises(CommandError, match="works on another database"):
        play(base)
    assert not Message.objects.exists()


def test_two_demos_at_once_are_refused(base: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(hashtextextended('demo', 0))")
        ended = demo("--base", base)
        cursor.execute("SELECT pg_advisory_unlock(hashtextextended('demo', 0))")
    assert (ended.returncode, ended.stderr.strip()) == (
        1,
        "CommandError: Another demo is running; wait until it is through.",
    )


def test_it_finds_the_embedded_database_of_a_running_service_by_itself(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.start()
    try:
        ended = subprocess.run(
            [sys.executable, "manage.py", "demo", "--messages", "20"],
            cwd=ROOT, env=service.environment, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
    finally:
        service.stop()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "It adds up." in ended.stdout
    assert "\r" not in ended.stdout


def test_a_seed_draws_the_same_traffic_with_other_ids() -> None:
    now = datetime.now(UTC)
    one, two = (campaign.draw(stage.set_up(), MESSAGES, seed=7, now=now) for _ in range(2))
    assert [sent.story for sent in one.sent] == [sent.story for sent in two.sent]
    assert [sent.message.created_at for sent in one.sent] == [sent.message.created_at for sent in two.sent]
    assert one.expected.lines == two.expected.lines
    assert not {sent.message.reference for sent in one.sent} & {sent.message.reference for sent in two.sent}
    other = campaign.draw(stage.set_up(), MESSAGES, seed=8, now=now)
    assert other.expected.lines != one.expected.lines


def test_what_was_changed_in_the_demo_account_is_put_back() -> None:
    shown = stage.set_up()
    offer = shown.offers[0]
    assert offer.connection is not None
    offer.connection.duplicate_rule = "update"
    offer.connection.save()
    again = stage.set_up()
    assert again.account == shown.account
    assert again.offers == shown.offers
    assert again.offers[0].connection is not None
    assert again.offers[0].connection.duplicate_rule == "ignore"


def test_only_numbers_kept_for_fiction_are_texted() -> None:
    numbers = [campaign.phone(n) for n in range(0, 60_000, 7)]
    assert len(set(numbers)) == len(numbers)
    assert all(re.fullmatch(r"\+1[2-9]\d\d55501\d\d", number) for number in numbers)
    assert all(e164(number) == number for number in numbers[::997])


class _Moody(BaseHTTPRequestHandler):
    """Busy at the first try of every path, and hangs up after each answer without a word."""

    protocol_version = "HTTP/1.1"
    tries: Counter[str] = Counter()

    def do_GET(self) -> None:
        self.tries[self.path] += 1
        self.send_response(503 if self.tries[self.path] == 1 else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.close_connection = True

    def log_message(self, *args: object) -> None:
        pass


def test_what_was_not_stored_is_sent_again_as_a_provider_does() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Moody)
    thread = Thread(target=server.serve_forever)
    thread.start()
    calls = [Call(kind="postbacks", method="GET", target=f"/{n}", status=200) for n in range(20)]
    done: list[int] = []
    try:
        answers = Client(f"http://127.0.0.1:{server.server_port}").send(calls, lambda: done.append(1))
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert [answer.status for answer in answers] == [200] * 20
    assert len(done) == 20
    assert set(_Moody.tries.values()) == {2}


class _Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_phase_is_one_line_rewritten() -> None:
    out = _Terminal()
    progress = Progress(OutputWrapper(out))
    with progress.phase("Short links opened", 2):
        progress.step()
        progress.step()
    assert out.getvalue().count("\n") == 1
    assert out.getvalue().count("\r") == 2
    assert out.getvalue().endswith("2 of 2\n")
