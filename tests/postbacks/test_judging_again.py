"""What was judged is judged again only when nothing had come of it: a replay of an old word is no new word."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection

from postbacks import conversions, correcting, directory
from postbacks.models import Conversion, NetworkConnection
from tests.factories import ConversionFactory, NetworkConnectionFactory, UserFactory, now
from tests.postbacks.conftest import actual_totals, expected_totals
from trackly.models import AuditEntry
from webhooks.inbound.models import InboundRequest
from webhooks.inbound.replaying import replay

BARE = {"bare": True}


def standing():
    fields = ("verdict", "kind", "status", "payout", "transaction_id", "original", "is_verified")
    return list(Conversion.objects.order_by("id").values_list("id", *fields))


@pytest.mark.parametrize("rule", ["ignore", "update", "add"])
@pytest.mark.parametrize(
    "hits",
    [
        [{"payout": 10}, {"payout": 15, "status": "rejected"}, {"payout": 10, "status": "approved"}],
        [{"payout": 10, "status": "pending"}, {"payout": 10}, {"payout": 15}],
        [{"payout": 10}, {"payout": 15}, {"payout": 12}, {"payout": 10, "status": "rejected"}],
        [{"payout": 10}, {"payout": 10, "status": "rejected"}, {"payout": 10, "status": "approved"}, {"payout": 11}],
        [{"payout": 10}, {"payout": -10}, {"payout": -10}],
        [{"payout": 10, "to": BARE}, {"payout": 10}],
    ],
)
@pytest.mark.parametrize("transaction", ["", "t1"])
def test_a_replay_of_any_judged_hit_changes_nothing(world, rule, hits, transaction):
    world.rule(duplicate_rule=rule)
    requests = [
        world.sent(**{"txid": transaction, **hit}, ago=timedelta(hours=len(hits) - n)) for n, hit in enumerate(hits)
    ]
    world.work()
    before, totals = standing(), world.totals()
    for request in [*requests, *reversed(requests)]:
        replay(InboundRequest.objects.filter(uid=request.uid), user=None, now=now())
        world.work()
    conversions.rejudge(Conversion.objects.all(), now())
    correcting.accept(Conversion.objects.all(), user=None, now=now())
    assert standing() == before
    assert world.totals() == totals
    assert actual_totals() == expected_totals()


def test_an_answered_hit_stays_answered_when_the_rule_changes(world):
    world.say(payout=10, txid="t1")
    world.say(payout=15, txid="t1")
    world.rule(duplicate_rule="add")
    assert conversions.rejudge(Conversion.objects.all(), now()) == []
    assert world.totals() == {"conversion": (1, "10")}


def test_accepting_all_takes_every_chunk_and_audits_exactly_what_was_judged(world, monkeypatch):
    monkeypatch.setattr("postbacks.conversions.SWEEP_LIMIT", 2)
    world.rule(token_only=True)
    held = [world.say(payout=10, txid=f"t{n}", to=BARE).id for n in range(5)]
    world.say(payout=10, txid="with the token")
    user = UserFactory()
    assert correcting.accept(Conversion.objects.all(), user=user, now=now()) == held
    assert world.totals() == {"conversion": (6, "60")}
    entries = AuditEntry.objects.filter(verb="accepted").order_by("id")
    assert [(row.target, row.user, row.account) for row in entries] == [
        (f"conversion {id}", user, world.account) for id in held
    ]
    assert correcting.accept(Conversion.objects.all(), user=user, now=now()) == []
    assert entries.count() == 5


def test_an_acceptance_that_cannot_be_audited_counts_nothing(world):
    world.rule(token_only=True)
    world.say(payout=10, to=BARE)
    with pytest.raises(ValueError, match="User"):
        correcting.accept(Conversion.objects.all(), user="nobody", now=now())
    assert world.totals() == {}


def test_a_word_mapped_by_a_connection_made_later_is_found(world):
    world.offer.connection = None
    world.offer.save()
    NetworkConnection.objects.all().delete()
    directory.forget()
    row = world.say(payout=10, status="odd", to=BARE)
    assert (row.verdict, row.connection) == ("status_unmapped", None)
    NetworkConnectionFactory(account=world.account, network="everflow", status_words={"odd": "approved"})
    assert conversions.sweep_unmapped(now()) == 0
    NetworkConnectionFactory(account=world.account, status_words={"odd": "pending"})
    assert [conversions.sweep_unmapped(now()) for _ in range(2)] == [1, 0]
    assert world.totals() == {"conversion_pending_unverified": (1, "10")}


def test_a_word_added_to_the_adapter_is_found(world, monkeypatch):
    world.say(payout=10, status="odd")
    adapter = conversions.networks.get(world.connection.network)
    monkeypatch.setattr(adapter, "statuses", {**adapter.statuses, "odd": "rejected"}, raising=False)
    assert [conversions.sweep_unmapped(now()) for _ in range(2)] == [1, 0]
    assert world.totals() == {"conversion_rejected": (1, "10")}


@pytest.mark.parametrize("verdict", ["unknown_click", "status_unmapped"])
def test_the_sweeps_use_their_index(world, verdict):
    rows = [
        ConversionFactory.build(account=world.account, verdict="recorded" if n % 10 else verdict, click_ref=f"c{n}")
        for n in range(5_000)
    ]
    Conversion.objects.bulk_create(rows)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE postbacks_conversion")
    since = datetime(2020, 1, 1, tzinfo=UTC)
    hits = Conversion.objects.filter(verdict=verdict, received_at__gte=since).order_by("received_at", "id")
    plan = hits.values_list("id")[: conversions.SWEEP_LIMIT].explain()
    name = "conversion_unmatched" if verdict == "unknown_click" else "conversion_unmapped"
    assert name in plan
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexdef FROM pg_indexes WHERE indexname = %s", [name])
        # In the order the sweep asks for: it stops at its limit instead of sorting everything.
        assert "(received_at, id)" in cursor.fetchone()[0]


@pytest.mark.parametrize("transaction", ["", "t1"])
def test_without_the_token_an_amount_in_another_currency_is_held(world, transaction):
    type(world.account).objects.update(payout_ceiling=100)
    for payout in (10, 5_000):
        row = world.say(payout=payout, currency="KWD", txid=transaction, to=BARE)
        assert (row.verdict, row.kind) == ("held", "")
        assert "only amounts in USD" in row.fix
    assert world.say(payout=10, currency="usd", to=BARE).verdict == "recorded"
    world.rule(currency="KWD")
    assert world.say(payout=10, currency="USD", goal_id=2, to=BARE).verdict == "held"
    assert world.say(payout=10, currency="KWD", goal_id=3, to=BARE).verdict == "recorded"


def test_an_offers_default_is_an_amount_of_our_own_currency_only(world):
    world.offer.default_payout = Decimal("7.5")
    world.offer.save()
    assert world.say(currency="KWD", to=BARE).verdict == "held"
    row = world.say(currency="KWD", txid="t1")
    assert (row.verdict, row.payout, row.currency) == ("recorded", 0, "KWD")
    assert "default_payout_not_applied" in row.flags
    assert world.say(currency="USD", txid="t2", goal_id=2).payout == Decimal("7.5")


def test_hits_without_the_token_beyond_a_number_are_held_and_not_loaded(world, monkeypatch):
    monkeypatch.setattr("postbacks.judging.UNVERIFIED_PER_CLICK", 3)
    monkeypatch.setattr("postbacks.directory._is_crowded", lambda click: False)
    for n in range(6):
        world.hit(payout=1, txid=f"t{n}", to=BARE)
    world.work()
    verdicts = list(Conversion.objects.order_by("received_at", "id").values_list("verdict", flat=True))
    assert verdicts == ["recorded"] * 3 + ["held"] * 3
    cases = conversions.Cases([], {world.click.click_id: world.click})
    assert len(cases.earlier) == 3
    assert world.say(payout=42, txid="t9").verdict == "recorded"
    assert world.totals() == {"conversion": (1, "42"), "conversion_unverified": (3, "3")}
    assert actual_totals() == expected_totals()
