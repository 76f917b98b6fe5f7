"""What a postback without the token may do, and that the token's word stands above it."""

from datetime import timedelta

import pytest

from postbacks import correcting
from postbacks.models import Conversion
from tests.factories import ClickFactory, LinkFactory, now
from tests.postbacks.conftest import actual_totals, expected_totals
from webhooks.inbound.models import InboundRequest

BARE = {"bare": True}


@pytest.fixture(params=["bare", "account"])
def unproven(request, world):
    """The two URLs that prove nothing."""
    return BARE if request.param == "bare" else {"account": world.account.public_id}


def everybody():
    return Conversion.objects.all()


@pytest.mark.parametrize(
    ("payout", "verdict", "totals"),
    [
        ("0.01", "recorded", {"conversion_unverified": (1, "0.01")}),
        ("50", "recorded", {"conversion_unverified": (1, "50")}),
        ("50.000001", "held", {}),
        ("0", "held", {}),
        ("-1", "held", {}),
    ],
)
def test_a_new_positive_one_up_to_the_ceiling_counts_as_unverified(world, unproven, payout, verdict, totals):
    world.offer.ceiling = 50
    world.offer.save()
    row = world.say(payout=payout, to=unproven)
    assert (row.verdict, row.is_verified, row.account) == (verdict, False, world.account)
    assert world.totals() == totals
    assert actual_totals() == expected_totals()


@pytest.mark.parametrize("rule", ["ignore", "update", "add"])
@pytest.mark.parametrize(
    "hit",
    [{"payout": 12}, {"payout": 10, "status": "rejected"}, {"payout": -10}, {"payout": 12, "txid": ""}],
)
@pytest.mark.parametrize("first", [None, BARE])
def test_it_never_updates_adds_or_reverses(world, unproven, rule, hit, first):
    world.rule(duplicate_rule=rule)
    world.say(payout=10, txid="t1", to=first)
    before = world.totals()
    row = world.say(**{"txid": "t1", **hit}, to=unproven)
    assert (row.verdict, row.kind) == ("held", "")
    assert "Without the token" in row.fix
    assert world.totals() == before


def test_a_repeat_of_it_is_a_duplicate(world, unproven):
    assert [world.say(payout=10, to=unproven).verdict for _ in range(2)] == ["recorded", "duplicate"]
    assert world.say(payout=10, txid="t1", to=unproven).verdict == "duplicate"
    assert world.totals() == {"conversion_unverified": (1, "10")}


@pytest.mark.parametrize("bare", ["", "t1"])
@pytest.mark.parametrize("token", ["", "t1"])
@pytest.mark.parametrize("payout", [10, 12])
def test_the_tokens_word_takes_its_place(world, unproven, bare, token, payout):
    """Except where a transaction id and another amount say that it is another sale."""
    first = world.say(payout=10, txid=bare, to=unproven)
    row = world.say(payout=payout, txid=token)
    assert (row.verdict, row.transaction_id) == ("recorded", token)
    assert world.counted() == [("approved", str(payout))]
    first.refresh_from_db()
    is_other_sale = payout == 12 and (bare, token) == ("", "t1")
    assert (first.kind, first.verdict) == (("conversion", "recorded") if is_other_sale else ("", "duplicate"))
    assert ("conversion_unverified" in world.totals()) == is_other_sale
    assert actual_totals() == expected_totals()


def test_a_claimed_amount_never_becomes_verified_by_a_token_hit_without_one(world):
    world.offer.default_payout = 5
    world.offer.save()
    world.say(payout=99, to=BARE)
    world.say()
    assert world.totals() == {"conversion": (1, "5")}


@pytest.mark.parametrize(
    "real",
    [
        [{"payout": 10}, {"payout": 10, "txid": "real"}],
        [{"payout": 10, "txid": "real"}, {"payout": 10}],
        [{"payout": 10, "status": "pending"}, {"payout": 10, "txid": "real"}],
    ],
)
def test_an_attackers_transaction_id_never_splits_a_sale_in_the_verified_totals(world, real):
    attack = {"payout": 10, "txid": "evil", "to": BARE}
    world.say(**attack)
    for hit in real:
        world.say(**hit)
        world.say(**attack)
    assert world.totals()["conversion"] == (1, "10")
    assert world.counted() == [("approved", "10")]


