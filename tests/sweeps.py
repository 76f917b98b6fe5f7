"""All sweeps at once, as the worker does them one after the other."""

from datetime import datetime

from postbacks import conversions
from trackly.management.commands import work


def sweep(now: datetime, *, since: datetime) -> int:
    found = work.sweep_reports(now, since) + work.sweep_postbacks(now, since)
    return found + conversions.sweep_unmapped(now)
