"""Owns the import of numbers that must get nothing: rows of a file, each closed for its list, its brand or the account."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from django.db import transaction

from sendinglists import subscriptions
from sendinglists.imports import Imported, Lists, Outcome, Wrong, demand_few, judge, phone_of
from sendinglists.models import SendingList, SubscriptionChange
from sendinglists.sheets import Row, RowError, quoted
from trackly.models import Account
from trackly.text import clean

_MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing(Row):
    """One number to be closed: for a list, for a brand, or for the whole account where neither is named."""

    needed: ClassVar[tuple[str, ...]] = ("phone",)

    phone: str = ""
    list: str = ""
    brand: str = ""
    reason: str = ""


class NoSuchBrand(Wrong):
    """A number closed for it would be closed for nothing."""


class Brands:
    """The brands that lists of an account have, in whatever case they are asked for."""

    def __init__(self, account: Account) -> None:
        lists = SendingList.objects.filter(account_id=account.pk).exclude(status=SendingList.State.DELETED)
        spellings = {text.strip() for text in lists.values_list("brand", flat=True)} - {""}
        self._spellings = spellings
        self._any_case = {text.casefold(): text for text in sorted(spellings, reverse=True)}

    def named(self, text: str) -> str:
        """The brand as its lists write it. Raises NoSuchBrand."""
        text = text.strip()
        found = text if text in self._spellings else self._any_case.get(text.casefold())
        if found is None:
            raise NoSuchBrand("brand_not_found", self._missing(text))
        return found

    def _missing(self, text: str) -> str:
        if not self._any_case:
            return "None of your lists has a brand. Without one the number is closed for the whole account."
        names = sorted(self._any_case.values())
        listed = ", ".join(names[:_MOST_NAMED]) + (" and more" if len(names) > _MOST_NAMED else "")
        return f"None of your lists has the brand {quoted(text)}. There are: {listed}."


def import_suppressions(
    account: Account, rows: Sequence[Closing | RowError], *, now: datetime, user: Any = None
) -> list[Imported]:
    """What came of each row: closed, or what is wrong with it. To close twice is no mistake. Raises TooManyRows."""
    demand_few(rows)
    lists, brands = Lists(account), Brands(account)
    good, wrong = judge(rows, lambda index, row: _read_closing(index, row, lists, brands))
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


def _read_closing(
    index: int, row: Closing, lists: Lists, brands: Brands
) -> tuple[int, str, tuple[int | None, str, str]]:
    phone = phone_of(row.phone, "phone")
    if row.list and row.brand:
        raise Wrong("list_and_brand", "Name the list or the brand it is closed for, not both.")
    if row.brand != clean(row.brand, 100):
        raise Wrong("invalid_brand", "brand has more than 100 characters, or NUL in it.")
    list_id = lists.named(row.list).pk if row.list else None
    brand = brands.named(row.brand) if row.brand else ""
    return index, phone, (list_id, brand, clean(row.reason, 200))
