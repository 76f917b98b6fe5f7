"""The pages of failed webhooks: what failed, why, and replay and discard of one or of all that a filter finds."""

import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from sendinglists.models import ProviderAccount
from tests import factories
from tests.pages.conftest import Person
from trackly.models import AuditEntry
from trackly.pages.requests import replays
from webhooks.inbound.models import InboundRequest, State


@pytest.fixture
def party(owner: Person) -> ProviderAccount:
    return factories.ProviderAccountFactory(account=owner.account, name="Twilio main")


def refused(party: ProviderAccount, cause: str = "bad_signature", **fields: Any) -> InboundRequest:
    shape = {"state": "refused", "refusal": cause, "answer_status": 401, "outcome": ""} | fields
    return factories.InboundRequestFactory(account=party.account, party_id=party.pk, **shape)


def uids(answer: Any) -> set[UUID]:
    return {UUID(found) for found in re.findall(r"/requests/([0-9a-f-]{36})/", answer.content.decode())}


def state_of(row: InboundRequest) -> str:
    return InboundRequest.objects.values_list("state", flat=True).get(uid=row.uid)


# --- the list


def test_the_log_holds_what_failed_and_nothing_else(owner: Person, party: ProviderAccount) -> None:
    failing = [
        refused(party),
        refused(party, "", state="failed", last_error="Traceback\nValueError: seven"),
        refused(party, "", state="waiting", attempts=2),
        refused(party, "unreadable", state="done"),
    ]
    for state in ("done", "waiting", "discarded"):
        refused(party, "", state=state)
    assert uids(owner.get("requests")) == {row.uid for row in failing}


def test_what_names_no_account_is_in_nobodys_log(owner: Person, rival: Person, party: ProviderAccount) -> None:
    stray = factories.InboundRequestFactory(account=None, state="refused", refusal="bad_secret")
    mine = refused(party)
    assert uids(owner.get("requests")) == {mine.uid}
    assert uids(rival.get("requests")) == set()
    for name in ("request", "request_text"):
        assert owner.get(name, stray.uid).status_code == 404
        assert rival.get(name, mine.uid).status_code == 404


def test_failed_webhooks_are_filtered_by_sender_kind_cause_and_state(owner: Person, party: ProviderAccount) -> None:
    connection = factories.NetworkConnectionFactory(account=owner.account, name="Network")
    first = refused(party)
    second = refused(party, "plain_http")
    third = factories.InboundRequestFactory(
        account=owner.account, party_id=connection.pk, source="postback", slug="tune", state="failed"
    )
    assert uids(owner.get("requests", cause="plain_http")) == {second.uid}
    assert uids(owner.get("requests", party=f"webhook-{party.pk}")) == {first.uid, second.uid}
    assert uids(owner.get("requests", party=f"postback-{connection.pk}")) == {third.uid}
    # As stories name a sender.
    assert uids(owner.get("requests", party_id=connection.pk, source="postback")) == {third.uid}
    assert uids(owner.get("requests", source="webhook")) == {first.uid, second.uid}
    assert uids(owner.get("requests", state="failed")) == {third.uid}
    words = owner.get("requests").content.decode()
    assert "Twilio main" in words
    assert "Signature or credentials do not match" in words


def test_an_id_finds_every_request_of_the_account_that_names_it_also_what_counted(
    owner: Person, rival: Person, party: ProviderAccount
) -> None:
    named = refused(party, "", state="done", ids=["SM1", "+14155550101"])
    refused(party, ids=["SM2"])
    factories.InboundRequestFactory(account=rival.account, ids=["SM1"], state="refused", refusal="bad_signature")
    assert uids(owner.get("requests", q="SM1")) == {named.uid}


def test_the_first_sentence_names_the_reason_with_the_most_of_them_and_the_fix(
    owner: Person, rival: Person, party: ProviderAccount
) -> None:
    total = {"account_id": owner.account.pk, "party_id": party.pk, "slug": party.provider}
    factories.RequestTotalFactory(**total, standing="bad_signature", n=312)
    factories.RequestTotalFactory(**total, standing="plain_http", n=5)
    factories.RequestTotalFactory(**total, standing="accepted", n=90_000)
    factories.RequestTotalFactory(
        account_id=rival.account.pk, party_id=party.pk, slug=party.provider, standing="unproven", n=100_000
    )
    words = owner.get("requests").content.decode()
    assert re.search(r"312 callbacks of Twilio main were refused since \w+ \d+, \d\d:00, the last \w+", words)
    assert "signature or credentials do not match." in words
    assert "then replay: it is verified again" in words
    assert "312" not in rival.get("requests").content.decode()


