"""Partitions of the raw tables are made two weeks ahead and go when their time is over, unless something in them is due."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from django.db import connection, transaction

from tests import factories
from trackly import partitions, wake
from trackly.signing import new_uid
from webhooks.inbound.models import InboundRequest, State

WEBHOOKS, POSTBACKS = partitions.SERIES
# Long over for both sources, and nothing that other tests touch.
OLD = datetime(2024, 2, 28, 15, tzinfo=UTC)
OLD_NAMES = ["inbound_webhook_20240228", "inbound_postback_202402"]

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _drop_the_old() -> Iterator[None]:
    yield
    InboundRequest.objects.all().delete()
    partitions.expire(datetime.now(UTC))


def tables(prefix: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname LIKE %s ORDER BY 1", [f"{prefix}_2%"]
        )
        return [name for (name,) in cursor.fetchall()]


def old_tables() -> list[str]:
    return [name for name in tables("inbound_webhook") + tables("inbound_postback") if "_2024" in name]


def request_at(moment: datetime, **fields: object) -> InboundRequest:
    return factories.InboundRequestFactory(uid=new_uid(int(moment.timestamp() * 1000)), **fields)


def test_names_and_bounds_are_days_for_webhooks_and_months_for_postbacks() -> None:
    day, month = WEBHOOKS.begin(OLD), POSTBACKS.begin(OLD)
    assert (WEBHOOKS.name(day), WEBHOOKS.end(day)) == ("inbound_webhook_20240228", datetime(2024, 2, 29, tzinfo=UTC))
    assert (POSTBACKS.name(month), POSTBACKS.end(month)) == (
        "inbound_postback_202402",
        datetime(2024, 3, 1, tzinfo=UTC),
    )
    december = datetime(2024, 12, 1, tzinfo=UTC)
    assert POSTBACKS.end(december) == datetime(2025, 1, 1, tzinfo=UTC)


def test_a_moment_in_another_zone_lies_in_its_utc_day() -> None:
    assert WEBHOOKS.begin(datetime.fromisoformat("2024-03-01T01:30+05:00")) == datetime(2024, 2, 29, tzinfo=UTC)


def test_missing_ones_are_made_two_weeks_ahead_and_only_once() -> None:
    made = partitions.ensure(OLD)
    days = [f"inbound_webhook_{OLD + timedelta(days=n):%Y%m%d}" for n in range(15)]
    assert made == [*days, "inbound_postback_202402", "inbound_postback_202403"]
    assert partitions.ensure(OLD) == []
    row = request_at(OLD + timedelta(days=14))
    assert InboundRequest.objects.by_uid(row.uid).exists()


def test_one_whose_attaching_was_interrupted_is_finished() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE inbound_webhook_20240228 (LIKE inbound_webhook INCLUDING ALL)")
    assert partitions.ensure(OLD, OLD) == OLD_NAMES
    request_at(OLD)


def test_those_whose_time_is_over_are_dropped_and_the_others_stay() -> None:
    now = datetime.now(UTC)
    before = tables("inbound_webhook") + tables("inbound_postback")
    partitions.ensure(OLD, OLD)
    request_at(OLD, state=State.DONE)
    assert partitions.expire(now) == OLD_NAMES
    assert tables("inbound_webhook") + tables("inbound_postback") == before
    assert partitions.expire(now) == []


def test_each_source_is_kept_for_its_own_time(settings: object) -> None:
    partitions.ensure(OLD, OLD)
    assert partitions.expire(OLD + timedelta(days=settings.RETENTION_WEBHOOKS_DAYS)) == []
    assert partitions.expire(OLD + timedelta(days=settings.RETENTION_WEBHOOKS_DAYS + 1)) == OLD_NAMES[:1]
    assert partitions.expire(OLD + timedelta(days=settings.RETENTION_POSTBACKS_DAYS)) == []
    assert partitions.expire(OLD + timedelta(days=settings.RETENTION_POSTBACKS_DAYS + 31)) == OLD_NAMES[1:]


def test_one_in_which_something_is_due_is_kept_until_it_was_worked_off() -> None:
    now = datetime.now(UTC)
    partitions.ensure(OLD, OLD)
    row = request_at(OLD, state=State.WAITING)
    assert partitions.expire(now) == OLD_NAMES[1:]
    InboundRequest.objects.by_uid(row.uid).update(state=State.FAILED)
    assert partitions.expire(now) == OLD_NAMES[:1]


def test_one_whose_detaching_was_interrupted_is_finished() -> None:
    partitions.ensure(OLD, OLD)
    # A reader holds the first phase up, and the detach gives up waiting: half done.
    reader = wake.connect()
    reader.autocommit = False
    reader.execute("SELECT count(*) FROM inbound_webhook")
    with wake.connect() as link:
        link.execute("SET statement_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            link.execute("ALTER TABLE inbound_webhook DETACH PARTITION inbound_webhook_20240228 CONCURRENTLY")
    reader.close()
    with connection.cursor() as cursor:
        cursor.execute("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhdetachpending")
        assert cursor.fetchall() == [("inbound_webhook_20240228",)]
    assert partitions.expire(datetime.now(UTC)) == OLD_NAMES
    assert old_tables() == []


def test_one_that_was_detached_and_not_yet_dropped_is_dropped() -> None:
    partitions.ensure(OLD, OLD)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE inbound_webhook DETACH PARTITION inbound_webhook_20240228")
    assert partitions.expire(datetime.now(UTC)) == OLD_NAMES
    assert old_tables() == []


def test_nothing_is_dropped_while_another_process_is_at_it() -> None:
    partitions.ensure(OLD, OLD)
    with wake.connect() as other:
        other.execute("SELECT pg_advisory_lock(%s)", [partitions._DROPPING])
        assert partitions.expire(datetime.now(UTC)) == []
        # Not left to the end of its session, which the server comes to in its own time.
        other.execute("SELECT pg_advisory_unlock(%s)", [partitions._DROPPING])
    assert partitions.expire(datetime.now(UTC)) == OLD_NAMES


def test_the_advisory_lock_is_given_back() -> None:
    partitions.ensure(OLD, OLD)
    partitions.expire(datetime.now(UTC))
    with wake.connect() as other:
        assert other.execute("SELECT pg_try_advisory_lock(%s)", [partitions._DROPPING]).fetchone() == (True,)


def test_rows_can_be_stored_while_one_is_dropped() -> None:
    """Made and dropped beside open transactions that write: neither waits for the other."""
    partitions.ensure(OLD, OLD)
    with wake.connect() as other:
        other.execute("SET lock_timeout = '2s'")
        with transaction.atomic():
            request_at(datetime.now(UTC))
            other.execute("CREATE TABLE inbound_webhook_20240301 (LIKE inbound_webhook INCLUDING ALL)")
            other.execute(
                "ALTER TABLE inbound_webhook ATTACH PARTITION inbound_webhook_20240301"
                " FOR VALUES FROM ('2024-03-01+00') TO ('2024-03-02+00')"
            )
    assert "inbound_webhook_20240301" in partitions.expire(datetime.now(UTC))


def test_an_open_snapshot_such_as_a_backups_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(partitions, "PATIENCE", timedelta(seconds=0.5))
    partitions.ensure(OLD, OLD)
    backup = wake.connect()
    backup.autocommit = False
    backup.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    backup.execute("SELECT count(*) FROM inbound_webhook")
    assert partitions.expire(datetime.now(UTC)) == []
    # Making is held up neither by the one who waits nor by what he left half done.
    with wake.connect() as dropping:
        dropping.execute("SELECT pg_advisory_lock(%s)", [partitions._DROPPING])
        made = partitions.ensure(datetime(2024, 3, 5, tzinfo=UTC), datetime(2024, 3, 5, tzinfo=UTC))
    assert "inbound_webhook_20240305" in made
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() == ("0",)
    backup.close()
    assert "inbound_webhook_20240228" in partitions.expire(datetime.now(UTC))


def test_nothing_is_waited_for_when_none_is_missing() -> None:
    now = datetime.now(UTC)
    partitions.ensure(now)
    with wake.connect() as other:
        other.execute("SELECT pg_advisory_lock(%s)", [partitions._MAKING])
        assert partitions.ensure(now) == []
