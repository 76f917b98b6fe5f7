"""The log: one JSON line an event, one id for a request through web and worker, and nothing of a person in it."""

import http.client
import json
import logging
import sys
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
import structlog
from django.db import IntegrityError, connection
from django.test import Client
from twilio.request_validator import RequestValidator

from tests import factories
from tests.faults import processes, traffic
from trackly import logs
from trackly.signing import new_token, token_hash
from webhooks.inbound.models import InboundRequest, time_of

PHONE, TEXT = "14155550101", "zebra crossing at noon"
TWILIO = {"account_sid": "AC00000000000000000000000000000042", "auth_token": "test-auth-token-0000000000000042"}


def parsed(text: str) -> list[dict[str, Any]]:
    """The events of what was written; every line must be one, but for Python's own warnings."""
    return [
        json.loads(line)
        for line in text.splitlines()
        if "UserWarning: No directory" not in line and "mw_inst" not in line
    ]


def send(port: int, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str]:
    """Status and request id of one request."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        link.request(
            method, path, body=body, headers={name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = link.getresponse()
        return answer.status, answer.headers[logs.ID_HEADER]
    finally:
        link.close()


@pytest.mark.django_db(transaction=True)
def test_one_id_leads_from_the_answer_to_the_row_and_through_both_logs(capfd: pytest.CaptureFixture[str]) -> None:
    (message,) = traffic.messages(1)
    path = f"/api/webhook-feedbacks/sandbox/{message.provider_account.callback_token}"
    with processes.web(LOG_LEVEL="INFO") as port:
        status, request_id = send(port, "POST", path, traffic.body(traffic.report(message.reference)))
        assert status == 200
    row = InboundRequest.objects.get()
    assert str(row.uid) == request_id
    assert row.received_at == time_of(row.uid)
    web = [event for event in parsed(capfd.readouterr().err) if event.get("request_id") == request_id]
    assert [(event["event"], event["status"], event["path"]) for event in web] == [
        ("request answered", 200, "/api/webhook-feedbacks/sandbox/***")
    ]

    # A neighbour beside it, so that the rows are first tried together.
    traffic.requests(message.provider_account, [traffic.body(traffic.report("nobody"))])
    InboundRequest.objects.filter(uid=row.uid).update(slug="removed")
    with processes.worker(LOG_LEVEL="INFO"):
        processes.eventually(lambda: InboundRequest.objects.filter(attempts=1).count() == 2, within_s=20)
    worker = parsed(capfd.readouterr().err)
    failed = [event for event in worker if event["event"].startswith("request failed")]
    assert [event["request_id"] for event in failed] == [request_id]
    assert failed[0]["exception"].endswith("LookupError")
    assert "request_id" not in next(event for event in worker if event["event"].startswith("batch failed"))


@contextmanager
def refusing_conversions() -> Iterator[None]:
    """A table that takes no conversion."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE postbacks_conversion ADD CONSTRAINT none_at_all CHECK (network = '') NOT VALID")
        try:
            yield
        finally:
            cursor.execute("ALTER TABLE postbacks_conversion DROP CONSTRAINT none_at_all")


@pytest.mark.django_db(transaction=True)
def test_no_phone_token_or_body_is_in_any_line(capfd: pytest.CaptureFixture[str]) -> None:
    """What providers, networks and strangers send, and an error about each, through web and worker."""
    (message,), (click,) = traffic.messages(1), traffic.clicks(1)
    sandbox, contract = message.provider_account, click.offer.connection
    twilio = factories.ProviderAccountFactory(provider="twilio", settings=TWILIO)
    # Of the shape they really have, by which they are known wherever they stand.
    for party in (sandbox, twilio):
        party.callback_token = new_token()
        party.callback_token_hash = token_hash(party.callback_token)
        party.save()
    hook = f"/api/webhook-feedbacks/sandbox/{sandbox.callback_token}"
    signed = f"/api/webhook-feedbacks/twilio/{twilio.callback_token}"
    postback = f"/api/postbacks/tune/{contract.postback_token}"
    form = {
        "MessageSid": "SM" + "0" * 32,
        "From": f"+{PHONE}",
        "To": "+18005550142",
        "Body": TEXT,
        "AccountSid": "AC42",
    }
    signature = RequestValidator(TWILIO["auth_token"]).compute_signature(f"https://hooks.example.com{signed}", form)
    encoded = urllib.parse.urlencode(form).encode()
    reply = {"type": "reply", "id": "r1", "from": f"+{PHONE}", "to": "+18005550142", "text": TEXT}
    with processes.web(LOG_LEVEL="DEBUG") as port:
        kind = "application/x-www-form-urlencoded"
        statuses = [
            send(port, "POST", hook, json.dumps({"events": [reply, traffic.report(message.reference)]}).encode())[0],
            send(port, "POST", hook, TEXT.encode())[0],
            send(port, "POST", hook.upper(), json.dumps(reply).encode())[0],
            send(port, "POST", f"{hook}/x/y/z", json.dumps(reply).encode())[0],
            send(port, "POST", signed, encoded, Content_Type=kind, X_Twilio_Signature=signature)[0],
            send(port, "POST", signed, encoded, Content_Type=kind, X_Twilio_Signature="wrong")[0],
            send(port, "GET", f"{signed}?From=%2B{PHONE}&Body={urllib.parse.quote(TEXT)}")[0],
            send(port, "GET", f"{postback}?click_id={click.click_id}&payout=10.00&sub2=%2B{PHONE}")[0],
            send(port, "GET", f"{postback}?click_id=&payout={urllib.parse.quote(TEXT)}&phone={PHONE}")[0],
            send(port, "DELETE", hook)[0],
            send(port, "GET", f"/nowhere/{sandbox.callback_token}/{PHONE}")[0],
        ]
    assert {200, 400, 403, 404, 405} <= set(statuses)
    assert InboundRequest.objects.filter(state="waiting").count() >= 4
    # Some fail in the code, some in the database, whose error quotes the row.
    InboundRequest.objects.filter(source="webhook", state="waiting", slug="twilio").update(slug="removed")
    with refusing_conversions(), processes.worker(LOG_LEVEL="DEBUG"):
        processes.eventually(
            lambda: not InboundRequest.objects.filter(state="waiting", attempts=0).exists(), within_s=20
        )
    text = capfd.readouterr().err
    said = [event["event"] for event in parsed(text)]
    assert said.count("request answered") == len(statuses)
    assert len([event for event in said if event.startswith("request failed")]) >= 3
    assert "CheckViolation" in text
    assert "Failing row" not in text
    secrets = [sandbox.callback_token, twilio.callback_token, contract.postback_token, TWILIO["auth_token"], signature]
    for hidden in [PHONE, PHONE[1:], "8005550142", TEXT, "zebra", urllib.parse.quote(TEXT), *secrets]:
        assert hidden.lower() not in text.lower()