def test_an_account_without_failures_is_told_so(owner: Person) -> None:
    assert b"Nothing failed" in owner.get("requests").content


# --- one


def test_a_request_tells_its_cause_and_folds_what_was_exchanged(owner: Person, party: ProviderAccount) -> None:
    row = refused(party, headers=b"content-type: application/json\r\n", body=b'{"status": {"groupName": "DELIVERED"}}')
    words = owner.get("request", row.uid).content.decode()
    assert "Mend the provider account, then replay" in words
    assert "content-type: application/json" in words
    assert "&quot;groupName&quot;: &quot;DELIVERED&quot;\n" in words
    assert words.count("<details") > 2


def test_owners_read_the_error_and_not_its_traceback(owner: Person, party: ProviderAccount) -> None:
    row = refused(
        party, "", state="failed", attempts=6, last_error='Traceback\n  File "/srv/inner.py", line 7\nValueError: seven'
    )
    words = owner.get("request", row.uid).content.decode()
    assert "ValueError: seven" in words
    assert "inner.py" not in words


def test_the_text_is_for_members_and_is_no_page(owner: Person, viewer: Person, party: ProviderAccount) -> None:
    row = refused(party, body=b"<script>alert(1)</script>", answer=b"no")
    answer = owner.get("request_text", row.uid)
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"].startswith("attachment")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert b"<script>alert(1)</script>" in answer.content
    assert b"--- what we answered\n401\nno" in answer.content
    assert viewer.get("request_text", row.uid).status_code == 403


def test_a_viewer_sees_no_number_of_a_request(viewer: Person, owner: Person, party: ProviderAccount) -> None:
    row = refused(party, body=b'{"to": "4155550173", "text": "of 14155550173"}', ids=["+14155550173"])
    assert b"4155550173" not in viewer.get("request", row.uid).content
    assert b"4155550173" in owner.get("request", row.uid).content


def test_one_is_replayed_and_watched_until_it_is_worked_off(
    member: Person, party: ProviderAccount, work_off: Callable[[], int]
) -> None:
    row = refused(party, "", state="failed", attempts=6)
    member.post("request_replay", row.uid)
    assert state_of(row) == State.WAITING
    assert b"hx-trigger" in member.get("request", row.uid).content
    work_off()
    part = member.client.get(member.url("request", row.uid), headers={"HX-Request": "true"})
    assert b"hx-trigger" not in part.content
    assert state_of(row) == State.DONE
    assert AuditEntry.objects.get(verb="replayed").user == member.user


def test_one_is_discarded_with_a_reason_only(member: Person, party: ProviderAccount) -> None:
    row = refused(party)
    assert b"This field is required" in member.post("request_discard", row.uid).content
    assert state_of(row) == State.REFUSED
    member.post("request_discard", row.uid, reason="a test of ours")
    assert state_of(row) == State.DISCARDED
    assert AuditEntry.objects.get(verb="discarded").detail == "a test of ours"


# --- all that a filter finds


def ask(person: Person, name: str, **query: str) -> tuple[str, Any]:
    """The address asked at, and the answer."""
    answer = person.get(name, **query)
    return answer.wsgi_request.get_full_path(), answer


def confirm(person: Person, address: str, answer: Any, **more: str) -> Any:
    asked_at = re.search(r'name="asked_at" value="([^"]+)"', answer.content.decode())
    assert asked_at
    return person.client.post(address, {"asked_at": asked_at.group(1).replace("&#x2B;", "+"), **more})


def test_all_that_a_filter_finds_are_replayed_and_nothing_of_another_account(
    member: Person, other: Any, party: ProviderAccount
) -> None:
    meant = [refused(party) for _ in range(3)]
    left = [refused(party, "plain_http"), refused(factories.ProviderAccountFactory(account=other))]
    address, answer = ask(member, "requests_replay", cause="bad_signature")
    assert b"3 failed webhooks are replayed" in answer.content
    confirm(member, address, answer)
    assert [state_of(row) for row in meant] == [State.WAITING] * 3
    assert [state_of(row) for row in left] == [State.REFUSED] * 2


