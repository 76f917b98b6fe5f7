"""Owns POST /messages/import: messages sent from elsewhere, so that their reports, clicks and sales find them."""

from collections.abc import Sequence
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.response import Response

from sendinglists.imports import Imported, Outcome, Sending, import_messages
from sendinglists.sheets import RowError
from trackly.api.base import AccountView
from trackly.api.bodies import Csv, CsvBody, JsonBody
from trackly.api.bulk import COUNTED, MOST_RECORDS, Counted, Records, Wrong, counted, demand_few, read_file
from trackly.api.describing import operation
from trackly.api.messages import TAG
from webhooks.inbound.timeline import hear


class ImportRecord(serializers.Serializer):
    """One message sent from elsewhere. `id` or `provider_id` is needed; a repeated one is a duplicate and changes nothing."""

    id = serializers.CharField(required=False, max_length=100, help_text="Your own id of it, shown as `external_id`.")
    provider_id = serializers.CharField(
        required=False, max_length=200, help_text="The provider's id of it, by which its reports find it."
    )
    list_id = serializers.IntegerField(required=False, help_text="The list that sent it; or `list_number`.")
    list_number = serializers.CharField(required=False, help_text="The number of the list.")
    to = serializers.CharField(help_text="Recipient, with + and the country code.")
    sent_at = serializers.DateTimeField(help_text="Without a zone it is read as UTC.")
    campaign = serializers.CharField(required=False, max_length=100)
    cost = serializers.CharField(required=False, help_text="A plain amount such as 0.0075.")
    currency = serializers.CharField(required=False, help_text="Of the cost; without it the account's.")


class ImportForm(serializers.Serializer):
    messages = Records(child=ImportRecord(), help_text=f"At most {MOST_RECORDS}; each is answered for.")


class Taken(serializers.Serializer):
    index = serializers.IntegerField()
    message_id = serializers.CharField()
    is_new = serializers.BooleanField(help_text="false: it was known already.")


class ImportDone(Counted):
    duplicate_count = serializers.IntegerField(help_text="Of success_count, those that were known already.")
    messages = Taken(many=True)


RECORD = {
    "id": "order-1",
    "provider_id": "SM0123",
    "list_number": "+18005550142",
    "to": "+14155550101",
    "sent_at": "2026-03-15T14:30:00Z",
    "campaign": "summer",
    "cost": "0.0075",
    "currency": "USD",
}
_NAMES = ("id", "provider_id", "list", "to", "sent_at", "campaign", "cost", "currency")
# As the same things are called elsewhere in this API.
_ALIASES = {"id": ("external_id",), "list": ("list_id", "list_number")}
_FILE = f"""{",".join(_NAMES)}
order-1,SM0123,+18005550142,+14155550101,2026-03-15T14:30:00Z,summer,0.0075,USD
"""


class ImportView(AccountView):
    noun = "message"
    parser_classes = [JsonBody, CsvBody]

    @operation(
        "importMessages",
        tag=TAG,
        summary="Enter messages sent from elsewhere",
        description=(
            "Their delivery reports, replies, clicks and conversions then stand with them. Each record is judged by itself:"
            " the good ones are taken whatever the others are. As CSV: a first line with the names of the columns, where"
            " `list` is the id or the number of the list; GET /lists tells both."
        ),
        takes={"application/json": ImportForm, "text/csv": str},
        sends={"application/json": {"messages": [RECORD, {**RECORD, "id": "order-2", "to": "555"}]}, "text/csv": _FILE},
        answers={200: ImportDone},
        example={**COUNTED, "duplicate_count": 0, "messages": [{"index": 0, "message_id": "a2B3c4D5", "is_new": True}]},
    )
    def post(self, request: Any) -> Response:
        rows: Sequence[Sending | RowError]
        if isinstance(request.data, Csv):
            rows = read_file(request.data, Sending)
        else:
            rows = [_record(given) for given in self.read(ImportForm)["messages"]]
        demand_few(rows)
        return Response(_told(import_messages(self.account, rows, now=timezone.now(), hear=hear)))


def _record(given: Any) -> Sending | RowError:
    """A record of JSON, as text like that of a file: it is judged as such."""
    if not isinstance(given, dict):
        return RowError(code="invalid_record", words="A record is a JSON object.")
    texts: dict[str, Any] = {}
    for name in _NAMES:
        value = next((given[key] for key in (name, *_ALIASES.get(name, ())) if given.get(key) is not None), None)
        if isinstance(value, bool | list | dict):
            return RowError(code=f"invalid_{name}", words=f"{name} must be text or a number.")
        texts[name] = "" if value is None else str(value).strip()
    return Sending(**texts)


def _told(answers: list[Imported]) -> dict[str, Any]:
    wrong = [
        Wrong(index=answer.index, code=answer.code, error=answer.words)
        for answer in answers
        if answer.outcome == Outcome.REFUSED
    ]
    taken = [
        {"index": answer.index, "message_id": answer.message_id, "is_new": answer.outcome == Outcome.NEW}
        for answer in answers
        if answer.outcome != Outcome.REFUSED
    ]
    doubled = sum(not entry["is_new"] for entry in taken)
    return counted(len(taken), wrong) | {"duplicate_count": doubled, "messages": taken}
