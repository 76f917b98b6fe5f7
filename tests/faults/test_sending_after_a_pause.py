"""A machine that sleeps between a claim and its call, and counting that fails: nobody gets a text by an old decision."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sendinglists import subscriptions, watching
from sendinglists.models import Message, SendingList
from sendinglists.queueing import Draft, queue
from sendinglists.sending import FRESH, Handed, Sending
from tests import factories
from tests.fakes.twilio import ACCOUNT, TOKEN, FakeTwilio
from trackly.outgoing import Client
from webhooks.inbound import timeline
from webhooks.inbound.models import DeliveryEvent
from webhooks.inbound.unheard import unheard
from webhooks.orders import Sent, Verdict

TO = "+14155550101"


@pytest.fixture
def fake(settings: Any) -> Iterator[FakeTwilio]:
    with FakeTwilio() as made:
        settings.OUTGOING_ROUTES = {"https://api.twilio.com": made.url}
        yield made


@pytest.fixture
def line(fake: FakeTwilio) -> SendingList:
    party = factories.ProviderAccountFactory(provider="twilio", settings={"account_sid": ACCOUNT, "auth_token": TOKEN})
    made = factories.SendingListFactory(provider_account=party)
    fake.add_number(made.number)
    return made


def call(sending: Sending, job: Handed) -> Sent:
    async def run() -> Sent:
        async with Client() as client:
            return await sending.do(job, client)

    return asyncio.run(run())


@pytest.mark.django_db(transaction=True)
def test_who_opted_out_while_the_machine_slept_gets_nothing(line: SendingList, fake: FakeTwilio) -> None:
    sending, now = Sending(hear=timeline.hear, unheard=unheard), datetime.now(UTC)
    queue(Draft(sending_list=line, to=TO, body="Hello"), now=now)
    (job,) = sending.claim(now, 1)
    slept = replace(job, claimed_s=time.time() - FRESH.total_seconds() - 1)
    subscriptions.opt_out(line.account_id, [TO], list_id=line.id, origin="api", at=datetime.now(UTC))
    answer = call(sending, slept)
    assert (answer.verdict, fake.messages) == (Verdict.LATER, {})
    assert "stood still" in answer.report.error_text
    sending.record([(slept, answer)], now)
    assert sending.claim(now + timedelta(minutes=1), 1) == []
    message = Message.objects.get()
    assert (message.status, message.status_detail, message.sent_at) == ("dropped", "contact_blocked", None)


@pytest.mark.django_db(transaction=True)
def test_a_message_that_waited_for_the_machine_to_wake_is_sent_later(line: SendingList, fake: FakeTwilio) -> None:
    sending, now = Sending(hear=timeline.hear, unheard=unheard), datetime.now(UTC)
    queue(Draft(sending_list=line, to=TO, body="Hello"), now=now)
    (job,) = sending.claim(now, 1)
    slept = replace(job, claimed_s=time.time() - 3600)
    sending.record([(slept, call(sending, slept))], now)
    (again,) = sending.claim(now + timedelta(minutes=1), 1)
    sending.record([(again, call(sending, again))], now)
    assert len(fake.messages) == 1
    assert Message.objects.get().sent_at is not None
    assert DeliveryEvent.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_counting_that_fails_after_a_claim_keeps_nothing_from_being_sent(
    line: SendingList, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(watching, "claimed", full_disk)
    queue(Draft(sending_list=line, to=TO, body="Hello"), now=datetime.now(UTC))
    assert len(Sending(hear=timeline.hear, unheard=unheard).claim(datetime.now(UTC), 1)) == 1
