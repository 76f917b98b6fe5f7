"""Owns the working off of the inbox: claim due rows, hand them to a handler, mark them done, all in one transaction.

A worker killed in the middle leaves nothing half done and nothing leased. A poison row is found by trying the batch row by
row under savepoints; it goes on the retry schedule and never holds up its siblings. Trouble with the database is nobody's
fault and costs no attempt.
"""

import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from logging import getLogger
from uuid import UUID

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction

from trackly import retries
from webhooks.inbound.models import InboundRequest, State

logger = getLogger(__name__)

# A batch holds so many requests, but a request may hold 2,000 reports: memory and lock time follow the items.
MAX_ITEMS = 5_000
DATABASE_TROUBLE = (OperationalError, InterfaceError)

Outcomes = Mapping[UUID, str]
Handler = Callable[[list[InboundRequest], datetime], Outcomes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One source of requests and what works them off."""

    source: str
    handle: Handler


def run(job: Job, *, now: datetime, limit: int) -> int:
    """Work off one batch; how many requests were taken. Raises only database trouble, then nothing has happened."""
    try:
        with transaction.atomic():
            rows = claim(job.source, now=now, limit=limit)
            if rows:
                _finish(rows, job.handle(rows, now), now)
            return len(rows)
    except DATABASE_TROUBLE:
        raise
    except Exception:
        logger.exception("batch failed source=%s, trying its rows one by one", job.source)
    return run_apart(job, now=now, limit=limit)


def run_apart(job: Job, *, now: datetime, limit: int) -> int:
    """The same with every row under a savepoint of its own: the poison row alone fails."""
    with transaction.atomic():
        rows = claim(job.source, now=now, limit=limit)
        for row in rows:
            try:
                with transaction.atomic():
                    _finish([row], job.handle([row], now), now)
            except DATABASE_TROUBLE:
                raise
            except Exception as error:
                logger.exception("request failed uid=%s", row.uid)
                _fail(row, _words(error), now)
        return len(rows)


def run_guarded(job: Job, *, now: datetime) -> int:
    """One row, its attempt committed before it is made: after an unclean exit, a row that kills the worker is found so."""
    with transaction.atomic():
        rows = claim(job.source, now=now, limit=1)
        for row in rows:
            _fail(row, "The worker died while it worked on this request, or on its neighbours.", now)
    for row in rows:
        with transaction.atomic():
            again = InboundRequest.objects.by_uid(row.uid).select_for_update().get()
            again.attempts -= 1
            try:
                with transaction.atomic():
                    _finish([again], job.handle([again], now), now)
            except DATABASE_TROUBLE:
                raise
            except Exception as error:
                logger.exception("request failed uid=%s", row.uid)
                _fail(again, _words(error), now)
    return len(rows)


def claim(source: str, *, now: datetime, limit: int) -> list[InboundRequest]:
    """Due rows, oldest first, locked until the transaction ends; rows locked by other workers are left to them."""
    due = InboundRequest.objects.filter(source=source, state=State.WAITING, due_at__lte=now)
    rows = list(due.order_by("due_at").select_for_update(skip_locked=True)[:limit])
    taken = 0
    for index, row in enumerate(rows):
        taken += row.items
        if taken > MAX_ITEMS and index:
            return rows[:index]
    return rows


def _finish(rows: list[InboundRequest], outcomes: Outcomes, now: datetime) -> None:
    stamps = [row.received_at for row in rows]
    with connection.cursor() as cursor:
        cursor.execute(
            _DONE,
            [
                now,
                settings.VERSION,
                stamps,
                [row.uid for row in rows],
                [outcomes[row.uid][:300] for row in rows],
                [row.attempts + 1 for row in rows],
                rows[0].source,
                min(stamps),
                max(stamps),
            ],
        )


def _fail(row: InboundRequest, error: str, now: datetime) -> None:
    """Count the attempt: on the retry schedule while it lasts, then failed."""
    attempts = row.attempts + 1
    again = retries.next_attempt_at(retries.INBOUND, attempts, now)
    InboundRequest.objects.by_uid(row.uid).update(
        attempts=attempts,
        state=State.WAITING if again else State.FAILED,
        due_at=again or now,
        last_error=error,
        version=settings.VERSION,
        processed_at=now,
    )


def _words(error: Exception) -> str:
    """The traceback, for the failed-webhook log; NUL would not be stored."""
    return "".join(traceback.format_exception(error, limit=-12)).replace("\x00", "")[-20_000:]


def overdue(now: datetime) -> timedelta:
    """How long the oldest due request has been waiting; zero when nothing is due."""
    due = InboundRequest.objects.filter(state=State.WAITING, due_at__lte=now).order_by("due_at")
    oldest = due.values_list("due_at", flat=True).first()
    return now - oldest if oldest else timedelta(0)


# The constant bounds let the planner leave out the partitions that cannot be meant.
_DONE = """
UPDATE webhooks_inboundrequest AS request
SET state = 'done', processed_at = %s, version = %s, outcome = done.outcome, attempts = done.attempts
FROM unnest(%s::timestamptz[], %s::uuid[], %s::text[], %s::smallint[]) AS done (received_at, uid, outcome, attempts)
WHERE request.uid = done.uid AND request.received_at = done.received_at
  AND request.source = %s AND request.received_at BETWEEN %s AND %s
"""
