"""Owns the schema and its page: public, because they tell of the API and of nobody's data."""

from functools import cache
from threading import Lock
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer
from drf_spectacular.views import SpectacularSwaggerSplitView
from rest_framework.negotiation import BaseContentNegotiation

_ONE_AT_A_TIME = Lock()


def only_ours(endpoints: list[Any]) -> list[Any]:
    """Hook: of all views the API's, each by its address without the slash at the end."""
    return [entry for entry in endpoints if entry[0].startswith("/api/v2/") and not entry[0].endswith("/")]


def document() -> bytes:
    """The schema as JSON. It costs a tenth of a second and changes with the code alone."""
    # Its generator loads classes by and by, and two threads at it at once trip over each other.
    with _ONE_AT_A_TIME:
        return _document()


@cache
def _document() -> bytes:
    schema = SchemaGenerator().get_schema(request=None, public=True)
    return bytes(OpenApiJsonRenderer().render(schema, renderer_context={}))


@require_safe
def schema(request: HttpRequest) -> HttpResponse:
    """OpenAPI 3."""
    return HttpResponse(document(), content_type="application/vnd.oai.openapi+json")


class AlwaysTemplate(BaseContentNegotiation):
    """A script is asked for with Accept: */*, a page with text/html; the address tells them apart."""

    def select_parser(self, request: Any, parsers: Any) -> Any:
        return None

    def select_renderer(self, request: Any, renderers: Any, format_suffix: str | None = None) -> Any:
        return renderers[0], renderers[0].media_type


class DocsView(SpectacularSwaggerSplitView):
    """The page of the schema. Its script comes from an address of its own, so that nothing is inline."""

    url_name = "api-schema"
    template_name = "api/docs.html"
    content_negotiation_class = AlwaysTemplate
