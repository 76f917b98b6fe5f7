"""Owns the worker's line of echoes: callbacks of a provider that lives on this machine, posted to our own public address."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from sendinglists.callbacks import callback_url
from sendinglists.models import Echo, ProviderAccount
from trackly import metrics, retries
from trackly.calls import Answer, Call, Unanswered, Unreached
from trackly.dispatch import Line
from trackly.encryption import Undecryptable
from trackly.outgoing import Client
from webhooks import providers
from webhooks.providers.base import Config

logger = structlog.get_logger(__name__)

LEASE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Callback:
    """One echo in hand."""

    id: int
    tries: int
    """This one included."""
    provider: str
    url: str
    body: bytes
    config: Config


class Echoing(Line[Callback, str]):
    """The queue of echoes: Echo.due_at."""

    name = "echoing"
    share = 0.25

    def claim(self, now: datetime, free: int) -> list[Callback]:
        """Callbacks to be made now, leased."""
        with transaction.atomic():
            is_free = Q(leased_until=None) | Q(leased_until__lte=now)
            due = Echo.objects.select_for_update(skip_locked=True, of=("self",)).filter(is_free, due_at__lte=now)
            rows = list(due.select_related("message").order_by("due_at", "id")[:free])
            for row in rows:
                row.tries, row.leased_until = row.tries + 1, now + LEASE
            Echo.objects.bulk_update(rows, ["tries", "leased_until"])
            parties = _parties({row.message.provider_account_id for row in rows})
            return [
                _callback(row, parties[row.message.provider_account_id])
                for row in rows
                if row.message.provider_account_id in parties
            ]

    async def do(self, job: Callback, client: Client) -> str:
        """Why it was not taken; '' when it was."""
        adapter = providers.get(job.provider)
        if adapter is None:
            return "there is no such provider any more"
        headers = adapter.echo_headers(job.body, job.config, now=timezone.now())
        try:
            answer: Answer = await client.make(Call(method="POST", url=job.url, headers=headers, body=job.body))
        except (Unreached, Unanswered) as error:
            return str(error)
        return "" if 200 <= answer.status < 300 else f"answered {answer.status}"

    def record(self, done: list[tuple[Callback, str]], now: datetime) -> None:
        """Forget what was taken, and what was refused for the last time; the rest comes again."""
        over = []
        for job, why in done:
            due_at = retries.next_attempt_at(retries.ECHO, job.tries, now) if why else None
            if due_at is not None:
                Echo.objects.filter(id=job.id, tries=job.tries).update(due_at=due_at, leased_until=None)
                continue
            if why:
                logger.warning("callback given up", echo=job.id, provider=job.provider, cause=why)
            over.append(job.id)
        Echo.objects.filter(id__in=over).delete()
        for job, why in done:
            metrics.ECHOES.labels(_end(job, why)).inc()


def _end(job: Callback, why: str) -> str:
    """As /metrics counts it."""
    if not why:
        return "taken"
    return "again" if job.tries <= len(retries.ECHO) else "given_up"


def _parties(ids: set[int]) -> dict[int, ProviderAccount]:
    found = {}
    for id in ids:
        try:
            found[id] = ProviderAccount.objects.select_related("account").get(id=id)
        except Undecryptable:
            logger.exception("credentials cannot be decrypted, nothing is called back with them", party=id)
    return found


def _callback(row: Echo, party: ProviderAccount) -> Callback:
    return Callback(
        id=row.pk,
        tries=row.tries,
        provider=party.provider,
        url=callback_url(party),
        body=bytes(row.body),
        config=party.settings,
    )
