"""The same thing said fifty times at once counts once, and every telling of it is kept."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from sendinglists.models import Message
from tests import factories, sweeps
from tests.faults import processes, traffic
from trackly.management.commands import work
from webhooks.inbound import batches
from webhooks.inbound.models import DeliveryEvent, InboundRequest

pytestmark = pytest.mark.django_db(transaction=True)
N = 50


def work_off_in_threads(source: str, *, threads: int) -> None:
    """Until nothing is due, a few rows at a time, by several workers at once."""
    job = next(job for job in work.JOBS if job.source == source)

    def run() -> None:
        while batches.run(job, now=datetime.now(UTC), limit=4):
            pass

    assert processes.at_once([run] * threads) == [None] * threads


def test_fifty_identical_callbacks_are_fifty_requests_and_one_event() -> None:
    (message,) = traffic.messages(1)
    path = f"/api/webhook-feedbacks/sandbox/{message.provider_account.callback_token}"
    body = traffic.body(traffic.report(message.reference))
    with processes.web() as port:
        answers = processes.at_once([lambda: processes.post(port, path, body)] * N)
    assert answers == [200] * N
    assert InboundRequest.objects.count() == N
    work_off_in_threads("webhook", threads=4)
    assert DeliveryEvent.objects.count() == 1
    assert (traffic.total("report"), traffic.total("report_duplicate")) == (1, N - 1)
    assert Message.objects.get().status == "delivered"
    assert traffic.total("message_delivered") == 1


def test_fifty_identical_postbacks_are_fifty_requests_and_one_conversion() -> None:
    (click,) = traffic.clicks(1)
    contract = click.offer.connection
    path = f"/api/postbacks/tune/{contract.postback_token}?click_id={click.click_id}&payout=10.00"
    with processes.web() as port:
        answers = processes.at_once([lambda: processes.get(port, path)] * N)
    assert answers == [200] * N
    assert InboundRequest.objects.count() == N
    work_off_in_threads("postback", threads=4)
    traffic.check_postbacks(N, 1)


def test_fifty_identical_requests_before_what_they_speak_of_count_once_after_it_came(
    work_off: Callable[[], int],
) -> None:
    """Parked reports and unknown clicks, swept by four workers at the same moment."""
    party = factories.ProviderAccountFactory()
    link = factories.LinkFactory()
    reference, click_id = "a" * 26, "b" * 26
    traffic.requests(party, [traffic.body(traffic.report(reference))] * N)
    spoken_of = factories.ClickFactory.build(click_id=click_id, account=link.account, offer=link.offer, link=link)
    traffic.postbacks(N, [spoken_of])
    work_off_in_threads("webhook", threads=4)
    work_off_in_threads("postback", threads=4)
    assert DeliveryEvent.objects.count() == 0

    factories.MessageFactory(provider_account=party, sending_list=None, reference=reference)
    spoken_of.is_tallied = True
    spoken_of.save()

    def sweep() -> int:
        now = datetime.now(UTC)
        return sweeps.sweep(now, since=traffic.SENT_AT)

    swept = processes.at_once([sweep] * 4)
    assert all(isinstance(n, int) for n in swept), swept
    work_off()
    assert DeliveryEvent.objects.count() == 1
    assert traffic.total("report") == 1
    traffic.check_postbacks(N, 1)
    assert traffic.total("postback_unknown_click") == 0
