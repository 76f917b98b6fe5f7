"""Owns queue(): a text becomes a message that waits to be sent, with its contact, its tracked links and its place in the totals.

Whether the recipient may get it is not asked here but at the moment of sending: between the two somebody may opt out.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from sendinglists.callbacks import is_switched_on
from sendinglists.models import Contact, Link, Message, SendingList
from sendinglists.tracked import CannotTrack, Tracked, track
from trackly import wake
from trackly.models import Account
from trackly.text import clean
from trackly.totals import Key, Totals, hour_of
from webhooks import providers
from webhooks.statuses import fingerprint

KEY_LENGTH = 100
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One text to be sent."""

    sending_list: SendingList
    to: str
    """E.164."""
    body: str
    campaign: str = ""
    offer_id: int | None = None
    """Where {{link}} leads."""
    wrap_links: bool = True
    is_test: bool = False
    idempotency_key: str = ""
    due_at: datetime | None = None
    """None: at once."""


class CannotQueue(Exception):
    """Nothing was queued; what is wrong with the draft, for a program, for a person, and as an HTTP status."""

    def __init__(self, code: str, said: str, status: int = 422) -> None:
        super().__init__(said)
        self.code, self.said, self.status = code, said, status


def queue(draft: Draft, *, now: datetime) -> tuple[Message, bool]:
    """The message, and whether it is new: this key was used before for the same text otherwise. Raises CannotQueue.

    A transaction of its own for each: contacts made in two orders by two callers would wait for each other.
    """
    mark = _mark(draft)
    # A repetition gets its first answer, whatever became of the list since. Of two at once the unique key picks the first.
    earlier = _earlier(draft, mark)
    if earlier is not None:
        return earlier, False
    tracked = _read(draft)
    try:
        with transaction.atomic():
            return _insert(draft, tracked, mark, now), True
    except IntegrityError:
        earlier = _earlier(draft, mark)
        if earlier is None:
            raise
        return earlier, False


def _mark(draft: Draft) -> bytes:
    """What two drafts have in common when they are the same one."""
    due = draft.due_at.isoformat() if draft.due_at else ""
    flags = f"{draft.wrap_links} {draft.is_test} {draft.offer_id}"
    return fingerprint((str(draft.sending_list.pk), draft.to, draft.body, draft.campaign, flags, due))


def _earlier(draft: Draft, mark: bytes) -> Message | None:
    if not draft.idempotency_key:
        return None
    key = clean(draft.idempotency_key, KEY_LENGTH + 1)
    row = Message.objects.filter(account_id=draft.sending_list.account_id, idempotency_key=key).first()
    if row is not None and bytes(row.idempotency_mark) != mark:
        said = "This idempotency key was used before for another message; take a new one for each."
        raise CannotQueue("idempotency_key_reused", said, 409)
    return row


def _read(draft: Draft) -> Tracked:
    """The text with its links, once everything about the draft has been looked at."""
    _check_list(draft.sending_list)
    _check_names(draft)
    if not clean(draft.body, len(draft.body)).strip():
        raise CannotQueue("missing_body", "The text is empty.")
    try:
        tracked = track(
            clean(draft.body, len(draft.body)),
            account_id=draft.sending_list.account_id,
            offer_id=draft.offer_id,
            wraps=draft.wrap_links,
            brand=draft.sending_list.brand,
        )
    except CannotTrack as error:
        raise CannotQueue(error.code, str(error)) from error
    adapter = providers.get(draft.sending_list.provider_account.provider)
    longest = adapter.max_characters if adapter else 0
    if len(tracked.body) > longest:
        said = f"With its links the text has {len(tracked.body):,} characters; the provider takes {longest:,}."
        raise CannotQueue("body_too_long", said)
    return tracked


def _check_list(sending_list: SendingList) -> None:
    party = sending_list.provider_account
    if sending_list.status != SendingList.State.ACTIVE:
        said = f"The list is {sending_list.get_status_display().lower()}; only an active one sends."
        raise CannotQueue("list_inactive", said)
    if sending_list.account.status != Account.Status.ACTIVE:
        raise CannotQueue("list_inactive", "The account is suspended or deleted; it sends nothing.", 403)
    if party.removed_at is not None or providers.get(party.provider) is None:
        raise CannotQueue("list_inactive", "The list's provider account was removed; give the list another one.")
    if not is_switched_on(party.provider):
        raise CannotQueue("sandbox_disabled", "The sandbox is switched off on this service.")


def _check_names(draft: Draft) -> None:
    if not _E164.fullmatch(draft.to):
        raise CannotQueue("invalid_to", "Write the recipient as +, country code and number, such as +14155550101.")
    for name, value in (("campaign", draft.campaign), ("idempotency_key", draft.idempotency_key)):
        if value != clean(value, KEY_LENGTH):
            raise CannotQueue(f"invalid_{name}", f"At most {KEY_LENGTH} characters, none of them NUL.")


def _insert(draft: Draft, tracked: Tracked, mark: bytes, now: datetime) -> Message:
    account_id = draft.sending_list.account_id
    Contact.objects.bulk_create([Contact(account_id=account_id, phone=draft.to)], ignore_conflicts=True)
    message = Message.objects.create(
        account_id=account_id,
        provider_account_id=draft.sending_list.provider_account_id,
        sending_list=draft.sending_list,
        to=draft.to,
        body=tracked.body,
        campaign=draft.campaign,
        is_test=draft.is_test,
        idempotency_key=draft.idempotency_key,
        idempotency_mark=mark if draft.idempotency_key else b"",
        created_at=now,
        due_at=draft.due_at or now,
    )
    Link.objects.bulk_create(_links(draft, tracked, message))
    if not draft.is_test:
        totals = Totals()
        totals.add(Key(account_id, hour_of(now), "message", draft.sending_list.pk))
        totals.write()
    transaction.on_commit(wake.nudge)
    return message


def _links(draft: Draft, tracked: Tracked, message: Message) -> list[Link]:
    common: dict[str, Any] = {
        "account_id": message.account_id,
        "message": message,
        "campaign": draft.campaign,
        "is_test": draft.is_test,
    }
    return [Link(code=code, **where, **common) for code, where in tracked.links.items()]
