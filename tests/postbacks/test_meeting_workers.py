"""Several workers and people at one click at the same moment: what is judged is judged once, by the newest state."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection as database
from django.db import transaction

from postbacks import conversions, correcting, directory
from postbacks.models import Click, Conversion
from tests.factories import ClickFactory
from tests.postbacks.conftest import actual_totals, expected_totals
from trackly.management.commands.work import JOBS
from trackly.signing import token_hash
from webhooks.inbound import batches
from webhooks.inbound.models import InboundRequest
from webhooks.inbound.replaying import replay

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


def now():
    return datetime.now(UTC)


def waiting() -> int:
    with database.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return cursor.fetchone()[0]


def all_at_once(click: Click, *works: Callable[[], object]) -> None:
    """Run the works in threads of their own that all wait for the click's lock before any of them gets it."""

    def run(work):
        try:
            return work()
        finally:
            database.close()

    with ThreadPoolExecutor(len(works)) as pool:
        with transaction.atomic():
            Click.objects.select_for_update().get(id=click.id)
            running = [pool.submit(run, work) for work in works]
            deadline = time.monotonic() + 5
            while waiting() < len(works) and time.monotonic() < deadline:
                time.sleep(0.02)
            assert waiting() == len(works)
        for work in running:
            work.result(timeout=10)


def batch():
    return batches.run(JOBS[1], now=now(), limit=1)


def sweep():
    return conversions.sweep_unknown(now(), since=LONG_AGO)


def accept():
    return correcting.accept(Conversion.objects.all(), user=None, now=now())


def test_two_workers_with_the_same_hit_twice_count_one(world):
    for _ in range(2):
        world.hit(payout=10)
    all_at_once(world.click, batch, batch)
    assert sorted(Conversion.objects.values_list("verdict", flat=True)) == ["duplicate", "recorded"]
    assert world.totals() == {"conversion": (1, "10")}
    assert actual_totals() == expected_totals()


def test_two_sweeps_judge_a_hit_once(world):
    world.say(click_id="latecomer", payout=10)
    click = ClickFactory(click_id="latecomer", link=world.click.link)
    all_at_once(click, sweep, sweep)
    assert world.totals() == {"conversion": (1, "10")}
    assert actual_totals() == expected_totals()


def test_a_replay_and_a_sweep_judge_a_hit_once(world):
    world.say(click_id="latecomer", payout=10)
    click = ClickFactory(click_id="latecomer", link=world.click.link)
    replay(InboundRequest.objects.all(), user=None, now=now() - timedelta(seconds=1))
    all_at_once(click, sweep, batch)
    assert world.totals() == {"conversion": (1, "10")}
    assert actual_totals() == expected_totals()


def test_two_people_accepting_count_one(world):
    world.rule(token_only=True)
    world.say(payout=10, to={"bare": True})
    all_at_once(world.click, accept, accept)
    assert world.totals() == {"conversion": (1, "10")}
    assert actual_totals() == expected_totals()


def test_accepting_while_the_mended_hit_is_replayed_counts_one(world):
    token = "w" * 26
    world.say(payout=10, to={"token": token})
    world.rule(postback_token=token, postback_token_hash=token_hash(token))
    replay(InboundRequest.objects.all(), user=None, now=now() - timedelta(seconds=1))
    directory.forget()
    all_at_once(world.click, accept, batch)
    assert world.totals() == {"conversion": (1, "10")}
    assert actual_totals() == expected_totals()
