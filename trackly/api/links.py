"""Owns short links as the API makes and shows them."""

from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError as Invalid
from django.utils import timezone
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from postbacks.models import Offer
from sendinglists.domains import short_url
from sendinglists.models import Link, Message
from trackly.api.base import AccountView, TestsQuery, missing
from trackly.api.describing import operation, page_of, path_parameter
from trackly.api.errors import Problem
from trackly.api.fields import DestinationField, FlagField, IdField, OrNull, TextField

TAG = "Links"


class LinkShown(serializers.Serializer):
    """A short link: everybody who opens it is recorded, and led to its destination with a click id."""

    code = serializers.CharField()
    short_url = serializers.SerializerMethodField()
    destination = serializers.SerializerMethodField(help_text="Its own address, or its offer's.")
    offer_id = serializers.IntegerField(allow_null=True)
    campaign = OrNull()
    message_id = OrNull(source="message.public_id", default=None, help_text="The message it stands in; null: in none.")
    is_test = serializers.BooleanField()
    expires_at = serializers.DateTimeField(allow_null=True)
    created_at = serializers.DateTimeField()

    def get_short_url(self, row: Link) -> str:
        return short_url(row)

    def get_destination(self, row: Link) -> str:
        return row.offer.destination if row.offer else row.destination


class LinkMade(LinkShown):
    success = serializers.BooleanField(help_text="Always true.")


class LinkForm(serializers.Serializer):
    """Give `url` or `offer_id`."""

    url = DestinationField(
        required=False,
        help_text="http or https; `{click_id}` stands where the click id is wanted, else it is appended.",
    )
    offer_id = IdField(required=False)
    campaign = TextField(required=False, default="", allow_blank=True, max_length=100)
    expires_at = serializers.DateTimeField(
        required=False,
        allow_null=True,
        default=None,
        help_text="After it visitors are led to the account's fallback URL.",
    )
    is_test = FlagField(required=False, default=False, help_text="Its clicks and sales count in no total.")

    def validate_expires_at(self, at: Any) -> Any:
        if at is not None and at <= timezone.now():
            raise ValidationError("This time is over.", "invalid_expires_at")
        return at

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if ("url" in given) == ("offer_id" in given):
            raise ValidationError("Give either url or offer_id.", "missing_url_or_offer")
        return given


class LinkQuery(TestsQuery):
    campaign = TextField(required=False, max_length=100)
    message = TextField(required=False, max_length=8, help_text="The id of the message it stands in.")


LINK = {
    "code": "Ab3kX9w",
    "short_url": "https://go.example.com/c/Ab3kX9w",
    "destination": "https://shop.example.com/sale?promo=summer24",
    "offer_id": None,
    "campaign": "summer",
    "message_id": None,
    "is_test": False,
    "expires_at": None,
    "created_at": "2026-03-15T14:30:00Z",
}


class LinksView(AccountView):
    noun = "link"
    query = LinkQuery

    @operation(
        "listLinks",
        tag=TAG,
        summary="Short links, newest first",
        description="Those of messages, too. Test links are left out unless `include_tests=true`.",
        answers={200: page_of(LinkShown)},
        example={"data": [LINK], "next_cursor": None},
        parameters=[LinkQuery],
    )
    def get(self, request: Any) -> Response:
        asked = self.asked()
        rows = self.rows(Link).select_related("offer", "message__sending_list")
        if not asked["include_tests"]:
            rows = rows.filter(is_test=False)
        if "campaign" in asked:
            rows = rows.filter(campaign=asked["campaign"])
        if "message" in asked:
            rows = rows.filter(message__in=self.rows(Message).filter(public_id=asked["message"]))
        return self.page(rows, asked, LinkShown)

    @operation(
        "createLink",
        tag=TAG,
        summary="Make a short link",
        description="It leads to an address of your own, or to an offer of your account.",
        takes=LinkForm,
        sends={"url": "https://shop.example.com/sale?promo=summer24", "campaign": "summer"},
        answers={201: LinkMade},
        example={"success": True, **LINK},
        says={404: "No such offer in this account."},
    )
    def post(self, request: Any) -> Response:
        row = self._make(self.read(LinkForm))
        return Response({"success": True, **LinkShown(row).data}, status=201)

    def _make(self, given: Mapping[str, Any]) -> Link:
        row = Link(
            account=self.account,
            destination=given.get("url", ""),
            campaign=given["campaign"],
            expires_at=given["expires_at"],
            is_test=given["is_test"],
        )
        if "offer_id" in given:
            row.offer = self._offer(given["offer_id"])
        try:
            row.full_clean(validate_constraints=False, exclude=["account"])
        except Invalid as error:
            raise Problem(400, "invalid_url", " ".join(error.messages)) from error
        row.save(force_insert=True)
        return row

    def _offer(self, offer_id: int) -> Offer:
        found = self.rows(Offer).filter(id=offer_id).exclude(status=Offer.State.ARCHIVED).first()
        if found is None:
            raise missing("offer")
        return found


class LinkView(AccountView):
    noun = "link"

    @operation(
        "getLink",
        tag=TAG,
        summary="One short link",
        answers={200: LinkShown},
        example=LINK,
        says={404: "No such link in this account."},
        parameters=[path_parameter("code", "What stands behind /c/ in its address.", "Ab3kX9w")],
    )
    def get(self, request: Any, code: str) -> Response:
        row = self.one(self.rows(Link).select_related("offer", "message__sending_list"), code=code)
        return Response(LinkShown(row).data)
