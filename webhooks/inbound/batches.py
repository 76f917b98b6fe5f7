"""Owns the working off of the inbox: claim due rows, hand them to a handler, mark them done, all in one transaction.

A worker killed in the middle leaves nothing half done and nothing leased. A poison row is found by trying the batch row by
row under savepoints; it goes on the retry schedule and never holds up its siblings. Trouble with the database is nobody's
fault and costs no attempt.
"""

import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from logging import getLogger

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from trackly import retries
from trackly.columns import columns
from webhooks.inbound.models import InboundRequest, State

logger = getLogger(__name__)

# A batch holds so many requests, but a request may hold 2,000 reports: memory and lock time follow the items.
MAX_ITEMS = 5_000
DATABASE_TROUBLE = (OperationalError, InterfaceError)

# Works off a batch within one transaction, and sets each row's outcome, and its state where that is not done.
Handler = Callable[[list[InboundRequest], datetime], None]


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
                _work_off(job, rows, now)
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
            _try(job, row, now)
        return len(rows)


def run_guarded(job: Job, *, now: datetime) -> int:
    """One row, its attempt committed before it is made: after an unclean exit, a row that kills the worker is found so."""
    with transaction.atomic():
        rows = claim(job.source, now=now, limit=1)
        for row in rows:
            _fail(row, "The worker died while it worked on this request, or on its neighbours.", now)
    for row in rows:
        try:
            with transaction.atomic():
                InboundRequest.objects.by_uid(row.uid).update(last_error=row.last_error)
                _try(job, row, now)
        except DATABASE_TROUBLE:
            _give_back(row)
            raise
    return len(rows)


def _try(job: Job, row: InboundRequest, now: datetime) -> None:
    """Work off one row under a savepoint; what goes wrong is put down to this row."""
    try:
        with transaction.atomic():
            _work_off(job, [row], now)
            # Foreign keys are checked at commit, where they would fail the siblings too, again and again.
            connection.check_constraints()
    except DATABASE_TROUBLE:
        raise
    except Exception as error:
        logger.exception("request failed uid=%s", row.uid)
        _fail(row, _words(error), now)


def _give_back(row: InboundRequest) -> None:
    """Undo the attempt counted in advance. With the database gone the row just waits for its next try."""
    with suppress(DatabaseError):
        InboundRequest.objects.by_uid(row.uid).update(
            attempts=row.attempts, state=State.WAITING, due_at=row.due_at, last_error=row.last_error
        )


def claim(source: str, *, now: datetime, limit: int) -> list[InboundRequest]:
    """Due rows, oldest first, locked until the transaction ends; rows locked by other workers are left to them."""
    due = InboundRequest.objects.filter(source=source, state=State.WAITING, due_at__lte=now).defer("ids")
    with connection.cursor() as cursor:
        # In the order of the index. The planner knows too little of a young partition and would sort the whole backlog for
        # every batch: 170 ms at 20,000 rows waiting, against 5.
        cursor.execute("SET LOCAL enable_sort = off")
        rows = list(due.order_by("due_at").select_for_update(skip_locked=True)[:limit])
        cursor.execute("SET LOCAL enable_sort = on")
    taken = 0
    for index, row in enumerate(rows):
        taken += row.items
        if taken > MAX_ITEMS and index:
            return rows[:index]
    return rows


def _work_off(job: Job, rows: list[InboundRequest], now: datetime) -> None:
    for row in rows:
        row.state = State.DONE
    job.handle(rows, now)
    stamps = [row.received_at for row in rows]
    arrays = columns(
        (row.uid, row.received_at, row.state, row.outcome[:300], row.attempts + 1, row.refusal, row.proof, row.party_id,
         row.account_id)
        for row in rows
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_DONE, [now, settings.VERSION, *arrays, job.source, min(stamps), max(stamps)])


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


# The constant bounds let the planner leave out the partitions that cannot be meant. What was sealed is needed no more once
# a request has proven itself.
_DONE = """
UPDATE webhooks_inboundrequest AS request
SET processed_at = %s, version = %s, state = done.state, outcome = done.outcome, attempts = done.attempts,
    refusal = done.refusal, proof = done.proof, party_id = done.party_id, account_id = done.account_id,
    sealed = CASE WHEN done.refusal = '' THEN NULL ELSE request.sealed END
FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[], %s::text[], %s::smallint[], %s::text[], %s::text[], %s::bigint[],
            %s::bigint[])
     AS done (uid, received_at, state, outcome, attempts, refusal, proof, party_id, account_id)
WHERE request.uid = done.uid AND request.received_at = done.received_at
  AND request.source = %s AND request.received_at BETWEEN %s AND %s
"""
