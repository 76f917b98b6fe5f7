"""An idle worker is woken: from the 200 of a callback to the changed message it takes moments, not a poll."""

import statistics
import time

import pytest

from sendinglists.models import Message
from tests.faults import processes, traffic

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_idle_worker_changes_the_message_well_within_a_second() -> None:
    known = traffic.messages(11)
    path = f"/api/webhook-feedbacks/sandbox/{known[0].provider_account.callback_token}"
    took = []
    with processes.web() as port, processes.worker():
        for message in known:
            # Long enough that the worker is asleep again.
            time.sleep(0.15)
            assert processes.post(port, path, traffic.body(traffic.report(message.reference))) == 200
            began = time.monotonic()
            delivered = Message.objects.filter(id=message.id, status="delivered")
            processes.eventually(delivered.exists, within_s=15, every_s=0.002)
            took.append(time.monotonic() - began)
    # The first one starts both processes' connections.
    median = statistics.median(took[1:])
    print(f"from 200 to the changed message: median {median * 1000:.0f} ms, worst {max(took[1:]) * 1000:.0f} ms")
    assert max(took[1:]) < 2
