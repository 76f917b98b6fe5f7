"""What was refused is kept within bounds, with its cause, and people can replay or discard it; each leaves an audit entry."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db.models import QuerySet

from sendinglists.models import Message, ProviderAccount, SendingList
from tests.factories import AccountFactory, InboundRequestFactory, ProviderAccountFactory, StaffFactory
from tests.webhooks.calls import BASE, call, events, reply, report, tell, token_url
from trackly.models import AuditEntry
from trackly.signing import new_uid
from webhooks.inbound import directory, replaying
from webhooks.inbound.models import FAILED, Cause, InboundRequest, RefusalTally, State

pytestmark = pytest.mark.django_db
WorkOff = Callable[[], int]


def refused_at(party: ProviderAccount, n: int = 1) -> list[int]:
    """Statuses of n unsigned requests at the party's account."""
    target = f"{BASE}/{party.provider}?account={party.account.public_id}"
    return [call(target, events(report(f"v-{index}"))).status for index in range(n)]


def tallies() -> dict[tuple[str, int], int]:
    return {(row.slug, row.party_id): row.n for row in RefusalTally.objects.all()}


# --- quotas


def test_refused_requests_of_a_known_party_are_kept_up_to_the_day_s_quota_then_only_counted(
    line: SendingList, settings: Any
) -> None:
    settings.REFUSED_KEPT_PER_DAY, settings.REFUSED_SAMPLED_PER_MINUTE = 3, 0
    party = line.provider_account
    assert refused_at(party, 5) == [403] * 5
    assert InboundRequest.objects.filter(party_id=party.id, account=party.account).count() == 3
    assert tallies() == {("sandbox", party.id): 5}
    tally = RefusalTally.objects.get()
    assert tally.bucket == tally.bucket.replace(hour=0, minute=0, second=0, microsecond=0)


def test_quota_of_one_party_takes_nothing_from_another_nor_from_accepted_requests(settings: Any) -> None:
    settings.REFUSED_KEPT_PER_DAY = 1
    one, two = ProviderAccountFactory.create_batch(2)
    assert refused_at(one, 3) + refused_at(two, 2) == [403] * 5
    assert call(token_url(one), events()).status == 200
    kept = InboundRequest.objects.values_list("party_id", "state")
    assert sorted(kept) == sorted([(one.id, "refused"), (two.id, "refused"), (one.id, "waiting")])
    assert tallies() == {("sandbox", one.id): 3, ("sandbox", two.id): 2}


def test_requests_that_name_nothing_known_are_sampled_by_the_minute_and_a_flood_grows_one_counter(
    settings: Any,
) -> None:
    settings.REFUSED_SAMPLED_PER_MINUTE = 2
    for n in range(6):
        assert call(f"{BASE}/sandbox/guessed-token-{n}", events()).status == 403
    assert call(f"{BASE}/sandbox?account=nobody", events()).status == 404
    kept, counted = InboundRequest.objects.count(), sum(tallies().values())
    # Another minute may have begun between two of them.
    minutes = RefusalTally.objects.count()
    assert (counted, kept) == (7, 2 * minutes)
    assert minutes in (1, 2)
    assert set(tallies()) == {("sandbox", 0)}


def test_unreadable_body_is_kept_for_a_known_party_with_its_cause(line: SendingList, work_off: WorkOff) -> None:
    answer = call(token_url(line.provider_account), b"{")
    assert (answer.status, json.loads(answer.body)["detail"]) == (400, "body is not valid JSON")
    work_off()
    row = failures().get()
    assert (row.state, row.refusal, row.outcome) == (State.REFUSED, Cause.UNREADABLE, "body is not valid JSON")
    assert (row.account_id, row.party_id) == (line.account_id, line.provider_account_id)


def test_batch_with_one_unreadable_item_counts_the_others_and_stands_among_the_failures(
    message: Message, work_off: WorkOff
) -> None:
    tell(message.provider_account, report(""), {"type": "nonsense"}, report("v-1"), reply("hello"))
    work_off()
    message.refresh_from_db()
    assert message.status == "delivered"
    row = failures().get()
    assert (row.state, row.refusal) == (State.DONE, Cause.UNREADABLE)
    for words in ("1 new", "1 new reply", "a report without a message", "neither report nor reply"):
        assert words in row.outcome


def test_request_accepted_whole_stands_in_no_log_of_failures(message: Message, work_off: WorkOff) -> None:
    tell(message.provider_account, report("v-1"))
    work_off()
    assert not failures().exists()


def failures() -> QuerySet[InboundRequest]:
    """The rows of the failed-webhook log."""
    return InboundRequest.objects.filter(FAILED)


# --- replay and discard


