"""manage.py doctor: every finding is true, says what to do, and quotes no secret; nothing is changed by looking."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command

from sendinglists.models import Message, ProviderAccount
from tests.factories import (
    AccountFactory,
    DeliveryEventFactory,
    InboundRequestFactory,
    MessageFactory,
    ProviderAccountFactory,
    RequestTotalFactory,
    SendingListFactory,
    WorkerRunFactory,
)
from tests.fakes.server import FakeServer, Response, Seen
from trackly.calls import Answer
from trackly.doctor import accounts, house
from trackly.doctor.findings import Finding, Level
from trackly.models import WorkerRun
from trackly.partitions import SERIES

pytestmark = pytest.mark.django_db


class Elsewhere(FakeServer):
    """Some other web server."""

    status = 404

    def answer(self, seen: Seen) -> Response:
        return Response(status=self.status, body=b"Not the page you are looking for")


def now() -> datetime:
    return datetime.now(UTC)


def told(*args: Any) -> tuple[str, str]:
    """The exit code and the text of the command."""
    out = StringIO()
    try:
        call_command("doctor", *args, stdout=out)
    except SystemExit as end:
        return str(end.code), out.getvalue()
    return "0", out.getvalue()


# --- the house


def test_without_a_worker_what_is_acknowledged_waits() -> None:
    assert house.worker(now()).level == Level.BAD
    WorkerRunFactory(beat_at=now() - timedelta(minutes=5))
    found = house.worker(now())
    assert (found.level, "5 min" in found.said) == (Level.BAD, True)
    assert "manage.py work" in found.fix


def test_a_worker_that_beats_is_alive_and_one_that_died_is_told_of() -> None:
    WorkerRunFactory()
    assert house.worker(now()).level == Level.GOOD
    WorkerRunFactory(ended_at=now() - timedelta(hours=1), ended_cleanly=False)
    found = house.worker(now())
    assert (found.level, "1 died uncleanly" in found.said) == (Level.WARNING, True)
    WorkerRun.objects.filter(ended_cleanly=False).update(ended_at=now() - timedelta(days=2))
    assert house.worker(now()).level == Level.GOOD


def test_missing_partitions_are_found_before_they_are_needed() -> None:
    assert house.ahead(now()).level == Level.GOOD
    found = house.ahead(now() + timedelta(days=60))
    assert found.level == Level.BAD
    assert SERIES[0].prefix in found.said


def test_queues_that_do_not_move_are_found() -> None:
    assert {finding.level for finding in house.queues(now())} == {Level.GOOD}
    InboundRequestFactory(state="waiting", due_at=now() - timedelta(minutes=10))
    MessageFactory(due_at=now() - timedelta(minutes=10))
    assert {(finding.about, finding.level) for finding in house.queues(now())} == {
        ("Inbox", Level.WARNING), ("Sending", Level.WARNING)
    }  # fmt: skip


def test_the_database_and_this_machine_agree_on_the_time() -> None:
    assert house.clock(now()).level == Level.GOOD


@pytest.mark.parametrize(("drift", "is_told"), [(0, False), (4, False), (60, True), (-60, True)])
def test_a_web_server_with_another_time_is_told_of(drift: int, is_told: bool) -> None:
    at = format_datetime(now() + timedelta(seconds=drift), usegmt=True)
    found = house._timely(Answer(status=200, headers=(("date", at),)))
    assert (found is not None) == is_told


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Nov 2026 00:00:00 GMT", "Mon, 23 Nov 2026 09:15:00"])
def test_a_time_that_is_none_is_no_finding(date: str) -> None:
    assert house._timely(Answer(status=200, headers=(("date", date),))) is None


# --- the way from outside


def test_no_public_address_is_broken_and_plain_http_is_told_of(settings: Any) -> None:
    settings.PUBLIC_BASE_URL = ""
    assert [finding.level for finding in house.address(may_call=True)] == [Level.BAD]
    settings.PUBLIC_BASE_URL = "http://hooks.example.com"
    assert [finding.level for finding in house.address(may_call=False)] == [Level.WARNING]
    settings.PUBLIC_BASE_URL = "https://hooks.example.com"
    assert list(house.address(may_call=False)) == []


@pytest.mark.django_db(transaction=True)
def test_our_own_service_is_reached_and_another_one_is_not_taken_for_it(live_server: Any, settings: Any) -> None:
    settings.PUBLIC_BASE_URL = live_server.url
    party = ProviderAccountFactory()
    assert reached(party).level == Level.GOOD
    party.callback_token = "a" * 26
    found = reached(party)
    assert (found.level, "answers 404" in found.said) == (Level.BAD, True)


def test_whoever_else_answers_or_nobody_is_broken(settings: Any) -> None:
    party = ProviderAccountFactory()
    with Elsewhere() as other:
        settings.PUBLIC_BASE_URL = other.url
        assert reached(party).level == Level.BAD
        assert other.requests[0].method == "HEAD"
    found = reached(party)
    assert (found.level, "firewall" in found.fix) == (Level.BAD, True)


def test_an_address_inside_is_not_called_and_that_is_said(settings: Any) -> None:
    settings.PUBLIC_BASE_URL, settings.OUTGOING_ALLOW = "https://127.0.0.1:9", []
    found = reached(ProviderAccountFactory())
    assert (found.level, "OUTGOING_ALLOW" in found.fix) == (Level.WARNING, True)


def reached(party: ProviderAccount) -> Finding:
    return house.reach(party.name, accounts.callback_url(party), "callback URL", method="HEAD")


# --- provider accounts


def send(party: ProviderAccount, minutes_ago: int = 10) -> Message:
    at = now() - timedelta(minutes=minutes_ago)
    return MessageFactory(sending_list=SendingListFactory(provider_account=party), sent_at=at, status="accepted")


def test_messages_without_any_callback_point_at_a_firewall() -> None:
    party = ProviderAccountFactory()
    send(party)
    found = accounts.heard(party, now())
    assert found.level == Level.BAD
    assert "firewall may be blocking" in found.fix
    # Somebody else's callbacks say nothing about this one.
    RequestTotalFactory(party_id=ProviderAccountFactory().pk, last_at=now())
    assert accounts.heard(party, now()).level == Level.BAD
    RequestTotalFactory(party_id=party.pk, last_at=now())
    assert accounts.heard(party, now()).level == Level.GOOD


def test_nothing_sent_is_no_trouble_and_what_went_a_moment_ago_is_not_missed_yet() -> None:
    party = ProviderAccountFactory()
    assert accounts.heard(party, now()).level == Level.NOTE
    send(party, minutes_ago=1)
    assert accounts.heard(party, now()).level == Level.NOTE


def test_open_messages_are_counted() -> None:
    party = ProviderAccountFactory()
    DeliveryEventFactory(message=send(party))
    RequestTotalFactory(party_id=party.pk, last_at=now())
    assert "1 message of them without a final status" in accounts.heard(party, now()).said


def test_refusals_are_told_by_cause_the_most_frequent_first() -> None:
    party = ProviderAccountFactory()
    assert [finding.level for finding in accounts.refused(party, now())] == [Level.GOOD]
    RequestTotalFactory(party_id=party.pk, standing="bad_signature", n=3)
    RequestTotalFactory(party_id=party.pk, standing="unreadable", n=5)
    RequestTotalFactory(party_id=party.pk, standing="accepted", n=99)
    RequestTotalFactory(party_id=party.pk, standing="bad_signature", n=7, hour=now() - timedelta(days=3))
    found = list(accounts.refused(party, now()))
    assert [(finding.level, finding.said.split()[0]) for finding in found] == [
        (Level.WARNING, "5"),
        (Level.WARNING, "3"),
    ]


# --- the command


def test_what_is_broken_ends_in_exit_code_1_and_every_line_says_what_to_do(settings: Any) -> None:
    party = ProviderAccountFactory(name="Sandbox of mine")
    code, said = told("--offline")
    assert code == "1"
    assert "BAD  Worker: No worker ever ran." in said
    assert "→ Start one: python manage.py work" in said
    assert "Sandbox of mine" in said
    WorkerRunFactory()
    code, said = told("--offline")
    assert (code, "BAD" in said) == ("0", False)
    assert party.callback_token not in said


@pytest.mark.django_db(transaction=True)
def test_no_secret_stands_in_what_it_says(live_server: Any, settings: Any) -> None:
    settings.PUBLIC_BASE_URL = live_server.url
    WorkerRunFactory()
    party = ProviderAccountFactory()
    _, said = told()
    assert "answers 200" in said
    for secret in (party.callback_token, *party.settings.values()):
        assert secret not in said


def test_one_account_or_one_provider_account_can_be_looked_at(settings: Any) -> None:
    mine, other = ProviderAccountFactory(name="Mine"), ProviderAccountFactory(name="Theirs")
    WorkerRunFactory()
    for args in (("--account", mine.account.public_id), ("--provider-account", str(mine.pk))):
        _, said = told("--offline", *args)
        assert ("Mine" in said, other.name in said) == (True, False)
    with pytest.raises(Exception, match="no such provider account"):
        told("--account", AccountFactory().public_id)


def test_a_provider_account_that_was_taken_back_is_left_out() -> None:
    ProviderAccountFactory(name="Gone", removed_at=now())
    assert "Gone" not in told("--offline")[1]
