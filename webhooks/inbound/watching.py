"""Owns what the log and /metrics learn of a worker's round: told after its commit, never of what was rolled back."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

import structlog
from django.db import transaction
from structlog.contextvars import bind_contextvars, clear_contextvars

from trackly import metrics
from webhooks.inbound.batches import Job
from webhooks.inbound.models import InboundRequest, State

logger = structlog.get_logger(__name__)

# The words of a webhook's outcome line, and the results they are counted as. The others say more about one of these.
WEBHOOK_RESULTS = {
    "new": "new",
    "duplicate": "duplicate",
    "parked, its message is not known yet": "parked",
    "wrong_account": "wrong_account",
    "not readable": "unreadable",
    "new reply": "reply",
    "duplicate reply": "reply_duplicate",
    "reply unproven and ignored": "ignored",
}


def watch(job: Job, results: Mapping[str, str], run: Callable[[Job], int], now: datetime) -> int:
    """What `run` gives for the job. A row worked off alone has its id in every line until the next one is begun."""
    seen = _Round(job, results)
    began = time.perf_counter()
    try:
        taken = run(replace(job, handle=seen.handle))
        if taken:
            took = time.perf_counter() - began
            metrics.BATCH.labels(job.source).observe(took)
            seen.count_failures(now)
            logger.info("batch done", source=str(job.source), n=taken, ms=round(took * 1000, 1))
        return taken
    finally:
        clear_contextvars()


def results_in(words: str, results: Mapping[str, str]) -> dict[str, int]:
    """Result -> how many, of an outcome line: '2 new, 1 duplicate'."""
    known = "|".join(re.escape(word) for word in sorted(results, key=len, reverse=True))
    found: dict[str, int] = {}
    for n, word in re.findall(rf"(?:^|, |\s)(\d+) ({known})(?: \(.*?\))?(?=, |$)", words):
        found[results[word]] = found.get(results[word], 0) + int(n)
    return found


class _Round:
    """The rows a job was given in one round, until they were committed."""

    def __init__(self, job: Job, results: Mapping[str, str]) -> None:
        self._job, self._results = job, results
        self._open: dict[UUID, datetime] = {}

    def handle(self, rows: list[InboundRequest], now: datetime) -> None:
        clear_contextvars()
        if len(rows) == 1:
            bind_contextvars(request_id=str(rows[0].uid))
        before = {row.uid: row.outcome for row in rows}
        self._open |= {row.uid: row.received_at for row in rows}
        self._job.handle(rows, now)
        # Of a row worked off once before, the line of that time stands in front.
        told = {row.uid: (row.state, row.outcome.removeprefix(before[row.uid])) for row in rows}
        transaction.on_commit(lambda: self._committed(told))

    def _committed(self, told: dict[UUID, tuple[str, str]]) -> None:
        for uid, (state, words) in told.items():
            self._open.pop(uid, None)
            found = {"refused": 1} if state == State.REFUSED else results_in(words, self._results)
            for result, n in found.items():
                metrics.ITEMS.labels(self._job.source, result).inc(n)

    def count_failures(self, now: datetime) -> None:
        """What was begun and is not committed has failed; the rows say whether it will be tried again."""
        if not self._open:
            return
        # With the whole primary key, else every partition would be looked through.
        rows = InboundRequest.objects.filter(
            source=self._job.source,
            uid__in=list(self._open),
            received_at__in=set(self._open.values()),
            processed_at=now,
        )
        for state in rows.filter(state__in=[State.WAITING, State.FAILED]).values_list("state", flat=True):
            metrics.FAILURES.labels(self._job.source, "failed" if state == State.FAILED else "retried").inc()
