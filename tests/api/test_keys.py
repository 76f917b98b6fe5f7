"""Who may ask: keys shown, revoked, of accounts suspended and deleted; and that a key is never written down."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from tests.api.conftest import Caller, caller, read
from trackly.models import Account, ApiKey

pytestmark = pytest.mark.django_db


def test_without_a_key_nothing_is_answered() -> None:
    response = Client().get("/api/v2/lists")
    assert read(response) == (401, {"error": "API key required", "code": "missing_api_key"})
    assert response.headers["WWW-Authenticate"] == "X-Api-Key"


@pytest.mark.parametrize("key", ["trk_none", "é", "x" * 5_000, "trk_\udcff"])
def test_an_unknown_key_is_refused(us: Caller, key: str) -> None:
    us.key = key.encode("utf-8", "surrogateescape").decode("latin-1")
    assert us.get("lists") == (401, {"error": "Invalid API key", "code": "invalid_api_key"})


def test_a_revoked_key_is_refused_at_once(us: Caller) -> None:
    assert us.get("lists")[0] == 200
    ApiKey.objects.update(revoked_at=timezone.now())
    assert us.get("lists") == (401, {"error": "This API key was revoked", "code": "invalid_api_key"})
    Account.objects.update(status="deleted")
    assert us.get("lists") == (401, {"error": "Invalid API key", "code": "invalid_api_key"})


@pytest.mark.parametrize(("standing", "status", "code"), [
    ("suspended", 403, "account_suspended"), ("deleted", 401, "invalid_api_key"),
])  # fmt: skip
def test_an_account_that_is_not_active_is_refused(us: Caller, standing: str, status: int, code: str) -> None:
    Account.objects.update(status=standing)
    answered, body = us.get("lists")
    assert (answered, body["code"]) == (status, code)
    assert set(body) == {"error", "code"}


def test_the_last_use_is_noted_once_a_minute_and_for_the_key_used_alone(us: Caller) -> None:
    caller(us.account)
    us.get("lists")
    used = ApiKey.objects.exclude(last_used_at=None).get()
    assert used.last_used_at is not None
    assert datetime.now(UTC) - used.last_used_at < timedelta(seconds=10)
    us.get("lists")
    assert ApiKey.objects.get(id=used.id).last_used_at == used.last_used_at
    old = used.last_used_at - timedelta(minutes=2)
    ApiKey.objects.filter(id=used.id).update(last_used_at=old)
    us.get("lists")
    assert ApiKey.objects.get(id=used.id).last_used_at > old


def test_a_refused_key_is_not_noted_as_used(us: Caller) -> None:
    Account.objects.update(status="suspended")
    us.get("lists")
    assert ApiKey.objects.get().last_used_at is None


def test_a_key_is_looked_up_by_its_hash_alone(us: Caller) -> None:
    row = ApiKey.objects.get()
    assert us.key not in str(vars(row))
    us.key = row.beginning
    assert us.get("lists")[0] == 401


def test_neither_key_nor_phone_reaches_a_log(
    us: Caller, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from trackly import logs

    caplog.set_level(logging.DEBUG)
    # The handler serves the tests after this one, too.
    monkeypatch.setattr(caplog.handler, "formatter", logs.formatter())
    us.get("contacts/%2B14155550101")
    us.get("contacts/+1-415-555-0101")
    us.get(f"links/{us.key}")
    us.post("send", {"to": "+14155550101", "body": "zebra", "list_id": 1})
    assert "request answered" in caplog.text
    for secret in (us.key, us.key[4:], "4155550101", "555-0101", "zebra"):
        assert secret not in caplog.text


def test_options_needs_a_key_and_tells_nothing(us: Caller) -> None:
    assert Client().options("/api/v2/lists").status_code == 401
    assert read(us.ask("OPTIONS", "lists")) == (
        405,
        {"error": 'Method "OPTIONS" not allowed.', "code": "method_not_allowed"},
    )


def test_answers_are_kept_by_no_cache(us: Caller) -> None:
    response = us.ask("GET", "lists")
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
