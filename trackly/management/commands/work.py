"""manage.py work: works off the inbox, sweeps what found no partner, counts clicks, keeps partitions. Any number may run."""

import signal
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand

from postbacks import clicks, conversions
from trackly import partitions
from trackly.worker import Chore, Worker
from webhooks.inbound import batches, processing, timeline
from webhooks.inbound.models import RefusalTally, Source

JOBS = (
    batches.Job(source=Source.WEBHOOK, handle=processing.process),
    batches.Job(source=Source.POSTBACK, handle=conversions.record),
)
# Rows that miss their partner by moments are swept often; the old ones seldom, for as long as they are kept.
YOUNG = timedelta(hours=1)


class Command(BaseCommand):
    help = "Work off the inbox until told to stop (SIGTERM or Ctrl-C finish the batch in hand)."

    def handle(self, *args: Any, **options: Any) -> None:
        worker = build()
        signal.signal(signal.SIGTERM, worker.stop)
        signal.signal(signal.SIGINT, worker.stop)
        worker.run()


def build() -> Worker:
    """The worker with this project's jobs and chores."""
    return Worker(
        work=work,
        recover=recover,
        chores=[
            Chore(name="partitions", every=timedelta(hours=1), do=keep_partitions),
            Chore(name="sweep", every=timedelta(seconds=3), do=lambda now: sweep(now, since=now - YOUNG)),
            Chore(name="sweep all", every=timedelta(minutes=10), do=lambda now: sweep(now, since=_ever(now))),
            Chore(name="clicks", every=timedelta(seconds=1), do=lambda now: clicks.tally()),
            Chore(name="tallies", every=timedelta(hours=1), do=forget_tallies),
        ],
    )


def work(now: datetime) -> int:
    """One batch of each source."""
    return sum(batches.run(job, now=now, limit=settings.WORKER_BATCH) for job in JOBS)


def recover(now: datetime) -> int:
    """One row of each source, its attempt counted first."""
    return sum(batches.run_guarded(job, now=now) for job in JOBS)


def sweep(now: datetime, *, since: datetime) -> int:
    """Join what arrived on two sides and missed each other; how many found their partner."""
    found = total = timeline.sweep(now, since=since, tally=_nobody_asks())
    while found == timeline.SWEEP_LIMIT:
        found = timeline.sweep(now, since=since, tally=_nobody_asks())
        total += found
    return total + conversions.sweep_unknown(now, since=since) + conversions.sweep_unmapped(now)


def keep_partitions(now: datetime) -> None:
    """Make those of the next two weeks; drop those whose time is over."""
    partitions.ensure(now - timedelta(days=1))
    partitions.expire(now)


def forget_tallies(now: datetime) -> None:
    """Counts of refused requests are kept as long as the requests themselves."""
    RefusalTally.objects.filter(bucket__lt=now - timedelta(days=settings.RETENTION_WEBHOOKS_DAYS)).delete()


def _ever(now: datetime) -> datetime:
    return now - timedelta(days=max(settings.RETENTION_WEBHOOKS_DAYS, settings.RETENTION_POSTBACKS_DAYS))


def _nobody_asks() -> dict[UUID, Counter[str]]:
    """The requests of swept reports were answered and told their outcome when they came."""
    return defaultdict(Counter)
