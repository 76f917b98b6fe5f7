"""What people and programs ask for: opt-outs, opt-ins and closed numbers, repeated, late and of two accounts."""

from datetime import UTC, datetime, timedelta

import pytest

from sendinglists.models import Contact, SendingList, Subscription, SubscriptionChange, Suppression
from sendinglists.subscriptions import Decided, decide, opt_in, opt_out, suppress, unsuppress
from tests.factories import SendingListFactory, StaffFactory
from trackly.models import AuditEntry, HourlyTotal
from trackly.totals import Totals
from webhooks.statuses import Decision, fingerprint

pytestmark = pytest.mark.django_db
NINE = datetime(2026, 11, 23, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
PHONE, ANOTHER = "+14155550101", "+14155550102"
BOTH = [PHONE, "1 (415) 555-0102", PHONE, " "]
API = SubscriptionChange.Origin.API


@pytest.fixture
def line() -> SendingList:
    return SendingListFactory(brand="Acme")


def states() -> dict[str, str]:
    return dict(Subscription.objects.values_list("contact__phone", "state"))


def closed() -> set[tuple[str, str, bool]]:
    return set(Suppression.objects.values_list("phone", "brand", "is_active"))


def totals() -> dict[str, int]:
    return dict(HourlyTotal.objects.values_list("kind", "n"))


def heard(line: SendingList, decision: Decision, at: datetime) -> None:
    """A reply of the person, in the provider's time."""
    counted = Totals()
    decide(
        [
            Decided(
                account_id=line.account_id,
                list_id=line.id,
                phone=PHONE,
                decision=decision,
                at=at,
                origin="reply",
                is_proven=True,
                fingerprint=fingerprint((decision, str(at))),
                request_uid=None,
            )
        ],
        counted,
    )
    counted.write()


def test_opting_out_of_a_list_is_entered_once_a_number_in_whatever_spelling(line: SendingList) -> None:
    assert opt_out(line.account_id, BOTH, list_id=line.id, origin=API, at=NINE) == 2
    assert states() == {PHONE: "opted_out", ANOTHER: "opted_out"}
    assert set(SubscriptionChange.objects.values_list("decision", "origin", "at", "is_proven", "request_uid")) == {
        ("opt_out", "api", NINE, True, None)
    }
    assert closed() == set()
    assert totals() == {"opt_out": 2}


@pytest.mark.parametrize("later", [timedelta(0), HOUR])
def test_a_repetition_changes_and_counts_nothing(line: SendingList, later: timedelta) -> None:
    opt_out(line.account_id, BOTH, list_id=line.id, origin=API, at=NINE)
    assert opt_out(line.account_id, BOTH, list_id=line.id, origin=API, at=NINE + later) == 0
    assert SubscriptionChange.objects.count() == 2
    assert totals() == {"opt_out": 2}


def test_a_repetition_still_stands_against_an_older_word_heard_of_later(line: SendingList) -> None:
    opt_out(line.account_id, [PHONE], list_id=line.id, origin=API, at=NINE)
    opt_out(line.account_id, [PHONE], list_id=line.id, origin=API, at=NINE + 2 * HOUR)
    heard(line, Decision.OPT_IN, NINE + HOUR)
    assert states() == {PHONE: "opted_out"}
    heard(line, Decision.OPT_IN, NINE + 3 * HOUR)
    assert states() == {PHONE: "subscribed"}


def test_an_earlier_decision_never_overwrites_a_later_one(line: SendingList) -> None:
    heard(line, Decision.OPT_OUT, NINE + HOUR)
    assert opt_in(line.account_id, [PHONE], list_id=line.id, origin=API, at=NINE) == 0
    assert opt_in(line.account_id, [PHONE], list_id=line.id, origin=API, at=NINE + HOUR) == 0
    assert states() == {PHONE: "opted_out"}
    assert opt_in(line.account_id, [PHONE], list_id=line.id, origin=API, at=NINE + 2 * HOUR) == 1
    assert states() == {PHONE: "subscribed"}


def test_opting_in_somebody_new_subscribes(line: SendingList) -> None:
    assert opt_in(line.account_id, [PHONE], list_id=line.id, origin=API, at=NINE) == 1
    assert opt_in(line.account_id, [PHONE], list_id=line.id, origin=API, at=NINE) == 0
    assert states() == {PHONE: "subscribed"}
    assert totals() == {"opt_in": 1}


@pytest.mark.parametrize(("scope", "brand"), [("brand", "Acme"), ("account", "")])
def test_opting_out_of_a_list_closes_as_much_as_a_stop_there(line: SendingList, scope: str, brand: str) -> None:
    SendingList.objects.update(opt_out_scope=scope)
    opt_out(line.account_id, [PHONE], list_id=line.id, origin=API, at=NINE)
    assert closed() == {(PHONE, brand, True)}
    opt_in(line.account_id, [PHONE], list_id=line.id, origin=API, at=NINE + HOUR)
    assert closed() == {(PHONE, brand, False)}
    # The subscription stands open; what was closed beside it since is opened again all the same.
    suppress(line.account_id, [PHONE], brand=brand, cause="by hand", at=NINE + 2 * HOUR)
    opt_in(line.account_id, [PHONE], list_id=line.id, origin=API, at=NINE + 3 * HOUR)
    assert closed() == {(PHONE, brand, False)}


def test_without_a_list_the_whole_account_is_closed(line: SendingList) -> None:
    assert opt_out(line.account_id, BOTH, list_id=None, origin=API, at=NINE) == 2
    assert opt_out(line.account_id, BOTH, list_id=None, origin=API, at=NINE + HOUR) == 0
    assert closed() == {(PHONE, "", True), (ANOTHER, "", True)}
    assert set(Suppression.objects.values_list("cause", flat=True)) == {"Opt-out by api"}
    assert states() == {}


@pytest.mark.parametrize(("scope", "stays"), [("list", True), ("brand", True), ("account", False)])
def test_a_start_reopens_as_much_as_a_stop_at_the_same_place_closes(line: SendingList, scope: str, stays: bool) -> None:
    SendingList.objects.update(opt_out_scope=scope)
    suppress(line.account_id, [PHONE], brand="", cause="by API", at=NINE)
    heard(line, Decision.OPT_IN, NINE + HOUR)
    assert Suppression.objects.get(brand="").is_active is stays


def test_closing_for_a_brand_and_opening_again_tell_how_many_it_changed(line: SendingList) -> None:
    account = line.account_id
    assert suppress(account, BOTH, brand=" Acme ", cause="asked by mail", at=NINE) == 2
    assert suppress(account, BOTH, brand="Acme", cause="asked by mail", at=NINE + HOUR) == 0
    assert closed() == {(PHONE, "Acme", True), (ANOTHER, "Acme", True)}
    assert Suppression.objects.first().cause == "asked by mail"
    assert unsuppress(account, [PHONE], brand="Acme", cause="a mistake", at=NINE) == 0
    assert unsuppress(account, [PHONE], brand="Acme", cause="a mistake", at=NINE + 2 * HOUR) == 1
    assert closed() == {(PHONE, "Acme", False), (ANOTHER, "Acme", True)}
    assert states() == {}


def test_nothing_asked_changes_nothing(line: SendingList) -> None:
    assert opt_out(line.account_id, [], list_id=line.id, origin=API, at=NINE) == 0
    assert suppress(line.account_id, ["", "  "], brand="", cause="", at=NINE) == 0
    assert not Contact.objects.exists()


def test_one_account_closes_nothing_of_another(line: SendingList) -> None:
    stranger = SendingListFactory(brand="Acme")
    opt_in(stranger.account_id, [PHONE], list_id=stranger.id, origin=API, at=NINE)
    for list_id in (stranger.id, 0):
        with pytest.raises(SendingList.DoesNotExist):
            opt_out(line.account_id, [PHONE], list_id=list_id, origin=API, at=NINE + HOUR)
    opt_out(line.account_id, [PHONE], list_id=None, origin=API, at=NINE + HOUR)
    suppress(line.account_id, [PHONE], brand="Acme", cause="", at=NINE + HOUR)
    assert states() == {PHONE: "subscribed"}
    assert set(Suppression.objects.values_list("account", flat=True)) == {line.account_id}


def test_what_a_person_did_leaves_an_audit_entry_and_what_changed_nothing_leaves_none(line: SendingList) -> None:
    staff = StaffFactory()
    for _ in range(2):
        opt_out(line.account_id, BOTH, list_id=line.id, origin="staff", at=NINE, user=staff)
    entry = AuditEntry.objects.get()
    assert (entry.user, entry.verb, entry.target) == (staff, "opted out", f"sending list {line.id}")
    assert (entry.detail, entry.account) == ("2 numbers", line.account)