@pytest.fixture
def refused(line: SendingList) -> list[InboundRequest]:
    """Three of the line's account, oldest first, and one of another; all unsigned, so that replay refuses them again."""
    begin = datetime.now(UTC) - timedelta(minutes=5)
    rows = []
    for n, account in enumerate([line.account, line.account, line.account, AccountFactory()]):
        moment = begin + timedelta(seconds=n)
        rows.append(
            InboundRequestFactory(
                uid=new_uid(int(moment.timestamp() * 1000)),
                account=account,
                state=State.REFUSED,
                refusal=Cause.BAD_SIGNATURE,
                path=f"{BASE}/sandbox".encode(),
                query=f"account={account.public_id}".encode(),
                attempts=3,
            )
        )
    return rows


def replay(requests: Any, user: Any = None) -> int:
    directory.forget()
    return replaying.replay(requests, user=user, now=datetime.now(UTC))


@pytest.mark.parametrize("how", ["one", "selected", "all of a filter"])
def test_replay_takes_what_was_chosen_and_leaves_an_audit_entry_for_each(
    how: str, refused: list[InboundRequest]
) -> None:
    chosen = {"one": refused[:1], "selected": refused[1:3], "all of a filter": refused[:3]}[how]
    requests = {
        "one": InboundRequest.objects.by_uid(refused[0].uid),
        "selected": InboundRequest.objects.filter(uid__in=[row.uid for row in chosen]),
        "all of a filter": InboundRequest.objects.filter(account=refused[0].account, state=State.REFUSED),
    }[how]
    user = StaffFactory()
    assert replay(requests, user) == len(chosen)
    waiting = InboundRequest.objects.filter(state=State.WAITING, attempts=0)
    assert {row.uid for row in waiting} == {row.uid for row in chosen}
    entries = set(AuditEntry.objects.values_list("user", "account", "verb", "target"))
    assert entries == {(user.id, row.account_id, "replayed", f"request {row.uid}") for row in chosen}


def test_replay_of_more_than_a_chunk_takes_each_request_once(
    refused: list[InboundRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaying, "CHUNK", 2)
    assert replay(InboundRequest.objects.filter(state=State.REFUSED)) == 4
    assert AuditEntry.objects.count() == 4


def test_replayed_request_that_proves_nothing_yet_is_refused_again_with_its_cause(
    refused: list[InboundRequest], work_off: WorkOff
) -> None:
    replay(InboundRequest.objects.by_uid(refused[0].uid))
    assert work_off() == 1
    row = InboundRequest.objects.by_uid(refused[0].uid).get()
    assert (row.state, row.refusal, row.attempts) == (State.REFUSED, Cause.BAD_SIGNATURE, 1)
    assert "Neither a token nor a signature" in row.outcome


def test_discard_takes_requests_out_of_the_log_with_its_reason_and_an_audit_entry(
    refused: list[InboundRequest], work_off: WorkOff
) -> None:
    user = StaffFactory()
    chosen = InboundRequest.objects.filter(account=refused[0].account)
    assert replaying.discard(chosen, user=user, reason="A test of ours") == 3
    assert {row.uid for row in failures()} == {refused[3].uid}
    assert set(chosen.values_list("state", "outcome")) == {(State.DISCARDED, "Discarded: A test of ours")}
    assert set(AuditEntry.objects.values_list("verb", "detail")) == {("discarded", "A test of ours")}
    assert AuditEntry.objects.count() == 3
    assert work_off() == 0


def test_discarding_a_batch_with_an_unreadable_item_takes_it_out_of_the_log(
    line: SendingList, work_off: WorkOff
) -> None:
    tell(line.provider_account, report(""))
    work_off()
    replaying.discard(failures(), user=None, reason="Their test")
    assert not failures().exists()


def test_discarded_request_can_still_be_replayed(refused: list[InboundRequest]) -> None:
    one = InboundRequest.objects.by_uid(refused[0].uid)
    replaying.discard(one, user=None, reason="too soon")
    assert replay(one) == 1
    assert one.get().state == State.WAITING


def test_a_probe_is_never_replayed_into_a_conversion() -> None:
    probe = InboundRequestFactory(source="postback", slug="tune", method="HEAD", state=State.DONE, outcome="Probe")
    assert replaying.replay(InboundRequest.objects.all(), user=StaffFactory(), now=datetime.now(UTC)) == 0
    probe.refresh_from_db()
    assert probe.state == State.DONE


@pytest.mark.parametrize("fields", [{"state": State.DONE}, {"state": State.WAITING}])
def test_what_counted_or_waits_to_be_worked_off_is_not_discarded(fields: dict[str, Any]) -> None:
    row = InboundRequestFactory(**fields)
    assert (
        replaying.discard(InboundRequest.objects.all(), user=StaffFactory(), reason="it was refused when I looked") == 0
    )
    row.refresh_from_db()
    assert row.state == fields["state"]
