"""What people do to judged hits: it counts exactly what they said, is audited, and no replay undoes it."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db.models import Q
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from postbacks import conversions, correcting, directory
from postbacks.correcting import CannotCorrect
from postbacks.judging import SETTLED
from postbacks.models import Conversion
from tests.factories import ClickFactory, LinkFactory, NetworkConnectionFactory, UserFactory, now
from tests.postbacks.conftest import actual_totals, expected_totals
from tests.postbacks.test_meeting_workers import all_at_once, batch
from trackly.models import AuditEntry
from trackly.signing import token_hash
from webhooks.inbound.models import InboundRequest
from webhooks.inbound.replaying import replay

BARE = {"bare": True}
WRONG = {"token": "w" * 26}
NOBODY = {"click_id": "z" * 26, "to": BARE}
LITERAL = {"click_id": "{aff_sub}"}
HOURS = timedelta(hours=1)


@pytest.fixture(autouse=True)
def totals_are_those_of_the_rows(world):
    yield
    assert actual_totals() == expected_totals()


def assign(hit, connection, user=None):
    return again(hit, correcting.assign(hit, connection, user=user, now=now()))


def match(hit, click, user=None):
    return again(hit, correcting.match(hit, click, user=user, now=now()))


def mark(*hits, user=None):
    return correcting.mark_as_test(Conversion.objects.filter(id__in=[hit.id for hit in hits]), user=user, now=now())


def again(hit, verdict=None):
    hit.refresh_from_db()
    assert verdict in (None, hit.verdict)
    return hit


def replay_all(world):
    for request in InboundRequest.objects.all():
        replay(InboundRequest.objects.filter(uid=request.uid), user=None, now=datetime.now(UTC))
        directory.forget()
        world.work()
    conversions.rejudge(Conversion.objects.all(), now())


def standing(*left_out):
    fields = [field.attname for field in Conversion._meta.concrete_fields if field.name not in ("judged_at", *left_out)]
    return list(Conversion.objects.order_by("id").values(*fields))


def swap_token(world, token):
    world.rule(postback_token=token, postback_token_hash=token_hash(token))


# --- assign


def test_an_unrouted_hit_waits_in_the_account_it_was_assigned_to_and_counts_when_its_click_comes(world):
    hit = world.say(**NOBODY, payout=10)
    row = assign(hit, world.connection)
    assert (row.verdict, row.account, row.connection) == ("unknown_click", world.account, world.connection)
    ClickFactory(click_id="z" * 26, link=world.click.link)
    world.work()
    row = again(hit)
    assert (row.verdict, row.is_accepted, row.is_verified) == ("recorded", True, False)
    assert world.totals() == {"conversion": (1, "10")}


def test_an_assigned_hit_never_reaches_another_accounts_click(world, elsewhere):
    hit = assign(world.say(**NOBODY, payout=10), world.connection)
    ClickFactory(click_id="z" * 26, link=elsewhere.click.link)
    replay_all(world)
    assert (again(hit).verdict, hit.account, hit.click) == ("wrong_account", world.account, None)
    assert (world.totals(), elsewhere.totals()) == ({}, {})


def test_a_hit_with_a_wrong_token_counts_once_it_is_assigned(world):
    hit = world.say(payout=10, to=WRONG)
    row = assign(hit, world.connection)
    assert (row.verdict, row.refusal, row.is_accepted, row.is_verified) == ("recorded", "bad_secret", True, False)
    assert world.totals() == {"conversion": (1, "10")}
    assert world.say(payout=10).verdict == "duplicate"


@pytest.mark.parametrize("token", ["wrong still", "mended", "now of another account"])
def test_a_replay_leaves_an_assigned_hit_where_it_was_assigned(world, elsewhere, token):
    hit = assign(world.say(payout=10, status="odd", to=WRONG), world.connection)
    assert hit.verdict == "status_unmapped"
    if token != "wrong still":
        swap_token(world if token == "mended" else elsewhere, WRONG["token"])
    before = standing()
    replay_all(world)
    assert standing() == before
    world.rule(status_words={"odd": "approved"})
    replay_all(world)
    assert world.totals() == {"conversion": (1, "10")}


def test_what_cannot_be_assigned_says_why_and_changes_nothing(world, elsewhere):
    counted, refused, unrouted = world.say(payout=10), world.say(payout=11, to=WRONG), world.say(**NOBODY, payout=12)
    other_network = NetworkConnectionFactory(account=world.account, network="everflow")
    held = world.say(payout=-3, to=BARE)
    before = standing()
    for hit, connection, why in [
        (unrouted, other_network, "connection to everflow"),
        (counted, world.connection, "settled already: recorded"),
        (refused, elsewhere.connection, "another account"),
        (held, world.connection, "belongs to an account already"),
    ]:
        with pytest.raises(CannotCorrect, match=why):
            correcting.assign(hit, connection, user=None, now=now())
    assert standing() == before
    assert not AuditEntry.objects.exists()


def test_a_hit_is_assigned_once(world, elsewhere):
    hit = assign(world.say(**NOBODY, payout=10), world.connection)
    for connection in (world.connection, elsewhere.connection):
        with pytest.raises(CannotCorrect):
            correcting.assign(hit, connection, user=None, now=now())


# --- match

NAMELESS = {
    "unknown_click": {"click_id": "y" * 26},
    "missing_click_id": {"click_id": ""},
    "malformed_click_id": {"click_id": "no click id!"},
    "literal_macro": LITERAL,
    "too_long": {"click_id": "x" * 70},
}


@pytest.mark.parametrize("verdict", NAMELESS)
def test_a_hit_matched_by_hand_counts_and_its_replay_changes_nothing(world, verdict):
    hit = world.say(**NAMELESS[verdict], payout=10)
    assert hit.verdict == verdict
    evidence = (hit.click_text, bytes(hit.query))
    row = match(hit, world.click)
    assert (row.verdict, row.click, row.click_ref) == ("recorded", world.click, world.click.click_id)
    assert (row.click_text, bytes(row.query)) == evidence
    assert row.offer == world.offer
    before = standing()
    replay_all(world)
    assert standing() == before
    assert world.totals() == {"conversion": (1, "10")}


@pytest.mark.parametrize("verdict", NAMELESS)
def test_a_match_that_does_not_count_yet_is_kept_through_replays_and_sweeps(world, verdict):
    hit = match(world.say(**NAMELESS[verdict], payout=10, status="odd"), world.click)
    for _ in range(2):
        replay_all(world)
        assert (again(hit).verdict, hit.click) == ("status_unmapped", world.click)
    world.rule(status_words={"odd": "approved"})
    world.work()
    assert (again(hit).verdict, hit.click) == ("recorded", world.click)
    assert world.totals() == {"conversion": (1, "10")}


def test_a_matched_hit_is_judged_by_mended_lists_like_any_other(world):
    world.rule(address_policy="enforce", addresses="198.51.100.7")
    hit = match(world.say(**LITERAL, payout=10), world.click)
    assert (hit.verdict, hit.click, world.totals()) == ("ip_not_allowed", world.click, {})
    world.rule(addresses="127.0.0.1")
    replay_all(world)
    assert (again(hit).verdict, hit.is_verified, hit.click) == ("recorded", True, world.click)
    assert world.totals() == {"conversion": (1, "10")}


@pytest.mark.parametrize("way", ["replay", "rejudge"])
def test_a_match_made_after_a_worker_looked_and_before_it_locked_is_kept(world, monkeypatch, way):
    hit, lock = world.say(**NAMELESS["unknown_click"], payout=10, status="odd"), conversions.lock_clicks
    InboundRequest.objects.update(state="waiting", due_at=now())

    def meanwhile(refs):
        monkeypatch.setattr(conversions, "lock_clicks", lock)
        match(hit, world.click)
        return lock(refs)

    monkeypatch.setattr(conversions, "lock_clicks", meanwhile)
    batch() if way == "replay" else conversions.rejudge(Conversion.objects.all(), now())
    assert (again(hit).verdict, hit.click) == ("status_unmapped", world.click)


def test_a_match_says_nothing_about_the_sender(world):
    world.offer.ceiling = 50
    world.offer.save()
    small, large = (world.say(**NOBODY, payout=payout, goal_id=payout) for payout in (10, 80))
    assert (match(small, world.click).verdict, small.account) == ("recorded", world.account)
    assert match(large, world.click).verdict == "held"
    assert world.totals() == {"conversion_unverified": (1, "10")}
    replay_all(world)
    assert again(large).verdict == "held"
    assert correcting.accept(Conversion.objects.all(), user=None, now=now()) == [large.id]
    assert world.totals() == {"conversion": (1, "80"), "conversion_unverified": (1, "10")}


def test_a_matched_repeat_of_what_counts_is_a_duplicate(world):
    world.say(payout=10, txid="t1")
    assert match(world.say(**LITERAL, payout=10, txid="t1"), world.click).verdict == "duplicate"
    assert world.totals() == {"conversion": (1, "10")}


@pytest.mark.parametrize("payout", ["NaN", "{payout}"])
def test_a_match_makes_no_sense_of_a_payout_that_made_none(world, payout):
    world.offer.default_payout = 7
    world.offer.save()
    hit = match(world.say(**LITERAL, payout=payout), world.click)
    assert (hit.verdict, hit.click, hit.kind) == ("bad_payout", world.click, "")
    replay_all(world)
    assert (again(hit).verdict, world.totals()) == ("bad_payout", {})


def test_what_cannot_be_matched_says_why_and_changes_nothing(world, elsewhere):
    cases = [
        (world.say(payout=10), world.click, "click is not known"),
        (world.say(payout="NaN", **LITERAL, test=1), world.click, "this one is: test"),
        (world.say("click_id=a&click_id=b&payout=1"), world.click, "contradicting"),
        (world.say(payout="{payout}"), world.click, "click is not known"),
        (world.say(**LITERAL, payout=10), elsewhere.click, "another account"),
    ]
    before = standing()
    for hit, click, why in cases:
        with pytest.raises(CannotCorrect, match=why):
            correcting.match(hit, click, user=None, now=now())
    assert standing() == before
    assert not AuditEntry.objects.exists()


def test_a_hit_whose_own_click_appeared_is_not_matched_with_another(world):
    hit = world.say(**NAMELESS["unknown_click"], payout=10)
    ClickFactory(click_id="y" * 26, link=world.click.link)
    with pytest.raises(CannotCorrect, match="known by now"):
        correcting.match(hit, world.click, user=None, now=now())


def test_an_unrouted_hit_is_assigned_and_then_matched(world):
    hit = assign(world.say(payout=10, to=BARE, **NAMELESS["too_long"]), world.connection)
    assert (hit.verdict, hit.account) == ("too_long", world.account)
    assert match(hit, world.click).verdict == "recorded"
    replay_all(world)
    assert world.totals() == {"conversion": (1, "10")}


# --- mark as test


def test_a_marked_sale_stands_in_no_total_and_marking_it_again_does_nothing(world):
    hit, user = world.say(payout=10), UserFactory()
    assert [mark(hit, user=user) for _ in range(2)] == [1, 0]
    row = again(hit)
    assert (row.verdict, row.kind, row.key, row.is_test, row.payout) == ("test", "", None, True, 10)
    assert "was: recorded" in row.fix
    assert actual_totals() == {}
    entry = AuditEntry.objects.get()
    assert (entry.verb, entry.user, entry.account, entry.target) == (
        "marked as test", user, world.account, f"conversion {hit.id}",
    )  # fmt: skip


@pytest.mark.parametrize("rule", ["ignore", "update", "add"])
@pytest.mark.parametrize("transaction", ["", "t1"])
def test_no_replay_token_or_acceptance_makes_a_test_count(world, rule, transaction):
    world.rule(duplicate_rule=rule, token_only=True)
    hits = [
        world.say(payout=10, txid=transaction, ago=3 * HOURS),
        world.say(payout=10, txid=transaction, ago=3 * HOURS),
        world.say(payout=20, txid="t2", to=BARE),
        world.say(payout=30, txid="t3", to=WRONG),
        world.say(**LITERAL, payout=40),
        world.say(**NOBODY, payout=50),
    ]
    assert mark(*hits) == 6
    before = standing()
    swap_token(world, WRONG["token"])
    ClickFactory(click_id="z" * 26, link=world.click.link)
    replay_all(world)
    correcting.accept(Conversion.objects.all(), user=None, now=now())
    assert standing() == before
    assert actual_totals() == {}


@pytest.mark.parametrize("rule", ["ignore", "update", "add"])
@pytest.mark.parametrize("transaction", ["", "t1"])
@pytest.mark.parametrize("to", [None, BARE])
def test_nothing_that_repeats_a_test_takes_its_place(world, rule, transaction, to):
    world.rule(duplicate_rule=rule)
    hit = world.say(payout=10, txid=transaction)
    repeat = world.say(payout=10, txid=transaction)
    mark(hit)
    later = world.say(payout=10, txid=transaction, to=to)
    assert (again(repeat).verdict, later.verdict, later.is_test, later.original) == ("duplicate", "test", True, hit)
    assert "marked as a test" in later.fix
    assert world.totals() == {}
    before = standing()
    replay_all(world)
    assert standing() == before


@pytest.mark.parametrize("word", [{"status": "rejected"}, {"payout": 12}, {"payout": -10}, {"payout": ""}])
def test_every_later_word_about_a_tests_transaction_is_a_test(world, word):
    mark(world.say(payout=10, txid="t1"))
    assert world.say(**{"payout": 10, "txid": "t1", **word}).verdict == "test"
    assert world.totals() == {}


@pytest.mark.parametrize(
    "sale", [{"txid": "t2", "payout": 10}, {"txid": "t1", "payout": 10, "goal_id": 7}, {"payout": 12, "txid": "t2"}]
)
def test_another_sale_of_the_click_counts_though_one_was_a_test(world, sale):
    mark(world.say(payout=10, txid="t1"))
    assert world.say(**sale).verdict == "recorded"
    assert world.totals() == {"conversion": (1, str(sale["payout"]))}


def test_a_nameless_hit_of_another_amount_is_another_sale(world):
    mark(world.say(payout=1))
    assert world.say(payout=25).verdict == "recorded"
    assert world.say(payout=25).verdict == "duplicate"
    assert world.say(payout=1).verdict == "test"
    assert world.totals() == {"conversion": (1, "25")}


def test_a_chain_of_retries_of_a_test_is_the_test_and_a_later_sale_counts(world):
    world.rule(duplicate_rule="add")
    mark(world.say(payout=10, ago=timedelta(minutes=60)))
    found = [world.say(payout=10, ago=timedelta(minutes=minutes)).verdict for minutes in (52, 44, 36, 10)]
    assert found == ["test", "test", "test", "recorded"]


def test_a_chain_of_retries_worked_off_at_once_is_the_test(world):
    world.rule(duplicate_rule="add")
    mark(world.say(payout=10, ago=timedelta(minutes=60)))
    requests = [world.sent(payout=10, ago=timedelta(minutes=minutes)) for minutes in (52, 44, 36)]
    assert [world.judged(request).verdict for request in requests] == ["test"] * 3


def test_an_amount_that_was_updated_is_known_in_all_its_versions(world):
    world.rule(duplicate_rule="update")
    hits = [world.say(payout=payout, ago=HOURS * place) for place, payout in zip((3, 2, 1), (10, 12, 15), strict=True)]
    mark(hits[0])
    assert [world.say(payout=payout).verdict for payout in (10, 12, 15)] == ["test"] * 3
    assert world.say(payout=16).verdict == "recorded"


def test_what_took_from_a_marked_sale_is_marked_with_it_and_audited(world):
    hit = world.say(payout=10, txid="t1")
    adjustment = world.say(payout=-4, txid="t1")
    assert mark(hit) == 2
    assert (again(adjustment).verdict, adjustment.original) == ("test", hit)
    assert {row.target for row in AuditEntry.objects.all()} == {f"conversion {hit.id}", f"conversion {adjustment.id}"}
    assert world.say(payout=-4, txid="t1").verdict == "test"
    assert world.totals() == {}


@pytest.mark.parametrize("word", ["approved", "pending"])
def test_a_marked_adjustment_gives_the_money_back(world, word):
    world.say(payout=10, txid="t1", status=word)
    part, rest = world.say(payout=-4, txid="t1"), world.say(payout=-6, txid="t1")
    assert world.totals() == {}
    kind = "conversion" if word == "approved" else "conversion_pending"
    assert mark(rest) == 1
    assert world.totals() == {kind: (1, "6")}
    mark(part)
    assert world.totals() == {kind: (1, "10")}


def test_a_marked_update_is_undone(world):
    world.rule(duplicate_rule="update")
    world.say(payout=10, txid="t1", status="pending", ago=3 * HOURS)
    first = world.say(payout=12, txid="t1", ago=2 * HOURS)
    second = world.say(payout=15, txid="t1", status="rejected", ago=HOURS)
    assert world.counted() == [("rejected", "15")]
    mark(second)
    assert world.counted() == [("approved", "12")]
    mark(first)
    assert world.counted() == [("pending", "10")]


def test_an_undone_update_leaves_the_amount_that_the_rule_kept(world):
    world.say(payout=10, txid="t1", status="pending", ago=3 * HOURS)
    world.say(payout=12, txid="t1", status="approved", ago=2 * HOURS)
    mark(world.say(payout=10, txid="t1", status="rejected", ago=HOURS))
    assert world.counted() == [("approved", "10")]


def test_marking_a_duplicate_touches_nothing_of_its_original(world):
    world.offer.default_payout = 7
    world.offer.save()
    world.say()
    repeat = world.say()
    world.offer.default_payout = 9
    world.offer.save()
    mark(repeat)
    assert world.totals() == {"conversion": (1, "7")}


def test_upsells_of_a_test_are_sales_of_their_own(world):
    world.rule(duplicate_rule="add")
    base, upsell = world.say(payout=10, txid="t1"), world.say(payout=20, txid="t1")
    mark(base)
    assert (again(upsell).kind, world.totals()) == ("upsell", {"conversion": (1, "20")})
    assert [world.say(payout=payout, txid="t1").verdict for payout in (10, 20, 30)] == ["test", "duplicate", "upsell"]
    mark(upsell)
    assert world.totals() == {"conversion": (1, "30")}


def test_marking_a_strangers_hit_hides_no_sale(world):
    mark(world.say(payout=10, txid="t1", to=BARE))
    assert world.say(payout=10, txid="t1", to=BARE).verdict == "test"
    assert world.say(payout=10, txid="t1").verdict == "recorded"
    assert world.totals() == {"conversion": (1, "10")}


def test_a_test_that_showed_nothing_binds_no_sale(world):
    mark(world.say(payout="NaN"))
    world.offer.default_payout = 7
    world.offer.save()
    assert world.say().verdict == "recorded"


def test_marking_many_takes_every_chunk(world, monkeypatch):
    monkeypatch.setattr("postbacks.conversions.SWEEP_LIMIT", 2)
    for n in range(5):
        world.hit(payout=10, txid=f"t{n}")
    world.work()
    assert correcting.mark_as_test(Conversion.objects.all(), user=None, now=now()) == 5
    assert actual_totals() == {}


# --- audit


def test_each_correction_is_audited_with_who_whose_and_what_came_of_it(world):
    user = UserFactory()
    hit = assign(world.say(payout=10, to=BARE, **NAMELESS["too_long"]), world.connection, user)
    match(hit, world.click, user)
    mark(hit, user=user)
    entries = AuditEntry.objects.order_by("id")
    assert {(row.user, row.account, row.target) for row in entries} == {(user, world.account, f"conversion {hit.id}")}
    assert [(row.verb, row.detail) for row in entries] == [
        ("assigned", f"To connection {world.connection.id}, {world.connection}. Judged: click id too long."),
        ("matched", f"With click {world.click.click_id}. Judged: recorded."),
        ("marked as test", "Judged: recorded."),
    ]


@pytest.mark.parametrize(
    "correct",
    [
        lambda hit, world: assign(hit, world.connection, "nobody"),
        lambda hit, world: match(hit, world.click, "nobody"),
        lambda hit, world: mark(hit, user="nobody"),
    ],
)
def test_a_correction_that_cannot_be_audited_changes_nothing(world, correct):
    hit = world.say(**NOBODY, payout=10)
    before = standing()
    with pytest.raises(ValueError, match="User"):
        correct(hit, world)
    assert standing() == before


# --- at the same moment


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("other", ["match", "other click", "replay"])
def test_a_match_and_another_worker_count_one(world, other):
    hit = world.say(**LITERAL, payout=10)
    second = ClickFactory(link=world.click.link)
    replay(InboundRequest.objects.all(), user=None, now=now() - timedelta(seconds=1))
    refused = []

    def by_hand(click=world.click):
        try:
            correcting.match(Conversion.objects.get(id=hit.id), click, user=None, now=now())
        except CannotCorrect as error:
            refused.append(str(error))

    if other == "replay":
        by_hand()
        all_at_once(world.click, lambda: mark(hit), batch)
        assert (again(hit).verdict, hit.click, world.totals()) == ("test", world.click, {})
        return
    works = [by_hand, by_hand] if other == "match" else [by_hand, lambda: by_hand(second)]
    if other == "match":
        all_at_once(world.click, *works)
    else:
        for work in works:
            work()
    assert len(refused) == 1
    batch()
    assert (again(hit).verdict, world.totals()) == ("recorded", {"conversion": (1, "10")})


@pytest.mark.django_db(transaction=True)
def test_two_people_assigning_and_two_marking_do_it_once(world):
    hit = world.say(payout=10, to=WRONG)
    refused, marked = [], []

    def by_hand():
        try:
            correcting.assign(Conversion.objects.get(id=hit.id), world.connection, user=None, now=now())
        except CannotCorrect as error:
            refused.append(str(error))

    all_at_once(world.click, by_hand, by_hand)
    assert len(refused) == 1
    assert world.totals() == {"conversion": (1, "10")}
    assert actual_totals() == expected_totals()
    all_at_once(world.click, lambda: marked.append(mark(hit)), lambda: marked.append(mark(hit)))
    assert sorted(marked) == [0, 1]
    assert world.totals() == {}


@pytest.mark.django_db(transaction=True)
def test_a_repeat_judged_while_its_sale_is_marked_takes_no_place(world):
    hit = world.say(payout=10, txid="t1")
    world.hit(payout=10, txid="t1")
    all_at_once(world.click, lambda: mark(hit), batch)
    assert world.totals() == {}
    assert actual_totals() == expected_totals()


# --- any sequence

HITS = st.fixed_dictionaries(
    {"payout": st.sampled_from(["10", "12", "-10", "-4", ""])},
    optional={
        "txid": st.sampled_from(["t1", "t2"]),
        "status": st.sampled_from(["pending", "rejected", "odd"]),
        "click_id": st.sampled_from(["{aff_sub}", "nobodys"]),
        "to": st.sampled_from([BARE, WRONG]),
    },
)
CORRECTIONS = ["hit", "hit", "hit", "mark", "match", "assign", "accept", "reject", "approve", "promote", "replay"]
STEPS = st.lists(
    st.tuples(st.sampled_from(CORRECTIONS), HITS, st.integers(0, 20)),
    min_size=3,
    max_size=12,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, rule=st.sampled_from(["ignore", "update", "add"]))
def test_whatever_people_do_the_totals_are_those_of_the_rows_and_tests_stay_tests(world, steps, rule):
    world.rule(duplicate_rule=rule)
    world.click = ClickFactory(link=LinkFactory(offer=world.offer))
    # Its hits alone: those of earlier examples stand in the same tables.
    known, tests = set(Conversion.objects.values_list("id", flat=True)), set()
    for what, hit, place in [("hit", {"payout": "10"}, 0), *steps]:
        rows = list(Conversion.objects.exclude(id__in=known).order_by("id"))
        chosen = rows[place % len(rows)] if rows else None
        if what == "hit":
            world.hit(**hit)
            world.work()
        elif chosen is not None:
            _do(what, chosen, world)
            tests |= {chosen.id} if what == "mark" else set()
        assert actual_totals() == expected_totals()
        marked = Conversion.objects.filter(id__in=tests)
        assert not marked.exclude(verdict="test", kind="", is_test=True).exists()
        rejected = Conversion.objects.filter(flags__contains=["rejected_by_hand"])
        assert not rejected.exclude(kind="").exclude(status="rejected").exists()
    # What was held or waits may count when it is replayed later; what was answered, or is a test, never does.
    answered = Conversion.objects.filter(Q(verdict__in=SETTLED) | Q(id__in=tests), kind="")
    ids = list(answered.values_list("id", flat=True))
    replay_all(world)
    assert not Conversion.objects.filter(id__in=ids).exclude(kind="").exists()
    assert actual_totals() == expected_totals()


def _do(what, hit, world):
    try:
        if what == "mark":
            mark(hit)
        elif what == "match":
            match(hit, world.click)
        elif what == "assign":
            assign(hit, world.connection)
        elif what in ("reject", "approve", "promote"):
            getattr(correcting, what)(hit, user=None, now=now())
        elif what == "accept":
            correcting.accept(Conversion.objects.filter(id=hit.id), user=None, now=now())
        else:
            replay(InboundRequest.objects.filter(uid=hit.request_uid), user=None, now=datetime.now(UTC))
            world.work()
    except CannotCorrect:
        pass


def test_marking_a_word_that_moved_the_status_alone_leaves_the_amount(world):
    world.offer.default_payout = 5
    world.offer.save()
    sale = world.say(txid="T1", status="pending")
    word = world.say(txid="T1", status="approved")
    assert word.verdict == "updated"
    world.offer.default_payout = 50
    world.offer.save()
    correcting.mark_as_test(Conversion.objects.filter(pk=word.pk), user=None, now=now())
    sale.refresh_from_db()
    assert (sale.status, sale.payout) == ("pending", 5)
    assert actual_totals() == expected_totals()
