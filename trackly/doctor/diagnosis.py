"""Owns diagnose(): the examinations of the house and of provider accounts, one after another."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import QuerySet

from sendinglists.models import ProviderAccount
from trackly.doctor import accounts, house
from trackly.doctor.findings import Finding, named


def diagnose(
    rows: QuerySet[ProviderAccount], now: datetime, *, may_call: bool = True, with_house: bool = True
) -> Iterator[Finding]:
    """Findings as they are made, so that somebody who waits sees them come. Nothing is changed anywhere."""
    if with_house:
        yield from house.examine(now, may_call=may_call)
    for row in rows.filter(removed_at__isnull=True).select_related("account").order_by("account_id", "id"):
        yield from named(f"{row.account}, {row.name}", accounts.examine(row, now, may_call=may_call))
