"""Owns the opening of short links: code -> destination and a click of its own; and the tally of clicks into the totals."""

from datetime import datetime
from typing import Any

from django.db import connection, transaction

from postbacks.bots import bot_reason
from postbacks.models import Click
from sendinglists.brand_hosts import account_of
from sendinglists.destinations import destination
from sendinglists.models import Link
from trackly.models import Account
from trackly.raw import RawRequest
from trackly.signing import new_token
from trackly.text import clean
from trackly.totals import Key, Totals, hour_of


def open(code: str, request: RawRequest, *, now: datetime) -> str | None:
    """Record one opening; where it leads. None when there is no such link and no fall-back.

    Everybody is redirected, machines too: a preview that got another answer would show people a broken link.
    """
    owner = account_of(request.header("host") or "")
    link = _find(code)
    # Under a customer's own host only that customer's links are known.
    if link is None or owner not in (None, link.account_id):
        return _fallback(owner)
    if link.expires_at and link.expires_at <= now:
        return link.account.fallback_url or None
    click_id = new_token()
    with transaction.atomic():
        _record(link, click_id, request, now)
    offer = link.offer
    parameters = offer.connection.click_parameters if offer and offer.connection else ()
    return destination(offer.destination if offer else link.destination, click_id, parameters)


def _fallback(account_id: int | None) -> str | None:
    """Where an unknown link leads under a customer's host; under ours it may be anybody's."""
    if account_id is None:
        return None
    return Account.objects.filter(pk=account_id).values_list("fallback_url", flat=True).first() or None


def _find(code: str) -> Link | None:
    links = Link.objects.select_related("account", "offer__connection__account", "message")
    return links.filter(code=clean(code, 64)).first()


def _record(link: Link, click_id: str, request: RawRequest, now: datetime) -> None:
    bot = bot_reason(request.method, request.headers)
    values = {
        "click_id": click_id,
        "account_id": link.account_id,
        "link_id": link.id,
        "offer_id": link.offer_id,
        "message_id": link.message_id,
        "sending_list_id": link.message.sending_list_id if link.message else None,
        "at": now,
        "address": request.peer[:45],
        "user_agent": clean(request.header("user-agent"), 500),
        "bot": bot,
        "is_test": link.is_test or bool(link.message and link.message.is_test),
        "is_tallied": False,
    }
    # The first person's opening of a message counts; the unique index decides who was first, not a look before.
    if not _insert(values | {"is_counted": not bot}):
        _insert(values | {"is_counted": False})


def _insert(values: dict[str, Any]) -> bool:
    columns, marks = ", ".join(values), ", ".join(["%s"] * len(values))
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {Click._meta.db_table} ({columns}) VALUES ({marks})"
            " ON CONFLICT (message_id) WHERE is_counted AND message_id IS NOT NULL DO NOTHING",
            list(values.values()),
        )
        return cursor.rowcount == 1


def tally(limit: int = 5_000) -> int:
    """Add clicks not yet counted to the hourly totals, in one transaction; how many there were."""
    totals = Totals()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute(_TALLY, [limit])
            rows = cursor.fetchall()
        for account_id, at, list_id, bot, is_counted in rows:
            kind = "bot_click" if bot else "click"
            totals.add(Key(account_id, hour_of(at), kind, list_id or 0))
            if is_counted:
                totals.add(Key(account_id, hour_of(at), "counted_click", list_id or 0))
        totals.write()
    return len(rows)


# Tests stand in no total, but leave the queue like the others.
_TALLY = """
WITH due AS (
    SELECT id FROM postbacks_click WHERE NOT is_tallied ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED
), tallied AS (
    UPDATE postbacks_click click SET is_tallied = true FROM due WHERE click.id = due.id
    RETURNING click.account_id, click.at, click.sending_list_id, click.bot, click.is_counted, click.is_test
)
SELECT account_id, at, sending_list_id, bot, is_counted FROM tallied WHERE NOT is_test
"""
