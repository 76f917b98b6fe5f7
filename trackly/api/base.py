"""Owns what every view of the API is: asked with a key, bounded to that key's account, read and answered in one way."""

from collections.abc import Mapping
from typing import Any, ClassVar, TypeVar, cast

from django.db.models import Model, QuerySet
from rest_framework import serializers
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from trackly import metrics
from trackly.api import errors, pages
from trackly.api.bodies import JsonBody
from trackly.api.errors import Problem
from trackly.api.fields import FlagField, TextField
from trackly.api.keys import KeyAuthentication
from trackly.models import Account, ApiKey

M = TypeVar("M", bound=Model)


class AlwaysJson(BaseContentNegotiation):
    """There is one kind of answer, whatever Accept says."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        kind = request.content_type.partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == kind), None)

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class Query(serializers.Serializer):
    """The query of a list. Subclasses add their filters."""

    limit = serializers.IntegerField(
        min_value=1, max_value=pages.MOST, default=pages.DEFAULT, help_text=f"Rows a page, at most {pages.MOST}."
    )
    cursor = TextField(max_length=500, default="", help_text="`next_cursor` of the page before; none: the newest rows.")


class TestsQuery(Query):
    """Of what may be a test."""

    include_tests = FlagField(default=False, help_text="true: tests are shown as well; they bear `is_test`.")


class JsonView(APIView):
    """Errors and answers in one shape, key or no key."""

    renderer_classes = [JSONRenderer]
    parser_classes: Any = [JsonBody]
    content_negotiation_class = AlwaysJson
    permission_classes = []
    http_method_names = ["get", "head", "post", "delete"]

    def get_exception_handler(self) -> Any:
        return errors.answer

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response.headers["Cache-Control"] = "no-store"
        match = request.resolver_match
        metrics.count_api(match.route if match else "", response.status_code)
        return super().finalize_response(request, response, *args, **kwargs)


class AccountView(JsonView):
    """A view of one account's rows."""

    authentication_classes = [KeyAuthentication]
    noun: ClassVar[str] = ""
    """What one of its rows is called in an error's code: 'message' makes message_not_found."""
    query: ClassVar[type[serializers.Serializer]] = Query

    @property
    def account(self) -> Account:
        return cast(ApiKey, self.request.auth).account

    def rows(self, model: type[M]) -> QuerySet[M]:
        """This account's rows. No view reaches a table by another way, so none can reach another account's."""
        return model._default_manager.filter(account=self.account)

    def one(self, rows: QuerySet[M], noun: str = "", **lookup: Any) -> M:
        """The row, or 404; another account's is as unknown as one that was never made."""
        found = rows.filter(**lookup).first()
        if found is None:
            raise missing(noun or self.noun)
        return found

    def asked(self) -> Mapping[str, Any]:
        """The query, checked. An unknown parameter is an error: misspelt, it would select everything."""
        given = dict(self.request.query_params.items())
        asked = self.query(data=given)
        if given.keys() - asked.fields.keys():
            known = ", ".join(asked.fields)
            raise Problem(400, "unknown_parameter", f"There is no parameter of such a name here. There are: {known}.")
        asked.is_valid(raise_exception=True)
        return asked.validated_data

    def read(self, form: type[serializers.Serializer]) -> Mapping[str, Any]:
        """The JSON body, checked."""
        if not isinstance(self.request.data, dict):
            raise Problem(400, "invalid_request", "The body must be a JSON object.")
        given = form(data=self.request.data)
        given.is_valid(raise_exception=True)
        return given.validated_data

    def page(self, rows: QuerySet[Any], asked: Mapping[str, Any], show: type[serializers.Serializer]) -> Response:
        shown = pages.page(
            rows,
            noun=self.noun,
            cursor=asked["cursor"],
            limit=asked["limit"],
            show=lambda found: list(show(found, many=True, context=self.context(found)).data),
        )
        return Response(shown)

    def context(self, found: list[Any]) -> dict[str, Any]:
        """What the rows of a page need beside themselves, fetched at once."""
        return {}


def missing(noun: str) -> Problem:
    return Problem(404, f"{noun}_not_found", f"There is no such {noun} in this account.")


class NoSuchPath(JsonView):
    """Whatever is not an address of the API."""

    http_method_names = [*APIView.http_method_names]

    def handle(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        raise Problem(404, "not_found", "There is no such address. See /api/v2/docs.")

    get = post = put = patch = delete = head = trace = handle
    options: Any = handle
