"""Owns what the answer to a send means for its message: its name at the provider, its timeline, and what is due next.

An answer enters the timeline by the same rule as every report, so it may come before or after the callbacks it causes.
Entering one a second time changes nothing.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction

from sendinglists import watching
from trackly import retries
from trackly.columns import columns
from trackly.worker import TROUBLE
from webhooks import providers
from webhooks.orders import Sent, Verdict
from webhooks.statuses import FINAL, Heard, Origin, Reason, Report, Status

logger = structlog.get_logger(__name__)

# Enters what we learned into timelines, within the caller's transaction.
Hear = Callable[[list[Heard]], None]
# What was never answered is asked about soon: somebody may be waiting to send it anew.
ASK_UNCLEAR = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Try:
    """One try to hand over one message."""

    id: int
    party_id: int
    account_id: int
    provider: str
    reference: str
    public_id: str
    number: int
    """1 for the first."""
    handed_at: datetime


Answered = tuple[Try, Sent]


def enter(done: Sequence[Answered], now: datetime, hear: Hear) -> set[int]:
    """Enter a batch in one transaction; the messages accepted now and not before.

    One answer that cannot be stored must not cost the others theirs: then each is entered alone.
    """
    try:
        return _enter(done, now, hear)
    except TROUBLE:
        raise
    except Exception:
        logger.exception("answers entered one by one", n=len(done))
    return {id for answered in done for id in _enter_alone(answered, now, hear)}


def _enter_alone(answered: Answered, now: datetime, hear: Hear) -> set[int]:
    """Whole, else without what may not fit: a name that another message has, words and prices of the provider."""
    tried, sent = answered
    bare = Report(message_key=tried.reference, status=sent.report.status, vendor_status=sent.report.vendor_status)
    for candidate in (sent, replace(sent, provider_message_id="", report=bare)):
        try:
            return _enter([(tried, candidate)], now, hear)
        except TROUBLE:
            raise
        except Exception:
            logger.exception("answer not entered", message=tried.id)
    # Its lease ends by itself, and then it counts as never answered.
    return set()


def _enter(done: Sequence[Answered], now: datetime, hear: Hear) -> set[int]:
    done = sorted(done, key=lambda answered: answered[0].id)
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_LOCK, [[tried.id for tried, _ in done]])
            accepted = _name(done, unsent={id for id, sent_at in cursor.fetchall() if sent_at is None})
        # Named first: what is heard is written over the whole row. Heard at once: people are locked before totals.
        hear([heard for tried, sent in done for heard in _heard(tried, sent, now)])
        with connection.cursor() as cursor:
            over = [status.value for status in FINAL]
            cursor.execute(_SETTLE, [over, over, *columns(_plan(tried, sent, now) for tried, sent in done)])
        transaction.on_commit(lambda: watching.answered(done))
    return accepted


def _name(done: Sequence[Answered], unsent: set[int]) -> set[int]:
    taken = [(tried, sent) for tried, sent in done if sent.verdict == Verdict.ACCEPTED]
    if taken:
        with connection.cursor() as cursor:
            rows = ((tried.id, sent.provider_message_id[:200], tried.handed_at) for tried, sent in taken)
            cursor.execute(_NAME, columns(rows))
    return {tried.id for tried, _ in taken} & unsent


def _heard(tried: Try, sent: Sent, now: datetime) -> Iterator[Heard]:
    """The answer, and our own word where it was the last one."""
    yield _spoken(tried, _own(tried, sent), Origin.ANSWER, now)
    if sent.verdict == Verdict.LATER and tried.number > len(retries.SENDING):
        yield _spoken(tried, _given_up(tried, sent), Origin.OURS, now)


def _own(tried: Try, sent: Sent) -> Report:
    """What was said, under our own name of the message and as part of this try: another try may be answered alike.

    Its time is that of the try where the provider tells none, so that the answer to a later try stands above an earlier one's.
    """
    said = sent.report
    parts = said.identity or (said.vendor_status, said.vendor_code, said.error_code)
    is_unclear = sent.verdict == Verdict.UNCLEAR
    return replace(
        said,
        message_key=tried.reference,
        public_id="",
        status=Status.UNKNOWN if is_unclear else said.status,
        at=None if is_unclear else said.at or tried.handed_at,
        identity=(f"try {tried.number}", *parts),
    )


def _given_up(tried: Try, sent: Sent) -> Report:
    """Our own word after the last try, with what the provider said of it."""
    said = _own(tried, sent)
    return replace(
        said,
        status=Status.FAILED,
        vendor_status="given_up",
        at=None,
        reason=said.reason or Reason.OTHER,
        error_text=f"{said.error_text} It was tried {tried.number} times.".strip(),
        identity=("given up",),
    )


def _spoken(tried: Try, report: Report, origin: Origin, now: datetime) -> Heard:
    return Heard(
        report=report,
        provider=tried.provider,
        party_id=tried.party_id,
        account_id=tried.account_id,
        received_at=now,
        request_uid=None,
        origin=origin,
    )


def _plan(tried: Try, sent: Sent, now: datetime) -> tuple[object, ...]:
    """(message, try, when to send it again, when to ask about it)."""
    adapter = providers.get(tried.provider)
    wait = ASK_UNCLEAR if sent.verdict == Verdict.UNCLEAR else settings.RECONCILE_AFTER
    asks = adapter is not None and adapter.can_ask and sent.verdict != Verdict.REFUSED
    due_at = _next_try(tried, sent, now) if sent.verdict == Verdict.LATER else None
    # From the moment it was handed over: a second entry of one answer plans the same.
    return (tried.id, tried.number, due_at, tried.handed_at + wait if asks else None)


def _next_try(tried: Try, sent: Sent, now: datetime) -> datetime | None:
    due_at = retries.next_attempt_at(retries.SENDING, tried.number, now)
    if due_at is None or sent.retry_after is None:
        return due_at
    return max(due_at, now + min(sent.retry_after, retries.SENDING[-1]))


_LOCK = "SELECT id, sent_at FROM sendinglists_message WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE"
_NAME = """
UPDATE sendinglists_message message
SET provider_message_id = CASE WHEN message.provider_message_id = '' THEN new.name ELSE message.provider_message_id END,
    sent_at = coalesce(message.sent_at, new.handed_at)
FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[]) AS new (id, name, handed_at)
WHERE message.id = new.id
"""
# Sent again only where nobody spoke of it, nothing final was said, and this try's answer was not entered before.
_SETTLE = """
UPDATE sendinglists_message message
SET leased_until = NULL,
    due_at = CASE WHEN message.status = ANY(%s) OR message.sent_at IS NOT NULL THEN NULL ELSE new.due_at END,
    ask_at = CASE WHEN message.status = ANY(%s) THEN NULL
                  WHEN new.due_at IS NOT NULL AND message.sent_at IS NULL THEN NULL
                  WHEN message.asked > 0 THEN message.ask_at
                  ELSE new.ask_at END
FROM unnest(%s::bigint[], %s::int[], %s::timestamptz[], %s::timestamptz[]) AS new (id, number, due_at, ask_at)
WHERE message.id = new.id AND message.tries = new.number AND message.due_at IS NULL
"""
