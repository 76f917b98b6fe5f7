"""Owns POST /send: a message into the queue, once for one Idempotency-Key."""

import re
from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from postbacks.models import Offer
from sendinglists.models import SendingList
from sendinglists.queueing import CannotQueue, Draft, queue
from trackly.api.base import AccountView, missing
from trackly.api.describing import operation
from trackly.api.errors import Problem
from trackly.api.fields import FlagField, IdField, PhoneField, TextField
from trackly.api.messages import TAG
from trackly.phones import e164
from webhooks import providers

# Visible ASCII: what a header can hold without loss.
_KEY = re.compile(r"[\x21-\x7e]{1,100}")
MOST_CHARACTERS = max(adapter.max_characters for adapter in providers.all_providers().values())


class SendForm(serializers.Serializer):
    """One SMS. Give `list_id` or `list_number`."""

    to = PhoneField(help_text="Recipient, E.164.")
    list_id = IdField(required=False)
    list_number = TextField(required=False, max_length=40, help_text="The number of the list.")
    body = TextField(max_length=MOST_CHARACTERS, trim_whitespace=False)
    campaign = TextField(required=False, default="", allow_blank=True, max_length=100)
    offer_id = IdField(required=False, help_text="What `{{link}}` in the body leads to.")
    wrap_links = FlagField(
        required=False, default=True, help_text="Web addresses in the body become short links that record clicks."
    )
    is_test = FlagField(required=False, default=False, help_text="It is sent, but counts in no total.")

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if "list_id" not in given and "list_number" not in given:
            raise ValidationError("Give list_id or list_number.", "missing_list_identifier")
        return given


class Queued(serializers.Serializer):
    success = serializers.BooleanField(help_text="Always true.")
    message_id = serializers.CharField(help_text="8 characters; GET /messages/{message_id} tells how it stands.")
    status = serializers.ChoiceField(choices=["queued"])


KEY = OpenApiParameter(
    "Idempotency-Key",
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description=(
        "Up to 100 visible ASCII characters of your choice. The same key again, with the same content, makes no second message"
        " and is answered 200 with the first one's id: repeat a request that was not answered."
    ),
)


class SendView(AccountView):
    noun = "message"

    @operation(
        "send",
        tag=TAG,
        summary="Send a message",
        description=(
            "It is queued, and sent by the list's provider within seconds. Who opted out, or is suppressed, gets nothing: the"
            " message then stands as `dropped`, with its reason. GET /lists tells the ids and numbers of your lists; the example"
            " names the list of the first start."
        ),
        takes=SendForm,
        sends={
            "to": "+14155550101",
            "list_number": "+18005550142",
            "body": "Half price today: https://shop.example.com/sale",
            "campaign": "summer",
        },
        answers={201: Queued, 200: Queued},
        example={"success": True, "message_id": "a2B3c4D5", "status": "queued"},
        says={
            200: "The key was used before: the answer of then.",
            404: "No such list or offer in this account.",
            409: "The key was used with other content, or several lists have this number.",
            422: "It cannot be sent so: the list does not send, or the text or an address in it is not taken.",
        },
        parameters=[KEY],
    )
    def post(self, request: Any) -> Response:
        draft = self._draft(idempotency_key(request.META.get("HTTP_IDEMPOTENCY_KEY")))
        try:
            message, is_new = queue(draft, now=timezone.now())
        except CannotQueue as error:
            # What is missing or of a wrong shape is 400 everywhere here; 422 is what only the list or its provider minds.
            is_malformed = error.code.startswith(("missing_", "invalid_"))
            raise Problem(400 if is_malformed else error.status, error.code, error.said) from error
        shown = {"success": True, "message_id": message.public_id, "status": "queued"}
        return Response(shown, status=201 if is_new else 200)

    def _draft(self, key: str) -> Draft:
        given = self.read(SendForm)
        if "offer_id" in given:
            self.one(self.rows(Offer), "offer", id=given["offer_id"])
        return Draft(
            sending_list=self._list(given),
            to=given["to"],
            body=given["body"],
            campaign=given["campaign"],
            offer_id=given.get("offer_id"),
            wrap_links=given["wrap_links"],
            is_test=given["is_test"],
            idempotency_key=key,
        )

    def _list(self, given: Mapping[str, Any]) -> SendingList:
        lists = self.rows(SendingList).select_related("provider_account", "account")
        lists = lists.exclude(status=SendingList.State.DELETED)
        if "list_id" in given:
            lists = lists.filter(id=given["list_id"])
        if "list_number" in given:
            lists = lists.filter(number=e164(given["list_number"]))
        found = list(lists.order_by("id")[:2])
        if not found:
            raise missing("list")
        if len(found) > 1:
            # The same number at two provider accounts.
            raise Problem(409, "ambiguous_list", "Several lists have this number; name one by list_id.")
        return found[0]


def idempotency_key(given: str | None) -> str:
    """The header's value; '' when it was not sent."""
    if given is None:
        return ""
    if not _KEY.fullmatch(given):
        raise Problem(400, "invalid_idempotency_key", "Idempotency-Key: 1 to 100 visible ASCII characters.")
    return given
