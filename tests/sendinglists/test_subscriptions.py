"""decide(): decisions entered once, subscriptions and suppressions moved to the latest of them in any order."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sendinglists.models import Contact, SendingList, Subscription, SubscriptionChange, Suppression
from sendinglists.subscriptions import Decided, decide
from tests.factories import SendingListFactory
from trackly.models import HourlyTotal
from trackly.signing import new_uid
from trackly.totals import Totals
from webhooks.statuses import Decision, fingerprint

pytestmark = pytest.mark.django_db
NINE = datetime(2026, 11, 23, 9, tzinfo=UTC)
PHONE = "+14155550101"
OUT, IN = Decision.OPT_OUT, Decision.OPT_IN


SHARE = "SELECT id FROM sendinglists_contact WHERE phone = %s FOR SHARE"


@contextmanager
def second_connection() -> Iterator[psycopg.Connection]:
    """As another process has it; what it did is taken back at the end."""
    there = connection.get_connection_params()
    names = ("host", "port", "user", "password", "dbname")
    with psycopg.connect(**{name: there[name] for name in names if there.get(name)}) as other:
        yield other
        other.rollback()


@pytest.fixture
def line() -> SendingList:
    return SendingListFactory(brand="Acme")


def decided(line: SendingList | None, decision: Decision, minute: int = 0, *, key: str = "", **more: Any) -> Decided:
    fields = {
        "account_id": line.account_id if line else None,
        "list_id": line.id if line else None,
        "phone": PHONE,
        "decision": decision,
        "at": NINE + timedelta(minutes=minute),
        "origin": "reply",
        "is_proven": True,
        "fingerprint": fingerprint((key or f"{decision} {minute}",)),
        "request_uid": new_uid(0),
    }
    return Decided(**(fields | more))


def enter(*decisions: Decided) -> None:
    totals = Totals()
    decide(list(decisions), totals)
    totals.write()


def state() -> str:
    return Subscription.objects.get().state


def held() -> set[tuple[str, bool]]:
    return set(Suppression.objects.values_list("brand", "is_active"))


DECISIONS = st.lists(st.tuples(st.sampled_from([OUT, IN]), st.integers(0, 3)), min_size=1, max_size=5)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(told=DECISIONS, scope=st.sampled_from(SendingList.Scope), data=st.data())
def test_any_order_and_repetition_ends_in_the_latest_decision_and_ties_close(
    line: SendingList, told: list[tuple[Decision, int]], scope: SendingList.Scope, data: st.DataObject
) -> None:
    order = data.draw(st.permutations(told + told[:1]))
    is_one_batch = data.draw(st.booleans())
    with transaction.atomic():
        SendingList.objects.update(opt_out_scope=scope)
        batches = [order] if is_one_batch else [[entry] for entry in order]
        for batch in batches:
            enter(*(decided(line, *entry) for entry in batch))
        _, is_out = max((minute, decision == OUT) for decision, minute in told)
        assert state() == ("opted_out" if is_out else "subscribed")
        brand = {"brand": "Acme", "account": ""}.get(scope)
        assert held() == (set() if brand is None else {(brand, is_out)})
        assert SubscriptionChange.objects.count() == len(set(told))
        transaction.set_rollback(True)


@pytest.mark.parametrize("scope", ["list", "account"])
def test_repetition_with_a_later_time_of_ours_changes_nothing(scope: str, line: SendingList) -> None:
    SendingList.objects.update(opt_out_scope=scope)
    enter(decided(line, OUT, 0, key="stop"))
    enter(decided(line, IN, 1, key="start"))
    enter(decided(line, OUT, 2, key="stop"))
    assert state() == "subscribed"
    assert held() == ({("", False)} if scope == "account" else set())
    assert {row.kind: row.n for row in HourlyTotal.objects.all()} == {"opt_out": 1, "opt_in": 1}


def test_scope_of_a_list_without_a_brand_is_the_list_and_never_the_account() -> None:
    enter(decided(SendingListFactory(brand="", opt_out_scope="brand"), OUT))
    assert state() == "opted_out"
    assert held() == set()


def test_decision_on_one_list_leaves_the_others_of_the_person_alone(line: SendingList) -> None:
    neighbour = SendingListFactory(provider_account=line.provider_account)
    enter(decided(neighbour, IN), decided(line, OUT))
    found = dict(Subscription.objects.values_list("sending_list", "state"))
    assert found == {line.id: "opted_out", neighbour.id: "subscribed"}
    assert Contact.objects.count() == 1


def test_decision_without_a_list_closes_the_whole_account_and_its_start_opens_it(line: SendingList) -> None:
    nowhere = {"account_id": line.account_id}
    enter(decided(None, OUT, 0, **nowhere))
    assert held() == {("", True)}
    assert not Subscription.objects.exists()
    enter(decided(None, IN, 1, **nowhere))
    assert held() == {("", False)}


def test_suppression_of_one_account_is_not_another_s(line: SendingList) -> None:
    stranger = SendingListFactory(brand="Acme")
    SendingList.objects.update(opt_out_scope="brand")
    enter(decided(line, OUT), decided(stranger, IN))
    assert dict(Suppression.objects.values_list("account", "is_active")) == {
        line.account_id: True,
        stranger.account_id: False,
    }


def test_history_and_suppression_name_the_request_and_the_cause(line: SendingList) -> None:
    SendingList.objects.update(opt_out_scope="account")
    uid = UUID(int=7)
    enter(decided(line, OUT, request_uid=uid, origin="vendor_code", is_proven=False))
    change, suppression = SubscriptionChange.objects.get(), Suppression.objects.get()
    assert (change.request_uid, change.origin, change.is_proven, change.at) == (uid, "vendor_code", False, NINE)
    assert (suppression.request_uid, suppression.cause) == (uid, "Opt-out by vendor_code")


def test_decision_about_a_test_message_is_in_no_total(line: SendingList) -> None:
    enter(decided(line, OUT, is_test=True))
    assert state() == "opted_out"
    assert not HourlyTotal.objects.exists()


def test_subscriptions_are_made_in_the_order_of_contacts_and_lists_whatever_the_order_of_phones(
    line: SendingList,
) -> None:
    """Two batches that make the same ones in two orders would wait for each other."""
    lists = [line, *(SendingListFactory(provider_account=line.provider_account) for _ in range(2))]
    phones = [f"+1415555{n:04d}" for n in range(300)]
    for phone in reversed(phones):
        Contact.objects.create(account=line.account, phone=phone)
    enter(*(decided(sending_list, OUT, phone=phone) for sending_list in reversed(lists) for phone in phones))
    made = list(Subscription.objects.order_by("id").values_list("contact_id", "sending_list_id"))
    assert len(made) == 900
    assert made == sorted(made)


# --- the lock that sending shares


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("has_list", [True, False])
def test_a_claim_waits_for_an_opt_out_that_is_under_way_and_then_sees_it(line: SendingList, has_list: bool) -> None:
    """Also where no list is concerned, and where nobody knew the number: the claim's own row is the one that is locked."""
    Contact.objects.create(account=line.account, phone=PHONE)
    where = {} if has_list else {"list_id": None}
    with transaction.atomic():
        enter(decided(line, OUT, **where))
        with second_connection() as other, pytest.raises(psycopg.errors.LockNotAvailable):
            other.execute(SHARE + " NOWAIT", [PHONE])
    with second_connection() as other:
        assert len(other.execute(SHARE, [PHONE]).fetchall()) == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("has_list", [True, False])
