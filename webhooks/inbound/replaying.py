"""Owns what people do to the log of requests: replay and discard, each with an audit entry a row.

Replaying only makes a row due again: the worker verifies what was refused by today's credentials and works it off like any
other; what counted already is found by its keys and counts no second time.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet

from trackly import wake
from trackly.models import AuditEntry
from webhooks.inbound.models import FAILED, InboundRequest, State
from webhooks.inbound.standings import moving

CHUNK = 1_000
ANY = Q()


def replay(requests: QuerySet[InboundRequest], *, user: Any, now: datetime) -> int:
    """Make every request of the queryset due now; how many. Attempts begin anew. A HEAD probe says nothing to work off."""
    requests = requests.exclude(method="HEAD")
    # What it came to before is told by the audit entry: the row tells what comes of it now.
    n = _each(requests, user=user, verb="replayed", state=State.WAITING, attempts=0, due_at=now, outcome="")
    wake.nudge()
    return n


def discard(requests: QuerySet[InboundRequest], *, user: Any, reason: str) -> int:
    """Take every request of the queryset that is in the log of failures out of it, with the reason; how many.

    What counted, or was never tried, is left alone: somebody may have replayed it since it was looked at.
    """
    outcome = f"Discarded: {reason}"[:300]
    state = State.DISCARDED
    return _each(requests, only=FAILED, user=user, verb="discarded", detail=reason, state=state, outcome=outcome)


def _each(
    requests: QuerySet[InboundRequest], *, user: Any, verb: str, only: Q = ANY, detail: str = "", **changes: Any
) -> int:  # fmt: skip
    n = 0
    for keys in _chunks(requests):
        uids, stamps, sources = zip(*keys, strict=True)
        # All of the primary key: without the source, the partitions of both would be looked through.
        named = InboundRequest.objects.filter(uid__in=uids, received_at__in=stamps, source__in=set(sources))
        with moving(named) as locked:
            rows = locked.filter(only)
            before = [
                (
                    row.uid,
                    row.account_id,
                    detail or f"It was {row.get_state_display().lower()}: {row.outcome or 'no word'}",
                )
                for row in rows.only("uid", "account_id", "state", "outcome")
            ]
            n += rows.update(**changes)
            AuditEntry.objects.bulk_create(
                AuditEntry(user=user, account_id=account_id, verb=verb, target=f"request {uid}", detail=said)
                for uid, account_id, said in before
            )
    return n


def _chunks(requests: QuerySet[InboundRequest]) -> Iterator[Sequence[tuple[Any, datetime, str]]]:
    """(uid, received_at, source) of the whole queryset as it was, a chunk at a time: replaying changes what it holds."""
    keys = list(requests.values_list("uid", "received_at", "source"))
    for start in range(0, len(keys), CHUNK):
        yield keys[start : start + CHUNK]
