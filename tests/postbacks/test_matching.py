"""Hits judged later than they came, and what clicks, offers, connections and accounts lend to the judgement."""

from datetime import timedelta
from decimal import Decimal

import pytest

from postbacks import conversions
from postbacks.models import Click, Conversion, NetworkConnection
from tests.factories import ClickFactory, LinkFactory, MessageFactory, now
from tests.postbacks.conftest import actual_totals, expected_totals
from trackly.models import HourlyTotal

DAYS = timedelta(days=1)


def sweep():
    conversions.sweep_unknown(now(), since=now() - 400 * DAYS)
    conversions.sweep_unmapped(now())


@pytest.mark.parametrize("bare", [False, True])
def test_a_hit_that_overtook_its_click_is_judged_when_the_click_appears_and_once(world, bare):
    late = "latecomer-27"
    for _ in range(2):
        world.say(click_id=late.upper(), payout=10, to={"bare": bare})
    assert set(Conversion.objects.values_list("verdict", "click")) == {("unknown_click", None)}
    ClickFactory(click_id=late, link=world.click.link)
    for _ in range(3):
        sweep()
    kind = "conversion_unverified" if bare else "conversion"
    assert world.totals() == {kind: (1, "10")}
    assert list(Conversion.objects.order_by("id").values_list("verdict", flat=True)) == ["recorded", "duplicate"]
    assert set(Conversion.objects.values_list("account", flat=True)) == {world.account.id}
    assert actual_totals() == expected_totals()


def test_a_word_nobody_mapped_is_kept_and_judged_when_it_is_mapped(world):
    row = world.say(payout=10, status="Sale")
    assert (row.verdict, row.status_word, world.totals()) == ("status_unmapped", "sale", {})
    world.rule(status_words={"other": "approved"})
    sweep()
    assert world.totals() == {}
    world.rule(status_words={"sale": "pending"})
    for _ in range(2):
        sweep()
    assert world.totals() == {"conversion_pending": (1, "10")}
    assert actual_totals() == expected_totals()


def test_an_older_word_mapped_later_undoes_no_newer_one(world):
    world.say(payout=10, txid="t1", status="odd", ago=timedelta(minutes=5))
    world.say(payout=10, txid="t1", status="approved")
    world.rule(status_words={"odd": "pending"})
    sweep()
    assert world.counted() == [("approved", "10")]


def test_the_connections_words_override_the_networks(world):
    world.rule(status_words={"approved": "rejected"})
    assert world.say(payout=10, status="APPROVED").status == "rejected"


def test_a_word_mapped_to_nonsense_is_not_mapped(world):
    world.rule(status_words={"odd": "nonsense"})
    assert world.say(payout=10, status="odd").verdict == "status_unmapped"


def test_words_are_kept_in_the_case_they_are_compared_in(world):
    connection = NetworkConnection(status_words={" On Hold ": "pending"})
    connection.clean()
    assert connection.status_words == {"on hold": "pending"}


@pytest.mark.parametrize(
    ("days", "own", "excludes", "verdict", "is_late"),
    [
        (89, None, True, "recorded", False),
        (91, None, False, "recorded", True),
        (91, None, True, "expired_click", True),
        (91, 100, True, "recorded", False),
        (8, 7, True, "expired_click", True),
    ],
)
def test_late_conversions_count_with_a_mark_unless_the_owner_excludes_them(
    world, days, own, excludes, verdict, is_late
):
    world.rule(excludes_late=excludes)
    world.offer.attribution_window = own and own * DAYS
    world.offer.save()
    Click.objects.update(at=now() - days * DAYS)
    row = world.say(payout=10)
    assert (row.verdict, row.is_late) == (verdict, is_late)
    assert world.totals() == ({"conversion": (1, "10")} if verdict == "recorded" else {})