def test_repeats_without_the_token_do_not_stretch_the_window(world):
    world.rule(duplicate_rule="add")
    world.say(payout=10, ago=timedelta(minutes=30))
    for ago in (22, 14, 6):
        world.say(payout=10, ago=timedelta(minutes=ago), to=BARE)
    assert world.say(payout=10).verdict == "upsell"


def test_a_word_heard_without_the_token_is_not_heard(world):
    world.say(payout=10, status="approved")
    world.say(payout=10, status="confirmed", to=BARE)
    world.say(payout=10, status="rejected")
    assert world.say(payout=10, status="confirmed").verdict == "updated"


def test_a_connection_may_demand_the_token(world, unproven):
    world.rule(token_only=True)
    assert world.say(payout=10, to=unproven).verdict == "held"
    assert world.say(payout=10).verdict == "recorded"
    assert world.totals() == {"conversion": (1, "10")}


def test_accepting_a_held_hit_counts_it_once(world):
    world.offer.ceiling = 50
    world.offer.save()
    held = world.say(payout=80, to=BARE)
    assert [len(correcting.accept(everybody(), user=None, now=now())) for _ in range(2)] == [1, 0]
    held.refresh_from_db()
    assert (held.verdict, held.is_accepted, held.is_verified) == ("recorded", True, False)
    assert world.totals() == {"conversion": (1, "80")}
    assert world.say(payout=80).verdict == "duplicate"
    assert actual_totals() == expected_totals()


def test_accepting_two_copies_counts_one(world):
    world.rule(token_only=True)
    for _ in range(2):
        world.say(payout=10, to=BARE)
    assert len(correcting.accept(everybody(), user=None, now=now())) == 2
    assert world.totals() == {"conversion": (1, "10")}


def test_accepting_a_held_reversal_takes_back(world):
    world.say(payout=10, txid="t1")
    world.say(payout=-10, txid="t1", to=BARE)
    correcting.accept(everybody(), user=None, now=now())
    assert world.totals() == {}


@pytest.mark.parametrize("form", ["token", "account"])
@pytest.mark.parametrize("payout", ["10", "-10", "NaN", ""])
def test_another_accounts_click_is_out_of_reach_and_answered_like_an_unknown_one(world, elsewhere, form, payout):
    to = {"account": world.account.public_id} if form == "account" else None
    elsewhere.say(payout=10)
    before = elsewhere.totals()
    theirs = world.hit(click_id=elsewhere.click.click_id, payout=payout, to=to)
    unknown = world.hit(click_id="a" * 26, payout=payout, to=to)
    row = world.judged(theirs)
    assert row.verdict == ("bad_payout" if payout == "NaN" else "wrong_account")
    assert (row.account, row.kind, row.click, row.offer, row.message, row.sending_list) == (
        world.account, "", None, None, None, None,
    )  # fmt: skip
    assert bytes(theirs.answer) == bytes(unknown.answer).replace(b"a" * 26, elsewhere.click.click_id.encode())
    assert (world.totals(), elsewhere.totals()) == ({}, before)


def test_a_bare_unknown_click_is_nobodys_and_says_so(world):
    request = world.hit(click_id="z" * 26, payout=10, to=BARE)
    assert b"This URL names no account" in bytes(request.answer)
    row = world.judged(request)
    assert (row.verdict, row.account, str(row.payout)) == ("unknown_click", None, "10.000000")
    assert InboundRequest.objects.get().account_id is None
    assert actual_totals() == {}


def test_an_unknown_account_id_counts_nothing(world):
    row = world.say(payout=10, to={"account": "nobody"})
    assert (row.verdict, row.kind) == ("bad_secret", "")


def test_a_bare_hit_is_judged_by_the_connection_of_its_offer(world):
    from tests.factories import NetworkConnectionFactory

    NetworkConnectionFactory(account=world.account, token_only=True)
    world.click = ClickFactory(link=LinkFactory(offer=world.offer))
    assert world.say(payout=10, to=BARE).connection == world.connection


def test_a_transaction_id_that_becomes_known_ends_the_claim_made_of_it_without_the_token(world):
    world.say(payout=10)
    claim = world.say(payout=20, txid="B", to=BARE)
    assert claim.verdict == "recorded"
    assert world.say(payout=10, txid="B").verdict == "duplicate"
    claim.refresh_from_db()
    assert (claim.verdict, claim.kind) == ("duplicate", "")
    assert world.counted() == [("approved", "10")]
    assert world.counted(verified=False) == []
    assert actual_totals() == expected_totals()
