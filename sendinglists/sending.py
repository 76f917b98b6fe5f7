"""Owns the worker's line of sending: what is due is claimed, handed to its provider, and its answer entered.

What may have been accepted is never sent again: a try that nobody answered, or that died with its worker, is asked about and
shown, and stays as it is. A message is claimed in one short transaction that ends before the call begins.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction

from sendinglists import watching
from sendinglists.answers import Hear, Try, enter
from sendinglists.barriers import Due, barrier, dropped, look
from sendinglists.callbacks import callback_url
from sendinglists.hands import Hands
from sendinglists.models import Echo, Message, ProviderAccount
from sendinglists.turns import Room, Turn, keep, take_turns
from trackly import metrics
from trackly.calls import Barred, Unanswered, Unreached
from trackly.columns import columns
from trackly.dispatch import Line
from trackly.encryption import Undecryptable
from trackly.outgoing import Client, hold
from webhooks import providers
from webhooks.orders import Sent, Text, Verdict
from webhooks.providers.base import Config
from webhooks.statuses import FINAL, Reason, Report, Status

logger = structlog.get_logger(__name__)

# Outlives every call: a message whose lease is over has certainly no call under way.
LEASE = timedelta(seconds=60)
DEADLINE = timedelta(seconds=45)
# From a claim to its call pass milliseconds, unless the machine slept or was paused: then the recipient may have opted out.
FRESH = timedelta(seconds=10)
# A claim that only dropped things looks again at once, so often.
LOOKS = 20
# How long a message waits when its recipient's number stands in a request that is not worked off yet.
READ_FIRST = timedelta(seconds=1)
# (phones, now) -> those named by requests that were acknowledged and are not worked off.
Unheard = Callable[[set[str], datetime], set[str]]
EXPIRED_AT_ONCE = 500
_UNCLEAR = "It may have been accepted, so it is not sent again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed(Try):
    """One message in hand, with all that its call needs."""

    text: Text
    config: Config
    claimed_s: float = field(default_factory=time.time)


class Sending(Line[Handed, Sent]):
    """The queue of sending: Message.due_at."""

    name = "sending"
    share = 0.75

    def __init__(self, *, hear: Hear, unheard: Unheard) -> None:
        self._hear, self._unheard = hear, unheard
        self._hands = Hands()

    def claim(self, now: datetime, free: int) -> list[Handed]:
        """Messages to be handed over now, leased; what must not be sent is dropped on the way."""
        for _ in range(LOOKS):
            with transaction.atomic():
                jobs, n_seen = self._claim(now, free)
            if jobs or not n_seen:
                break
        self._hands.take({job.id: job.party_id for job in jobs}, now + LEASE)
        return jobs

    def _claim(self, now: datetime, free: int) -> tuple[list[Handed], int]:
        """(what to hand over, how many were decided about)"""
        slots = int(settings.SENDING_SLOTS * self.share)
        turns = take_turns(now, free, Room(slots=slots, held=self._hands.by_party(now)))
        ids = _lock_due(turns, now)
        if not ids:
            return [], 0
        wanted, stopped, off, held = [], [], [], []
        seen = look(ids)
        unheard = self._unheard({due.to for due in seen}, now)
        for due in seen:
            if due.to in unheard:
                held.append(due.id)
            elif due.sent_at is not None or due.status in FINAL:
                # Somebody reported about a try that was refused: it did go, and goes only once.
                off.append(due.id)
            elif (why := barrier(due, now)) is not None:
                stopped.append((due, why))
                off.append(due.id)
            else:
                wanted.append(due)
        _put_off(held, now)
        _take_off(off, now)
        if stopped:
            self._hear([dropped(due, why, now) for due, why in stopped])
        jobs = _hand_over(wanted, now)
        _advance(turns, wanted, jobs)
        handed = {job.id for job in jobs}
        # Robust: what is claimed by now must be handed over, whatever counting it comes to.
        transaction.on_commit(
            lambda: watching.claimed([due for due in wanted if due.id in handed], stopped, now), robust=True
        )
        return jobs, len(off) + len(held)

    async def do(self, job: Handed, client: Client) -> Sent:
        """What the provider answered; raises nothing. Neither the text nor the number is logged."""
        adapter = providers.get(job.provider)
        assert adapter is not None, "a message of an unknown provider is dropped when it is claimed"
        try:
            async with asyncio.timeout(DEADLINE.total_seconds()):
                _demand_fresh(job)
                with metrics.SEND_ANSWER.labels(job.provider).time():
                    return await hold(adapter.send(job.text, job.config), client)
        except Barred as error:
            return _unsaid(
                job, Verdict.REFUSED, Status.FAILED, "not_called", f"{_sentence(error)} Correct the address."
            )
        except Unreached as error:
            return _unsaid(
                job, Verdict.LATER, Status.QUEUED, "not_reached", f"{_sentence(error)} It is tried again by itself."
            )
        except Unanswered as error:
            return _unsaid(job, Verdict.UNCLEAR, Status.UNKNOWN, "no_answer", f"{_sentence(error)} {_UNCLEAR}")
        except TimeoutError:
            seconds = int(DEADLINE.total_seconds())
            return _unsaid(job, Verdict.UNCLEAR, Status.UNKNOWN, "no_answer", f"No answer in {seconds} s. {_UNCLEAR}")
        except Exception:
            logger.exception("answer not understood", message=job.id, provider=job.provider)
            said = f"We did not understand the answer, which is a mistake of ours. {_UNCLEAR}"
            return _unsaid(job, Verdict.UNCLEAR, Status.UNKNOWN, "not_understood", said)

    def record(self, done: list[tuple[Handed, Sent]], now: datetime) -> None:
        """Enter what was answered. A second time changes nothing."""
        with transaction.atomic():
            accepted = enter(done, now, self._hear)
            Echo.objects.bulk_create(echo for job, _ in done if job.id in accepted for echo in _echoes(job, now))
        self._hands.drop(job.id for job, _ in done)

    def expire(self, now: datetime) -> int:
        """What was claimed by a worker that died: it may have gone, so it counts as never answered; how many."""
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(_EXPIRED, [now, EXPIRED_AT_ONCE])
                names = [column.name for column in cursor.description]
                tries = [Try(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]
            said = f"The worker that handed it over ended before the answer came. {_UNCLEAR}"
            lost = [(one, _unsaid(one, Verdict.UNCLEAR, Status.UNKNOWN, "no_answer", said)) for one in tries]
            if lost:
                logger.warning("sends never answered", n=len(lost))
                enter(lost, now, self._hear)
        return len(tries)


def _sentence(error: Exception) -> str:
    said = str(error).strip().rstrip(".")
    return f"{said[:1].upper()}{said[1:]}."


def _demand_fresh(job: Handed) -> None:
    if abs(time.time() - job.claimed_s) > FRESH.total_seconds():
        raise Unreached("This worker stood still before it handed the message over.")


def _unsaid(tried: Try, verdict: Verdict, status: Status, word: str, said: str) -> Sent:
    """What we say ourselves where the provider said nothing."""
    reason = None if verdict == Verdict.UNCLEAR else Reason.OTHER
    report = Report(
        message_key=tried.reference, status=status, vendor_status=word, reason=reason, error_text=said, identity=(word,)
    )
    return Sent(verdict=verdict, report=report)


def _lock_due(turns: list[Turn], now: datetime) -> list[int]:
    if not turns:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_DUE, [*columns((turn.list_id, turn.take) for turn in turns), now])
        return [id for (id,) in cursor.fetchall()]


def _put_off(ids: list[int], now: datetime) -> None:
    """What somebody wrote before stands in the inbox and may be a STOP: it is read first, which takes moments."""
    if ids:
        Message.objects.filter(id__in=ids).update(due_at=now + READ_FIRST)


def _take_off(ids: list[int], now: datetime) -> None:
    if ids:
        with connection.cursor() as cursor:
            cursor.execute(_TAKE_OFF, [now + settings.RECONCILE_AFTER, ids])


def _hand_over(wanted: list[Due], now: datetime) -> list[Handed]:
    """Lease what can be handed over. Where credentials cannot be decrypted, messages stay due until they can be, or are stale."""
    parties = _parties({due.party_id for due in wanted})
    jobs = [_handed(due, parties[due.party_id], now) for due in wanted if due.party_id in parties]
    if jobs:
        with connection.cursor() as cursor:
            cursor.execute(_LEASE, [now, now + LEASE, [job.id for job in jobs]])
    return jobs


def _parties(ids: set[int]) -> dict[int, ProviderAccount]:
    rows = {}
    for id in ids:
        try:
            rows[id] = ProviderAccount.objects.select_related("account").get(id=id)
        except Undecryptable:
            logger.exception("credentials cannot be decrypted, nothing is sent with them", party=id)
    return rows


def _handed(due: Due, party: ProviderAccount, now: datetime) -> Handed:
    text = Text(
        reference=due.reference,
        public_id=due.public_id,
        sender=due.sender,
        to=due.to,
        body=due.body,
        callback_url=callback_url(party),
    )
    return Handed(
        id=due.id,
        party_id=due.party_id,
        account_id=due.account_id,
        provider=due.provider,
        reference=due.reference,
        public_id=due.public_id,
        number=due.tries + 1,
        handed_at=now,
        text=text,
        config=party.settings,
    )


def _advance(turns: list[Turn], wanted: list[Due], jobs: list[Handed]) -> None:
    """Only what is handed over counts against a list's speed."""
    taken = {job.id for job in jobs}
    handed = Counter(due.list_id for due in wanted if due.id in taken)
    for turn in turns:
        turn.advance(handed[turn.list_id])
    keep([turn for turn in turns if handed[turn.list_id]])