def test_an_opt_out_waits_for_a_claim_that_is_under_way(line: SendingList, has_list: bool) -> None:
    Contact.objects.create(account=line.account, phone=PHONE)
    where = {} if has_list else {"list_id": None}
    with second_connection() as other:
        other.execute(SHARE, [PHONE])
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        with pytest.raises(OperationalError), transaction.atomic():
            enter(decided(line, OUT, **where))
        with connection.cursor() as cursor:
            cursor.execute("RESET lock_timeout")
    assert not Subscription.objects.filter(state="opted_out").exists()
    assert held() == set()


def test_everybody_decided_about_is_a_contact_also_without_a_list(line: SendingList) -> None:
    enter(decided(None, OUT, account_id=line.account_id))
    assert Contact.objects.get().phone == PHONE


@pytest.mark.django_db(transaction=True)
def test_decisions_about_the_same_people_in_two_orders_wait_and_never_deadlock(line: SendingList) -> None:
    other_line = SendingListFactory(provider_account=line.provider_account)
    phones = [f"+1415555{n:04d}" for n in range(40)]
    failed: list[Exception] = []

    def batches(mine: SendingList, order: list[str], minute: int) -> None:
        try:
            for n in range(10):
                with transaction.atomic():
                    for_list = None if n % 3 == 0 else mine.id
                    enter(*(decided(mine, OUT, minute + n, list_id=for_list, phone=phone) for phone in order))
        except Exception as error:
            failed.append(error)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        pool.submit(batches, line, phones, 0)
        pool.submit(batches, other_line, phones[::-1], 100)
    assert failed == []


def test_a_batch_of_any_size_costs_the_same_number_of_statements(line: SendingList) -> None:
    def cost(n: int) -> int:
        with CaptureQueriesContext(connection) as queries:
            decide([decided(line, OUT, key=str(n), phone=f"+1415{n}{k:04d}") for k in range(n)], Totals())
        return len(queries)

    assert cost(300) == cost(100)
