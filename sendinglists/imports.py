"""Owns the import of messages sent from elsewhere, and how a row that an account brings is judged.

Every row is text as somebody wrote it, and is judged by itself: what is wrong with one is said, the others are kept. A
repeated row, in one call or in two, is a duplicate and changes nothing.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, ClassVar

from django.db import connection, transaction
from django.db.models import Q, TextChoices

from sendinglists.models import Contact, Message, SendingList
from sendinglists.sheets import MOST_ROWS, Row, RowError, quoted
from trackly.columns import columns
from trackly.currencies import CURRENCIES
from trackly.models import Account
from trackly.phones import HOW_TO_WRITE, e164, entered
from trackly.text import clean
from trackly.totals import Key, Totals, hour_of
from webhooks.statuses import Heard, Origin, Report, Status

AHEAD, BEHIND = timedelta(days=1), timedelta(days=400)

Hear = Callable[[list[Heard]], None]
_ROUNDED = re.compile(r"[0-9][.,][0-9]+[eE][+]?[0-9]+")
_AMOUNT = re.compile(r"[0-9]{1,11}(?:\.[0-9]{1,12})?")
# 1,234 may be one and a bit or a thousand; 0,075 and 1,25 are no thousands.
_COMMA = re.compile(r"0,[0-9]{1,12}|[0-9]{1,11},(?:[0-9]{1,2}|[0-9]{4,12})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending(Row):
    """One message sent from elsewhere. One of the two ids is needed, and the list, the recipient and the time."""

    needed: ClassVar[tuple[str, ...]] = ("list", "to", "sent_at")

    id: str = ""
    """The customer's own id."""
    provider_id: str = ""
    """The provider's, by which its reports find the message."""
    list: str = ""
    """The id of a sending list, or its number."""
    to: str = ""
    sent_at: str = ""
    campaign: str = ""
    cost: str = ""
    currency: str = ""


class Outcome(TextChoices):
    NEW = "new", "Taken"
    DUPLICATE = "duplicate", "Known already"
    REFUSED = "refused", "Not taken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What came of one row, by its place in the call."""

    index: int
    outcome: Outcome
    message_id: str = ""
    """Our public id of the message; '' where there is none."""
    code: str = ""
    words: str = ""


class TooManyRows(Exception):
    """More than a call may bring; nothing was taken."""


class Wrong(Exception):
    """Why a row is not taken: a code for programs, a sentence for people."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code, self.words = code, words


@dataclass(frozen=True, slots=True, kw_only=True)
class _Good:
    """A row that was understood."""

    index: int
    party_id: int
    provider: str
    list_id: int
    external_id: str
    provider_id: str
    to: str
    sent_at: datetime
    campaign: str
    cost: Decimal | None
    currency: str

    @property
    def names(self) -> tuple[tuple[int, str], ...]:
        """By which another row, or a message, is the same: its own id (party 0) and the provider's."""
        both = ((0, self.external_id), (self.party_id, self.provider_id))
        return tuple(name for name in both if name[1])


# --- messages sent from elsewhere


def import_messages(
    account: Account, rows: Sequence[Sending | RowError], *, now: datetime, hear: Hear
) -> list[Imported]:
    """What came of each row. `hear` enters that they were sent, as one more voice in their timelines. Raises TooManyRows."""
    demand_few(rows)
    lists = Lists(account)
    good, wrong = judge(rows, lambda index, row: _read(index, row, lists, account, now))
    with transaction.atomic():
        completed = _complete(account, good)
        unique = list({item.names[0]: item for item in reversed(good)}.values())
        made = enter([_message(account, item) for item in sorted(unique, key=lambda item: item.names)])
        known = _known(account, good)
        answers, told, seen = [], [], set()
        for item in good:
            message = next((known[name] for name in item.names if name in known), None)
            is_new = message is not None and message.reference in made and message.pk not in seen
            if message is not None and (is_new or message.pk in completed):
                told.append(_heard(account, item, message, now))
            seen.add(message.pk if message else None)
            answers.append(_answer(item, message, is_new))
        hear(told)
    return sorted([*answers, *wrong], key=lambda answer: answer.index)


