"""Owns the addresses of the API, each with and without a slash at its end."""

from typing import Any

from django.urls import URLPattern, path, re_path

from trackly.api.base import NoSuchPath
from trackly.api.contacts import ContactView, OptInView, OptOutView
from trackly.api.conversions import ConversionsView, ConversionView
from trackly.api.imports import ImportView
from trackly.api.links import LinksView, LinkView
from trackly.api.lists import ListsView, ListView
from trackly.api.messages import MessagesView, MessageView
from trackly.api.schema import DocsView, schema
from trackly.api.sends import SendView
from trackly.api.suppressions import SuppressionsView, SuppressionView


def _both(address: str, view: Any, name: str) -> list[URLPattern]:
    # The named one is what reverse() finds.
    return [path(f"{address}/", view), path(address, view, name=name)]


urlpatterns = [
    *_both("send", SendView.as_view(), "api-send"),
    *_both("messages", MessagesView.as_view(), "api-messages"),
    *_both("messages/import", ImportView.as_view(), "api-import"),
    *_both("messages/<slug:message_id>", MessageView.as_view(), "api-message"),
    *_both("lists", ListsView.as_view(), "api-lists"),
    *_both("lists/<int:list_id>", ListView.as_view(), "api-list"),
    *_both("links", LinksView.as_view(), "api-links"),
    *_both("links/<slug:code>", LinkView.as_view(), "api-link"),
    *_both("conversions", ConversionsView.as_view(), "api-conversions"),
    *_both("conversions/<slug:conversion_id>", ConversionView.as_view(), "api-conversion"),
    *_both("contacts/opt-out", OptOutView.as_view(), "api-opt-out"),
    *_both("contacts/opt-in", OptInView.as_view(), "api-opt-in"),
    *_both("contacts/<str:phone>", ContactView.as_view(), "api-contact"),
    *_both("suppressions", SuppressionsView.as_view(), "api-suppressions"),
    *_both("suppressions/<str:phone>", SuppressionView.as_view(), "api-suppression"),
    *_both("schema", schema, "api-schema"),
    *_both("docs", DocsView.as_view(), "api-docs"),
    re_path(r"", NoSuchPath.as_view()),
]
