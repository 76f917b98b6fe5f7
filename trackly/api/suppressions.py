"""Owns suppressions as the API shows, makes and lifts them: numbers closed for a brand or the whole account."""

from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.response import Response

from sendinglists import subscriptions
from sendinglists.closings import Brands, Closing, NoSuchBrand, import_suppressions
from sendinglists.imports import Outcome
from sendinglists.models import Suppression
from trackly.api.base import AccountView, Query, missing
from trackly.api.bodies import Csv, CsvBody, JsonBody
from trackly.api.bulk import COUNTED, Counted, PhonesForm, Wrong, counted, demand_few, phones_of, read_file
from trackly.api.contacts import PHONE, Done, number_in_path
from trackly.api.describing import operation, page_of
from trackly.api.errors import Problem
from trackly.api.fields import PhoneQueryField, TextField

TAG = "Suppressions"


class SuppressionShown(serializers.Serializer):
    """A number that nothing is sent to."""

    phone = serializers.CharField()
    brand = serializers.CharField(help_text="Empty: the whole account.")
    since = serializers.DateTimeField(source="decided_at")
    cause = serializers.CharField()


class SuppressionForm(PhonesForm):
    brand = TextField(
        required=False,
        default="",
        allow_blank=True,
        max_length=100,
        help_text="One that a list of yours has, in any case. Empty: the whole account.",
    )
    cause = TextField(required=False, default="API", max_length=200)


class SuppressionQuery(Query):
    phone = PhoneQueryField(required=False)
    brand = TextField(required=False, allow_blank=True, max_length=100, help_text="Empty: of the whole account.")


class BrandQuery(serializers.Serializer):
    brand = TextField(
        default="", allow_blank=True, max_length=100, help_text="Which of them; without it that of the whole account."
    )


SUPPRESSION = {"phone": "+14155550101", "brand": "", "since": "2026-03-15T14:30:00Z", "cause": "API"}


class SuppressionsView(AccountView):
    noun = "suppression"
    query = SuppressionQuery
    parser_classes = [JsonBody, CsvBody]

    @operation(
        "listSuppressions",
        tag=TAG,
        summary="Closed numbers, newest first",
        answers={200: page_of(SuppressionShown)},
        example={"data": [SUPPRESSION], "next_cursor": None},
        parameters=[SuppressionQuery],
    )
    def get(self, request: Any) -> Response:
        asked = self.asked()
        rows = self.rows(Suppression).filter(is_active=True)
        if "phone" in asked:
            rows = rows.filter(phone=asked["phone"])
        if "brand" in asked:
            rows = rows.filter(brand__iexact=asked["brand"])
        return self.page(rows, asked, SuppressionShown)

    @operation(
        "suppress",
        tag=TAG,
        summary="Close numbers",
        description=(
            "Nothing is sent to them from then on, by any list of the brand or of the account."
            " As CSV: a first line with the names of the columns: `phone`, and `brand` or `list` (its id or number) where a"
            " number is closed for these alone, and `cause`."
        ),
        takes={"application/json": SuppressionForm, "text/csv": str},
        sends={
            "application/json": {"phones": ["+14155550101", "555"], "cause": "asked by mail"},
            "text/csv": "phone,brand,cause\n+14155550101,,asked by mail\n",
        },
        answers={200: Counted},
        example=COUNTED,
        says={404: "No such brand in this account; the error names those there are. Of a CSV only the row is refused."},
    )
    def post(self, request: Any) -> Response:
        if isinstance(request.data, Csv):
            return Response(self._close_file(request.data))
        given = self.read(SuppressionForm)
        numbers, wrong = phones_of(given)
        brand = self._brand(given["brand"])
        subscriptions.suppress(self.account.id, numbers, brand=brand, cause=given["cause"], at=timezone.now())
        return Response(counted(len(numbers), wrong))

    def _brand(self, text: str) -> str:
        try:
            return Brands(self.account).named(text) if text else ""
        except NoSuchBrand as error:
            raise Problem(404, error.code, error.words) from error

    def _close_file(self, file: Csv) -> dict[str, Any]:
        rows = read_file(file, Closing)
        demand_few(rows)
        answers = import_suppressions(self.account, rows, now=timezone.now())
        wrong = [
            Wrong(index=answer.index, code=answer.code, error=answer.words)
            for answer in answers
            if answer.outcome == Outcome.REFUSED
        ]
        return counted(len(answers) - len(wrong), wrong)


class SuppressionView(AccountView):
    noun = "suppression"
    query = BrandQuery

    @operation(
        "unsuppress",
        tag=TAG,
        summary="Open a number again",
        description="Opt-outs of single lists stay as they are.",
        answers={200: Done},
        example={"success": True},
        says={404: "The number is not closed there."},
        parameters=[PHONE, BrandQuery],
    )
    def delete(self, request: Any, **named: str) -> Response:
        number, brand = number_in_path(named["phone"]), self.asked()["brand"]
        closed = self.rows(Suppression).filter(phone=number, brand__iexact=brand, is_active=True)
        # One brand may be written in several ways by its lists; whichever of them it is, none of them sends.
        spellings = list(closed.values_list("brand", flat=True))
        if not spellings:
            raise missing(self.noun)
        for spelling in spellings:
            subscriptions.unsuppress(self.account.id, [number], brand=spelling, cause="API", at=timezone.now())
        return Response({"success": True})
