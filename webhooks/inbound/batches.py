"""Owns the working off of the inbox: claim due rows, hand them to a handler, mark them done, all in one transaction.

A worker killed in the middle leaves nothing half done and nothing leased. A poison row is found by trying the batch row by
row under savepoints; it goes on the retry schedule and never holds up its siblings. Trouble with the database is nobody's
fault and costs no attempt.
"""

import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from trackly import retries
from trackly.columns import columns
from webhooks.inbound.models import InboundRequest, State
from webhooks.inbound.standings import counted, moving

logger = structlog.get_logger(__name__)

# A batch holds so many requests, but a request may hold 2,000 reports, or a body of megabytes: lock time follows the
# items, memory the bytes: 100 bodies of 4 MB took a worker to 1.3 GB.
MAX_ITEMS = 5_000
MAX_BYTES = 32 * 1024 * 1024
DATABASE_TROUBLE = (OperationalError, InterfaceError)
_DIED = "The worker died while it worked on this request, or on its neighbours."

# (received_at, uid) of a row; with the source of its job, its whole primary key.
Key = tuple[datetime, UUID]
# Works off a batch within one transaction, and sets each row's outcome, and its state where that is not done.
Handler = Callable[[list[InboundRequest], datetime], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One source of requests and what works them off."""

    source: str
    handle: Handler


def run(job: Job, *, now: datetime, limit: int) -> int:
    """Work off one batch; how many requests were taken. Raises only database trouble; what it stopped is still due."""
    try:
        with transaction.atomic():
            rows = claim(job.source, now=now, limit=limit)
            if rows:
                _work_off(job, rows, now)
            return len(rows)
    except DATABASE_TROUBLE:
        raise
    except Exception:
        logger.exception("batch failed, trying its rows one by one", source=str(job.source))
    return run_apart(job, now=now, limit=limit)


def run_apart(job: Job, *, now: datetime, limit: int) -> int:
    """The same with every row in a transaction of its own: the poison row alone fails; how many were tried.

    One transaction for all would lock the totals of its first row before the messages of its second, and a batch of another
    worker the other way round.
    """
    with transaction.atomic():
        keys = _due(job.source, now=now, limit=limit)
    return sum(_try_apart(job, key, now) for key in keys)


def _try_apart(job: Job, key: Key, now: datetime) -> bool:
    """Work off one row and commit; False when another worker has it, or had it, since it was looked up."""
    received_at, uid = key
    due = InboundRequest.objects.filter(source=job.source, received_at=received_at, uid=uid).defer("ids")
    with transaction.atomic():
        row = due.filter(state=State.WAITING, due_at__lte=now).select_for_update(skip_locked=True).first()
        if row is not None:
            _try(job, row, now)
        return row is not None


def run_guarded(job: Job, *, now: datetime) -> int:
    """One row, its attempt committed before it is made: after an unclean exit, a row that kills the worker is found so."""
    with transaction.atomic():
        rows = claim(job.source, now=now, limit=1)
        for row in rows:
            _fail(row, _DIED, now)
    for row in rows:
        try:
            with transaction.atomic():
                if _give_back(row):
                    _try(job, row, now)
        except DATABASE_TROUBLE:
            with suppress(DatabaseError):
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
        logger.exception("request failed", uid=str(row.uid))
        _fail(row, _words(error), now)


def _give_back(row: InboundRequest) -> bool:
    """Undo the attempt counted in advance, and lock the row; False when somebody replayed or discarded it since.

    With the database gone the row just waits for its next try.
    """
    with moving(InboundRequest.objects.by_uid(row.uid, row.source)) as held:
        blamed = held.filter(attempts=row.attempts + 1, last_error=_DIED, state__in=[State.WAITING, State.FAILED])
        return bool(
            blamed.update(attempts=row.attempts, state=State.WAITING, due_at=row.due_at, last_error=row.last_error)
        )


def claim(source: str, *, now: datetime, limit: int) -> list[InboundRequest]:
    """Due rows, oldest first, locked until the transaction ends; rows locked by other workers are left to them."""
    keys = _due(source, now=now, limit=limit)
    if not keys:
        return []
    stamps, uids = columns(keys)
    rows = InboundRequest.objects.raw(_FETCH, [stamps, uids, source, stamps])
    found = {row.uid: row for row in rows}
    return [found[uid] for _, uid in keys]


def _due(source: str, *, now: datetime, limit: int) -> list[Key]:
    """The keys of the rows to claim, locked. Of their bodies only the length is read: all of 500 may be 2 GB."""
    with connection.cursor() as cursor:
        # In the order of the index, sorted only among equals. The planner knows too little of a young partition and would
        # sort the whole backlog for every batch: 170 ms at 20,000 rows waiting, against 5.
        cursor.execute("SET LOCAL enable_sort = off")
        cursor.execute(_DUE, [source, State.WAITING, now, limit])
        rows = cursor.fetchall()
        cursor.execute("SET LOCAL enable_sort = on")
    items = octets = 0
    keys: list[Key] = []
    for received_at, uid, row_items, row_octets in rows:
        items, octets = items + row_items, octets + row_octets
        if keys and (items > MAX_ITEMS or octets > MAX_BYTES):
            break
        keys.append((received_at, uid))
    return keys


def _work_off(job: Job, rows: list[InboundRequest], now: datetime) -> None:
    for row in rows:
        row.state = State.DONE
    job.handle(rows, now)
    (stamps,) = columns((row.received_at,) for row in rows)
    arrays = columns(
        (row.uid, row.received_at, row.state, row.outcome[:300], row.attempts + 1, row.refusal, row.proof, row.party_id,
         row.account_id)
        for row in rows
    )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_DONE, [now, settings.VERSION, *arrays, job.source, stamps])


def _fail(row: InboundRequest, error: str, now: datetime) -> None:
    """Count the attempt: on the retry schedule while it lasts, then failed."""
    attempts = row.attempts + 1
    again = retries.next_attempt_at(retries.INBOUND, attempts, now)
    with moving(InboundRequest.objects.by_uid(row.uid, row.source)) as held:
        held.update(
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


_DUE = """
SELECT received_at, uid, items, octet_length(body)
FROM webhooks_inboundrequest
WHERE source = %s AND state = %s AND due_at <= %s
ORDER BY due_at, received_at, uid
LIMIT %s
FOR UPDATE SKIP LOCKED
"""
_COLUMNS = ", ".join(f"request.{field.column}" for field in InboundRequest._meta.concrete_fields if field.name != "ids")
# The times stand there twice: as constants they let the planner leave out the partitions that cannot be meant, and find the
# rows by the primary key; of a young partition it would else read all between the first and the last.
_FETCH = f"""
SELECT {_COLUMNS}
FROM unnest(%s::timestamptz[], %s::uuid[]) AS taken (received_at, uid)
JOIN webhooks_inboundrequest request ON request.received_at = taken.received_at AND request.uid = taken.uid
WHERE request.source = %s AND request.received_at = ANY(%s::timestamptz[])
"""
# What was sealed is needed no more once a request has proven itself.
_DONE = counted(
    """
UPDATE webhooks_inboundrequest AS request
SET processed_at = %s, version = %s, state = done.state, outcome = done.outcome, attempts = done.attempts,
    refusal = done.refusal, proof = done.proof, party_id = done.party_id, account_id = done.account_id,
    sealed = CASE WHEN done.refusal = '' THEN NULL ELSE request.sealed END
FROM unnest(%s::uuid[], %s::timestamptz[], %s::text[], %s::text[], %s::smallint[], %s::text[], %s::text[], %s::bigint[],
            %s::bigint[])
     AS done (uid, received_at, state, outcome, attempts, refusal, proof, party_id, account_id)
WHERE request.uid = done.uid AND request.received_at = done.received_at
  AND request.source = %s AND request.received_at = ANY(%s::timestamptz[])
""",
    "request",
)
