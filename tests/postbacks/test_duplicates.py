"""When two postbacks are one conversion, when they change one, and when they are two."""

from datetime import timedelta
from itertools import permutations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postbacks.models import Click, Conversion
from tests.factories import ClickFactory, LinkFactory
from tests.postbacks.conftest import actual_totals, expected_totals, plain

MINUTES = timedelta(minutes=1)


def minutes(n):
    return n * MINUTES


def verdicts(world, *hits):
    return [world.say(ago=minutes(ago), **hit).verdict for ago, hit in hits]


def test_a_repeat_counts_nothing_under_the_usual_rule(world):
    assert verdicts(world, (9, {"payout": 10}), (5, {"payout": "10.00"}), (0, {"payout": 10})) == [
        "recorded", "duplicate", "duplicate",
    ]  # fmt: skip
    assert world.counted() == [("approved", "10")]
    assert world.totals() == {"conversion": (1, "10")}


@pytest.mark.parametrize(
    ("rule", "verdict", "counted"),
    [
        ("ignore", "duplicate_differs", [("approved", "10")]),
        ("update", "updated", [("approved", "12")]),
        ("add", "upsell", [("approved", "10"), ("approved", "12")]),
    ],
)
@pytest.mark.parametrize("transaction", ["", "t1"])
def test_another_amount_is_treated_by_the_connections_rule(world, rule, verdict, counted, transaction):
    world.rule(duplicate_rule=rule)
    first = world.say(payout=10, txid=transaction)
    other = world.say(payout=12, txid=transaction)
    assert (other.verdict, other.original_id) == (verdict, first.id)
    assert world.counted() == counted
    assert world.totals() == {"conversion": (len(counted), str(sum(int(amount) for _, amount in counted)))}


@pytest.mark.parametrize(
    ("rule", "at", "expected"),
    [
        ("add", (30, 21), ["recorded", "duplicate"]),
        ("add", (30, 19), ["recorded", "upsell"]),
        ("add", (30, 22, 14, 6), ["recorded", "duplicate", "duplicate", "duplicate"]),
        ("add", (60, 52, 30, 22), ["recorded", "duplicate", "upsell", "duplicate"]),
        ("ignore", (30, 0), ["recorded", "duplicate"]),
        ("update", (30, 0), ["recorded", "duplicate"]),
    ],
)
def test_only_adding_connections_take_a_later_repeat_for_a_sale_and_chains_of_retries_are_one(
    world, rule, at, expected
):
    world.rule(duplicate_rule=rule)
    assert verdicts(world, *((ago, {"payout": 10}) for ago in at)) == expected


def test_the_window_is_the_connections(world):
    world.rule(duplicate_rule="add", duplicate_window=timedelta(minutes=2))
    assert verdicts(world, (10, {"payout": 10}), (7, {"payout": 10})) == ["recorded", "upsell"]


@pytest.mark.parametrize("order", sorted(set(permutations(("", "", "t1")))))
@pytest.mark.parametrize("rule", ["ignore", "update", "add"])
def test_hits_with_and_without_a_transaction_id_merge_in_any_order(world, order, rule):
    world.rule(duplicate_rule=rule)
    found = sorted(world.say(payout=10, txid=transaction).verdict for transaction in order)
    assert found == ["duplicate", "duplicate", "recorded"]
    assert world.counted() == [("approved", "10")]
    assert Conversion.objects.get(kind="conversion").transaction_id == "t1"


def test_a_transaction_id_merges_with_a_chain_of_nameless_retries(world):
    hits = ((30, {"payout": 10}), (22, {"payout": 10}), (14, {"payout": 10, "txid": "t1"}))
    assert verdicts(world, *hits) == ["recorded", "duplicate", "duplicate"]


def test_a_transaction_id_far_from_the_nameless_hit_is_another_sale(world):
    assert verdicts(world, (30, {"payout": 10}), (14, {"payout": 10, "txid": "t1"})) == ["recorded", "recorded"]


@pytest.mark.parametrize("rule", ["ignore", "update", "add"])
def test_other_transactions_and_other_events_are_other_conversions(world, rule):
    world.rule(duplicate_rule=rule)
    hits = [{"txid": "t1"}, {"txid": "t2"}, {"txid": "t1", "goal_id": 7}, {"txid": "t1", "goal_id": 0}, {"goal_id": 7}]
    assert [world.say(payout=10, **hit).verdict for hit in hits] == [
        "recorded", "recorded", "recorded", "duplicate", "duplicate",
    ]  # fmt: skip


def test_an_upsell_survives_learning_its_transaction_id(world):
    """Three further sales of which one is named later, then one more of that name: four keys that never collide."""
    world.rule(duplicate_rule="add")
    hits = [{"payout": 10}, {"payout": 20}, {"payout": 30}, {"payout": 30, "txid": "t1"}, {"payout": 40, "txid": "t1"}]
    assert [world.say(**hit).verdict for hit in hits] == ["recorded", "upsell", "upsell", "duplicate", "upsell"]
    assert [world.hit(**hit) for hit in ({"payout": 20, "txid": "t2"}, {"payout": 50})]
    world.work()
    assert sorted(int(amount) for _, amount in world.counted()) == [10, 20, 30, 40, 50]


@pytest.mark.parametrize("transaction", ["", "t1"])
def test_status_words_move_a_conversion_and_old_ones_move_it_back_never(world, transaction):
    words = ["pending", "approved", "pending", "rejected", "approved", "pending", "rejected"]
    found = [world.say(payout=10, txid=transaction, status=word).verdict for word in words]
    assert found == ["recorded", "updated", "duplicate", "updated", "duplicate", "duplicate", "duplicate"]
    assert world.counted() == [("rejected", "10")]
    assert world.totals() == {"conversion_rejected": (1, "10")}