def test_without_a_filter_a_replay_leaves_another_account_alone(
    member: Person, other: Any, party: ProviderAccount
) -> None:
    theirs = [refused(factories.ProviderAccountFactory(account=other)), factories.InboundRequestFactory(
        account=None, state="refused", refusal="bad_secret")]  # fmt: skip
    mine = refused(party)
    address, answer = ask(member, "requests_replay")
    confirm(member, address, answer)
    assert state_of(mine) == State.WAITING
    assert [state_of(row) for row in theirs] == [State.REFUSED] * 2


def test_nothing_is_replayed_before_it_was_asked(member: Person, party: ProviderAccount) -> None:
    row = refused(party)
    member.post("requests_replay")
    assert state_of(row) == State.REFUSED


def test_what_fails_after_the_asking_is_not_meant(member: Person, party: ProviderAccount) -> None:
    early = refused(party)
    address, answer = ask(member, "requests_replay")
    late = refused(party)
    confirm(member, address, answer)
    assert state_of(early) == State.WAITING
    assert state_of(late) == State.REFUSED


def test_a_replay_is_watched_until_none_of_it_waits(
    member: Person, rival: Person, party: ProviderAccount, work_off: Callable[[], int]
) -> None:
    for _ in range(2):
        refused(party, "", state="failed", attempts=6)
    refused(party, "unreadable", proof="token", body=b"nonsense")
    address, answer = ask(member, "requests_replay")
    watched = confirm(member, address, answer)["Location"]
    first = member.client.get(watched)
    assert b"0 of 3 worked off" in first.content
    assert b'hx-trigger="every 2s"' in first.content
    work_off()
    part = member.client.get(watched, headers={"HX-Request": "true"})
    assert b"All 3 are worked off" in part.content
    assert b"hx-trigger" not in part.content
    assert b"<html" not in part.content
    words = " ".join(part.content.decode().split())
    assert "Done, and counted</dt><dd>2<" in words
    assert "Refused again</dt><dd>1<" in words
    # Another account sees nothing of it.
    theirs = rival.client.get(watched.replace(member.account.public_id, rival.account.public_id))
    assert b"None of them is kept any more" in theirs.content


def test_a_replay_that_is_not_known_leads_back(member: Person) -> None:
    assert member.get("requests_replayed", begun="x", ended="y")["Location"] == member.url("requests")


def test_of_more_than_are_taken_the_newest_are_replayed(
    member: Person, party: ProviderAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replays, "MOST", 2)
    rows = sorted([refused(party) for _ in range(3)], key=lambda row: (row.received_at, row.uid))
    address, answer = ask(member, "requests_replay")
    assert b"the newest this filter finds" in answer.content
    confirm(member, address, answer)
    assert [state_of(row) for row in rows] == [State.REFUSED, State.WAITING, State.WAITING]


def test_all_that_a_filter_finds_are_discarded_with_a_reason_only(
    member: Person, other: Any, party: ProviderAccount
) -> None:
    meant, left = refused(party), refused(party, "plain_http")
    theirs = refused(factories.ProviderAccountFactory(account=other))
    address, answer = ask(member, "requests_discard", cause="bad_signature")
    confirm(member, address, answer)
    assert state_of(meant) == State.REFUSED
    confirm(member, address, answer, reason="tests of ours")
    assert [state_of(row) for row in (meant, left, theirs)] == ["discarded", "refused", "refused"]


def test_a_viewer_replays_and_discards_nothing(viewer: Person, party: ProviderAccount) -> None:
    row = refused(party)
    assert b"Replay" not in viewer.get("request", row.uid).content.split(b"<main")[0]
    for name, args in (("request_replay", (row.uid,)), ("request_discard", (row.uid,)), ("requests_replay", ()),
                       ("requests_discard", ())):  # fmt: skip
        assert viewer.post(name, *args, reason="x").status_code == 403
    assert state_of(row) == State.REFUSED
