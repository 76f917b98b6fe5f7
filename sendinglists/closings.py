"""Owns the import of numbers that must get nothing: rows of a file, each closed for its list, its brand or the account."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.db import transaction

from sendinglists import subscriptions
from sendinglists.imports import Imported, Lists, Outcome, Wrong, demand_few, judge, phone_of
from sendinglists.models import SubscriptionChange
from sendinglists.sheets import Row, RowError
from trackly.models import Account
from trackly.text import clean


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing(Row):
    """One number to be closed: for a list, for a brand, or for the whole account where neither is named."""

    needed: ClassVar[tuple[str, ...]] = ("phone",)

    phone: str = ""
    list: str = ""
    brand: str = ""
    reason: str = ""


def import_suppressions(
    account: Account, rows: Sequence[Closing | RowError], *, now: datetime, user: Any = None
) -> list[Imported]:
    """What came of each row: closed, or what is wrong with it. To close twice is no mistake. Raises TooManyRows."""
    demand_few(rows)
    lists = Lists(account)
    good, wrong = judge(rows, lambda index, row: _read_closing(index, row, lists))
    groups: dict[tuple[int | None, str, str], list[str]] = defaultdict(list)
    for _, phone, place in good:
        groups[place].append(phone)
    with transaction.atomic():
        # One lock over all of them, in one order: the groups of two files may hold the same numbers crosswise.
        subscriptions.lock_contacts((account.pk, phone) for _, phone, _ in good)
        for (list_id, brand, reason), phones in groups.items():
            if list_id is None:
                subscriptions.suppress(account.pk, phones, brand=brand, cause=reason or "Imported file", at=now)
            else:
                origin = SubscriptionChange.Origin.FILE
                subscriptions.opt_out(account.pk, phones, list_id=list_id, origin=origin, at=now, user=user)
    done = [Imported(index=index, outcome=Outcome.NEW) for index, _, _ in good]
    return sorted([*done, *wrong], key=lambda answer: answer.index)


def _read_closing(index: int, row: Closing, lists: Lists) -> tuple[int, str, tuple[int | None, str, str]]:
    phone = phone_of(row.phone, "phone")
    if row.list and row.brand:
        raise Wrong("list_and_brand", "Name the list or the brand it is closed for, not both.")
    if row.brand != clean(row.brand, 100):
        raise Wrong("invalid_brand", "brand has more than 100 characters, or NUL in it.")
    list_id = lists.named(row.list).pk if row.list else None
    return index, phone, (list_id, row.brand, clean(row.reason, 200))
