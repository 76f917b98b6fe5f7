"""Owns how numbers become sending lists: those the provider listed, and those that are typed in."""

import re
from datetime import datetime

from django.db import transaction

from sendinglists import setup
from sendinglists.models import ProviderAccount, SendingList
from trackly.phones import entered
from webhooks.orders import Number

_SHORT = re.compile(r"[0-9]{3,8}")


def listed(row: ProviderAccount) -> list[Number]:
    """Those the provider listed last."""
    return [Number(**item) for item in row.numbers if isinstance(item, dict)]


def offered(row: ProviderAccount) -> dict[str, str]:
    """Number -> its name at the provider, of those listed there that are no list here."""
    taken = set(row.sendinglist_set.exclude(status=SendingList.State.DELETED).values_list("number", flat=True))
    return {item.number: item.name for item in listed(row) if item.number not in taken}


def typed(text: str) -> list[str]:
    """One number a line, as E.164 or a short code; raises ValueError, which names the line it cannot read."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return list(dict.fromkeys(_read(line) for line in lines))


def _read(line: str) -> str:
    if _SHORT.fullmatch(line):
        return line
    number = entered(line)
    if not number:
        raise ValueError(
            f"'{line[:40]}' is no number: write it with + and the country code, as +18005550142; a short code is 3 to 8 digits."
        )
    return number


def add(row: ProviderAccount, named: dict[str, str], now: datetime) -> int:
    """A sending list for each number (-> its name, '' for none), configured with the others; how many there are more."""
    with transaction.atomic():
        known = {item.number: item for item in row.sendinglist_set.filter(number__in=named)}
        again = [item for item in known.values() if item.status == SendingList.State.DELETED]
        SendingList.objects.filter(pk__in=[item.pk for item in again]).update(status=SendingList.State.ACTIVE)
        new = [(number, name) for number, name in named.items() if number not in known]
        for number, name in new:
            row.sendinglist_set.create(account_id=row.account_id, number=number, name=(name or number)[:100])
        if (new or again) and setup.is_set_up(row):
            setup.want(row, setup.Task.CONFIGURE, now)
    return len(new) + len(again)