def _echoes(job: Handed, now: datetime) -> list[Echo]:
    adapter = providers.get(job.provider)
    echoes = adapter.echoes(job.text) if adapter else ()
    return [Echo(message_id=job.id, body=echo.body, due_at=now + echo.after) for echo in echoes]


_DUE = """
SELECT due.id
FROM unnest(%s::bigint[], %s::int[]) AS turn (list_id, take)
CROSS JOIN LATERAL (SELECT message.id FROM sendinglists_message message
                    WHERE message.sending_list_id = turn.list_id AND message.due_at <= %s
                    ORDER BY message.due_at LIMIT turn.take
                    FOR NO KEY UPDATE SKIP LOCKED) AS due
"""
# What somebody spoke of went, so it is asked about.
_TAKE_OFF = """
UPDATE sendinglists_message SET due_at = NULL, ask_at = CASE WHEN sent_at IS NOT NULL THEN %s::timestamptz END
WHERE id = ANY(%s)
"""
_LEASE = """
UPDATE sendinglists_message SET due_at = NULL, handed_at = %s, leased_until = %s, tries = tries + 1 WHERE id = ANY(%s)
"""
_EXPIRED = """
SELECT message.id, message.provider_account_id AS party_id, message.account_id, party.provider, message.reference,
       message.public_id, message.tries AS number, message.handed_at
FROM sendinglists_message message
JOIN sendinglists_provideraccount party ON party.id = message.provider_account_id
WHERE message.leased_until <= %s
ORDER BY message.id LIMIT %s
FOR NO KEY UPDATE OF message SKIP LOCKED
"""
