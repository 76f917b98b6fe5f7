"""Owns what requests of many records have in common: how many are taken, and how each is answered for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from sendinglists.sheets import MOST_ROWS, BadFile, Row, RowError, read_csv
from trackly.api.bodies import Csv
from trackly.api.errors import Problem
from trackly.api.fields import NO_PHONE, PhoneField
from trackly.phones import entered

R = TypeVar("R", bound=Row)
MOST_RECORDS = MOST_ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrong:
    """A record that was not taken."""

    index: int
    code: str
    error: str


class WrongShown(serializers.Serializer):
    index = serializers.IntegerField(help_text="Its place in the request, from 0.")
    code = serializers.CharField()
    error = serializers.CharField()


class Counted(serializers.Serializer):
    """What came of the records; the good ones are done whatever the others were."""

    success = serializers.BooleanField(help_text="Always true.")
    success_count = serializers.IntegerField()
    error_count = serializers.IntegerField()
    errors = WrongShown(many=True)  # type: ignore[assignment]


COUNTED = {
    "success": True,
    "success_count": 1,
    "error_count": 1,
    "errors": [{"index": 1, "code": "invalid_phone", "error": NO_PHONE}],
}


def counted(n: int, wrong: Iterable[Wrong]) -> dict[str, Any]:
    listed = sorted(wrong, key=lambda entry: entry.index)
    shown = list(WrongShown(listed, many=True).data)
    return {"success": True, "success_count": n, "error_count": len(listed), "errors": shown}


def demand_few(records: Sequence[object]) -> None:
    if len(records) > MOST_RECORDS:
        raise Problem(413, "too_many_records", f"At most {MOST_RECORDS} records are taken at once.")


class Records(serializers.ListField):
    """A list whose items are judged one by one: a bad one does not spoil the others."""

    def to_internal_value(self, data: Any) -> list[Any]:
        if not isinstance(data, list):
            self.fail("not_a_list", input_type=type(data).__name__)
        demand_few(data)
        return data


class PhonesForm(serializers.Serializer):
    """Give `phone` or `phones`."""

    phone = PhoneField(required=False)
    phones = Records(
        child=serializers.CharField(), required=False, help_text=f"At most {MOST_RECORDS}; each is answered for."
    )

    def validate(self, given: dict[str, Any]) -> dict[str, Any]:
        if ("phone" in given) == ("phones" in given):
            raise ValidationError("Give either phone or phones.", "missing_phone")
        return given


def phones_of(given: Mapping[str, Any]) -> tuple[list[str], list[Wrong]]:
    """(the numbers of a PhonesForm, each once; what was wrong with the others)."""
    if "phone" in given:
        return [given["phone"]], []
    return sort_out(given["phones"])


def sort_out(texts: Iterable[Any]) -> tuple[list[str], list[Wrong]]:
    numbers: dict[str, None] = {}
    wrong = []
    for index, text in enumerate(texts):
        number = entered(text) if isinstance(text, str) else ""
        if number:
            numbers[number] = None
        else:
            wrong.append(Wrong(index=index, code="invalid_phone", error=NO_PHONE))
    return list(numbers), wrong


def read_file(file: Csv, of: type[R]) -> list[R | RowError]:
    try:
        return read_csv(file.content, of)
    except BadFile as error:
        raise Problem(400, "invalid_csv", str(error)) from error
