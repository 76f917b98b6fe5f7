"""Rows come back from unnest() as they went in."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from django.db import connection

from trackly.columns import columns
from webhooks.statuses import Status

ROWS = [
    (1, "plain", b"\x00\xff", datetime(2026, 11, 23, 9, 30, 0, 5, tzinfo=UTC), Decimal("0.10"), UUID(int=7), True),
    (-(2**62), "a\"b'c\\d{e},f\n NULL\t\u00e9\U0001f600", b"", datetime(2000, 1, 1, tzinfo=UTC), Decimal("-1E+3"),
     UUID(int=2**128 - 1), False),
    (0, "", b"\\x00", datetime(2099, 12, 31, tzinfo=UTC), Decimal(0), UUID(int=0), True),
    (2, "NULL", None, None, None, None, None),
    (None, None, b"x", None, None, None, None),
]  # fmt: skip


@pytest.mark.django_db
def test_every_value_survives() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM unnest(%s::bigint[], %s::text[], %s::bytea[], %s::timestamptz[], %s::numeric[], %s::uuid[],"
            " %s::boolean[])",
            columns(ROWS),
        )
        found = [tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in cursor]
    assert found == ROWS


def test_members_of_choices_are_written_by_their_value() -> None:
    assert columns([(Status.SENT,)]) == ['{"sent"}']