@pytest.mark.parametrize("test", ["click", "parameter"])
def test_tests_stand_in_no_total(world, test):
    if test == "click":
        Click.objects.update(is_test=True)
    row = world.say(payout=10, **({"test": 1} if test == "parameter" else {}))
    assert (row.verdict, row.is_test, row.kind) == ("test", True, "")
    assert row.click == world.click
    assert not HourlyTotal.objects.exclude(n=0, amount=0).exists()


def test_a_hit_without_an_amount_is_worth_the_offers_default(world):
    world.offer.default_payout = Decimal("7.5")
    world.offer.save()
    row = world.say()
    assert (row.reported_payout, row.payout, row.flags) == (None, Decimal("7.5"), ["payout_missing"])
    assert world.totals() == {"conversion": (1, "7.5")}


@pytest.mark.parametrize(
    ("sent", "of_connection", "expected"),
    [("eur", "GBP", "EUR"), ("", "GBP", "GBP"), ("", "", "SEK"), ("E1", "", "SEK")],
)
def test_the_currency_is_the_hits_else_the_connections_else_the_accounts(world, sent, of_connection, expected):
    world.rule(currency=of_connection)
    type(world.account).objects.update(currency="SEK")
    assert world.say(payout=10, currency=sent).currency == expected


def test_currencies_are_never_added(world):
    world.say(payout=10, txid="t1", currency="USD")
    world.say(payout=10, txid="t2", currency="EUR")
    rows = HourlyTotal.objects.filter(kind="conversion").values_list("currency", "n", "amount")
    assert sorted(rows) == [("EUR", 1, Decimal(10)), ("USD", 1, Decimal(10))]


def test_the_same_number_in_another_currency_is_another_amount(world):
    world.say(payout=10, txid="t1", currency="USD")
    assert world.say(payout=10, txid="t1", currency="EUR").verdict == "duplicate_differs"


@pytest.mark.parametrize(
    ("payout", "verdict"), [("100", "recorded"), ("100.01", "bad_payout"), ("-100.01", "bad_payout")]
)
def test_nothing_over_the_accounts_ceiling_counts(world, payout, verdict):
    type(world.account).objects.update(payout_ceiling=100)
    row = world.say(payout=payout)
    assert row.verdict == verdict
    assert row.kind == ("conversion" if verdict == "recorded" else "")


def test_a_hit_over_a_ceiling_that_was_raised_counts_when_judged_again(world):
    type(world.account).objects.update(payout_ceiling=100)
    world.say(payout=200)
    type(world.account).objects.update(payout_ceiling=300)
    conversions.rejudge(Conversion.objects.all(), now())
    assert world.totals() == {"conversion": (1, "200")}
    assert actual_totals() == expected_totals()


def test_a_conversion_is_credited_to_the_message_and_its_list(world):
    message = MessageFactory(sending_list__provider_account__account=world.account)
    link = LinkFactory(offer=world.offer, message=message)
    world.click = ClickFactory(link=link, sending_list=message.sending_list)
    row = world.say(payout=10)
    assert (row.message, row.sending_list, row.offer) == (message, message.sending_list, world.offer)
    assert HourlyTotal.objects.get(kind="conversion").list_id == message.sending_list_id


@pytest.mark.parametrize("bot", ["preview", "head"])
def test_a_bot_verdict_never_voids_a_conversion(world, bot):
    Click.objects.update(bot=bot)
    assert world.say(payout=10).verdict == "recorded"


def test_click_ids_are_compared_in_lower_case(world):
    assert world.say(click_id=world.click.click_id.upper(), payout=10).verdict == "recorded"


def test_a_status_word_of_one_connection_means_nothing_to_another(world, elsewhere):
    elsewhere.rule(status_words={"odd": "approved"})
    assert world.say(payout=10, status="odd").verdict == "status_unmapped"
    assert elsewhere.say(payout=10, status="odd").verdict == "recorded"
    assert (world.totals(), elsewhere.totals()) == ({}, {"conversion": (1, "10")})
