"""Owns contacts as the API shows and moves them: where a phone may be written to, opt-outs and opt-ins."""

from typing import Any

from django.db.models import Q
from django.utils import timezone
from rest_framework import serializers
from rest_framework.response import Response

from sendinglists import subscriptions
from sendinglists.models import Contact, SendingList, Subscription, SubscriptionChange, Suppression
from trackly.api.base import AccountView, missing
from trackly.api.bulk import COUNTED, Counted, PhonesForm, counted, phones_of
from trackly.api.describing import operation, path_parameter
from trackly.api.errors import Problem
from trackly.api.fields import IdField, PhoneField
from trackly.phones import with_country

TAG = "Contacts"
PHONE = path_parameter("phone", "E.164, percent-encoded: `%2B14155550101`.", "+14155550101")


class SubscriptionShown(serializers.Serializer):
    list_id = serializers.IntegerField(source="sending_list_id")
    list_number = serializers.CharField(source="sending_list.number")
    list_name = serializers.CharField(source="sending_list.name")
    state = serializers.ChoiceField(choices=Subscription.State.choices)
    since = serializers.DateTimeField(
        source="decided_at", allow_null=True, help_text="null: nobody decided anything yet."
    )


class ClosedShown(serializers.Serializer):
    brand = serializers.CharField(help_text="Empty: the whole account.")
    since = serializers.DateTimeField(source="decided_at")
    cause = serializers.CharField()


class ContactShown(serializers.Serializer):
    """A phone number, and where it may be written to."""

    phone_number = serializers.CharField()
    lists = SubscriptionShown(many=True)
    suppressions = ClosedShown(many=True, help_text="Where it is closed beyond single lists.")


class OptOutForm(PhonesForm):
    list_id = IdField(required=False, help_text="Without it the whole account is closed to the numbers.")


class OptInForm(serializers.Serializer):
    phone = PhoneField()
    list_id = IdField()


class Done(serializers.Serializer):
    success = serializers.BooleanField(help_text="Always true.")


class OptedIn(Done):
    still_suppressed = serializers.BooleanField(help_text="It is closed for the list's brand or the whole account.")


_API = SubscriptionChange.Origin.API
CONTACT = {
    "phone_number": "+14155550101",
    "lists": [
        {
            "list_id": 42,
            "list_number": "+12025550142",
            "list_name": "Acme Promo List",
            "state": "opted_out",
            "since": "2026-03-15T14:30:00Z",
        }
    ],
    "suppressions": [{"brand": "", "since": "2026-03-15T14:30:00Z", "cause": "Opt-out by api"}],
}


def number_in_path(text: str) -> str:
    """A phone number of a URL; a plus that was not percent-encoded is still a plus there."""
    number = with_country(text)
    if not number:
        said = "Not a phone number with its country code. Write it as %2B14155550101."
        raise Problem(400, "invalid_phone", said)
    return number


class ContactView(AccountView):
    noun = "contact"

    @operation(
        "getContact",
        tag=TAG,
        summary="One phone number: its lists and where it is closed",
        answers={200: ContactShown},
        example=CONTACT,
        says={404: "This account does not know the number."},
        parameters=[PHONE],
    )
    def get(self, request: Any, phone: str) -> Response:
        number = number_in_path(phone)
        contact = self.rows(Contact).filter(phone=number).first()
        closed = list(self.rows(Suppression).filter(phone=number, is_active=True).order_by("brand"))
        if contact is None and not closed:
            raise missing(self.noun)
        on_lists = self.rows(Subscription).filter(contact=contact).select_related("sending_list").order_by("id")
        shown = {"phone_number": number, "lists": on_lists if contact else [], "suppressions": closed}
        return Response(ContactShown(shown).data)


class _Deciding(AccountView):
    noun = "contact"

    def sending_list(self, list_id: int) -> SendingList:
        return self.one(self.rows(SendingList), "list", id=list_id)


class OptOutView(_Deciding):
    @operation(
        "optOut",
        tag=TAG,
        summary="Opt phone numbers out",
        description=(
            "Of one list, or without `list_id` of the whole account. Nothing is sent to them from then on; what is already"
            " handed to the provider cannot be called back. Numbers nobody knows yet are closed as well. GET /lists tells the"
            " ids of your lists."
        ),
        takes=OptOutForm,
        sends={"phones": ["+14155550101", "555"], "list_id": 42},
        answers={200: Counted},
        example=COUNTED,
        says={404: "No such list in this account."},
    )
    def post(self, request: Any) -> Response:
        given = self.read(OptOutForm)
        closing = self.sending_list(given["list_id"]) if "list_id" in given else None
        numbers, wrong = phones_of(given)
        subscriptions.opt_out(
            self.account.id, numbers, list_id=closing.id if closing else None, origin=_API, at=timezone.now()
        )
        return Response(counted(len(numbers), wrong))


class OptInView(_Deciding):
    @operation(
        "optIn",
        tag=TAG,
        summary="Opt a phone number in",
        description=(
            "Only for whom consent was given anew: it undoes an opt-out, by STOP as well. It reopens as much as a STOP on the"
            " list closes; a wider suppression stays, and is told by `still_suppressed`. GET /lists tells the ids of your lists."
        ),
        takes=OptInForm,
        sends={"phone": "+14155550101", "list_id": 42},
        answers={200: OptedIn},
        example={"success": True, "still_suppressed": False},
        says={404: "No such list in this account."},
    )
    def post(self, request: Any) -> Response:
        given = self.read(OptInForm)
        opening = self.sending_list(given["list_id"])
        subscriptions.opt_in(self.account.id, [given["phone"]], list_id=opening.id, origin=_API, at=timezone.now())
        here = Q(brand="") | Q(brand__iexact=opening.brand.strip())
        closed = self.rows(Suppression).filter(here, phone=given["phone"], is_active=True)
        return Response({"success": True, "still_suppressed": closed.exists()})