def enter(messages: list[Message]) -> set[str]:
    """Insert external messages, their contacts and their place in the totals, within the caller's transaction; the
    references of those that were not known by another name."""
    if not messages:
        return set()
    fields = [item for item in Message._meta.concrete_fields if not item.primary_key]
    # Arrays and not bulk_create(), which took twice as long over a thousand rows.
    names = ", ".join(f'"{item.column}"' for item in fields)
    arrays = ", ".join(f"%s::{(item.db_type(connection) or '').partition('(')[0]}[]" for item in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO sendinglists_message ({names}) SELECT * FROM unnest({arrays}) ON CONFLICT DO NOTHING"
            " RETURNING reference",
            columns([getattr(row, item.attname) for item in fields] for row in messages),
        )
        made = {reference for (reference,) in cursor.fetchall()}
    fresh = [row for row in messages if row.reference in made]
    people = sorted({(row.account_id, row.to) for row in fresh})
    Contact.objects.bulk_create(
        [Contact(account_id=account_id, phone=phone) for account_id, phone in people], ignore_conflicts=True
    )
    totals = Totals()
    for row in fresh:
        totals.add(Key(row.account_id, hour_of(row.created_at), "message", row.sending_list_id or 0))
    totals.write()
    return made


def demand_few(rows: Sequence[object]) -> None:
    if len(rows) > MOST_ROWS:
        raise TooManyRows(f"At most {MOST_ROWS:,} rows are taken at once.")


def judge(rows: Sequence[Any], read: Callable[[int, Any], Any]) -> tuple[list[Any], list[Imported]]:
    """(what `read` made of the good rows, what is wrong with the others)."""
    good, wrong = [], []
    for index, row in enumerate(rows):
        try:
            if isinstance(row, RowError):
                raise Wrong(row.code, row.words)
            good.append(read(index, row))
        except Wrong as error:
            words = f"Line {row.line}: {error.words}" if getattr(row, "line", 0) else error.words
            wrong.append(Imported(index=index, outcome=Outcome.REFUSED, code=error.code, words=words))
    return good, wrong


def _message(account: Account, item: _Good) -> Message:
    return Message(
        account_id=account.pk,
        provider_account_id=item.party_id,
        sending_list_id=item.list_id,
        external_id=item.external_id,
        provider_message_id=item.provider_id,
        to=item.to,
        campaign=item.campaign,
        created_at=item.sent_at,
        sent_at=item.sent_at,
        is_external=True,
    )


def _complete(account: Account, good: list[_Good]) -> set[int]:
    """Messages that were made from their reports gain what the import knows beside; which they are."""
    rows = {
        (item.party_id, item.provider_id): (item.party_id, item.provider_id, item.external_id, item.campaign)
        for item in reversed(good)
        if item.provider_id and item.external_id
    }
    if not rows:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(_COMPLETE, [*columns(rows[key] for key in sorted(rows)), account.pk, account.pk])
        return {key for (key,) in cursor.fetchall()}


def _known(account: Account, good: list[_Good]) -> dict[tuple[int, str], Message]:
    """The messages the rows name, by either of their names."""
    own = [item.external_id for item in good if item.external_id]
    theirs = [item.provider_id for item in good if item.provider_id]
    parties = {item.party_id for item in good}
    found: dict[tuple[int, str], Message] = {}
    named = Q(external_id__in=own) & ~Q(external_id="") & Q(account_id=account.pk)
    told = Q(provider_account_id__in=parties, provider_message_id__in=theirs) & ~Q(provider_message_id="")
    for query in (named, told):
        rows = Message.objects.filter(query).only(
            "external_id", "provider_account_id", "provider_message_id", "reference", "public_id"
        )
        for row in rows:
            if row.external_id:
                found[0, row.external_id] = row
            if row.provider_message_id:
                found[row.provider_account_id, row.provider_message_id] = row
    return found


def _heard(account: Account, item: _Good, message: Message, now: datetime) -> Heard:
    report = Report(
        message_key=message.reference,
        status=Status.SENT,
        vendor_status="imported",
        at=item.sent_at,
        price=item.cost,
        currency=item.currency,
        identity=("imported",),
    )
    return Heard(
        report=report,
        provider=item.provider,
        party_id=item.party_id,
        account_id=account.pk,
        received_at=now,
        request_uid=None,
        origin=Origin.IMPORT,
    )


def _answer(item: _Good, message: Message | None, is_new: bool) -> Imported:
    if message is None:
        # Our own random name of it was taken.
        words = "It could not be stored; send this row again."
        return Imported(index=item.index, outcome=Outcome.REFUSED, code="save_error", words=words)
    outcome = Outcome.NEW if is_new else Outcome.DUPLICATE
    return Imported(index=item.index, outcome=outcome, message_id=message.public_id)


