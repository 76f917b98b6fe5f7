"""Owns what the log and /metrics learn of a worker's round: told after its commit, never of what was rolled back."""

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

# The words of a webhook's results, and what they are counted as. The others say more about one of these.
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


def results_of(row: InboundRequest, results: Mapping[str, str]) -> dict[str, int]:
    """What its items came to, as /metrics counts it -> how many."""
    if row.state == State.REFUSED:
        return {"refused": 1}
    found: dict[str, int] = {}
    for words, n in row.results.items():
        # In brackets stands why.
        if result := results.get(words.partition(" (")[0]):
            found[result] = found.get(result, 0) + n
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
        self._open |= {row.uid: row.received_at for row in rows}
        self._job.handle(rows, now)
        told = {row.uid: results_of(row, self._results) for row in rows}
        transaction.on_commit(lambda: self._committed(told))

    def _committed(self, told: dict[UUID, dict[str, int]]) -> None:
        for uid, found in told.items():
            self._open.pop(uid, None)
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
