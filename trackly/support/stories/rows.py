"""Owns what every story needs: addresses of admin pages, the badge of a field with choices, and what was done by hand."""

from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import Model
from django.urls import reverse

from trackly.models import AuditEntry
from trackly.showing import Badge, Link, Shown, tone_of
from trackly.stories import Moment
from trackly.support.revealing import target_of
from webhooks.inbound.models import Source

# So many rows stand in a story; the whole list is a link away.
MOST = 50


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


def link(row: Model | None, text: str = "") -> Shown:
    """A way to the row's page; None where there is no row."""
    return None if row is None else Link(text or str(row), change_url(row))


def request_link(uid: UUID | None, text: str = "request") -> Shown:
    """A way to the inbound request something came in. Old ones expire: the page then says so."""
    return None if uid is None else Link(text, reverse("admin:webhooks_inboundrequest_change", args=[uid]))


def state_of(row: Model, name: str) -> Shown:
    """A field with choices, as a badge."""
    word = getattr(row, name)
    return Badge(getattr(row, f"get_{name}_display")(), tone_of(word)) if word else None


def audit_moments(row: Model) -> list[Moment]:
    """What was done to the row by hand, newest first."""
    entries = AuditEntry.objects.filter(target=target_of(row)).select_related("user").order_by("-id")[:MOST]
    return [
        Moment(at=entry.at, what=Badge(entry.verb, "note"), detail=entry.detail, source=who_did(entry))
        for entry in entries
    ]


def who_did(entry: AuditEntry) -> str:
    return str(entry.user) if entry.user else "the system"


def by_time(at: datetime | None) -> tuple[bool, datetime | int]:
    """Sorts entries by time, those without one last."""
    return (at is None, at or 0)