def test_a_repeated_rejection_is_no_further_sale(world):
    world.rule(duplicate_rule="add")
    hits = (
        (90, {"payout": 10}),
        (60, {"payout": 10, "status": "rejected"}),
        (30, {"payout": 10, "status": "rejected"}),
    )
    assert verdicts(world, *hits) == ["recorded", "updated", "duplicate"]


def test_a_status_moves_the_sale_of_its_amount(world):
    world.rule(duplicate_rule="add")
    for payout, status in ((10, "approved"), (20, "approved"), (20, "rejected")):
        world.say(payout=payout, txid="t1", status=status)
    assert world.counted() == [("approved", "10"), ("rejected", "20")]


def test_a_new_status_is_heard_though_its_amount_is_ignored(world):
    world.say(payout=10, txid="t1", status="pending")
    assert world.say(payout=0, txid="t1", status="rejected").verdict == "updated"
    assert world.counted() == [("rejected", "10")]


def test_a_word_worked_off_late_undoes_no_newer_one(world):
    world.say(payout=10, txid="t1", status="approved")
    assert world.say(payout=10, txid="t1", status="pending", ago=minutes(5)).verdict == "duplicate"
    assert world.counted() == [("approved", "10")]


def test_an_amount_worked_off_late_undoes_no_newer_one(world):
    world.rule(duplicate_rule="update")
    world.say(payout=10, txid="t1", ago=minutes(9))
    world.say(payout=12, txid="t1")
    assert world.say(payout=11, txid="t1", ago=minutes(5)).verdict == "duplicate"
    assert world.counted() == [("approved", "12")]


@pytest.mark.parametrize("transaction", ["", "t1"])
def test_a_late_retry_of_an_updated_amount_changes_nothing(world, transaction):
    world.rule(duplicate_rule="update")
    hits = [{"payout": 10, "currency": "USD"}, {"payout": 12, "currency": "EUR"}] * 2
    assert [world.say(**hit, txid=transaction).verdict for hit in hits] == [
        "recorded", "updated", "duplicate", "duplicate",
    ]  # fmt: skip
    (row,) = Conversion.objects.exclude(kind="")
    assert (plain(row.payout), row.currency) == ("12", "EUR")


@pytest.mark.parametrize("rule", ["ignore", "update", "add"])
def test_a_repeat_without_an_amount_leaves_the_amount(world, rule):
    world.rule(duplicate_rule=rule)
    world.say(payout=10, txid="t1", status="pending")
    assert world.say(txid="t1").verdict == "updated"
    assert world.say(txid="t1").verdict == "duplicate"
    assert world.counted() == [("approved", "10")]


def test_clicks_of_one_batch_are_judged_like_clicks_of_many(world):
    for payout in (10, 10, 12):
        world.hit(payout=payout)
    world.work()
    assert list(Conversion.objects.order_by("id").values_list("verdict", flat=True)) == [
        "recorded", "duplicate", "duplicate_differs",
    ]  # fmt: skip


# One network's words about one click: small sets, so that they meet.
HITS = st.fixed_dictionaries(
    {"payout": st.sampled_from(["10", "12", "0", "-10", "-4", ""])},
    optional={
        "txid": st.sampled_from(["t1", "t2"]),
        "goal_id": st.just("7"),
        "status": st.sampled_from(["pending", "rejected", "approved", "odd"]),
        "currency": st.just("EUR"),
        "bare": st.just(True),
    },
)
RULES = st.sampled_from(["ignore", "update", "add"])
OFTEN = settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def fresh(world, rule):
    world.rule(duplicate_rule=rule)
    world.click = ClickFactory(link=LinkFactory(offer=world.offer))


def play(world, hits, splits=()):
    """Send the hits; work off after those whose place is in `splits`, and at the end. What the click has come to."""
    for place, hit in enumerate(hits):
        rest = dict(hit)
        bare = rest.pop("bare", False)
        world.hit(to={"bare": bare}, **rest)
        if place in splits:
            world.work()
    world.work()
    return outcome(world.click)


def outcome(click: Click):
    rows = Conversion.objects.filter(click=click).exclude(kind="")
    trust = [(row.kind, row.is_verified, row.status, row.payout, row.currency, row.event) for row in rows]
    return sorted(trust, key=str)


@OFTEN
@given(data=st.data(), hits=st.lists(HITS, min_size=1, max_size=5), rule=RULES)
def test_exact_repeats_change_nothing_wherever_they_come_and_however_they_are_batched(world, data, hits, rule):
    fresh(world, rule)
    once = play(world, hits, range(len(hits)))
    repeated = list(hits)
    for _ in range(data.draw(st.integers(1, 4))):
        hit = data.draw(st.sampled_from(hits))
        repeated.insert(data.draw(st.integers(repeated.index(hit) + 1, len(repeated))), hit)
    fresh(world, rule)
    assert play(world, repeated, data.draw(st.sets(st.integers(0, len(repeated))))) == once
    assert actual_totals() == expected_totals()


@OFTEN
@given(hits=st.lists(HITS, min_size=1, max_size=7), rule=RULES)
def test_verified_money_does_not_depend_on_what_comes_without_the_token(world, hits, rule):
    fresh(world, rule)
    everything = [row for row in play(world, hits) if row[1]]
    fresh(world, rule)
    assert [row for row in play(world, [hit for hit in hits if "bare" not in hit]) if row[1]] == everything
