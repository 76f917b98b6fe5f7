"""manage.py work: works off the inbox, sends and asks, sweeps what found no partner, counts clicks, keeps partitions.

Any number may run.
"""

import signal
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.contrib.sessions.models import Session
from django.core.management.base import BaseCommand

from postbacks import clicks, conversions
from postbacks.verdicts import Verdict
from sendinglists.asking import Asking
from sendinglists.configuring import Configuring
from sendinglists.echoing import Echoing
from sendinglists.sending import Sending
from trackly import metrics, partitions
from trackly.dispatch import Dispatcher, Line
from trackly.locks import advisory_lock
from trackly.worker import Chore, Worker
from webhooks.inbound import adopting, batches, processing, timeline
from webhooks.inbound.models import ParkedReport, RefusalTally, RequestTotal, Source
from webhooks.inbound.unheard import unheard
from webhooks.inbound.watching import WEBHOOK_RESULTS, watch

JOBS = (
    batches.Job(source=Source.WEBHOOK, handle=processing.process),
    batches.Job(source=Source.POSTBACK, handle=conversions.record),
)
# What came of the items, as the outcome lines say it -> as /metrics counts it.
RESULTS: dict[str, dict[str, str]] = {
    Source.WEBHOOK: WEBHOOK_RESULTS,
    Source.POSTBACK: {verdict.label.lower(): verdict.value for verdict in Verdict},
}
# Rows that miss their partner by moments are swept often; the old ones seldom, for as long as they are kept.
YOUNG, YOUNG_EVERY, ALL_EVERY = timedelta(hours=1), timedelta(seconds=3), timedelta(minutes=10)
# Sessions deleted at once; in a day that is more than end in one.
SESSIONS = 10_000
Sweep = Callable[[datetime, datetime], int]


class Command(BaseCommand):
    help = "Work off the inbox and send until told to stop (SIGTERM or Ctrl-C finish the batch and the calls in hand)."

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument(
            "--metrics",
            default=settings.METRICS_BIND,
            metavar="HOST:PORT",
            help="Show there what this worker counts, as /metrics of the web does where they share a directory.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        dispatcher = Dispatcher(lines(), slots=settings.SENDING_SLOTS)
        worker = build(nudge=dispatcher.nudge)
        if options.get("metrics"):
            metrics.serve(options["metrics"])
        signal.signal(signal.SIGTERM, worker.stop)
        signal.signal(signal.SIGINT, worker.stop)
        dispatcher.start()
        try:
            worker.run()
        finally:
            dispatcher.stop()


def lines() -> list[Line[Any, Any]]:
    """This project's queues whose work is a call to a provider."""
    return [Sending(hear=timeline.hear, unheard=unheard), Asking(hear=timeline.hear), Echoing(), Configuring()]


def build(*, nudge: Callable[[], None] = lambda: None) -> Worker:
    """The worker with this project's jobs and chores; `nudge` is called when it woke and found nothing in the inbox."""

    def work_or_nudge(now: datetime) -> int:
        taken = work(now)
        if not taken:
            nudge()
        return taken

    return Worker(
        work=work_or_nudge,
        recover=recover,
        chores=[
            Chore(name="partitions", every=timedelta(hours=1), do=keep_partitions),
            *_sweeps("reports", sweep_reports),
            *_sweeps("postbacks", sweep_postbacks),
            # Seldom: it reads every parked report of an account that asked for it.
            Chore(
                name="adoptions",
                every=timedelta(seconds=30),
                do=alone("adoptions", lambda now: adopting.adopt(now, now - YOUNG)),
            ),
            Chore(
                name="all adoptions",
                every=ALL_EVERY,
                do=alone("adoptions", lambda now: adopting.adopt(now, _ever(now))),
            ),
            Chore(name="status words", every=YOUNG_EVERY, do=alone("status words", conversions.sweep_unmapped)),
            Chore(
                name="lost sends", every=timedelta(seconds=10), do=Sending(hear=timeline.hear, unheard=unheard).expire
            ),
            Chore(name="clicks", every=timedelta(seconds=1), do=lambda now: clicks.tally()),
            Chore(name="forget", every=timedelta(hours=1), do=forget),
            Chore(name="sessions", every=timedelta(hours=1), do=alone("sessions", forget_sessions)),
        ],
    )


def work(now: datetime) -> int:
    """One batch of each source."""
    limit = settings.WORKER_BATCH
    return sum(watch(job, RESULTS[job.source], lambda job: batches.run(job, now=now, limit=limit), now) for job in JOBS)


def recover(now: datetime) -> int:
    """One row of each source, its attempt counted first."""
    return sum(watch(job, RESULTS[job.source], lambda job: batches.run_guarded(job, now=now), now) for job in JOBS)


def _sweeps(name: str, sweep: Sweep) -> list[Chore]:
    """One sweep for what came lately, often, and one for everything, seldom; each by one worker at a time."""
    return [
        Chore(name=name, every=YOUNG_EVERY, do=alone(name, lambda now: sweep(now, now - YOUNG))),
        Chore(name=f"all {name}", every=ALL_EVERY, do=alone(name, lambda now: sweep(now, _ever(now)))),
    ]


def sweep_reports(now: datetime, since: datetime) -> int:
    """Join parked reports with messages known by now; how many found theirs."""
    found = total = timeline.sweep(now, since=since)
    while found == timeline.SWEEP_LIMIT:
        found = timeline.sweep(now, since=since)
        total += found
    return total


def sweep_postbacks(now: datetime, since: datetime) -> int:
    """Judge hits whose click is known by now; how many."""
    return conversions.sweep_unknown(now, since=since)


def alone(name: str, do: Callable[[datetime], object]) -> Callable[[datetime], None]:
    """`do`, unless another worker is at it: joining twice is harmless, and twice the work."""

    def run(now: datetime) -> None:
        with advisory_lock(f"chore {name}") as is_ours:
            if is_ours:
                do(now)

    return run


def keep_partitions(now: datetime) -> None:
    """Make those of the next two weeks; drop those whose time is over."""
    partitions.ensure(now - timedelta(days=1))
    partitions.expire(now)


def forget(now: datetime) -> None:
    """Counts of requests, and reports that never found their message, go with the requests they came in."""
    oldest = now - timedelta(days=settings.RETENTION_WEBHOOKS_DAYS)
    RefusalTally.objects.filter(bucket__lt=oldest).delete()
    ParkedReport.objects.filter(received_at__lt=oldest).delete()
    RequestTotal.objects.filter(hour__lt=now - timedelta(days=settings.RETENTION_POSTBACKS_DAYS)).delete()


def forget_sessions(now: datetime) -> int:
    """Delete sessions that ended a day ago or longer, the oldest first; how many."""
    ended = Session.objects.filter(expire_date__lt=now - timedelta(days=1)).order_by("expire_date")
    return Session.objects.filter(pk__in=ended.values("pk")[:SESSIONS]).delete()[0]


def _ever(now: datetime) -> datetime:
    return now - timedelta(days=max(settings.RETENTION_WEBHOOKS_DAYS, settings.RETENTION_POSTBACKS_DAYS))
