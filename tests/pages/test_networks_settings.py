"""The settings of a connection: rules, status words, and the rotation of its token."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from postbacks import directory
from postbacks.models import Conversion, NetworkConnection
from postbacks.verdicts import Verdict
from tests import factories
from tests.pages.conftest import Person
from tests.pages.test_networks import connection, hit, offer, words
from trackly.models import Account, AuditEntry
from webhooks.inbound.models import InboundRequest, Proof

__all__ = ["connection", "offer"]


def typed(row: NetworkConnection, *status_words: tuple[str, str], **changes: str) -> dict[str, str]:
    """The form as the page shows it, with some fields changed."""
    fields = {
        "name": row.name, "currency": row.currency, "time_zone": row.time_zone, "click_parameter": row.click_parameter,
        "duplicate_rule": row.duplicate_rule, "duplicate_minutes": "10", "attribution_days": "90",
        "address_policy": row.address_policy, "addresses": row.addresses,
        "words-TOTAL_FORMS": str(len(status_words)), "words-INITIAL_FORMS": "0",
    }  # fmt: skip
    for n, (word, means) in enumerate(status_words):
        fields |= {f"words-{n}-word": word, f"words-{n}-means": means}
    return fields | changes


def save(person: Person, row: NetworkConnection, *status_words: tuple[str, str], **changes: str) -> Any:
    return person.client.post(person.url("connection_edit", row.pk), typed(row, *status_words, **changes))


def test_what_an_owner_sets_is_what_postbacks_are_judged_by(owner: Person, connection: NetworkConnection) -> None:
    answer = save(
        owner, connection, ("Hold2", "pending"), name="New name", currency="EUR", duplicate_rule="add",
        duplicate_minutes="1.5", attribution_days="30", excludes_late="on", token_only="on", address_policy="enforce",
        addresses="203.0.113.0/24",
    )  # fmt: skip
    assert answer["Location"] == owner.url("connection", connection.pk)
    token = connection.postback_token
    connection.refresh_from_db()
    assert (connection.name, connection.currency, connection.duplicate_rule) == ("New name", "EUR", "add")
    assert connection.duplicate_window == timedelta(seconds=90)
    assert connection.attribution_window == timedelta(days=30)
    assert (connection.excludes_late, connection.token_only, connection.address_policy) == (True, True, "enforce")
    assert (connection.addresses, connection.status_words) == ("203.0.113.0/24", {"hold2": "pending"})
    assert connection.postback_token == token
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.user) == ("changed", owner.user)
    assert "status words" in entry.detail


def test_windows_that_were_not_touched_keep_what_the_form_cannot_show(
    owner: Person, connection: NetworkConnection
) -> None:
    NetworkConnection.objects.update(
        duplicate_window=timedelta(seconds=61, milliseconds=7), attribution_window=timedelta(days=2, hours=3)
    )
    assert save(owner, connection, duplicate_minutes="1.02", attribution_days="2").status_code == 302
    connection.refresh_from_db()
    assert connection.duplicate_window == timedelta(seconds=61, milliseconds=7)
    assert connection.attribution_window == timedelta(days=2, hours=3)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"currency": "XXX"},
        {"duplicate_minutes": "-1"},
        {"attribution_days": "0"},
        {"addresses": "nowhere"},
        {"click_parameter": "a b"},
        {"duplicate_rule": "sometimes"},
    ],
)
def test_what_makes_no_sense_is_said_and_not_saved(
    owner: Person, connection: NetworkConnection, changes: dict[str, str]
) -> None:
    page = words(save(owner, connection, ("typed-word", ""), **changes))
    assert "tk-error" in page
    assert "typed-word" in page
    assert not AuditEntry.objects.exists()


def test_a_meaning_without_a_word_is_asked_about(owner: Person, connection: NetworkConnection) -> None:
    assert "Which word means this?" in words(save(owner, connection, ("", "pending")))


def test_mapping_a_word_judges_the_kept_hits_again(
    owner: Person, connection: NetworkConnection, offer: Any, work_off: Callable[[], int]
) -> None:
    click = factories.ClickFactory(link=factories.LinkFactory(offer=offer))
    hit(connection, f"click_id={click.click_id}&payout=5&status=Checking&txid=1")
    work_off()
    assert Conversion.objects.get().verdict == Verdict.STATUS_UNMAPPED
    page = words(owner.get("connection_edit", connection.pk))
    assert 'value="checking"' in page
    save(owner, connection, ("checking", "pending"))
    judged = Conversion.objects.get()
    assert (judged.verdict, judged.status) == (Verdict.RECORDED, "pending")
    assert "1 kept postback was judged again" in words(owner.get("connection", connection.pk))


def test_words_of_another_connection_are_not_listed(
    owner: Person, account: Account, connection: NetworkConnection, work_off: Callable[[], int]
) -> None:
    sibling = factories.NetworkConnectionFactory(account=account)
    click = factories.ClickFactory(link=factories.LinkFactory(offer=factories.OfferFactory(connection=sibling)))
    hit(sibling, f"click_id={click.click_id}&payout=5&status=strange")
    work_off()
    assert "strange" not in words(owner.get("connection_edit", connection.pk))


def test_a_word_is_taken_out_by_not_deciding_it(owner: Person, connection: NetworkConnection) -> None:
    NetworkConnection.objects.update(status_words={"a": "pending", "b": "rejected"})
    save(owner, connection, ("a", "pending"), ("b", ""))
    connection.refresh_from_db()
    assert connection.status_words == {"a": "pending"}


def test_a_new_click_parameter_says_that_the_url_has_changed(owner: Person, connection: NetworkConnection) -> None:
    save(owner, connection, click_parameter="aff_sub")
    page = words(owner.get("connection", connection.pk))
    assert "The postback URL has changed" in page
    assert "click_id={aff_sub}" in page


def test_only_an_owner_sees_and_changes_the_settings(member: Person, connection: NetworkConnection) -> None:
    assert member.get("connection_edit", connection.pk).status_code == 403
    assert save(member, connection, name="Mine").status_code == 403
    assert member.post("connection_rotate", connection.pk, days="7").status_code == 403
    assert member.post("connection_withdraw", connection.pk).status_code == 403
    connection.refresh_from_db()
    assert connection.name == "Acme TUNE"


# The token


def proof_of(connection: NetworkConnection, token: str) -> str:
    hit(connection, "click_id=x&payout=1", token=token)
    return str(InboundRequest.objects.latest("received_at").proof)


@pytest.mark.parametrize("days", [1, 7, 30])
def test_rotating_keeps_the_old_url_for_the_chosen_time_and_no_longer(
    owner: Person, connection: NetworkConnection, days: int
) -> None:
    former = connection.postback_token
    owner.post("connection_rotate", connection.pk, days=str(days))
    connection.refresh_from_db()
    assert connection.postback_token != former
    assert proof_of(connection, connection.postback_token) == Proof.TOKEN
    assert proof_of(connection, former) == Proof.TOKEN
    page = words(owner.get("connection", connection.pk))
    assert connection.postback_token in page
    # Named nowhere any more, nor in the trail.
    assert former not in page + words(owner.get("connection_edit", connection.pk))
    assert former not in str(list(AuditEntry.objects.values_list("detail", "target")))
    until = connection.previous_token_until
    assert until is not None
    over = until - timedelta(days=days, seconds=1)
    NetworkConnection.objects.update(previous_token_until=over)
    directory.forget()
    assert proof_of(connection, former) == Proof.NONE


def test_withdrawing_ends_the_old_url_at_once(owner: Person, connection: NetworkConnection) -> None:
    former = connection.postback_token
    owner.post("connection_rotate", connection.pk, days="30")
    assert "Withdraw the old URL now" in words(owner.get("connection_edit", connection.pk))
    owner.post("connection_withdraw", connection.pk)
    connection.refresh_from_db()
    assert proof_of(connection, former) == Proof.NONE
    assert proof_of(connection, connection.postback_token) == Proof.TOKEN
    assert "Withdraw the old URL now" not in words(owner.get("connection_edit", connection.pk))
    assert [entry.verb for entry in AuditEntry.objects.order_by("id")] == ["rotated token", "withdrew token"]


@pytest.mark.parametrize("days", ["", "0", "365", "x"])
def test_an_overlap_that_is_not_offered_changes_nothing(
    owner: Person, connection: NetworkConnection, days: str
) -> None:
    former = connection.postback_token
    owner.post("connection_rotate", connection.pk, days=days)
    connection.refresh_from_db()
    assert connection.postback_token == former


def test_another_account_finds_no_connection(rival: Person, connection: NetworkConnection) -> None:
    for name in ("connection", "connection_edit"):
        assert rival.get(name, connection.pk).status_code == 404
    for name in (
        "connection_rotate",
        "connection_withdraw",
        "connection_fire",
        "connection_lint",
        "connection_test_link",
    ):
        assert rival.post(name, connection.pk, days="7").status_code == 404
