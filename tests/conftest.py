"""Fixtures every test may ask for."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from postbacks import directory as postbacks_directory
from sendinglists import brand_hosts, domains
from tests.sweeps import sweep
from trackly import wake
from trackly.dispatch import Dispatcher
from trackly.management.commands import work
from webhooks.inbound import directory as webhooks_directory


@pytest.fixture(autouse=True)
def _cheap_passwords(settings: Any) -> None:
    """Hashing slowly is Django's work and not tested here; hundreds of people are made in these tests."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _start_afresh() -> Iterator[None]:
    """What one test's tables said is not remembered in the next."""
    webhooks_directory.forget()
    postbacks_directory.forget()
    domains.forget()
    brand_hosts.forget()
    yield
    # Its connection would keep the test database from being dropped.
    wake.close()


@pytest.fixture
def work_off() -> Callable[[], int]:
    """Work off everything that is due, as the worker does, and sweep; how many requests there were."""

    def run() -> int:
        done = taken = work.work(datetime.now(UTC))
        while taken:
            taken = work.work(datetime.now(UTC))
            done += taken
        sweep(datetime.now(UTC), since=datetime(2000, 1, 1, tzinfo=UTC))
        return done

    return run


@pytest.fixture
def dispatch() -> Callable[..., int]:
    """Send, ask, call back and configure everything that is due (now, or at the given time); how many calls."""

    def run(now: datetime | None = None) -> int:
        return Dispatcher(work.lines(), slots=8).drain(now)

    return run
