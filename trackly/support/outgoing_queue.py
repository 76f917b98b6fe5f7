"""Owns what the admin's index says of messages that are to go out: what waits, what was never answered, who cannot send.

Every count is bounded and finds its rows in an index, as those of /metrics do.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.http import HttpRequest
from django.urls import reverse

from sendinglists.models import Message, ProviderAccount
from trackly import retries
from trackly.queued import QUEUED
from trackly.showing import Badge, Link, Shown, lasting
from trackly.support.cards import Card
from trackly.support.lists import NEWEST
from trackly.support.permissions import may_see
from webhooks.statuses import Status

WebhookState = ProviderAccount.WebhookState
BOUND = 10_001
UNCLEAR_WITHIN = timedelta(hours=24)
# A list that could have handed something over for so long, and did not, is stuck.
STUCK_AFTER = timedelta(minutes=1)
_OPEN = (Status.QUEUED.value, Status.UNKNOWN.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """How the queue of sending stands; counts end at BOUND."""

    due: int
    oldest_due_at: datetime | None
    stuck_since: datetime | None
    """Since when a list had something due, and by its speed could have sent it."""
    retrying: int
    """Not taken by the provider, to be tried again."""
    retrying_again: int
    """Of these, tried more than once."""
    abandoned: int
    """In hand of a worker that is gone."""
    unclear: int
    """Handed over lately, never answered, not spoken of since."""
    has_sent: bool
    failed: list[int]
    """Provider accounts whose set-up failed."""
    failed_name: str | None
    """Of the first of them."""

    @property
    def waiting(self) -> int:
        return self.due + self.retrying + self.abandoned


def outgoing_cards(request: HttpRequest, now: datetime, *, has_worker: bool) -> list[Card]:
    """None for who may not see messages, or where nothing was ever to be sent."""
    if not may_see(request.user, Message):
        return []
    queue = ask(now)
    cards = [_queue_card(queue, now, has_worker)] if queue.has_sent or queue.waiting or queue.unclear else []
    return [*cards, _failed_card(queue)] if queue.failed and may_see(request.user, ProviderAccount) else cards


def _queue_card(queue: Outgoing, now: datetime, has_worker: bool) -> Card:
    alarms = [alarm for alarm in (_stuck(queue, now, has_worker), _not_taken(queue)) if alarm]
    words = _words(queue, now)
    if not words:
        words = [Badge("all handed over", "good") if has_worker else "Nothing is due right now"]
    return Card(title="Waiting to be sent", figure=_bounded(queue.waiting), words=tuple(words), alarm=" ".join(alarms))


def _failed_card(queue: Outgoing) -> Card:
    n = len(queue.failed)
    page = reverse("admin:sendinglists_provideraccount_change", args=queue.failed[:1])
    if n > 1:
        page = f"{reverse('admin:sendinglists_provideraccount_changelist')}?webhook_state__exact={WebhookState.FAILED}"
    return Card(
        title="Webhooks not configured",
        figure=_bounded(n),
        words=(Link(queue.failed_name or "(without a name)" if n == 1 else "Show these provider accounts", page),),
        alarm="Nothing is sent while a STOP would not be heard. Open it, read the failed step and press “Configure webhooks”.",
    )


def _bounded(n: int) -> str:
    return f"{BOUND - 1:,}+" if n >= BOUND else f"{n:,}"


def _of_messages(n: int) -> str:
    return f"{_bounded(n)} {'message' if n == 1 else 'messages'}"


def _stuck(queue: Outgoing, now: datetime, has_worker: bool) -> str:
    if not has_worker:
        return "Nothing is sent while no worker runs; start one." if queue.waiting else ""
    if queue.stuck_since is None or now - queue.stuck_since <= STUCK_AFTER:
        return ""
    stood = lasting(now - queue.stuck_since)
    return f"Sending stands still: a list could have sent for {stood}. See the worker's log, or start more workers."


def _not_taken(queue: Outgoing) -> str:
    if not queue.retrying_again:
        return ""
    n = _of_messages(queue.retrying_again)
    return f"The provider did not take {n} more than once. Open one to read why."


def _words(queue: Outgoing, now: datetime) -> list[Shown]:
    words: list[Shown] = []
    if queue.due and queue.oldest_due_at:
        words.append(
            Link(f"{_of_messages(queue.due)} due, the oldest for {lasting(now - queue.oldest_due_at)}", _url())
        )
        if queue.stuck_since is None or now - queue.stuck_since <= STUCK_AFTER:
            words.append("Each list sends as fast as its speed allows")
    if queue.retrying:
        words.append(Link(f"{_of_messages(queue.retrying)} not taken, to be tried again", _url()))
    if queue.abandoned:
        words.append(Link(f"{_of_messages(queue.abandoned)} in hand of a worker that is gone", _url()))
    if queue.unclear:
        words.append(Link(f"{_of_messages(queue.unclear)} handed over in 24 h and never answered", _url()))
        words.append("They may have gone and are not sent again; look them up at the provider")
    return words


def _url() -> str:
    return f"{reverse('admin:sendinglists_message_changelist')}?status__in={','.join(_OPEN)}"


# --- what the tables say


def ask(now: datetime) -> Outgoing:
    """One statement: all of it is of one moment."""
    with connection.cursor() as cursor:
        cursor.execute(
            _ASK,
            {
                "now": now,
                "bound": BOUND,
                "newest": NEWEST,
                "next": now + retries.SENDING[-1],
                "lately": now - UNCLEAR_WITHIN,
                "open": list(_OPEN),
                "failed": WebhookState.FAILED,
            },
        )
        names = [column.name for column in cursor.description]
        return Outgoing(**dict(zip(names, cursor.fetchone(), strict=True)))


# What was not taken is due again within the longest wait of SENDING; it is looked for among what is due next. No index knows
# what was never answered: it is asked about, late where it was before, or stands among the newest where its provider cannot
# be asked.
_ASK = f"""{QUEUED}, list AS (
    SELECT first.due_at, greatest(first.due_at, list.next_slot_at) AS could_at
    FROM queued JOIN sendinglists_sendinglist list ON list.id = queued.list_id
    CROSS JOIN LATERAL (SELECT message.due_at FROM sendinglists_message message
                        WHERE message.sending_list_id = list.id AND message.due_at <= %(now)s
                        ORDER BY message.due_at LIMIT 1) first
), next AS (
    SELECT message.tries FROM queued CROSS JOIN LATERAL (
        SELECT tries FROM sendinglists_message
        WHERE sending_list_id = queued.list_id AND due_at > %(now)s AND due_at <= %(next)s
        ORDER BY due_at LIMIT %(bound)s) message LIMIT %(bound)s
), failed AS (
    SELECT id, name FROM sendinglists_provideraccount WHERE webhook_state = %(failed)s AND removed_at IS NULL
    ORDER BY id LIMIT %(bound)s
), unclear AS (
    SELECT id FROM (SELECT * FROM sendinglists_message WHERE ask_at IS NOT NULL ORDER BY ask_at DESC LIMIT %(newest)s) asked
    WHERE handed_at > %(lately)s AND sent_at IS NULL AND leased_until IS NULL AND status = ANY(%(open)s)
    UNION
    SELECT id FROM (SELECT * FROM sendinglists_message ORDER BY id DESC LIMIT %(newest)s) newest
    WHERE handed_at > %(lately)s AND sent_at IS NULL AND leased_until IS NULL AND due_at IS NULL AND status = ANY(%(open)s)
)
SELECT (SELECT count(*) FROM (
            SELECT FROM queued CROSS JOIN LATERAL (
                SELECT FROM sendinglists_message WHERE sending_list_id = queued.list_id AND due_at <= %(now)s
                ORDER BY due_at LIMIT %(bound)s) due LIMIT %(bound)s) bounded) AS due,
       (SELECT min(due_at) FROM list) AS oldest_due_at,
       (SELECT min(could_at) FROM list) AS stuck_since,
       (SELECT count(*) FROM next WHERE tries > 0) AS retrying,
       (SELECT count(*) FROM next WHERE tries > 1) AS retrying_again,
       (SELECT count(*) FROM (SELECT FROM sendinglists_message WHERE leased_until <= %(now)s LIMIT %(bound)s) over) AS abandoned,
       (SELECT count(*) FROM unclear) AS unclear,
       EXISTS (SELECT FROM sendinglists_sendinglist WHERE next_slot_at IS NOT NULL) AS has_sent,
       ARRAY(SELECT id FROM failed ORDER BY id) AS failed,
       (SELECT name FROM failed ORDER BY id LIMIT 1) AS failed_name
"""
