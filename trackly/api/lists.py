"""Owns sending lists as the API shows them."""

from typing import Any

from django.db.models import Count
from rest_framework import serializers
from rest_framework.response import Response

from sendinglists.models import SendingList, Subscription
from trackly.api.base import AccountView, Query
from trackly.api.describing import operation, page_of, path_parameter
from trackly.api.fields import OneOf
from webhooks import providers

TAG = "Lists"


class ListShown(serializers.Serializer):
    """A number that messages are sent from."""

    id = serializers.IntegerField()
    phone_number = serializers.CharField(source="number")
    brand_name = serializers.CharField(source="brand", help_text="Empty: none.")
    list_name = serializers.CharField(source="name")
    list_type = serializers.ChoiceField(
        choices=list(providers.all_providers()), source="provider_account.provider", help_text="Its SMS provider."
    )
    status = serializers.ChoiceField(choices=SendingList.State.choices)
    contact_count = serializers.SerializerMethodField(help_text="Contacts known on it that have not opted out.")
    created_at = serializers.DateTimeField()

    def get_contact_count(self, row: SendingList) -> int:
        counts: dict[int, int] = self.context["counts"]
        return counts.get(row.id, 0)


class ListQuery(Query):
    status = OneOf(
        choices=SendingList.State.choices, required=False, help_text="Without it all but the deleted ones are shown."
    )


_NOT_DELETED = [state for state in SendingList.State if state != SendingList.State.DELETED]
LIST = {
    "id": 42,
    "phone_number": "+12025550142",
    "brand_name": "Acme Co",
    "list_name": "Acme Promo List",
    "list_type": next(iter(providers.all_providers())),
    "status": "active",
    "contact_count": 15230,
    "created_at": "2026-03-15T14:30:00Z",
}


class _Lists(AccountView):
    noun = "list"

    def context(self, found: list[SendingList]) -> dict[str, Any]:
        on_these = self.rows(Subscription).filter(
            sending_list__in=[row.id for row in found], state=Subscription.State.SUBSCRIBED
        )
        counts = on_these.order_by().values_list("sending_list").annotate(n=Count("id"))
        return {"counts": dict(counts)}


class ListsView(_Lists):
    query = ListQuery

    @operation(
        "listLists",
        tag=TAG,
        summary="Sending lists, newest first",
        answers={200: page_of(ListShown)},
        example={"data": [LIST], "next_cursor": None},
        parameters=[ListQuery],
    )
    def get(self, request: Any) -> Response:
        asked = self.asked()
        rows = self.rows(SendingList).select_related("provider_account")
        shown = [asked["status"]] if "status" in asked else _NOT_DELETED
        rows = rows.filter(status__in=shown)
        return self.page(rows, asked, ListShown)


class ListView(_Lists):
    @operation(
        "getList",
        tag=TAG,
        summary="One sending list",
        answers={200: ListShown},
        example=LIST,
        says={404: "No such list in this account."},
        parameters=[path_parameter("list_id", "Its id.", 42)],
    )
    def get(self, request: Any, list_id: int) -> Response:
        row = self.one(self.rows(SendingList).select_related("provider_account"), id=list_id)
        return Response(ListShown(row, context=self.context([row])).data)
