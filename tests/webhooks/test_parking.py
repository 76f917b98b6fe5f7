"""A report that comes before its message is known waits for it; one about somebody else's message has no effect."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from sendinglists.models import Message, SendingList, Subscription
from tests.factories import MessageFactory, ParkedReportFactory, SendingListFactory
from tests.sweeps import sweep
from tests.webhooks.calls import BASE, OURS, call, events, report, tell
from trackly.management.commands import work
from trackly.models import HourlyTotal
from webhooks.inbound.models import DeliveryEvent, InboundRequest, ParkedReport, State

pytestmark = pytest.mark.django_db
WorkOff = Callable[[], int]
REFERENCE = "a2b3c4d5e6f7a2b3c4d5e6f7a2"


@pytest.mark.parametrize("name", ["reference", "provider_message_id"])
def test_parked_reports_are_applied_once_when_their_message_appears(
    name: str, line: SendingList, work_off: WorkOff
) -> None:
    told = report(REFERENCE, "sent"), report(REFERENCE), report(REFERENCE)
    tell(line.provider_account, *told)
    work_off()
    tell(line.provider_account, told[1])
    work_off()
    assert sorted(ParkedReport.objects.values_list("status", flat=True)) == ["delivered", "sent"]
    message = MessageFactory(sending_list=line, **{name: REFERENCE})
    work_off()
    message.refresh_from_db()
    assert message.status == "delivered"
    assert message.deliveryevent_set.count() == 2
    assert not ParkedReport.objects.exists()
    totals = dict(HourlyTotal.objects.values_list("kind", "n"))
    assert totals == {"report": 2, "message_delivered": 1}
    work_off()
    assert dict(HourlyTotal.objects.values_list("kind", "n")) == totals


def test_parked_report_remembers_the_request_it_came_in_and_when(line: SendingList, work_off: WorkOff) -> None:
    tell(line.provider_account, report("v-7"))
    work_off()
    row = InboundRequest.objects.get()
    assert (row.state, row.outcome) == (State.DONE, "1 parked, its message is not known yet")
    MessageFactory(sending_list=line, provider_message_id="v-7")
    work_off()
    event = DeliveryEvent.objects.get()
    assert (event.request_uid, event.received_at) == (row.uid, row.received_at)


def test_report_that_comes_again_after_its_message_counts_once_with_the_parked_one(
    line: SendingList, work_off: WorkOff
) -> None:
    tell(line.provider_account, report("v-7"))
    work_off()
    message = MessageFactory(sending_list=line, provider_message_id="v-7")
    tell(line.provider_account, report("v-7"))
    work_off()
    assert message.deliveryevent_set.count() == 1
    assert not ParkedReport.objects.exists()


def test_parked_opt_out_code_closes_the_list_when_its_message_appears(line: SendingList, work_off: WorkOff) -> None:
    tell(line.provider_account, report("v-7", "failed", error="opt_out"))
    work_off()
    MessageFactory(sending_list=line, provider_message_id="v-7")
    work_off()
    assert Subscription.objects.get().state == "opted_out"


def test_more_parked_reports_than_one_sweep_takes_all_find_their_message(line: SendingList, work_off: WorkOff) -> None:
    message = MessageFactory(sending_list=line, provider_message_id="v-7")
    Message.objects.update(provider_message_id="")
    tell(line.provider_account, *(report("v-7", f"word {n}") for n in range(1_500)))
    work_off()
    Message.objects.update(provider_message_id="v-7")
    work_off()
    assert message.deliveryevent_set.count() == 1_500


def test_report_about_another_provider_accounts_reference_is_wrong_account(
    message: Message, other: Message, work_off: WorkOff
) -> None:
    sibling = MessageFactory(sending_list=SendingListFactory(provider_account__account=message.account, number=OURS))
    tell(message.provider_account, report(other.reference), report(sibling.reference), report("v-1"))
    work_off()
    statuses = Message.objects.in_bulk([message.id, other.id, sibling.id])
    assert {key: row.status for key, row in statuses.items()} == {
        message.id: "delivered",
        other.id: "queued",
        sibling.id: "queued",
    }
    assert InboundRequest.objects.get().outcome == "2 wrong_account, 1 new"
    assert not ParkedReport.objects.exists()


def test_vendor_id_of_another_account_is_answered_like_an_unknown_one_and_never_matches_it(
    message: Message, other: Message, work_off: WorkOff
) -> None:
    tell(message.provider_account, report("v-2"), report("v-unknown"))
    work_off()
    work_off()
    other.refresh_from_db()
    assert other.status == "queued"
    assert InboundRequest.objects.get().outcome == "2 parked, its message is not known yet"
    assert set(ParkedReport.objects.values_list("party_id", flat=True)) == {message.provider_account_id}


def test_equal_vendor_ids_of_two_accounts_are_two_messages(message: Message, other: Message, work_off: WorkOff) -> None:
    Message.objects.filter(id=other.id).update(provider_message_id="v-1")
    tell(message.provider_account, report("v-1", "delivered"))
    tell(other.provider_account, report("v-1", "failed"))
    work_off()
    assert list(Message.objects.order_by("id").values_list("status", flat=True)) == ["delivered", "failed"]


def test_reports_parked_at_the_bare_url_match_by_reference_only(message: Message, work_off: WorkOff) -> None:
    assert call(f"{BASE}/sandbox", events(report(message.reference), report("v-3"), report(REFERENCE))).status == 200
    work_off()
    by_id = MessageFactory(sending_list=message.sending_list, provider_message_id="v-3")
    by_reference = MessageFactory(sending_list=message.sending_list, reference=REFERENCE)
    elsewhere = MessageFactory(sending_list__number=OURS, reference="b" * 26)
    work_off()
    found = Message.objects.in_bulk([by_id.id, by_reference.id, elsewhere.id])
    assert [row.status for _, row in sorted(found.items())] == ["queued", "delivered", "queued"]


def test_old_parked_report_is_left_to_the_seldom_sweep(line: SendingList, work_off: WorkOff) -> None:
    tell(line.provider_account, report("v-7"))
    work_off()
    ParkedReport.objects.update(received_at=datetime(2026, 1, 1, tzinfo=UTC))
    message = MessageFactory(sending_list=line, provider_message_id="v-7")
    now = datetime.now(UTC)
    assert sweep(now, since=now - work.YOUNG) == 0
    assert sweep(now, since=datetime(2025, 1, 1, tzinfo=UTC)) == 1
    assert message.deliveryevent_set.exists()


@pytest.mark.django_db
def test_a_report_that_cannot_be_read_any_more_is_set_aside_and_holds_up_nothing() -> None:
    odd = MessageFactory()
    ParkedReportFactory(
        message_key=odd.reference, party_id=odd.provider_account_id, report=b'{"status":"of another version"}'
    )
    now = datetime.now(UTC)
    assert sweep(now, since=now - timedelta(hours=1)) == 0
    assert "Invalid enum value" in ParkedReport.objects.get().error
    assert sweep(now, since=now - timedelta(hours=1)) == 0
