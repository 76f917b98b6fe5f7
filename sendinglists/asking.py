"""Owns the worker's line of questions: messages that have no final status after a while are asked for at their provider.

The next question is planned before this one is put, so that a worker that dies in the middle costs one question and no more.
"""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from django.conf import settings
from django.db import connection, transaction

from sendinglists import watching
from sendinglists.answers import Hear
from sendinglists.hands import Hands
from sendinglists.models import ProviderAccount
from trackly import metrics, retries
from trackly.calls import Unanswered, Unreached
from trackly.columns import columns
from trackly.dispatch import Line
from trackly.encryption import Undecryptable
from trackly.models import Account
from trackly.outgoing import Client, hold
from webhooks import providers
from webhooks.orders import Asked
from webhooks.providers.base import Config
from webhooks.statuses import FINAL, Heard, Origin, Report

logger = structlog.get_logger(__name__)

# Asking may page through a log.
DEADLINE = timedelta(seconds=45)
# And then its answer is recorded, or lost with the worker.
HELD = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One message whose time to be asked for has come."""

    id: int
    public_id: str
    party_id: int
    account_id: int
    provider: str
    reference: str
    provider_message_id: str
    sender: str
    to: str
    sent_at: datetime
    asked: int
    """How many questions were put before."""
    is_open: bool
    """Without a final status, at credentials that are in use."""

    @property
    def can_be_asked(self) -> bool:
        adapter = providers.get(self.provider)
        return self.is_open and adapter is not None and adapter.can_ask

    def next_at(self, now: datetime) -> datetime | None:
        """When to ask again, should it be needed."""
        return retries.next_attempt_at(retries.ASKING, self.asked + 1, now) if self.can_be_asked else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One message that is asked for, and with what."""

    row: Row
    config: Config


class Asking(Line[Question, list[Report]]):
    """The queue of questions: Message.ask_at."""

    name = "asking"
    share = 0.25

    def __init__(self, *, hear: Hear) -> None:
        self._hear = hear
        self._hands = Hands()

    def claim(self, now: datetime, free: int) -> list[Question]:
        """Questions to put now; those that need not or cannot be put are struck off."""
        held = self._hands.by_party(now)
        full = [party_id for party_id, n in held.items() if n >= self._most()]
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_DUE, [[status.value for status in FINAL], Account.Status.ACTIVE.value, now, full, free])
            names = [column.name for column in cursor.description]
            found = [Row(**dict(zip(names, values, strict=True))) for values in cursor.fetchall()]
            rows = self._with_room(found, held)
            if rows:
                cursor.execute(_NEXT, columns((row.id, row.next_at(now)) for row in rows))
            asked = [row for row in rows if row.can_be_asked]
            configs = _configs({row.party_id for row in asked})
        jobs = [Question(row=row, config=configs[row.party_id]) for row in asked if row.party_id in configs]
        self._hands.take({job.row.id: job.row.party_id for job in jobs}, now + HELD)
        return jobs

    def _most(self) -> int:
        """Questions of one provider account at once: one that hangs must not keep the others' from being put."""
        return max(int(settings.SENDING_SLOTS * self.share) // 2, 1)

    def _with_room(self, rows: list[Row], held: Counter[int]) -> list[Row]:
        taken = []
        for row in rows:
            if held[row.party_id] < self._most() or not row.can_be_asked:
                taken.append(row)
                held[row.party_id] += row.can_be_asked
        return taken

    async def do(self, job: Question, client: Client) -> list[Report]:
        """What the provider knows; nothing where it did not say. Raises nothing."""
        adapter = providers.get(job.row.provider)
        assert adapter is not None, "a message of an unknown provider is struck off when it is claimed"
        try:
            async with asyncio.timeout(DEADLINE.total_seconds()):
                known = await hold(adapter.ask(_asked(job.row), job.config), client)
            metrics.QUESTIONS.labels(job.row.provider, "told" if known else "nothing").inc()
            return known
        except (Unreached, Unanswered, TimeoutError) as error:
            metrics.QUESTIONS.labels(job.row.provider, "not_answered").inc()
            logger.info(
                "question not answered", message=job.row.id, provider=job.row.provider, error=type(error).__name__
            )
        except Exception:
            metrics.QUESTIONS.labels(job.row.provider, "not_understood").inc()
            logger.exception("answer to a question not understood", message=job.row.id, provider=job.row.provider)
        return []

    def record(self, done: list[tuple[Question, list[Report]]], now: datetime) -> None:
        """Enter what was learned. What is final by now is not asked for again."""
        heard = [_heard(job, report, now) for job, reports in done for report in reports]
        with transaction.atomic():
            if heard:
                self._hear(heard)
            with connection.cursor() as cursor:
                cursor.execute(_END, [sorted(job.row.id for job, _ in done), [status.value for status in FINAL]])
        self._hands.drop(job.row.id for job, _ in done)
        watching.asked({job.row.public_id: bool(reports) for job, reports in done})


def _configs(ids: set[int]) -> dict[int, Config]:
    found: dict[int, Config] = {}
    for id in ids:
        try:
            found[id] = ProviderAccount.objects.only("credentials").get(id=id).settings
        except Undecryptable:
            logger.exception("credentials cannot be decrypted, nothing is asked with them", party=id)
    return found


def _asked(row: Row) -> Asked:
    return Asked(
        reference=row.reference,
        provider_message_id=row.provider_message_id,
        sender=row.sender,
        to=row.to,
        sent_at=row.sent_at,
    )


def _heard(job: Question, report: Report, now: datetime) -> Heard:
    """Under the provider's name of it, which is learned here where the send was never answered."""
    return Heard(
        report=replace(report, public_id=job.row.public_id),
        provider=job.row.provider,
        party_id=job.row.party_id,
        account_id=job.row.account_id,
        received_at=now,
        request_uid=None,
        origin=Origin.ASKED,
    )


_DUE = """
SELECT message.id, message.public_id, party.id AS party_id, message.account_id, party.provider, message.reference,
       message.provider_message_id, coalesce(list.number, '') AS sender, message.to, message.asked,
       coalesce(message.sent_at, message.handed_at, message.created_at) AS sent_at,
       message.status <> ALL(%s) AND party.removed_at IS NULL AND account.status = %s AS is_open
FROM sendinglists_message message
JOIN sendinglists_provideraccount party ON party.id = message.provider_account_id
JOIN trackly_account account ON account.id = message.account_id
LEFT JOIN sendinglists_sendinglist list ON list.id = message.sending_list_id
WHERE message.ask_at <= %s AND message.provider_account_id <> ALL(%s::bigint[])
ORDER BY message.ask_at LIMIT %s
FOR NO KEY UPDATE OF message SKIP LOCKED
"""
_NEXT = """
UPDATE sendinglists_message message SET ask_at = new.ask_at, asked = message.asked + 1
FROM unnest(%s::bigint[], %s::timestamptz[]) AS new (id, ask_at)
WHERE message.id = new.id
"""
_END = "UPDATE sendinglists_message SET ask_at = NULL WHERE id = ANY(%s) AND status = ANY(%s) AND ask_at IS NOT NULL"
