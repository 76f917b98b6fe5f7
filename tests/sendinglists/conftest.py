"""Fixtures of credentials and their set-up: a made-up provider with a server of its own, and the worker's line."""

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from sendinglists.configuring import Configuring
from tests import factories
from tests.fakes.acme import HOME, Acme, FakeAcme
from trackly.outgoing import Client
from webhooks import providers

BASE = "https://hooks.example.com"


@pytest.fixture
def acme(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAcme]:
    """A provider more, whose calls go to a server on loopback."""
    monkeypatch.setitem(providers.all_providers(), "acme", Acme())
    with FakeAcme() as fake:
        settings.PUBLIC_BASE_URL = BASE
        settings.OUTGOING_ROUTES = {HOME: fake.url, "https://eu.api.acme.example": fake.url}
        yield fake


def perform(now: datetime, *, free: int = 8) -> int:
    """One round of the worker's line; how many steps were performed."""
    line = Configuring()
    jobs = line.claim(now, free)

    async def run() -> list[Any]:
        async with Client() as client:
            return [(job, await line.do(job, client)) for job in jobs]

    line.record(asyncio.run(run()), now)
    return len(jobs)


@pytest.fixture
def work_through() -> Callable[..., int]:
    """Rounds until nothing is due any more; how many steps were performed."""

    def run(now: datetime | None = None) -> int:
        now = now or factories.now() + timedelta(seconds=1)
        total = 0
        while done := perform(now):
            total += done
        return total

    return run
