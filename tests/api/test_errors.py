"""Every error has one shape, whatever was wrong; what nobody expected tells nothing of itself."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client

from sendinglists.models import SendingList
from tests.api.conftest import Caller, read
from trackly.api import sends
from trackly.api.lists import ListsView

pytestmark = pytest.mark.django_db

DEEP = b"[" * 200 + b"]" * 200
WRONG_BODIES = [
    (b"{", "invalid_json"),
    (b"\xff\xfe", "invalid_json"),
    (b'{"to": "+1415555\xed\xa0\x800101"}', "invalid_json"),
    (b'{"to": "\\ud800"}', "invalid_json"),
    (DEEP, "invalid_json"),
    (b'{"to":' + DEEP + b"}", "invalid_json"),
    (b'{"list_id": 1e999}', "invalid_json"),
    (b'{"list_id": ' + b"9" * 5_000 + b"}", "invalid_json"),
    (b"[]", "invalid_request"),
    (b'"text"', "invalid_request"),
    (b"null", "invalid_request"),
    (b"", "missing_to"),
    (b"{}", "missing_to"),
]


@pytest.mark.parametrize("path", ["send", "links", "contacts/opt-out", "contacts/opt-in", "suppressions"])
@pytest.mark.parametrize(("body", "code"), WRONG_BODIES)
def test_a_body_that_cannot_be_read_is_the_callers_fault(us: Caller, path: str, body: bytes, code: str) -> None:
    status, said = us.post(path, body)
    assert status == 400
    assert set(said) <= {"error", "code", "fields"}
    assert said["code"] == code or path != "send"


@pytest.mark.parametrize(("field", "value", "code"), [
    ("to", None, "missing_to"), ("to", "", "missing_to"), ("to", 14155550101, "invalid_phone"), ("to", [], "invalid_phone"),
    ("to", "\x00", "invalid_phone"), ("to", "555", "invalid_phone"), ("to", "+1415555010199999999", "invalid_phone"),
    ("to", "x" * 100_000, "invalid_phone"), ("to", "Trackly", "invalid_phone"), ("to", "²²²²²²²²²", "invalid_phone"),
    ("list_id", "42", "list_not_found"), ("list_id", 10**30, "invalid_list_id"), ("list_id", True, "invalid_list_id"),
    ("list_id", -1, "invalid_list_id"), ("list_id", {}, "invalid_list_id"), ("list_id", 1.0, "invalid_list_id"),
    ("list_id", 2**63 - 1, "list_not_found"), ("body", "", "missing_body"), ("body", "a\x00b", "invalid_body"),
    ("body", "x" * 10_000, "invalid_body"), ("body", ["x"], "invalid_body"), ("campaign", "x" * 101, "invalid_campaign"),
    ("wrap_links", "yes", "invalid_wrap_links"), ("wrap_links", 1, "invalid_wrap_links"), ("is_test", None, "missing_is_test"),
    ("is_test", [], "invalid_is_test"), ("offer_id", 99, "offer_not_found"), ("offer_id", 0, "invalid_offer_id"),
])  # fmt: skip
def test_a_wrong_value_names_its_field(us: Caller, our_list: SendingList, field: str, value: Any, code: str) -> None:
    right = {"to": "+14155550101", "list_id": our_list.id, "body": "hello"}
    status, said = us.post("send", right | {field: value})
    assert said["code"] == code
    assert status == (404 if code.endswith("not_found") else 400)
    assert status == 404 or set(said["fields"]) == {field}


@pytest.mark.parametrize(("path", "code"), [
    ("messages?limit=0", "invalid_limit"), ("messages?limit=101", "invalid_limit"), ("messages?limit=x", "invalid_limit"),
    ("messages?status=gone", "invalid_status"), ("messages?to=%00", "invalid_phone"), ("messages?list_id=1.0", "invalid_list_id"),
    ("messages?since=yesterday", "invalid_since"), ("messages?since=9999-12-31T23:59:59-23:59", "invalid_since"),
    ("messages?campaign=%00", "invalid_campaign"), ("messages?stauts=sent", "unknown_parameter"),
    ("messages?include_tests=perhaps", "invalid_include_tests"), ("messages?cursor=abc", "invalid_cursor"),
    ("messages?cursor=%C3%A9", "invalid_cursor"), ("messages?cursor=%00", "invalid_cursor"),
    ("contacts/nobody", "invalid_phone"), ("contacts/%00", "invalid_phone"), ("contacts/555", "invalid_phone"),
    ("suppressions?phone=1", "invalid_phone"), ("suppressions?brand=%00", "invalid_brand"),
    ("conversions?connection=" + "9" * 400, "invalid_connection"), ("links?message=" + "a" * 9, "invalid_message"),
])  # fmt: skip
def test_a_wrong_query_is_said_so(us: Caller, path: str, code: str) -> None:
    status, said = us.get(path)
    assert (status, said["code"]) == (400, code)


@pytest.mark.parametrize("path", [
    "", "nothing", "messages/a/b", "messages/%00", "messages/%ED%A0%80", "lists/x", f"lists/{10**30}", f"lists/{'9' * 5_000}",
    "links/%2e%2e", "conversions/0198c7de-5a3c-7b1e-9f00-3c5d0a6b7c8d-99999999999999999999", "conversions/zzz",
    "links/" + "a" * 3_000,
    "contacts/%2B14155550101", "messages/a2B3c4D5",
])  # fmt: skip
def test_what_is_not_there_is_404_in_the_same_shape(us: Caller, path: str) -> None:
    status, said = us.get(path)
    assert status == 404
    assert set(said) == {"error", "code"}
    assert said["code"].endswith("not_found")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "POST", "OPTIONS", "TRACE", "PROPFIND"])
def test_a_method_that_is_not_taken_is_405_with_those_that_are(us: Caller, method: str) -> None:
    response = us.ask(method, "lists")
    status, said = read(response)
    assert (status, said["code"]) == (405, "method_not_allowed")
    assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "é/\x01"]
)
def test_another_type_of_body_is_415(us: Caller, kind: str) -> None:
    response = Client().generic("POST", "/api/v2/send", b"to=1", content_type=kind, headers={"X-Api-Key": us.key})
    status, said = read(response)
    assert (status, said["code"]) == (415, "unsupported_media_type")


def test_csv_is_taken_only_where_it_is_documented(us: Caller) -> None:
    assert us.post("send", b"to\n+14155550101\n", "text/csv")[0] == 415


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "nonsense", ""])
def test_the_answer_is_json_whatever_is_accepted(us: Caller, accept: str) -> None:
    assert us.get("lists", Accept=accept)[0] == 200
    assert us.get("lists?format=api")[0] == 400


def test_the_unexpected_is_500_in_the_same_shape_and_is_logged(
    us: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(ListsView, "context", fail)
    status, said = us.get("lists")
    assert (status, said["code"]) == (500, "server_error")
    assert "secret" not in str(said)
    assert "answer api failed" in caplog.text


def test_a_database_that_is_away_is_503(us: Caller, our_list: SendingList, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang_up(*args: Any, **kwargs: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = 1; SELECT pg_sleep(1)")

    monkeypatch.setattr(sends, "queue", hang_up)
    response = us.ask("POST", "send", {"to": "+14155550101", "list_id": our_list.id, "body": "hello"})
    status, said = read(response)
    assert (status, said["code"]) == (503, "unavailable")
    assert response.headers["Retry-After"] == "5"


def test_several_wrong_fields_are_all_named(us: Caller) -> None:
    status, said = us.post("send", {"to": "x", "list_id": "y"})
    assert status == 400
    assert set(said["fields"]) == {"to", "list_id", "body"}
    assert said["code"] == "invalid_phone"
    assert said["error"].startswith("to: ")
