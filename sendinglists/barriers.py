"""Owns why a message that is due is not sent after all, decided while its list, itself and its recipient are locked.

Whoever enters an opt-out locks the contact first. So it either committed before the claim's lock and is seen by the look that
follows, or it waits until the claim has committed: nothing is claimed for a person after her opt-out.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from sendinglists.callbacks import is_switched_on
from sendinglists.models import ProviderAccount, SendingList
from trackly import retries
from trackly.models import Account
from webhooks import providers
from webhooks.statuses import Heard, Origin, Reason, Report, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """One message in hand, and everything that may speak against sending it."""

    id: int
    list_id: int
    party_id: int
    account_id: int
    provider: str
    reference: str
    public_id: str
    sender: str
    to: str
    body: str
    tries: int
    is_test: bool
    due_at: datetime
    paced_at: datetime | None
    """When its list's next message may go, as the one before left it; None: it never sent."""
    status: str
    sent_at: datetime | None
    account_status: str
    list_status: str
    is_removed: bool
    webhook_state: str
    is_opted_out: bool
    """Of this list, or of one of the account that had its number before: to the person the number is the list."""
    suppressed_for: str | None
    """The brand; '': the whole account; None: not at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier:
    """One cause not to send."""

    detail: str
    reason: Reason
    said: str


def look(ids: list[int]) -> list[Due]:
    """Messages as they stand once their recipients are locked; in the order they are due."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK_CONTACTS, [ids])
        # A statement of its own: it sees what committed while the one before waited.
        cursor.execute(_LOOK, [ids])
        names = [column.name for column in cursor.description]
        return [Due(**dict(zip(names, row, strict=True))) for row in cursor.fetchall()]


def barrier(due: Due, now: datetime) -> Barrier | None:
    """Why it is not sent; None: it is. The list's causes come before the recipient's, as its owner can end them."""
    if (closed := _closed(due)) is not None:
        return Barrier(detail="inactive_list", reason=Reason.LIST_CLOSED, said=closed)
    if _is_deaf(due):
        said = "The provider account's callbacks are not configured, so nobody would hear a STOP; configure it first."
        return Barrier(detail="webhook_not_configured", reason=Reason.LIST_CLOSED, said=said)
    if _is_stale(due, now):
        minutes = int(retries.STALE.total_seconds() // 60)
        said = f"It could not be sent within {minutes} minutes of its time; send it anew if it is still wanted."
        return Barrier(detail="stale", reason=Reason.STALE, said=said)
    if (blocked := _blocked(due)) is not None:
        return Barrier(detail="contact_blocked", reason=Reason.OPT_OUT, said=blocked)
    return None


def _is_stale(due: Due, now: datetime) -> bool:
    """It is long over its time, and not because its list has more to send than its speed lets go: that was its owner's choice."""
    oldest = now - retries.STALE
    return due.due_at < oldest and (due.paced_at is None or due.paced_at < oldest)


def _closed(due: Due) -> str | None:
    if due.account_status != Account.Status.ACTIVE:
        return f"The account is {due.account_status}; it sends nothing."
    if due.list_status != SendingList.State.ACTIVE:
        return f"The list is {due.list_status}; activate it and send anew."
    if due.is_removed or providers.get(due.provider) is None:
        return "The list's provider account was removed; give the list another one and send anew."
    if not is_switched_on(due.provider):
        return "The sandbox is switched off on this service."
    return None


def _is_deaf(due: Due) -> bool:
    """Where set-up failed or was taken back. Not begun or under way, replies may well arrive already; and a test message is
    how somebody finds out that it works again."""
    deaf = (ProviderAccount.WebhookState.FAILED, ProviderAccount.WebhookState.REMOVED)
    return due.webhook_state in deaf and not due.is_test


def _blocked(due: Due) -> str | None:
    if due.is_opted_out:
        return "The recipient opted out of this list, or of another one that has this number."
    if due.suppressed_for is not None:
        where = f"the brand {due.suppressed_for}" if due.suppressed_for else "the whole account"
        return f"The recipient's number is closed for {where}."
    return None


def dropped(due: Due, why: Barrier, now: datetime) -> Heard:
    """The entry of its timeline that says so.

    Without a time of its own: should the provider have taken an earlier try after all, its word stands above ours.
    """
    report = Report(
        message_key=due.reference,
        status=Status.DROPPED,
        vendor_status=why.detail,
        reason=why.reason,
        error_text=why.said,
        identity=("dropped", why.detail),
    )
    return Heard(
        report=report,
        provider=due.provider,
        party_id=due.party_id,
        account_id=due.account_id,
        received_at=now,
        request_uid=None,
        origin=Origin.OURS,
    )


_LOCK_CONTACTS = """
SELECT contact.id
FROM sendinglists_message message
JOIN sendinglists_contact contact ON contact.account_id = message.account_id AND contact.phone = message.to
WHERE message.id = ANY(%s)
ORDER BY contact.id
FOR SHARE OF contact
"""
_LOOK = """
SELECT message.id, list.id AS list_id, party.id AS party_id, message.account_id, party.provider, message.reference,
       message.public_id, list.number AS sender, message.to, message.body, message.tries, message.is_test, message.due_at,
       list.next_slot_at AS paced_at, message.status, message.sent_at, account.status AS account_status,
       list.status AS list_status,
       party.removed_at IS NOT NULL AS is_removed, party.webhook_state,
       coalesce((SELECT subscription.state = 'opted_out' FROM sendinglists_contact contact
                 JOIN sendinglists_subscription subscription ON subscription.contact_id = contact.id
                 JOIN sendinglists_sendinglist same ON same.id = subscription.sending_list_id AND same.number = list.number
                 WHERE contact.account_id = message.account_id AND contact.phone = message.to
                 ORDER BY subscription.decided_at DESC NULLS LAST, subscription.state = 'opted_out' DESC
                 LIMIT 1), false) AS is_opted_out,
       (SELECT min(suppression.brand) FROM sendinglists_suppression suppression
        WHERE suppression.account_id = message.account_id AND suppression.phone = message.to
          AND suppression.is_active AND lower(trim(suppression.brand)) IN ('', lower(trim(list.brand)))) AS suppressed_for
FROM sendinglists_message message
JOIN sendinglists_sendinglist list ON list.id = message.sending_list_id
JOIN sendinglists_provideraccount party ON party.id = message.provider_account_id
JOIN trackly_account account ON account.id = message.account_id
WHERE message.id = ANY(%s)
ORDER BY message.due_at, message.id
"""
