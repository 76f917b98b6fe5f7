"""POST /messages/import: good records are taken whatever the others are, and a repeated one changes nothing."""

from typing import Any

import pytest
from django.utils import timezone

from sendinglists.models import Message, SendingList
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db
SENT = timezone.now().isoformat()


def record(our_list: SendingList, n: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": f"order-{n}", "list_id": our_list.id, "to": "+14155550101", "sent_at": SENT, "campaign": "summer", "cost": "0.0075",
        **more,
    }  # fmt: skip


def test_a_message_sent_from_elsewhere_is_shown_like_our_own(us: Caller, our_list: SendingList) -> None:
    status, said = us.post("messages/import", {"messages": [record(our_list, provider_id="SM1")]})
    row = Message.objects.get()
    assert (status, said) == (
        200,
        {
            "success": True, "success_count": 1, "error_count": 0, "errors": [], "duplicate_count": 0,
            "messages": [{"index": 0, "message_id": row.public_id, "is_new": True}],
        },
    )  # fmt: skip
    shown = us.get(f"messages/{row.public_id}")[1]
    assert (shown["is_external"], shown["external_id"], shown["status"], shown["cost"]) == (
        True,
        "order-1",
        "sent",
        "0.0075",
    )
    assert [entry["origin"] for entry in shown["timeline"]] == ["Imported"]


def test_a_repeated_record_is_a_duplicate_and_makes_nothing(us: Caller, our_list: SendingList) -> None:
    first = us.post("messages/import", {"messages": [record(our_list), record(our_list)]})[1]
    assert [entry["is_new"] for entry in first["messages"]] == [True, False]
    again = us.post("messages/import/", {"messages": [record(our_list)]})[1]
    assert (again["success_count"], again["duplicate_count"]) == (1, 1)
    assert again["messages"][0]["message_id"] == first["messages"][0]["message_id"]
    assert Message.objects.count() == 1


def test_a_wrong_record_is_named_and_the_others_are_taken(us: Caller, our_list: SendingList) -> None:
    wrong = [
        ("x", "invalid_record"), (None, "invalid_record"), (record(our_list, id=None), "missing_id"),
        (record(our_list, id=[1]), "invalid_id"),
        (record(our_list, list_id=99), "list_not_found"), (record(our_list, list_id=True), "invalid_list"),
        (record(our_list, to="555"), "invalid_phone"), (record(our_list, to=None), "missing_to_number"),
        (record(our_list, sent_at="soon"), "invalid_timestamp"), (record(our_list, sent_at=None), "missing_timestamp"),
        (record(our_list, cost="much"), "invalid_cost"), (record(our_list, campaign="\x00"), "invalid_campaign"),
        (record(our_list, id=10**4_000), "invalid_id"), ({}, "missing_id"),
    ]  # fmt: skip
    status, said = us.post("messages/import", {"messages": [*(row for row, _ in wrong), record(our_list)]})
    assert status == 200
    assert [(entry["index"], entry["code"]) for entry in said["errors"]] == [
        (index, code) for index, (_, code) in enumerate(wrong)
    ]
    assert all(entry["error"] for entry in said["errors"])
    assert [entry["index"] for entry in said["messages"]] == [len(wrong)]


def test_messages_come_as_csv(us: Caller, our_list: SendingList) -> None:
    lines = [
        "id,list,to,sent_at,campaign",
        f"order-1,{our_list.number},+14155550101,{SENT},summer",
        f"order-2,{our_list.id},555,{SENT},",
    ]
    status, said = us.post("messages/import", "\n".join(lines).encode(), "text/csv")
    assert (status, said["success_count"]) == (200, 1)
    assert [(entry["index"], entry["code"]) for entry in said["errors"]] == [(1, "invalid_phone")]


@pytest.mark.parametrize(("body", "kind", "status", "code"), [
    ({"messages": [{}] * 1_001}, "application/json", 413, "too_many_records"),
    (b"id,list,to,sent_at\n" + b"1,2,3,4\n" * 1_001, "text/csv", 413, "too_many_records"),
    ({}, "application/json", 400, "missing_messages"), ({"messages": {}}, "application/json", 400, "invalid_messages"),
    ({"messages": None}, "application/json", 400, "missing_messages"), (b"\xff", "text/csv", 400, "invalid_csv"),
    (b"nothing\n", "text/csv", 400, "invalid_csv"),
])  # fmt: skip
def test_what_is_no_list_of_records_is_refused_whole(us: Caller, body: Any, kind: str, status: int, code: str) -> None:
    answered, said = us.post("messages/import", body, kind)
    assert (answered, said["code"]) == (status, code)
    assert not Message.objects.exists()


def test_no_records_are_no_mistake(us: Caller) -> None:
    assert us.post("messages/import", {"messages": []})[1]["success_count"] == 0
