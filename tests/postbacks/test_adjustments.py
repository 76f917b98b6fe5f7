"""Negative amounts: what they take back, in whatever order they come."""

from itertools import permutations

import pytest

from postbacks.models import Conversion
from tests.postbacks.conftest import actual_totals, expected_totals


def row(verdict):
    return Conversion.objects.get(verdict=verdict)


@pytest.mark.parametrize("transaction", ["", "t1"])
def test_a_full_adjustment_reverses_its_conversion_and_leaves_no_money(world, transaction):
    first = world.say(payout="18.50", txid=transaction)
    adjusted = world.say(payout="-18.5", txid=transaction)
    assert (adjusted.verdict, adjusted.kind, adjusted.original_id) == ("adjusted", "adjustment", first.id)
    assert world.counted() == [("reversed", "18.5"), ("approved", "-18.5")]
    assert world.totals() == {}
    assert actual_totals() == expected_totals()


def test_an_adjustment_before_its_original_waits_for_it(world):
    waiting = world.say(payout=-4, txid="t1")
    assert (waiting.verdict, waiting.kind, waiting.account_id) == ("negative_payout", "", world.account.id)
    assert world.totals() == {}
    world.say(payout=10, txid="t1")
    assert row("adjusted").original == row("recorded")
    assert world.totals() == {"conversion": (1, "6")}
    assert actual_totals() == expected_totals()


def test_an_adjustment_waits_for_the_transaction_id_of_its_original(world):
    world.say(payout=10)
    world.say(payout=20, txid="t2")
    assert world.say(payout=-10, txid="t1").verdict == "negative_payout"
    world.say(payout=10, txid="t1")
    assert row("adjusted").original.status == "reversed"
    assert world.totals() == {"conversion": (1, "20")}


def test_the_same_adjustment_twice_is_one(world):
    world.say(payout=10, txid="t1")
    assert [world.say(payout=-10, txid="t1").verdict for _ in range(3)] == ["adjusted", "duplicate", "duplicate"]
    assert world.totals() == {}


def test_two_waiting_copies_are_one_when_the_original_comes(world):
    for _ in range(2):
        world.say(payout=-10, txid="t1")
    world.say(payout=10, txid="t1")
    assert sorted(Conversion.objects.values_list("verdict", flat=True)) == ["adjusted", "duplicate", "recorded"]


def test_a_retry_is_the_same_though_another_sale_came_between(world):
    world.say(payout=10, txid="t1")
    world.say(payout=-10)
    world.say(payout=10, txid="t2")
    assert world.say(payout=-10).verdict == "duplicate"
    assert world.totals() == {"conversion": (1, "10")}


def test_a_retry_is_the_same_though_its_transaction_came_between(world):
    world.say(payout=10)
    assert world.say(payout=-8, txid="t1").verdict == "adjusted"
    world.say(payout=9, txid="t1")
    assert world.say(payout=-8, txid="t1").verdict == "duplicate"
    assert world.totals() == {"conversion": (2, "11")}


def test_other_amounts_are_other_adjustments_and_together_they_reverse(world):
    world.say(payout=10, txid="t1")
    world.say(payout=-4, txid="t1")
    assert world.totals() == {"conversion": (1, "6")}
    world.say(payout=-6, txid="t1")
    assert Conversion.objects.get(kind="conversion").status == "reversed"
    assert world.totals() == {}


@pytest.mark.parametrize("order", sorted(set(permutations(["10", "-4", "-6", "-4"]))))
@pytest.mark.parametrize("transaction", ["", "t1"])
def test_a_conversion_and_its_adjustments_net_the_same_in_any_order(world, order, transaction):
    for amount in order:
        world.hit(payout=amount, txid=transaction)
        world.work()
    assert world.totals() == {}
    assert Conversion.objects.get(kind="conversion").status == "reversed"
    assert Conversion.objects.filter(kind="adjustment").count() == 2


def test_an_adjustment_takes_from_the_sale_of_its_amount(world):
    world.say(payout=10, txid="t1")
    world.say(payout=6, txid="t2")
    world.say(payout=-10)
    assert world.counted()[:2] == [("reversed", "10"), ("approved", "6")]


def test_an_adjustment_of_another_transaction_waits(world):
    world.say(payout=10, txid="t1")
    assert world.say(payout=-10, txid="t2").verdict == "negative_payout"
    assert world.say(payout=-10, txid="t1", goal_id=5).verdict == "negative_payout"
    assert world.totals() == {"conversion": (1, "10")}


def test_a_pending_conversion_is_adjusted_among_the_pending(world):
    world.say(payout=10, txid="t1", status="pending")
    world.say(payout=-4, txid="t1")
    assert world.totals() == {"conversion_pending": (1, "6")}
    world.say(payout=10, txid="t1", status="approved")
    assert world.totals() == {"conversion": (1, "6")}
    world.say(payout=-6, txid="t1")
    assert world.totals() == {}


@pytest.mark.parametrize("words", list(permutations(["approved", "adjust"])))
def test_a_late_approval_does_not_bring_back_what_was_taken(world, words):
    world.say(payout=10, txid="t1", status="pending")
    for word in words:
        world.say(**({"payout": -10} if word == "adjust" else {"payout": 10, "status": word}), txid="t1")
    assert Conversion.objects.get(kind="conversion").status == "reversed"
    assert world.totals() == {}


@pytest.mark.parametrize("words", list(permutations(["rejected", "adjust"])))
def test_rejected_and_taken_back_is_rejected_in_either_order(world, words):
    world.say(payout=10, txid="t1")
    for word in words:
        world.say(**({"payout": -10} if word == "adjust" else {"payout": 10, "status": word}), txid="t1")
    assert world.totals() == {"conversion_rejected": (1, "0")}


def test_an_update_after_an_adjustment_counts_only_when_something_is_left(world):
    world.rule(duplicate_rule="update")
    world.say(payout=10, txid="t1")
    world.say(payout=-10, txid="t1")
    world.say(payout=8, txid="t1")
    assert Conversion.objects.get(kind="conversion").status == "reversed"
    world.say(payout=25, txid="t1")
    assert world.totals() == {"conversion": (1, "15")}


def test_money_of_another_currency_reverses_nothing(world):
    world.say(payout=10, txid="t1", currency="USD")
    assert world.say(payout=-10, txid="t1", currency="EUR").verdict == "adjusted"
    assert Conversion.objects.get(kind="conversion").status == "approved"
    assert actual_totals() == expected_totals()
