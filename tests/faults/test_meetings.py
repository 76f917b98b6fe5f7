"""Two sides of one thing committed at the same moment find each other, whichever commits first."""

from collections.abc import Callable
from datetime import UTC, datetime
from threading import Event
from typing import Any

import pytest
from django.db import transaction

from postbacks.models import Conversion
from sendinglists.models import Message
from tests import factories, sweeps
from tests.faults import processes, traffic
from trackly.management.commands import work
from webhooks.inbound import batches
from webhooks.inbound.models import DeliveryEvent, InboundRequest, ParkedReport

pytestmark = pytest.mark.django_db(transaction=True)
Sweep = Callable[[], Any]


def sweep() -> None:
    sweeps.sweep(datetime.now(UTC), since=traffic.SENT_AT)


class Meeting:
    """Two open transactions on two connections: neither can see the other's rows; then both commit, in the order asked for."""

    def __init__(self, first_to_commit: str) -> None:
        self.first = first_to_commit
        self.done = {"said": Event(), "spoken_of": Event()}
        self.committed = Event()

    def hold(self, name: str, do: Callable[[], object]) -> Callable[[], None]:
        """Do it in a transaction that stays open until the other side is done as well."""

        def run() -> None:
            with transaction.atomic():
                do()
                self.done[name].set()
                other = self.done["spoken_of" if name == "said" else "said"]
                assert other.wait(10)
                if self.first not in (name, "neither"):
                    assert self.committed.wait(10)
            self.committed.set()

        return run


def work_off(source: str) -> None:
    job = next(job for job in work.JOBS if job.source == source)
    assert batches.run(job, now=datetime.now(UTC), limit=500) == 1


@pytest.mark.parametrize("first", ["said", "spoken_of", "neither"])
def test_a_report_and_its_message_meet(first: str) -> None:
    party = factories.ProviderAccountFactory()
    message = factories.MessageFactory.build(provider_account=party, account=party.account, sending_list=None)
    traffic.requests(party, [traffic.body(traffic.report(message.reference))])
    meeting = Meeting(first)
    results = processes.at_once(
        [meeting.hold("said", lambda: work_off("webhook")), meeting.hold("spoken_of", message.save)]
    )
    assert results == [None, None]
    assert ParkedReport.objects.count() == 1, "the two did see each other; the test proves nothing"
    sweep()
    assert ParkedReport.objects.count() == 0
    assert DeliveryEvent.objects.get().message == message
    assert Message.objects.get().status == "delivered"
    assert traffic.total("report") == 1


@pytest.mark.parametrize("first", ["said", "spoken_of", "neither"])
def test_a_postback_and_its_click_meet(first: str) -> None:
    link = factories.LinkFactory()
    click = factories.ClickFactory.build(link=link, account=link.account, offer=link.offer, is_tallied=True)
    traffic.postbacks(1, [click])
    meeting = Meeting(first)
    results = processes.at_once(
        [meeting.hold("said", lambda: work_off("postback")), meeting.hold("spoken_of", click.save)]
    )
    assert results == [None, None]
    assert Conversion.objects.get().verdict == "unknown_click", "the two did see each other; the test proves nothing"
    sweep()
    traffic.check_postbacks(1, 1)
    assert traffic.total("postback_unknown_click") == 0


def test_a_report_that_names_the_providers_own_id_meets_its_message_when_that_id_is_learned() -> None:
    """The send answer with the provider's id is committed after the provider's first report."""
    message = factories.MessageFactory()
    traffic.requests(message.provider_account, [traffic.body(traffic.report("vendor-1"))])
    meeting = Meeting("said")
    learn = Message.objects.filter(id=message.id).update
    results = processes.at_once(
        [
            meeting.hold("said", lambda: work_off("webhook")),
            meeting.hold("spoken_of", lambda: learn(provider_message_id="vendor-1")),
        ]
    )
    assert results == [None, None]
    sweep()
    assert Message.objects.get().status == "delivered"
    assert InboundRequest.objects.get().state == "done"
