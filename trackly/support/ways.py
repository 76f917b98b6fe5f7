"""Owns the addresses of admin pages."""

from typing import Any
from urllib.parse import urlencode

from django.db.models import Model
from django.urls import reverse

from webhooks.inbound.models import Source


def page_url(row: Model, page: str, *more: str) -> str:
    """What the admin has about a row, by the name it has there: 'change', 'download', 'do' and a verb."""
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_{page}", args=[row.pk, *more])


def change_url(row: Model) -> str:
    """The admin page of a row."""
    return page_url(row, "change")


def party_url(source: str, party_id: int) -> str:
    """The admin page of a provider account or, of postbacks, a connection."""
    page = "sendinglists_provideraccount" if source == Source.WEBHOOK else "postbacks_networkconnection"
    return reverse(f"admin:{page}_change", args=[party_id])


def list_url(model: type[Model], **query: Any) -> str:
    """The admin list of a table, filtered."""
    path = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    return f"{path}?{urlencode(query)}" if query else path
