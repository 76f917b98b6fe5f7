"""Everything at once: sends, opt-outs, callbacks, providers that fail, workers and webs that are killed, connections cut.
Afterwards it all adds up, counted from the outside: from what the providers saw and what the API answered."""

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, F, Q

from sendinglists.callbacks import callback_url
from sendinglists.models import Message
from tests import factories
from tests.fakes.twilio import ACCOUNT, TOKEN
from tests.faults import processes
from tests.faults.stormy_people import Api, Closure, Crowd, Line, Sender
from tests.faults.stormy_providers import CARRIED_OUT, Mailman, Record, Stormy, StormyInfobip, StormyTwilio
from tests.faults.stormy_world import Machine, free_port, in_background, thunder
from trackly.models import HourlyTotal
from webhooks.inbound.models import DeliveryEvent, InboundRequest
from webhooks.statuses import FINAL, Origin, Status

pytestmark = pytest.mark.django_db(transaction=True)
FINALS = [status.value for status in FINAL]
# An answer to an opt-out and a text that reaches the provider after it: the text was claimed before, and on its way.
MOST_LAG_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Size:
    messages: int
    phones: int
    over_s: float
    events: tuple[str, ...]
    workers: int = 2
    slots: int = 16
    seed: int = 11
    waits_out_leases: bool = False


