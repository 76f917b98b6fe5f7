"""Owns what every story needs: ways to rows, the badge of a field with choices, and what was done by hand."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Model

from postbacks.models import Click, Conversion
from sendinglists.models import Link as ShortLink
from sendinglists.models import Message
from trackly.audit import target_of
from trackly.models import AuditEntry
from trackly.showing import Badge, Shown, To, tone_of
from trackly.stories import Moment
from webhooks.inbound.models import Source

# So many rows stand in a story; the whole list is a link away.
MOST = 50


def link(row: Model | None, text: str = "") -> To | None:
    """A way to the row's page; None where there is no row."""
    if row is None:
        return None
    return To(text=text or str(row), model=row._meta.label_lower, key=str(row.pk), name=_name_of(row))


def request_link(uid: UUID | None, text: str = "request") -> To | None:
    """A way to the inbound request something came in. Old ones expire: the page then says so."""
    return None if uid is None else To(text=text, model="webhooks.inboundrequest", key=str(uid), name=str(uid))


def listed(text: str, model: type[Model], **query: Any) -> To:
    """A way to the list of a table, filtered."""
    asked = tuple((name, str(value)) for name, value in query.items())
    return To(text=text, model=model._meta.label_lower, query=asked)


def party_link(source: str, party_id: int, text: str) -> To:
    """A way to a provider account or, of postbacks, a connection."""
    model = "sendinglists.provideraccount" if source == Source.WEBHOOK else "postbacks.networkconnection"
    return To(text=text, model=model, key=str(party_id), name=str(party_id))


def found_by(term: str, text: str = "") -> To:
    """A way to whatever a search for this finds."""
    return To(text=text or term, model="", query=(("q", term),))


def _name_of(row: Model) -> str:
    """By which its account's people know a row: what is public of it, where ids count the rows of all accounts."""
    match row:
        case Message():
            return row.public_id
        case Click():
            return row.click_id
        case ShortLink():
            return row.code
        case Conversion():
            return f"{row.request_uid}-{row.item}"
    return str(row.pk)


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
