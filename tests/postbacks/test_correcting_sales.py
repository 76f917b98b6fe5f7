"""What people say about a sale: rejected, approved again, a repetition that is a further sale; it holds, whatever comes later."""

from datetime import timedelta

import pytest

from postbacks import correcting
from postbacks.correcting import CannotCorrect
from postbacks.models import Conversion
from tests.factories import ClickFactory, UserFactory, now
from tests.postbacks.conftest import actual_totals, expected_totals
from tests.postbacks.test_correcting import BARE, LITERAL, NOBODY, WRONG, again, mark, match, replay_all, standing
from tests.postbacks.test_meeting_workers import all_at_once, batch
from trackly.models import AuditEntry

HOURS = timedelta(hours=1)


@pytest.fixture(autouse=True)
def totals_are_those_of_the_rows(world):
    yield
    assert actual_totals() == expected_totals()


def do(verb, hit, user=None, **more):
    getattr(correcting, verb)(hit, user=user, now=now(), **more)
    return again(hit)


# --- reject


def test_a_rejected_sale_earns_nothing_and_its_approval_gives_it_back(world):
    hit = world.say(payout=10)
    assert do("reject", hit).status == "rejected"
    assert world.totals() == {"conversion_rejected": (1, "10")}
    assert do("approve", hit).status == "approved"
    assert (world.totals(), hit.flags) == ({"conversion": (1, "10")}, [])


def test_a_pending_sale_that_was_rejected_is_pending_again_when_approved(world):
    hit = world.say(payout=10, status="pending")
    do("reject", hit)
    assert do("approve", hit).status == "pending"


def test_the_adjustments_of_a_rejected_sale_go_with_it_and_come_back_with_it(world):
    hit = world.say(payout=10, txid="t1")
    world.say(payout=-4, txid="t1")
    do("reject", hit)
    assert world.totals() == {"conversion_rejected": (1, "6")}
    world.say(payout=-6, txid="t1")
    assert again(hit).status == "rejected"
    assert do("approve", hit).status == "reversed"
    assert world.totals() == {}


@pytest.mark.parametrize("rule", ["ignore", "update", "add"])
@pytest.mark.parametrize("said", [{}, {"status": "pending"}, {"status": "approved"}, {"payout": 10}])
def test_no_later_word_of_the_network_and_no_replay_approves_what_a_person_rejected(world, rule, said):
    world.rule(duplicate_rule=rule)
    hit = world.say(payout=10, txid="t1", ago=3 * HOURS)
    do("reject", hit)
    world.say(**{"payout": 10, "txid": "t1", **said})
    replay_all(world)
    assert again(hit).status == "rejected"
    assert world.totals() == {"conversion_rejected": (1, "10")}


def test_what_the_network_said_meanwhile_stands_after_the_approval(world):
    hit = world.say(payout=10, txid="t1", ago=3 * HOURS)
    do("reject", hit)
    assert world.say(payout=10, txid="t1", status="rejected", ago=HOURS).verdict == "updated"
    assert do("approve", hit).status == "rejected"
    world.say(payout=10, txid="t1", status="approved")
    assert world.totals() == {"conversion": (1, "10")}


def test_an_update_marked_as_a_test_leaves_the_rejection(world):
    hit = world.say(payout=10, txid="t1", status="pending", ago=3 * HOURS)
    word = world.say(payout=10, txid="t1", status="approved", ago=HOURS)
    do("reject", hit)
    mark(word)
    assert again(hit).status == "rejected"
    assert do("approve", hit).status == "pending"


def test_the_sale_with_the_token_counts_though_a_strangers_claim_of_it_was_rejected(world):
    claim = world.say(payout=10, txid="t1", to=BARE)
    do("reject", claim)
    assert world.say(payout=10, txid="t1").verdict == "recorded"
    assert world.totals() == {"conversion": (1, "10")}
    with pytest.raises(CannotCorrect, match="taken its place"):
        do("approve", claim)


def test_a_held_hit_that_was_rejected_never_counts_until_somebody_accepts_it(world):
    world.offer.ceiling = 5
    world.offer.save()
    hit = world.say(payout=10, to=BARE)
    assert do("reject", hit).verdict == "held"
    world.offer.ceiling = 500
    world.offer.save()
    replay_all(world)
    assert (again(hit).verdict, hit.detail, world.totals()) == ("held", "Rejected by hand.", {})
    correcting.accept(Conversion.objects.all(), user=None, now=now())
    assert (again(hit).flags, world.totals()) == ([], {"conversion": (1, "10")})


def test_a_rejected_hit_does_not_count_when_its_click_comes_and_does_once_approved(world):
    hit = world.say(click_id="y" * 26, payout=10)
    do("reject", hit)
    ClickFactory(click_id="y" * 26, link=world.click.link)
    world.work()
    assert again(hit).verdict == "held"
    assert do("approve", hit).verdict == "recorded"


def test_who_matches_or_assigns_a_rejected_hit_takes_the_rejection_back(world):
    literal, unrouted = world.say(**LITERAL, payout=10, txid="t1"), world.say(**NOBODY, payout=20, txid="t2")
    do("reject", literal)
    do("reject", unrouted)
    assert match(literal, world.click).verdict == "recorded"
    correcting.assign(unrouted, world.connection, user=None, now=now())
    assert match(again(unrouted), world.click).verdict == "recorded"


