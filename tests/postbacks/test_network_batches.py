"""One batch costs the same number of statements whatever its size, and mixes no two accounts."""

from datetime import UTC, datetime

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from postbacks import conversions
from postbacks.models import Conversion
from tests.factories import ClickFactory, InboundRequestFactory, MessageFactory
from tests.postbacks.conftest import actual_totals, expected_totals
from trackly.management.commands.work import JOBS
from webhooks.inbound import batches
from webhooks.inbound.models import InboundRequest, Proof, Source


def requests(world, n, *, queries=("payout=10", "payout=10&txid=t1", "payout=-4", "payout=NaN")):
    """n postbacks of n clicks, as received with the token: new ones, repeats, adjustments, unreadable ones."""
    messages = MessageFactory.create_batch(2, sending_list__provider_account__account=world.account)
    clicks = ClickFactory.create_batch(n // len(queries), link=world.click.link, message=messages[0])
    for place in range(n):
        click, query = clicks[place // len(queries)], queries[place % len(queries)]
        InboundRequestFactory(
            source=Source.POSTBACK,
            slug="tune",
            method="GET",
            path=f"/api/postbacks/tune/~{world.connection.id}".encode(),
            query=f"click_id={click.click_id}&{query}".encode(),
            body=b"",
            account=world.account,
            party_id=world.connection.id,
            proof=Proof.TOKEN,
        )


def statements(work):
    with CaptureQueriesContext(
        database,
    ) as captured:
        work()
    return len(captured)


def batch():
    assert batches.run(JOBS[1], now=datetime.now(UTC), limit=500)


def test_a_batch_of_500_costs_as_many_statements_as_one_of_40(world):
    requests(world, 40)
    few = statements(batch)
    requests(world, 500)
    assert statements(batch) == few
    assert few <= 30
    assert actual_totals() == expected_totals()
    assert Conversion.objects.filter(kind="conversion").count() == 135


def test_a_batch_of_repeats_costs_no_more(world):
    requests(world, 40)
    few = statements(batch)
    InboundRequest.objects.update(state="waiting")
    requests(world, 200)
    assert statements(batch) <= few + 2


def test_a_sweep_of_hundreds_costs_as_many_statements_as_one_of_few(world):
    def unmapped(n):
        requests(world, n, queries=("payout=10&status=odd",))
        batch()

    def sweep():
        world.rule(status_words={"odd": "approved"})
        assert conversions.sweep_unmapped(datetime.now(UTC))
        world.rule(status_words={})

    unmapped(20)
    few = statements(sweep)
    unmapped(300)
    assert statements(sweep) == few


def test_hundreds_of_waiting_copies_of_an_adjustment_are_one(world):
    requests(world, 400, queries=("payout=-4",) * 400)
    batch()
    world.click = Conversion.objects.first().click
    world.say(payout=10)
    assert world.totals() == {"conversion": (1, "6")}


def test_two_accounts_in_one_batch_never_mix(world, elsewhere):
    theirs = elsewhere.click.click_id
    for one, other in ((world, elsewhere), (elsewhere, world)):
        one.hit(payout=10, txid="t1")
        one.hit(payout=10, txid="t1", click_id=other.click.click_id)
        one.hit(payout=-10, txid="t1", click_id=other.click.click_id)
    world.work()
    assert world.totals() == elsewhere.totals() == {"conversion": (1, "10")}
    rows = Conversion.objects.filter(click_ref=theirs, account=world.account)
    assert {(row.verdict, row.click_id, row.original_id) for row in rows} == {("wrong_account", None, None)}
    assert actual_totals() == expected_totals()


@pytest.mark.parametrize("rule", ["ignore", "update", "add"])
def test_each_click_is_judged_by_its_own_connections_rule(world, elsewhere, rule):
    world.rule(duplicate_rule=rule)
    for payout in (10, 12):
        world.hit(payout=payout, txid="t1")
        elsewhere.hit(payout=payout, txid="t1")
    world.work()
    assert elsewhere.counted() == [("approved", "10")]
    assert world.totals()["conversion"] == {"ignore": (1, "10"), "update": (1, "12"), "add": (2, "22")}[rule]


def test_a_poison_hit_does_not_hold_up_its_siblings(world):
    requests(world, 8)
    poison = [row.uid for row in InboundRequest.objects.all() if b"NaN" in bytes(row.query)]
    InboundRequest.objects.filter(uid__in=poison).update(slug="gone")
    world.work()
    assert Conversion.objects.filter(kind="conversion").count() == 2
    failed = InboundRequest.objects.filter(slug="gone")
    assert {(row.state, row.attempts) for row in failed} == {("waiting", 1)}
    assert "There is no network gone any more" in failed.first().last_error
