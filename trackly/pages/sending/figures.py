"""Owns what lists sent and what came of it lately, read from the hourly totals alone."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q, Sum

from sendinglists.models import SendingList
from trackly.models import HourlyTotal
from trackly.pages.kinds import DELIVERED, FAILED, NOT_SENT, SENT
from trackly.totals import hour_of

_DAY, _WEEK = timedelta(hours=24), timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Sent:
    """Of one list, within 24 hours."""

    sent: int = 0
    delivered: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One line of a list's numbers."""

    name: str
    day: str
    week: str


def sent_lately(account_id: int, list_ids: Collection[int], now: datetime) -> dict[int, Sent]:
    """Of these lists; one that sent nothing is missing."""
    rows = HourlyTotal.objects.filter(
        account_id=account_id, hour__gt=hour_of(now) - _DAY, kind__in=SENT, list_id__in=list_ids
    )
    summed = rows.values("list_id").annotate(sent=Sum("n"), delivered=Sum("n", filter=Q(kind__in=DELIVERED)))
    return {row["list_id"]: Sent(row["sent"] or 0, row["delivered"] or 0) for row in summed}


def of_list(row: SendingList, now: datetime) -> list[Figure]:
    """What it sent, what of that arrived, what it heard."""
    rows = HourlyTotal.objects.filter(
        account_id=row.account_id, hour__gt=hour_of(now) - _WEEK, list_id=row.pk, connection_id=0
    )
    is_of_day = Q(hour__gt=hour_of(now) - _DAY)
    summed = rows.values("kind").annotate(week=Sum("n"), day=Sum("n", filter=is_of_day))
    found = {entry["kind"]: (entry["day"] or 0, entry["week"] or 0) for entry in summed}

    def line(name: str, *kinds: str) -> Figure:
        counts = [found.get(kind, (0, 0)) for kind in kinds]
        return Figure(name=name, day=f"{sum(day for day, _ in counts):,}", week=f"{sum(week for _, week in counts):,}")

    return [
        line("Sent", *SENT),
        line("Delivered", *DELIVERED),
        line("Failed", *FAILED),
        line("Not sent", *NOT_SENT),
        line("Reports", "report"),
        line("Replies", "reply"),
        line("Opt-outs", "opt_out"),
        line("Clicks", "click"),
    ]
