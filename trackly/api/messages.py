"""Owns messages as the API shows them, with their timeline."""

from typing import Any

from rest_framework import serializers
from rest_framework.response import Response

from sendinglists.models import Link, Message
from trackly.api.base import AccountView, TestsQuery
from trackly.api.describing import operation, page_of, path_parameter
from trackly.api.fields import Amount, IdField, OneOf, OrNull, PhoneQueryField, TextField
from trackly.api.links import LINK, LinkShown
from webhooks.inbound.models import DeliveryEvent
from webhooks.statuses import Origin, Reason, Status

TAG = "Messages"
# A message is heard of a handful of times; one that is heard of for ever must not make a page of megabytes.
MOST_EVENTS = MOST_LINKS = 200


class MessageShown(serializers.Serializer):
    """One SMS and how it stands."""

    message_id = serializers.CharField(source="public_id")
    list_id = serializers.IntegerField(source="sending_list_id", allow_null=True)
    list_number = OrNull(source="sending_list.number", default=None)
    to = serializers.CharField()
    body = serializers.CharField(help_text="Empty where it is not known, of messages sent from elsewhere.")
    campaign = OrNull()
    status = serializers.ChoiceField(choices=Status.choices)
    status_detail = OrNull(help_text="The provider's own word.")
    status_at = serializers.DateTimeField(allow_null=True, help_text="The provider's time of it.")
    reason = OneOf(choices=Reason.choices, allow_null=True, help_text="Why it did not arrive, in our words.")
    error_code = OrNull(help_text="The provider's.")
    error = OrNull(source="error_text", help_text="What went wrong, in words.")
    segments = serializers.IntegerField(allow_null=True)
    cost = Amount()
    cost_currency = OrNull()
    external_id = OrNull(help_text="Your own id, of an imported one.")
    is_test = serializers.BooleanField()
    is_external = serializers.BooleanField(help_text="It was sent from elsewhere.")
    created_at = serializers.DateTimeField()
    sent_at = serializers.DateTimeField(allow_null=True, help_text="When the provider accepted it.")


class EventShown(serializers.Serializer):
    """One entry of a timeline."""

    at = serializers.DateTimeField(allow_null=True, help_text="The provider's time; null: it named none.")
    received_at = serializers.DateTimeField()
    status = serializers.ChoiceField(choices=Status.choices)
    provider_status = OrNull(source="vendor_status", help_text="The provider's own word.")
    provider_code = OrNull(source="vendor_code")
    reason = OneOf(choices=Reason.choices, allow_null=True)
    error_code = OrNull()
    error = OrNull(source="error_text")
    origin = serializers.SerializerMethodField(help_text="Where we have it from, in words.")

    def get_origin(self, row: DeliveryEvent) -> str:
        return str(Origin(row.origin).label)


class MessageTold(MessageShown):
    """A message with all that is known of it."""

    timeline = EventShown(many=True, source="told_events", help_text="Oldest first.")
    links = LinkShown(many=True, source="told_links", help_text="Those in its text.")


class MessageQuery(TestsQuery):
    list_id = IdField(required=False)
    status = OneOf(choices=Status.choices, required=False)
    to = PhoneQueryField(required=False, help_text="Recipient.")
    campaign = TextField(required=False, max_length=100)
    since = serializers.DateTimeField(required=False, help_text="Made then or later.")
    until = serializers.DateTimeField(required=False, help_text="Made before.")


MESSAGE = {
    "message_id": "a2B3c4D5",
    "list_id": 42,
    "list_number": "+12025550142",
    "to": "+14155550101",
    "body": "Half price today: https://go.example.com/c/Ab3kX9w",
    "campaign": "summer",
    "status": "delivered",
    "status_detail": "DELIVERED_TO_HANDSET",
    "status_at": "2026-03-15T14:30:07Z",
    "reason": None,
    "error_code": None,
    "error": None,
    "segments": 1,
    "cost": "0.0075",
    "cost_currency": "USD",
    "external_id": None,
    "is_test": False,
    "is_external": False,
    "created_at": "2026-03-15T14:30:00Z",
    "sent_at": "2026-03-15T14:30:01Z",
}
EVENT = {
    "at": "2026-03-15T14:30:07Z",
    "received_at": "2026-03-15T14:30:08.120000Z",
    "status": "delivered",
    "provider_status": "DELIVERED_TO_HANDSET",
    "provider_code": "5",
    "reason": None,
    "error_code": None,
    "error": None,
    "origin": "Callback of the provider",
}
_LOOKUPS = {
    "list_id": "sending_list_id",
    "status": "status",
    "to": "to",
    "campaign": "campaign",
    "since": "created_at__gte",
    "until": "created_at__lt",
}


class MessagesView(AccountView):
    noun = "message"
    query = MessageQuery

    @operation(
        "listMessages",
        tag=TAG,
        summary="Messages, newest first",
        description="Tests are left out unless `include_tests=true`.",
        answers={200: page_of(MessageShown)},
        example={"data": [MESSAGE], "next_cursor": None},
        parameters=[MessageQuery],
    )
    def get(self, request: Any) -> Response:
        asked = self.asked()
        rows = self.rows(Message).select_related("sending_list")
        rows = rows.filter(**{lookup: asked[name] for name, lookup in _LOOKUPS.items() if name in asked})
        if not asked["include_tests"]:
            rows = rows.filter(is_test=False)
        return self.page(rows, asked, MessageShown)


class MessageView(AccountView):
    noun = "message"

    @operation(
        "getMessage",
        tag=TAG,
        summary="One message, with its timeline and links",
        description=(
            "The timeline holds everything that was heard of it, each entry with its origin: a callback of the provider, the"
            " answer to our send, a question of ours, an import. `status` is the furthest of them, in whatever order they came."
        ),
        answers={200: MessageTold},
        example={**MESSAGE, "timeline": [EVENT], "links": [{**LINK, "message_id": "a2B3c4D5"}]},
        says={404: "No such message in this account."},
        parameters=[path_parameter("message_id", "Its 8 characters.", "a2B3c4D5")],
    )
    def get(self, request: Any, message_id: str) -> Response:
        row: Any = self.one(self.rows(Message).select_related("sending_list"), public_id=message_id)
        events = self.rows(DeliveryEvent).filter(message=row)
        row.told_events = list(events.order_by("received_at", "id")[:MOST_EVENTS])
        links = self.rows(Link).filter(message=row).select_related("offer", "message__sending_list")
        row.told_links = list(links.order_by("id")[:MOST_LINKS])
        return Response(MessageTold(row).data)