def test_what_cannot_be_rejected_or_approved_says_why_and_changes_nothing(world):
    sale = world.say(payout=10, txid="t1")
    repeat, adjustment = world.say(payout=10, txid="t1"), world.say(payout=-2, txid="t1")
    test, refused = world.say(payout=3, txid="t3", test=1), world.say(payout=4, txid="t4", status="rejected")
    before = standing()
    for verb, hit, why in [
        ("reject", repeat, "settled: duplicate"),
        ("reject", adjustment, "takes money back"),
        ("reject", test, "is a test"),
        ("reject", refused, "rejected already"),
        ("approve", sale, "Nobody rejected it"),
    ]:
        with pytest.raises(CannotCorrect, match=why):
            do(verb, hit)
    assert standing() == before
    assert not AuditEntry.objects.exists()


# --- promote


@pytest.mark.parametrize("rule", ["ignore", "update"])
def test_a_promoted_duplicate_is_a_further_sale_and_no_replay_undoes_it(world, rule):
    world.rule(duplicate_rule=rule)
    world.say(payout=10)
    repeat = world.say(payout=10)
    row = do("promote", repeat)
    assert (row.verdict, row.kind, row.ordinal, row.is_accepted) == ("upsell", "upsell", 1, False)
    before = standing()
    replay_all(world)
    assert standing() == before
    assert world.totals() == {"conversion": (2, "20")}


def test_a_promoted_duplicate_keeps_its_own_amount(world):
    world.say(payout=10, txid="t1")
    other = world.say(payout=25, txid="t1")
    assert other.verdict == "duplicate_differs"
    do("promote", other)
    assert world.totals() == {"conversion": (2, "35")}
    assert world.say(payout=25, txid="t1").verdict == "duplicate"


def test_a_further_sale_can_be_taken_back_like_any_other(world):
    world.say(payout=10, txid="t1")
    other = do("promote", world.say(payout=25, txid="t1"))
    assert world.say(payout=-25, txid="t1").original == other
    assert world.totals() == {"conversion": (1, "10")}


def test_who_promotes_a_hit_without_the_token_vouches_for_it(world):
    world.say(payout=10, to=BARE)
    repeat = do("promote", world.say(payout=10, to=BARE))
    assert (repeat.is_accepted, repeat.is_verified) == (True, False)
    assert world.totals() == {"conversion": (1, "10"), "conversion_unverified": (1, "10")}


def test_an_adjustment_that_waited_takes_from_what_was_promoted(world):
    world.say(payout=10, to=BARE)
    repeat, waiting = world.say(payout=10, to=BARE), world.say(payout=-10)
    assert waiting.verdict == "negative_payout"
    do("promote", repeat)
    assert (again(waiting).verdict, waiting.original) == ("adjusted", repeat)


def test_a_further_sale_that_was_rejected_or_is_a_test_counts_no_more(world):
    world.say(payout=10)
    repeat = do("promote", world.say(payout=10))
    do("reject", repeat)
    assert world.totals() == {"conversion": (1, "10"), "conversion_rejected": (1, "10")}
    do("approve", repeat)
    mark(repeat)
    assert world.totals() == {"conversion": (1, "10")}


def test_what_cannot_be_promoted_says_why_and_changes_nothing(world):
    sale = world.say(payout=10, txid="t1")
    world.say(payout=-2, txid="t1")
    again_taken, wrong = world.say(payout=-2, txid="t1"), world.say(payout=10, txid="t9", to=WRONG)
    before = standing()
    for hit, why in [(sale, "recorded"), (again_taken, "takes money back"), (wrong, "wrong postback token")]:
        with pytest.raises(CannotCorrect, match=why):
            do("promote", hit)
    assert standing() == before


@pytest.mark.django_db(transaction=True)
def test_two_people_promoting_one_hit_count_one_sale(world):
    world.say(payout=10)
    repeat, refused = world.say(payout=10), []

    def by_hand():
        try:
            correcting.promote(Conversion.objects.get(pk=repeat.pk), user=None, now=now())
        except CannotCorrect as error:
            refused.append(str(error))

    all_at_once(world.click, by_hand, by_hand)
    assert len(refused) == 1
    assert world.totals() == {"conversion": (2, "20")}


@pytest.mark.django_db(transaction=True)
def test_a_rejection_and_a_word_of_the_network_at_one_moment_end_rejected(world):
    hit = world.say(payout=10, txid="t1", status="pending")
    world.hit(payout=10, txid="t1", status="approved")
    all_at_once(world.click, lambda: correcting.reject(hit, user=None, now=now()), batch)
    assert again(hit).status == "rejected"
    assert do("approve", hit).status == "approved"


# --- audit


def test_each_is_audited_with_who_whose_and_how_it_stood(world):
    user, hit = UserFactory(), world.say(payout=10)
    repeat = world.say(payout=10)
    do("reject", hit, user, reason="Fraud")
    do("approve", hit, user)
    do("promote", repeat, user)
    rows = AuditEntry.objects.order_by("id")
    assert {(row.user, row.account) for row in rows} == {(user, world.account)}
    assert [(row.verb, row.target, row.detail) for row in rows] == [
        ("rejected", f"conversion {hit.id}", "Fraud. Judged: recorded. Status: approved."),
        ("approved", f"conversion {hit.id}", "Judged: recorded. Status: approved."),
        ("promoted", f"conversion {repeat.id}", "To a further sale. Judged: duplicate."),
    ]