class Storm:
    """The world of one run."""

    def __init__(self, size: Size, port: int, directory: Path, mailman: Mailman, providers: list[Stormy]) -> None:
        self.size, self.mailman, self.providers = size, mailman, providers
        self.dice, self.record = random.Random(size.seed), Record()
        self.port = port
        for index, provider in enumerate(providers):
            provider.begin(self.record, mailman, size.seed + index)
        routes = {f"https://{name}.api.infobip.com": one.url for name, one in zip("ab", providers, strict=False)}
        routes["https://api.twilio.com"] = providers[2].url
        environment = {
            "OUTGOING_ROUTES": ",".join(f"{source}={target}" for source, target in routes.items()),
            "SENDING_SLOTS": str(size.slots), "PUBLIC_BASE_URL": f"http://127.0.0.1:{self.port}", "WEB_CONCURRENCY": "1",
        }  # fmt: skip
        self.machine = Machine(directory, environment, self.port)
        self.workers = [f"worker-{index}" for index in range(size.workers)]
        self.lines = list(self._lines())
        self.is_over = threading.Event()
        self.crowds = [self._crowd(lines, index) for index, lines in enumerate((self.lines[:4], self.lines[4:]))]
        phones = {crowd.lines[0].row.account_id: crowd.phones for crowd in self.crowds}
        addressed = {crowd.lines[0].row.account_id: crowd.addressed for crowd in self.crowds}
        self.sender = Sender(self.lines, phones, addressed, self.dice)

    def _lines(self) -> Iterator[Line]:
        """Two accounts: one at two providers, with three kinds of STOP, and one of its own at another; one list is slow."""
        first, second = factories.AccountFactory(), factories.AccountFactory()
        of_first, of_second = Api(first, self.port), Api(second, self.port)
        infobip = self._infobip(first, "a")
        twilio = factories.ProviderAccountFactory(
            account=first, provider="twilio", settings={"account_sid": ACCOUNT, "auth_token": TOKEN}
        )
        other = self._infobip(second, "b")
        siblings: list[Line] = []
        for party, brand, scope, speed in (
            (infobip, "Acme", "list", 17_000), (infobip, "Bolt", "brand", 600), (twilio, "Bolt", "brand", 17_000),
            (twilio, "Acme", "account", 17_000),
        ):  # fmt: skip
            provider = self.providers[0 if party is infobip else 2]
            siblings.append(self._line(party, provider, of_first, siblings, brand, scope, speed))
        yield from siblings
        theirs: list[Line] = []
        theirs.append(self._line(other, self.providers[1], of_second, theirs, "Acme", "list", 17_000))
        yield from theirs

    def _infobip(self, account: Any, name: str) -> Any:
        settings = {"base_url": f"https://{name}.api.infobip.com", "api_key": "good-key"}
        return factories.ProviderAccountFactory(account=account, provider="infobip", settings=settings)

    def _line(
        self, party: Any, provider: Stormy, api: Api, siblings: list[Line], brand: str, scope: str, speed: int
    ) -> Line:
        row = factories.SendingListFactory(
            provider_account=party, brand=brand, opt_out_scope=scope, messages_per_minute=speed
        )
        url = callback_url(party)
        if isinstance(provider, StormyInfobip):
            provider.own(row.number[1:])
            forwarding = {"type": "HTTP_FORWARD", "url": url}
            provider.configurations[row.number] = {"number": row.number[1:], "forwarding": forwarding}
        else:
            provider.add_number(row.number, sms_url=url)  # type: ignore[attr-defined]
        return Line(row, provider, api, siblings)

    def _crowd(self, lines: list[Line], index: int) -> Crowd:
        # None ends in 0009, which the fake calls no number.
        phones = [f"+1415{index + 5}{n:05}1" for n in range(self.size.phones)]
        return Crowd(lines, phones, self.mailman, self.is_over, deque(maxlen=20))

    # --- what happens

    def rage(self) -> None:
        size, failures = self.size, self.sender.errors
        for name in ("web", *self.workers):
            self.machine.start(name)
        processes.eventually(lambda: processes._answers(self.port), within_s=30)
        plan = self.sender.plan(size.messages)
        people = [thread for n, crowd in enumerate(self.crowds) for thread in crowd.threads(3, size.seed + 10 * n)]
        senders = list(self.sender.threads(4, plan, size.over_s))
        for thread in people + senders:
            thread.start()
        importing = in_background(self._import, failures)
        watching = in_background(self._watch, failures)
        thunder(self.machine, self.workers, list(size.events), size.over_s, self.dice, self._slow)
        for thread in (*senders, importing):
            thread.join()
        self._hasten_while(lambda: Message.objects.filter(due_at__isnull=False).exists())
        self.is_over.set()
        for thread in (*people, watching):
            thread.join()
        failures += [error for crowd in self.crowds for error in crowd.errors]
        assert failures == []

    def _slow(self, is_slow: bool) -> None:
        for provider in self.providers:
            provider.is_slow = is_slow

    def _import(self) -> None:
        for index in range(8):
            line = self.lines[index % len(self.lines)]
            rows = [
                {"id": f"order-{index // 2}-{n}", "list_id": line.row.id, "to": f"+1415700{n:04}",
                 "sent_at": datetime.now(UTC).isoformat()}
                for n in range(10)
            ]  # fmt: skip
            for _ in range(2):
                status, said = line.api.call("POST", "messages/import", {"messages": rows})
                assert (status, said["error_count"]) == (200, 0), said
            time.sleep(self.size.over_s / 10)

    def _watch(self) -> None:
        while not self.is_over.is_set():
            self.machine.sample()
            self.is_over.wait(0.5)

    def _hasten_while(self, claim: Any, within_s: float = 60) -> None:
        """As if time passed for what waits for its next try or question."""
        for provider in self.providers:
            provider.is_fair = True
        until = time.monotonic() + within_s
        while claim():
            now = datetime.now(UTC)
            Message.objects.filter(due_at__gt=now).update(due_at=now)
            assert time.monotonic() < until, "some are never done"
            time.sleep(0.1)

    def calm(self) -> None:
        """The workers end, the dead ones' leases run out, everything that has no end is asked for."""
        processes.eventually(self.mailman.is_idle, within_s=120)
        processes.eventually(lambda: InboundRequest.objects.filter(state="waiting").count() == 0, within_s=120)
        for name in self.workers:
            self.machine.stop(name)
        leased = Message.objects.filter(leased_until__isnull=False)
        if not self.size.waits_out_leases:
            leased.update(leased_until=datetime.now(UTC) - timedelta(seconds=1))
        self.machine.start("worker-last")
        processes.eventually(lambda: not leased.exists(), within_s=90)
        for _ in range(6):
            now = datetime.now(UTC)
            Message.objects.filter(ask_at__gt=now).update(ask_at=now)
            processes.eventually(lambda now=now: not Message.objects.filter(ask_at__lte=now).exists(), within_s=60)
        time.sleep(0.5)
        self.machine.stop("worker-last")
        lost = lost_with_their_worker()
        self.machine.ledger["lost with their worker"] = len(lost)
        assert lost, "nobody who was killed had a call in hand; the storm proves nothing about those"


@pytest.fixture
def machinery(tmp_path: Path, settings: Any) -> Iterator[Any]:
    with Mailman() as mailman, StormyInfobip() as one, StormyInfobip() as two, StormyTwilio() as three:
        made: list[Storm] = []

        def make(size: Size) -> Storm:
            port = free_port()
            settings.PUBLIC_BASE_URL = f"http://127.0.0.1:{port}"
            storm = Storm(size, port, tmp_path, mailman, [one, two, three])
            made.append(storm)
            return storm

        yield make
        for storm in made:
            storm.machine.end()


# --- what is true afterwards