@pytest.mark.django_db
def test_machines_that_ask_how_we_are_write_no_line(caplog: pytest.LogCaptureFixture, client: Client) -> None:
    for path in ("/healthz", "/metrics", "/static/x.css"):
        assert client.get(path).headers[logs.ID_HEADER]
    assert client.get("/c/unknown").status_code == 404
    events = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert [event["path"] for event in events if event["event"] == "request answered"] == ["/c/unknown"]


@pytest.mark.django_db
def test_every_request_has_an_id_of_its_own_with_its_time_inside(client: Client) -> None:
    ids = [UUID(client.get("/healthz").headers[logs.ID_HEADER]) for _ in range(3)]
    assert len(set(ids)) == 3
    assert all(uid.version == 7 for uid in ids)
    assert abs((time_of(ids[0]) - datetime.now(UTC)).total_seconds()) < 5
    assert "request_id" not in structlog.contextvars.get_contextvars()


# --- one line


def line(
    level: int = logging.INFO, message: str = "said", *args: object, error: BaseException | None = None
) -> dict[str, Any]:
    """What a line of the standard library's logging becomes."""
    held = (type(error), error, error.__traceback__) if error else None
    record = logging.LogRecord("some.part", level, "f", 1, message, args, held)
    shown: dict[str, Any] = json.loads(logs.formatter().format(record))
    return shown


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except type(error) as caught:
        return caught


def test_a_line_of_anybody_has_the_same_shape() -> None:
    shown = line(logging.WARNING, "sent to=%s n=%s", "+14155550101", 2)
    assert list(shown) == ["time", "level", "logger", "event"]
    assert (shown["level"], shown["logger"], shown["event"]) == ("warning", "some.part", "sent to=+•••01 n=2")
    assert datetime.fromisoformat(shown["time"]).tzinfo is not None


def test_an_error_of_the_database_keeps_its_first_line_and_not_the_row_it_quotes() -> None:
    words = 'duplicate key value violates unique constraint "reply_once"\nDETAIL:  Failing row contains (zebra).'
    shown = line(error=raised(IntegrityError(words), psycopg.errors.UniqueViolation(words)))
    assert 'IntegrityError: duplicate key value violates unique constraint "reply_once"' in shown["exception"]
    assert "UniqueViolation: duplicate" in shown["exception"]
    assert "in raised" in shown["exception"]
    assert "zebra" not in json.dumps(shown)


def test_an_error_that_may_quote_a_stranger_keeps_its_kind_and_place_only() -> None:
    # Built here, so that the line of code in the traceback does not say it either.
    words = "could not convert string to float: " + repr("ze" + "bra")
    shown = line(error=raised(ValueError(words)))
    assert shown["exception"].endswith("ValueError")
    assert "zebra" not in json.dumps(shown)


def test_newlines_of_a_stranger_make_no_second_line() -> None:
    record = logging.LogRecord("x", logging.INFO, "f", 1, 'a\n{"level":"forged"}', (), None)
    assert "\n" not in logs.formatter().format(record)


def test_a_terminal_gets_colours_and_no_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    record = logging.LogRecord("x", logging.INFO, "f", 1, "sent to=+14155550101", (), None)
    shown = logs.formatter().format(record)
    assert "sent to=+•••01" in shown
    assert not shown.startswith("{")
