"""Owns the fields requests and answers are made of; they take the type the schema names, and no other."""

from typing import Any

from django.core.exceptions import ValidationError as Invalid
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from sendinglists.destinations import validate_destination
from trackly.phones import HOW_TO_WRITE, entered, with_country

MAX_ID = 2**63 - 1
NO_PHONE = f"Not a whole phone number. {HOW_TO_WRITE}"


class TextField(serializers.CharField):
    """Text; a number or a truth value is not text."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class IdField(serializers.IntegerField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"min_value": 1, "max_value": MAX_ID} | kwargs)

    def to_internal_value(self, data: Any) -> int:
        # In a query everything is text; in JSON a truth value or 1.0 is no id.
        if isinstance(data, bool | float) or isinstance(data, str) and not (data.isascii() and data.isdigit()):
            self.fail("invalid")
        return super().to_internal_value(data)


class FlagField(serializers.BooleanField):
    TRUE_VALUES = {True, "true", "1"}
    FALSE_VALUES = {False, "false", "0"}
    NULL_VALUES: set[Any] = set()

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool | str):
            self.fail("invalid", input=data)
        return bool(super().to_internal_value(data))


class PhoneField(TextField):
    """A phone number with its country code; E.164 comes out."""

    default_error_messages = {"invalid_phone": NO_PHONE}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 40} | kwargs)

    def to_internal_value(self, data: Any) -> str:
        number = self.read(data) if isinstance(data, str) else ""
        if not number:
            self.fail("invalid_phone")
        return number

    def read(self, text: str) -> str:
        return entered(text)


class PhoneQueryField(PhoneField):
    """A phone number that is looked for, in a query."""

    def read(self, text: str) -> str:
        # A plus that was not percent-encoded arrives as a space.
        return with_country(f"+{text[1:]}" if text.startswith(" ") else text)


class DestinationField(TextField):
    """Where a link may lead."""

    default_error_messages = {"invalid_url": "{said}"}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"max_length": 2000} | kwargs)

    def to_internal_value(self, data: Any) -> str:
        address = super().to_internal_value(data)
        try:
            validate_destination(address)
        except Invalid as error:
            self.fail("invalid_url", said=error.messages[0])
        return address


@extend_schema_field({"type": "string", "nullable": True})
class OrNull(serializers.CharField):
    """Text of an answer; what is empty in the table is null."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"allow_null": True, "read_only": True} | kwargs)

    def to_representation(self, value: Any) -> Any:
        return str(value) or None


class Amount(serializers.DecimalField):
    """Money of an answer, as text: a float would round it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            max_digits=18, decimal_places=6, normalize_output=True, allow_null=True, read_only=True, **kwargs
        )


class OneOf(serializers.ChoiceField):
    """A word of a fixed set; '' in the table is null."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, str):
            self.fail("invalid_choice", input=type(data).__name__)
        return super().to_internal_value(data)

    def to_representation(self, value: Any) -> Any:
        return super().to_representation(value) or None