def lost_with_their_worker() -> set[int]:
    said = DeliveryEvent.objects.filter(error_text__startswith="The worker that handed it over ended")
    return set(said.values_list("message", flat=True))


def check_nothing_went_twice(storm: Storm) -> None:
    for text, rows in storm.record.arrivals.items():
        fates = [row.fate for row in sorted(rows)]
        assert set(fates[:-1]) <= {"busy"}, f"{text} was sent again after {fates}"


def closures_by_phone(storm: Storm) -> dict[str, list[Closure]]:
    closures: dict[str, list[Closure]] = {}
    for crowd in storm.crowds:
        for closure in crowd.closures:
            closures.setdefault(closure.phone, []).append(closure)
    return closures


def lags(storm: Storm) -> list[tuple[float, str, str]]:
    """How long after its recipient was closed a text reached the provider, longest first; which text, and what closed it."""
    closures, numbers = closures_by_phone(storm), {line.row.number: line.row.id for line in storm.lines}
    late = [
        (row.at - closure.since, text, closure.how)
        for text, rows in storm.record.arrivals.items()
        for row in rows
        for closure in closures.get(row.to, ())
        if numbers[row.sender] in closure.lists and closure.since < row.at < closure.until
    ]
    return sorted(late, reverse=True)


def check_nothing_was_claimed_after_an_opt_out(storm: Storm) -> None:
    """A claim that began after the answer to an opt-out saw it. One that began just before a START may have seen that."""
    closures = closures_by_phone(storm)
    for message in Message.objects.filter(handed_at__isnull=False):
        claimed = message.handed_at.timestamp()
        for closure in closures.get(message.to, ()):
            is_closed = message.sending_list_id in closure.lists and closure.since < claimed < closure.until - 0.25
            assert not is_closed, f"{message.body} was claimed {claimed - closure.since:.3f} s after {closure.how}"


def check_everything_is_settled(storm: Storm) -> Counter[str]:
    """Final, or waiting for a cause that its timeline tells; the messages without an end by cause."""
    ours = Message.objects.filter(is_external=False)
    assert not ours.filter(Q(due_at__isnull=False) | Q(leased_until__isnull=False) | Q(ask_at__isnull=False)).exists()
    open_ones = ours.exclude(status__in=FINALS)
    said = DeliveryEvent.objects.filter(message__in=open_ones, origin=Origin.ANSWER, status=Status.UNKNOWN)
    causes = dict(said.exclude(vendor_status="HTTP 429").values_list("message", "vendor_status"))
    lost = {f"Text {key}" for key in storm.sender.answers} & storm.record.texts(
        "drop_before", "fault_before", "hang_before"
    )
    for message in open_ones:
        assert message.id in causes, f"{message.body} stands at {message.status} and nothing says why"
        carried_out = message.body in storm.record.texts(*CARRIED_OUT)
        is_nameless = message.provider_account.provider == "twilio" and not message.provider_message_id
        assert not carried_out or is_nameless, f"{message.body} was taken and asking did not settle it"
        is_known = message.body not in lost and message.id not in lost_with_their_worker()
        assert carried_out or not is_known, f"{message.body} was not taken, and we were told"
    return Counter(causes.values())


def check_what_was_sent(storm: Storm) -> None:
    """sent_at stands exactly where the provider accepted, as far as anybody could know."""
    taken = storm.record.texts(*CARRIED_OUT)
    ours = Message.objects.filter(is_external=False)
    assert set(ours.filter(sent_at__isnull=False).values_list("body", flat=True)) <= taken
    unknown = ours.filter(sent_at=None, body__in=taken)
    for message in unknown:
        is_nameless = message.provider_account.provider == "twilio" and not message.provider_message_id
        assert is_nameless, f"{message.body} was taken and nobody noticed"
    assert set(ours.filter(status=Status.DROPPED).values_list("body", flat=True)).isdisjoint(taken)
    # Each answered try stands in the timeline.
    arrived = {text: len(rows) for text, rows in storm.record.arrivals.items()}
    tries = DeliveryEvent.objects.filter(origin=Origin.ANSWER).values("message__body").annotate(n=Count("id"))
    told = dict(tries.values_list("message__body", "n"))
    for message in ours:
        n = told.get(message.body, 0)
        assert arrived.get(message.body, 0) <= message.tries <= n, (message.body, message.tries, n)


def check_the_api_kept_its_word(storm: Storm) -> None:
    sender = storm.sender
    assert {key: len(ids) for key, ids in sender.answers.items() if len(ids) != 1} == {}
    assert max(sender.news.values()) == 1
    rows = Message.objects.filter(is_external=False).values_list("idempotency_key", "public_id")
    assert len(rows) == storm.size.messages
    assert dict(rows) == {key: next(iter(ids)) for key, ids in sender.answers.items()}


