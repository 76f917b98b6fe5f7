"""Owns the table the measurements end in."""

import os
from dataclasses import dataclass

from django.db import connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure; a pair of lines is ours and the ordinary way."""

    what: str
    per_second: float = 0
    ms: float | None = None
    """A duration instead, less being better."""
    p50_ms: float | None = None
    p99_ms: float | None = None
    note: str = ""


def show(pairs: list[list[Line]]) -> str:
    """The machine, then a row for each pair, with their ratio."""
    rows = [_machine(), "", f"{'':<38}{'ours':>9}{'ordinary':>10}{'ratio':>8}   p50/p99 ms, ours and ordinary"]
    for ours, ordinary in pairs:
        if ours.ms is not None and ordinary.ms is not None:
            rows.append(f"{ours.what:<38}{ours.ms:>9,.0f}{ordinary.ms:>10,.0f}{ordinary.ms / ours.ms:>7.1f}x")
            rows.append(f"  {ours.note}")
            continue
        ratio = ours.per_second / ordinary.per_second
        latencies = ", ".join(_latency(line) for line in (ours, ordinary) if line.p50_ms is not None)
        rows.append(f"{ours.what:<38}{ours.per_second:>9,.0f}{ordinary.per_second:>10,.0f}{ratio:>7.1f}x   {latencies}")
        rows.append(f"  {ours.note}")
    return "\n".join(rows)


def _latency(line: Line) -> str:
    return f"{line.p50_ms:.0f}/{line.p99_ms:.0f}"


def _machine() -> str:
    names = ("server_version", "fsync", "synchronous_commit")
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(f'current_setting({name!r})' for name in names)}")
        version, fsync, commit = cursor.fetchone()
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, PostgreSQL {version}, fsync {fsync}, synchronous_commit {commit}; all on this machine"
