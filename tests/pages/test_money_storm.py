"""Attacks on money: people who press every button on every postback while workers replay, sweep and judge the same ones."""

import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client

from postbacks import conversions
from postbacks.models import Conversion
from tests import factories
from tests.postbacks.conftest import World, actual_totals, expected_totals, world  # noqa: F401
from trackly.management.commands.work import JOBS
from trackly.models import Membership
from webhooks.inbound import batches
from webhooks.inbound.models import InboundRequest
from webhooks.inbound.replaying import replay

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
VERBS = ("accept", "reject", "approve", "promote", "promote", "assign", "test", "match", "match", "all")


def send(world: World, dice: random.Random) -> None:  # noqa: F811
    """Twenty postbacks of all kinds, for clicks that are known, come late, or never were."""
    known = [world.click.click_id, factories.ClickFactory(link=world.click.link).click_id, "latecomer", "nobody"]
    for _ in range(20):
        said: dict[str, Any] = {"click_id": dice.choice(known), "payout": dice.choice([10, 10, 20, -5, "x"])}
        if dice.random() < 0.5:
            said["transaction_id"] = dice.choice(["t1", "t2"])
        if dice.random() < 0.3:
            said["status"] = dice.choice(["approved", "rejected", "pending", "reversed", "weird"])
        world.hit(to=dice.choice([None, None, {"bare": True}, {"token": "a" * 26}]), **said)
    world.work()
    factories.ClickFactory(click_id="latecomer", link=world.click.link)


def pressing(world: World, dice: random.Random) -> Callable[[], None]:  # noqa: F811
    person = factories.MembershipFactory(account=world.account, role=Membership.Role.MEMBER).user
    base = f"/a/{world.account.public_id}/conversions/"

    def press() -> None:
        client = Client()
        client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
        for _ in range(12):
            verb, row = dice.choice(VERBS), dice.choice(list(Conversion.objects.filter(account=world.account)))
            path = {"match": f"{row.request_uid}-0/match/", "all": "accept/"}.get(
                verb, f"{row.request_uid}-0/do/{verb}/"
            )
            data = {"reason": "x", "connection": world.connection.pk, "click": world.click.click_id, "upto": "9" * 9}
            assert client.post(base + path, data).status_code in (200, 302)

    return press


def working(dice: random.Random) -> Callable[[], None]:
    def work() -> None:
        for _ in range(6):
            uids = dice.sample(list(InboundRequest.objects.values_list("uid", flat=True)), 3)
            replay(InboundRequest.objects.filter(uid__in=uids), user=None, now=datetime.now(UTC))
            batches.run(JOBS[1], now=datetime.now(UTC), limit=3)
            conversions.sweep_unknown(datetime.now(UTC), since=LONG_AGO)

    return work


@pytest.mark.parametrize("seed", range(3))
def test_the_totals_are_those_of_the_rows_whatever_people_and_workers_do_at_once(world: World, seed: int) -> None:  # noqa: F811
    dice = random.Random(seed)
    world.rule(duplicate_rule=("ignore", "update", "add")[seed])
    send(world, dice)

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        finally:
            database.close()

    works = [pressing(world, dice), pressing(world, random.Random(seed + 100)), working(random.Random(seed + 200))]
    with ThreadPoolExecutor(len(works)) as pool:
        for done in [pool.submit(run, work) for work in works]:
            done.result(timeout=60)
    world.work()
    assert actual_totals() == expected_totals()
    assert not Conversion.objects.filter(is_test=True).exclude(kind="").exists()