def check_totals() -> None:
    rows = HourlyTotal.objects.values("kind", "list_id").annotate(total=Count("id")).values_list("kind", "list_id")
    assert rows
    totals: Counter[tuple[str, int]] = Counter()
    for row in HourlyTotal.objects.all():
        assert row.n >= 0, row.kind
        totals[row.kind, row.list_id] += row.n
    messages = Counter(Message.objects.values_list("sending_list", flat=True))
    assert {list_id: n for (kind, list_id), n in totals.items() if kind == "message"} == dict(messages)
    states = Counter(Message.objects.exclude(status="queued").values_list("status", "sending_list"))
    counted = {key: n for key, n in totals.items() if key[0].startswith("message_") and n}
    assert counted == {(f"message_{status}", list_id): n for (status, list_id), n in states.items()}
    events = DeliveryEvent.objects.filter(origin=Origin.CALLBACK)
    reports = Counter(events.values_list("message__sending_list", flat=True))
    assert {list_id: n for (kind, list_id), n in totals.items() if kind == "report"} == dict(reports)
    assert InboundRequest.objects.exclude(state="done").count() == 0
    twice = DeliveryEvent.objects.values("message", "fingerprint").annotate(n=Count("id")).filter(n__gt=1)
    assert not twice.exists()
    assert not DeliveryEvent.objects.exclude(account=F("message__account")).exists()


def show(storm: Storm, late: list[tuple[float, str, str]], causes: Counter[str], took_s: float) -> None:
    closures = [closure for crowd in storm.crowds for closure in crowd.closures]
    dropped = Message.objects.filter(status="dropped")
    entries = [entry for crowd in storm.crowds for entry in crowd.entries]
    waits = sorted(seen - told for _, told, seen in entries)
    between = sum(
        told < row.at < seen
        for rows in storm.record.arrivals.values() for row in rows for phone, told, seen in entries if phone == row.to
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        deadlocks = cursor.fetchone()[0]
    print(f"""
    messages {Message.objects.count()}, by state {dict(Counter(Message.objects.values_list("status", flat=True)))}
    reached a provider {dict(storm.record.fates())}; tries {dict(Counter(Message.objects.values_list("tries", flat=True)))}
    dropped {dict(Counter(dropped.values_list("status_detail", flat=True)))}; without an end {dict(causes)}
    closures {dict(Counter(closure.how for closure in closures))}; on their way when it closed {len(late)}, longest
    {[f"{lag_s * 1000:.0f} ms {how}" for lag_s, _, how in late[:4]]}
    a STOP was entered {waits[len(waits) // 2]:.2f} s after its 200, at most {waits[-1]:.2f} s; meanwhile to them: {between}
    callbacks {dict(storm.mailman.posted)}; API {dict(sum((line.api.answers for line in storm.lines[::4]), Counter()))}
    what happened {dict(storm.machine.ledger)}; deadlocks {deadlocks}; at most {max(storm.machine.connections_seen)} connections
    storm took {took_s:.0f} s""")
    for name, pid in sorted({(one.name, one.pid) for one in storm.machine.samples}):
        rows = [one for one in storm.machine.samples if (one.name, one.pid) == (name, pid)]
        first, last = rows[min(4, len(rows) - 1)], rows[-1]
        print(f"    {name} {last.at - first.at:4.0f} s: {first.rss_mb:.0f} -> {last.rss_mb:.0f} MB, descriptors "
              f"{first.descriptors} -> {last.descriptors}, threads {last.threads}")  # fmt: skip
    for line, n in storm.machine.complaints().most_common(40):
        print(f"    {n:4} x {line}")


def weather(storm: Storm) -> None:
    began = time.monotonic()
    storm.rage()
    took_s = time.monotonic() - began
    storm.calm()
    late = lags(storm)
    causes = Counter[str]()
    try:
        check_nothing_went_twice(storm)
        check_nothing_was_claimed_after_an_opt_out(storm)
        assert not late or late[0][0] < MOST_LAG_S, f"sent after the recipient was closed: {late[:5]}"
        check_the_api_kept_its_word(storm)
        causes = check_everything_is_settled(storm)
        check_what_was_sent(storm)
        check_totals()
    finally:
        show(storm, late, causes, took_s)


def test_a_storm_ends_with_everything_accounted_for(machinery: Any) -> None:
    size = Size(messages=250, phones=60, over_s=15, events=("worker", "cut", "worker", "web", "cut", "worker"))
    weather(machinery(size))
