"""Owns conversions as the API shows them: every postback, judged, with its verdict."""

from typing import Any
from uuid import UUID

from rest_framework import serializers
from rest_framework.response import Response

from postbacks.models import Conversion
from postbacks.verdicts import ConversionStatus, Verdict
from trackly.api.base import AccountView, TestsQuery, missing
from trackly.api.describing import operation, page_of, path_parameter
from trackly.api.fields import Amount, FlagField, IdField, OneOf, OrNull, TextField

TAG = "Conversions"


class ConversionShown(serializers.Serializer):
    """One postback of a network, as it was judged."""

    id = serializers.SerializerMethodField()
    received_at = serializers.DateTimeField()
    verdict = serializers.ChoiceField(choices=Verdict.choices)
    explanation = serializers.SerializerMethodField(help_text="What to do about the verdict; empty: nothing.")
    counts = serializers.SerializerMethodField(
        help_text="It stands in the totals, under its status and apart if it is not verified."
    )
    kind = OneOf(choices=Conversion.Kind.choices[1:], allow_null=True, help_text="null: it does not count.")
    status = serializers.ChoiceField(choices=ConversionStatus.choices)
    payout = Amount(help_text="What counts; null: none was named.")
    currency = OrNull()
    verified = serializers.BooleanField(source="is_verified", help_text="It came with the connection's token.")
    transaction_id = OrNull()
    event = OrNull(help_text="Event or goal; null: the base conversion.")
    click_id = OrNull(source="click_text")
    network = serializers.CharField()
    connection_id = serializers.IntegerField(allow_null=True)
    offer_id = serializers.IntegerField(allow_null=True)
    list_id = serializers.IntegerField(source="sending_list_id", allow_null=True)
    message_id = OrNull(source="message.public_id", default=None)
    campaign = OrNull(source="message.campaign", default=None, help_text="The message's.")
    is_late = serializers.BooleanField()
    is_test = serializers.BooleanField()

    def get_id(self, row: Conversion) -> str:
        return str(row.request_uid) + (f"-{row.item}" if row.item else "")

    def get_explanation(self, row: Conversion) -> str:
        return row.fix

    def get_counts(self, row: Conversion) -> bool:
        return bool(row.kind) and not row.is_test


class ConversionQuery(TestsQuery):
    connection = IdField(required=False, help_text="Network connection.")
    offer = IdField(required=False)
    list = IdField(required=False)
    status = OneOf(choices=ConversionStatus.choices, required=False)
    verified = FlagField(required=False)
    counts = FlagField(required=False, help_text="true: only what stands in the totals.")
    message = TextField(required=False, max_length=8, help_text="Message id.")
    since = serializers.DateTimeField(required=False, help_text="Received then or later.")
    until = serializers.DateTimeField(required=False, help_text="Received before.")


CONVERSION: dict[str, Any] = {
    "id": "0198c7de-5a3c-7b1e-9f00-3c5d0a6b7c8d",
    "received_at": "2026-03-15T14:30:00.123000Z",
    "verdict": "recorded",
    "explanation": "",
    "counts": True,
    "kind": "conversion",
    "status": "approved",
    "payout": "24.99",
    "currency": "USD",
    "verified": True,
    "transaction_id": "T1",
    "event": None,
    "click_id": "k3x7o2m5q4a6b7c2d3e4f5g6h7",
    "network": "acme",
    "connection_id": 7,
    "offer_id": 3,
    "list_id": 42,
    "message_id": "a2B3c4D5",
    "campaign": "summer",
    "is_late": False,
    "is_test": False,
}
# Name in the query: look-up in the table.
_LOOKUPS = {
    "connection": "connection_id",
    "offer": "offer_id",
    "list": "sending_list_id",
    "status": "status",
    "verified": "is_verified",
    "message": "message__public_id",
    "since": "received_at__gte",
    "until": "received_at__lt",
}


class ConversionsView(AccountView):
    noun = "conversion"
    query = ConversionQuery

    @operation(
        "listConversions",
        tag=TAG,
        summary="Conversions, newest first",
        description=(
            "Every postback that names this account, those that do not count as well, each with its verdict."
            " Revenue is the sum of `payout` over `counts=true`, one sum a currency."
        ),
        answers={200: page_of(ConversionShown)},
        example={"data": [CONVERSION], "next_cursor": None},
        parameters=[ConversionQuery],
    )
    def get(self, request: Any) -> Response:
        asked = self.asked()
        rows = self.rows(Conversion).select_related("message")
        rows = rows.filter(**{lookup: asked[name] for name, lookup in _LOOKUPS.items() if name in asked})
        if "counts" in asked:
            rows = rows.exclude(kind="") if asked["counts"] else rows.filter(kind="")
        if not asked["include_tests"]:
            rows = rows.filter(is_test=False)
        return self.page(rows, asked, ConversionShown)


class ConversionView(AccountView):
    noun = "conversion"

    @operation(
        "getConversion",
        tag=TAG,
        summary="One conversion",
        answers={200: ConversionShown},
        example=CONVERSION,
        says={404: "No such conversion in this account."},
        parameters=[path_parameter("conversion_id", "Its id, as the list shows it.", CONVERSION["id"])],
    )
    def get(self, request: Any, conversion_id: str) -> Response:
        uid, _, item = conversion_id[:36], conversion_id[36:37], conversion_id[37:]
        try:
            place: dict[str, Any] = {"request_uid": UUID(uid), "item": int(item or 0)}
        except ValueError as error:
            raise missing(self.noun) from error
        row = self.one(self.rows(Conversion).select_related("message"), **place)
        return Response(ConversionShown(row).data)
