"""Workers that are killed or told to stop in the middle of sending: no message goes twice, and each is sent or marked unclear."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from sendinglists.models import Message
from sendinglists.queueing import Draft, queue
from tests import factories
from tests.fakes.server import FakeServer, Response, Seen, as_json
from tests.faults import processes
from webhooks.inbound.models import DeliveryEvent
from webhooks.statuses import Origin, Status

pytestmark = pytest.mark.django_db(transaction=True)


class Counting(FakeServer):
    """Takes every text after a moment, and counts by recipient."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: Counter[str] = Counter()

    def answer(self, seen: Seen) -> Response:
        to = seen.form()["To"]
        self.taken[to] += 1
        time.sleep(0.004)
        return as_json({"sid": f"SM{len(self.taken):032x}", "status": "queued", "to": to}, 201)


@pytest.fixture
def counting() -> Iterator[Counting]:
    with Counting() as fake:
        yield fake


def messages(n: int) -> None:
    settings = {"account_sid": f"AC{'0' * 32}", "auth_token": "t" * 32}
    party = factories.ProviderAccountFactory(provider="twilio", settings=settings)
    line = factories.SendingListFactory(provider_account=party)
    at = datetime.now(UTC)
    rows = factories.MessageFactory.build_batch(
        n, sending_list=line, provider_account=party, account=party.account, body="Hello", due_at=at, created_at=at
    )
    Message.objects.bulk_create(rows)


def environment(counting: Counting) -> dict[str, str]:
    return {"OUTGOING_ROUTES": f"https://api.twilio.com={counting.url}", "SENDING_SLOTS": "16"}


def waiting() -> int:
    return Message.objects.filter(due_at__isnull=False).count()


def in_hand() -> int:
    return Message.objects.filter(leased_until__isnull=False).count()


def check(counting: Counting) -> int:
    """Nothing went twice, and every message is sent or unclear; how many are unclear."""
    assert max(counting.taken.values()) == 1, "a message was sent twice"
    sent = Message.objects.filter(sent_at__isnull=False)
    assert not sent.filter(provider_message_id="").exists()
    assert set(sent.values_list("to", flat=True)) <= set(counting.taken)
    unclear = Message.objects.filter(sent_at__isnull=True)
    said = DeliveryEvent.objects.filter(origin=Origin.ANSWER, status=Status.UNKNOWN)
    assert set(unclear.values_list("id", flat=True)) == set(said.values_list("message", flat=True))
    assert not unclear.filter(ask_at=None).exists()
    assert set(Message.objects.values_list("tries", flat=True)) == {1}
    assert set(counting.taken) - set(sent.values_list("to", flat=True)) <= set(unclear.values_list("to", flat=True))
    return unclear.count()


def kill_with_calls_in_hand(process: processes.Process) -> None:
    for _ in range(2_000):
        os.kill(process.pid, signal.SIGSTOP)
        if in_hand():
            break
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(0.001)
    else:
        pytest.fail("it was never seen with calls in hand")
    process.kill()
    process.wait()


def test_workers_killed_in_the_middle_of_their_calls_send_nothing_twice(counting: Counting) -> None:
    messages(400)
    dice = random.Random(7)
    for index in range(3):
        before = len(counting.taken)
        with processes.worker(f"doomed-{index}", **environment(counting)) as doomed:
            processes.eventually(lambda before=before: len(counting.taken) > before + 10, within_s=40, every_s=0.002)
            time.sleep(dice.random() * 0.1)
            kill_with_calls_in_hand(doomed)
        # As if a minute had passed.
        Message.objects.filter(leased_until__isnull=False).update(leased_until=datetime.now(UTC) - timedelta(seconds=1))
    assert waiting() > 0, "everything was done before the last kill; the test proves nothing"
    with processes.worker(**environment(counting)):
        processes.eventually(lambda: waiting() == in_hand() == 0, within_s=60)
    assert 3 <= check(counting) <= 3 * 16


def test_a_worker_told_to_stop_ends_its_calls_first(counting: Counting) -> None:
    messages(300)
    with processes.worker(**environment(counting)) as process:
        processes.eventually(lambda: len(counting.taken) > 20, within_s=40, every_s=0.002)
        process.terminate()
        assert process.wait(20) == 0
    assert waiting() > 0, "everything was done before it was told to stop; the test proves nothing"
    assert in_hand() == 0
    assert Message.objects.filter(sent_at__isnull=False).count() == len(counting.taken) == 300 - waiting()


def test_a_queued_text_is_on_the_phone_within_seconds() -> None:
    """Queued, sent by a worker, called back over HTTP, applied by the worker: the whole way, at the sandbox."""
    party = factories.ProviderAccountFactory(settings={"signing_key": "k" * 26})
    line = factories.SendingListFactory(provider_account=party)
    draft = Draft(sending_list=line, to="+14155550101", body="Hello https://shop.example/a")
    with processes.web() as port, processes.worker(PUBLIC_BASE_URL=f"http://127.0.0.1:{port}"):
        message, _ = queue(draft, now=datetime.now(UTC))
        processes.eventually(lambda: Message.objects.get().status == Status.DELIVERED, within_s=40)
    told = DeliveryEvent.objects.filter(message=message).values_list("origin", "status")
    assert set(told) == {("answer", "accepted"), ("callback", "sent"), ("callback", "delivered")}
