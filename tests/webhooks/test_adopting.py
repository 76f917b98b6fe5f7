"""Reports about messages we did not send make them, for lists that want it, and for nobody else."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from sendinglists.models import Contact, Message, SendingList
from tests.factories import MessageFactory, ParkedReportFactory, SendingListFactory
from tests.webhooks.calls import OURS, PERSON
from trackly.models import HourlyTotal
from webhooks.inbound.adopting import LIMIT, adopt
from webhooks.inbound.models import ParkedReport
from webhooks.statuses import Report, Status

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
EVER = NOW - timedelta(days=30)
OLD = NOW - timedelta(minutes=5)
WorkOff = Callable[[], int]


@pytest.fixture
def own(line: SendingList) -> SendingList:
    line.records_external = True
    line.save()
    return line


def parked(line: SendingList, key: str = "v-9", *, received_at: datetime = OLD, **fields: Any) -> ParkedReport:
    said = {"status": Status.DELIVERED, "vendor_status": "delivered", "sender": OURS, "to": PERSON} | fields
    report = Report(message_key=key, **said)
    return ParkedReportFactory(
        provider=line.provider_account.provider,
        account=line.account,
        party_id=line.provider_account_id,
        message_key=key,
        fingerprint=report.fingerprint,
        status=report.status,
        report=msgspec.json.encode(report),
        received_at=received_at,
    )


def test_a_report_from_the_lists_number_makes_an_external_message_and_joins_it(
    own: SendingList, work_off: WorkOff
) -> None:
    at = OLD - timedelta(seconds=30)
    parked(own, status=Status.SENT, vendor_status="sent", at=at, received_at=OLD + timedelta(seconds=1))
    parked(own, at=OLD)
    assert adopt(NOW, EVER) == 1
    message = Message.objects.get()
    assert (message.account, message.sending_list, message.provider_account) == (own.account, own, own.provider_account)
    assert (message.is_external, message.provider_message_id, message.to) == (True, "v-9", PERSON)
    assert (message.created_at, message.sent_at, message.due_at) == (OLD, at, None)
    assert Contact.objects.get().phone == PERSON
    work_off()
    message.refresh_from_db()
    assert (message.status, message.deliveryevent_set.count()) == ("delivered", 2)
    assert not ParkedReport.objects.exists()
    totals = {kind: n for kind, n in HourlyTotal.objects.values_list("kind", "n") if n}
    assert totals == {"message": 1, "message_delivered": 1, "report": 2}
    assert adopt(NOW, EVER) == 0


@pytest.mark.parametrize("sender", ["18005550142", "+1 800 555 0142", "0018005550142"])
def test_the_number_is_known_in_whatever_spelling(own: SendingList, sender: str) -> None:
    parked(own, sender=sender)
    assert adopt(NOW, EVER) == 1


def test_a_short_code_sends_as_well(own: SendingList) -> None:
    SendingList.objects.update(number="24365")
    parked(own, sender="24365")
    assert adopt(NOW, EVER) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"sender": ""},
        {"sender": "Acme"},
        {"sender": "+18005550143"},
        {"to": ""},
        {"to": "somebody"},
        {"public_id": "abcd2345"},
        {"received_at": NOW - timedelta(seconds=59)},
        {"received_at": EVER - timedelta(seconds=1)},
    ],
)
def test_what_is_not_surely_the_lists_own_and_unknown_makes_nothing(own: SendingList, fields: dict[str, Any]) -> None:
    parked(own, **fields)
    assert adopt(NOW, EVER) == 0
    assert not Message.objects.exists()


def test_a_list_that_did_not_ask_for_it_gets_no_messages(line: SendingList) -> None:
    parked(line)
    assert adopt(NOW, EVER) == 0


def test_reports_that_speak_for_nobody_or_for_another_account_make_nothing(own: SendingList) -> None:
    stranger = SendingListFactory(number=OURS)
    parked(stranger)
    row = parked(own, "v-10")
    ParkedReport.objects.filter(pk=row.pk).update(party_id=0)
    row = parked(own, "v-11")
    ParkedReport.objects.filter(pk=row.pk).update(account=stranger.account)
    row = parked(own, "v-12")
    ParkedReport.objects.filter(pk=row.pk).update(error="Invalid enum value")
    assert adopt(NOW, EVER) == 0


def test_the_list_of_the_provider_account_the_report_spoke_for_gets_it(own: SendingList) -> None:
    """Two accounts have the same number, at two provider accounts, and both want messages from reports."""
    stranger = SendingListFactory(number=OURS, records_external=True)
    parked(own)
    parked(stranger, "v-10")
    assert adopt(NOW, EVER) == 2
    assert dict(Message.objects.values_list("provider_message_id", "account")) == {
        "v-9": own.account_id,
        "v-10": stranger.account_id,
    }


def test_a_message_that_is_known_by_now_is_not_made_a_second_time(own: SendingList) -> None:
    parked(own)
    MessageFactory(sending_list=own, provider_message_id="v-9")
    assert adopt(NOW, EVER) == 0
    assert Message.objects.count() == 1


def test_what_cannot_be_adopted_keeps_nothing_else_from_it(own: SendingList) -> None:
    ParkedReportFactory(party_id=own.provider_account_id, received_at=OLD, report=b"\xff{")
    row = parked(own, "odd")
    ParkedReport.objects.filter(pk=row.pk).update(report=bytes(row.report).replace(b"delivered", b"of later"))
    strangers = [parked(own, f"x-{n}", sender="+18005550199") for n in range(20)]
    ParkedReport.objects.filter(pk__in=[item.pk for item in strangers]).update(received_at=OLD - timedelta(hours=1))
    parked(own)
    assert adopt(NOW, EVER) == 1
    assert Message.objects.get().provider_message_id == "v-9"


def test_more_than_one_run_takes_are_made_by_the_next(own: SendingList, monkeypatch: pytest.MonkeyPatch) -> None:
    assert LIMIT == 1_000
    monkeypatch.setattr("webhooks.inbound.adopting.LIMIT", 3)
    for n in range(5):
        parked(own, f"v-{n}")
    assert [adopt(NOW, EVER) for _ in range(3)] == [3, 2, 0]
