"""Echoes: a provider on this machine calls back at our public address, signed, until it is heard or the schedule is over."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sendinglists.echoing import LEASE, Echoing
from sendinglists.models import Contact, Echo, Message, SendingList
from tests.factories import MessageFactory, ProviderAccountFactory, SendingListFactory
from tests.fakes.server import FakeServer, Fault, Response, Seen
from tests.webhooks.calls import call
from trackly.retries import ECHO
from webhooks.inbound.models import DeliveryEvent
from webhooks.statuses import Reason, Status

pytestmark = pytest.mark.django_db
Dispatch = Callable[..., int]


class OurFrontDoor(FakeServer):
    """Our public address: it keeps what came, to be told to the service in the test's own transaction."""

    def answer(self, seen: Seen) -> Response:
        return Response()

    def deliver(self) -> None:
        for seen in self.requests:
            headers = {"Content-Type": "application/json"} | {
                name: value for name, value in seen.headers.items() if name.startswith("x-")
            }
            assert call(seen.path, seen.body, headers=headers).status == 200
        self.requests.clear()


@pytest.fixture
def door(settings: Any) -> Iterator[OurFrontDoor]:
    with OurFrontDoor() as fake:
        settings.PUBLIC_BASE_URL = fake.url
        yield fake


@pytest.fixture
def line(door: OurFrontDoor) -> SendingList:
    party = ProviderAccountFactory(credentials=[{"values": {"signing_key": "k" * 26}, "until": None}])
    return SendingListFactory(provider_account=party)


def sent(line: SendingList, to: str, dispatch: Dispatch) -> Message:
    at = datetime.now(UTC)
    Contact.objects.get_or_create(account=line.account, phone=to)
    message = MessageFactory(sending_list=line, to=to, body="Hello", due_at=at, created_at=at)
    for seconds in (0, 1, 2, 3):
        dispatch(at + timedelta(seconds=seconds))
    return message


@pytest.mark.parametrize(
    ("ending", "status", "reason", "n_callbacks"),
    [
        ("0101", Status.DELIVERED, "", 2),
        ("0003", Status.UNDELIVERED, Reason.UNREACHABLE, 2),
        ("0004", Status.REJECTED, Reason.OPT_OUT, 1),
        ("0005", Status.EXPIRED, Reason.EXPIRED, 2),
        ("0006", Status.DELIVERED, "", 4),
        ("0007", Status.ACCEPTED, "", 0),
        ("0001", Status.REJECTED, Reason.INVALID_NUMBER, 0),
        ("0002", Status.QUEUED, Reason.THROTTLED, 0),
        ("0008", Status.QUEUED, "", 0),
    ],
)
def test_a_text_to_the_sandbox_ends_as_its_number_says(
    line: SendingList, door: OurFrontDoor, dispatch: Dispatch, work_off: Callable[[], int],
    ending: str, status: Status, reason: str, n_callbacks: int,
) -> None:  # fmt: skip
    message = sent(line, f"+1415555{ending}", dispatch)
    assert len(door.requests) == n_callbacks
    door.deliver()
    work_off()
    message.refresh_from_db()
    assert (message.status, message.reason) == (status, reason)
    assert not Echo.objects.exists()
    assert DeliveryEvent.objects.filter(message=message, origin="callback").count() <= n_callbacks


@pytest.mark.parametrize("ending", ["0007", "0008"])
def test_a_text_nobody_reports_about_is_delivered_once_it_is_asked_about(
    line: SendingList, dispatch: Dispatch, ending: str
) -> None:
    message = sent(line, f"+1415555{ending}", dispatch)
    dispatch(datetime.now(UTC) + timedelta(hours=1))
    message.refresh_from_db()
    assert (message.status, message.sent_at, message.ask_at) == (Status.DELIVERED, message.handed_at, None)


def echo(line: SendingList, at: datetime) -> Echo:
    return Echo.objects.create(message=MessageFactory(sending_list=line), body=b'{"events": []}', due_at=at)


def test_a_callback_nobody_takes_comes_again_by_the_schedule_and_is_then_forgotten(
    line: SendingList, door: OurFrontDoor, dispatch: Dispatch
) -> None:
    at = datetime.now(UTC)
    row = echo(line, at)
    for wait in ECHO:
        door.faults.append(Fault(kind="instead", response=Response(status=503)))
        assert dispatch(at) == 1
        row.refresh_from_db()
        assert (row.due_at, row.leased_until) == (at + wait, None)
        at += wait
    door.faults.append(Fault(kind="drop_after"))
    assert dispatch(at) == 1
    assert not Echo.objects.exists()


def test_a_callback_whose_worker_died_comes_again_after_its_lease(line: SendingList) -> None:
    at = datetime.now(UTC)
    echo(line, at)
    assert len(Echoing().claim(at, 8)) == 1
    assert Echoing().claim(at, 8) == []
    assert len(Echoing().claim(at + LEASE, 8)) == 1