# --- what a row says


class Lists:
    """The sending lists of an account, by id and by number."""

    def __init__(self, account: Account) -> None:
        self._by_id: dict[str, SendingList] = {}
        self._by_number: dict[str, list[SendingList]] = defaultdict(list)
        for row in SendingList.objects.filter(account_id=account.pk).select_related("provider_account"):
            self._by_id[str(row.pk)] = row
            self._by_number[row.number].append(row)

    def named(self, text: str) -> SendingList:
        if not text:
            raise Wrong("missing_list", "Say which list sent it: its id, or its number.")
        numbered = self._by_number.get(e164(text), [])
        if text in self._by_id and not text.startswith("+"):
            return self._by_id[text]
        if len(numbered) > 1:
            raise Wrong("list_ambiguous", "Several of your lists have this number: give the id of one.")
        if not numbered:
            raise Wrong("list_not_found", f"None of your lists has the id or the number {quoted(text)}.")
        return numbered[0]


def _read(index: int, row: Sending, lists: Lists, account: Account, now: datetime) -> _Good:
    if not row.id and not row.provider_id:
        raise Wrong("missing_id", "Give an id of your own, or the provider's id of the message.")
    for name, longest in (("id", 100), ("provider_id", 200), ("campaign", 100)):
        if (value := getattr(row, name)) != clean(value, longest):
            raise Wrong(f"invalid_{name}", f"{name} has more than {longest} characters, or NUL in it.")
    sending_list = lists.named(row.list)
    cost = _cost(row.cost)
    return _Good(
        index=index,
        party_id=sending_list.provider_account_id,
        provider=sending_list.provider_account.provider,
        list_id=sending_list.pk,
        external_id=row.id,
        provider_id=row.provider_id,
        to=phone_of(row.to, "to_number"),
        sent_at=_moment(row.sent_at, now),
        campaign=row.campaign,
        cost=cost,
        currency=_currency(row.currency or account.currency) if cost is not None else "",
    )


def phone_of(text: str, name: str) -> str:
    if not text:
        raise Wrong(f"missing_{name}", "Give the phone number, such as +14155550101.")
    if _ROUNDED.fullmatch(text):
        raise Wrong(
            "invalid_phone", f"A spreadsheet has rounded the number to {quoted(text)}: format its column as text."
        )
    number = entered(text)
    if not number:
        raise Wrong("invalid_phone", f"{quoted(text)} is no whole phone number. {HOW_TO_WRITE}")
    return number


def _moment(text: str, now: datetime) -> datetime:
    if not text:
        raise Wrong("missing_timestamp", "Say when it was sent, such as 2026-11-23T09:00:00Z.")
    try:
        at = datetime.fromisoformat(text)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        words = f"{quoted(text)} is no time as 2026-11-23T09:00:00Z; without a zone it is read as UTC."
        raise Wrong("invalid_timestamp", words) from error
    if at > now + AHEAD:
        raise Wrong("invalid_timestamp", "It would be sent in the future: only what was sent is imported.")
    if at < now - BEHIND:
        raise Wrong("invalid_timestamp", f"It was sent more than {BEHIND.days} days ago; such old ones are not taken.")
    return at


def _cost(text: str) -> Decimal | None:
    if not text:
        return None
    plain = text.replace(",", ".") if _COMMA.fullmatch(text) else text
    if not _AMOUNT.fullmatch(plain):
        raise Wrong("invalid_cost", f"The cost {quoted(text)} is no plain amount such as 0.0075.")
    return Decimal(plain)


def _currency(text: str) -> str:
    if text.upper() not in CURRENCIES:
        raise Wrong("invalid_currency", f"{quoted(text)} is no currency: three letters such as USD.")
    return text.upper()


_COMPLETE = """
UPDATE sendinglists_message message
SET external_id = new.external_id, campaign = CASE WHEN message.campaign = '' THEN new.campaign ELSE message.campaign END
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::text[]) AS new (party_id, provider_id, external_id, campaign)
WHERE message.provider_account_id = new.party_id AND message.provider_message_id = new.provider_id
  AND message.provider_message_id <> '' AND message.account_id = %s AND message.is_external AND message.external_id = ''
  AND NOT EXISTS (SELECT FROM sendinglists_message other
                  WHERE other.account_id = %s AND other.external_id = new.external_id AND other.external_id <> '')
RETURNING message.id
"""
