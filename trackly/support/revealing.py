"""Owns the reveal of masked numbers and tokens: a permission, an audit entry, and ten minutes in the person's session."""

from datetime import datetime, timedelta

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest

from trackly.audit import audit

PERMISSION = "trackly.reveal"
LASTS = timedelta(minutes=10)
_KEY = "revealed"
MOST = 50


def reveal(request: HttpRequest, row: Model, *, now: datetime) -> None:
    """Let this person see this row's numbers and tokens for a while; audited. Raises PermissionDenied."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied("Revealing needs the permission 'Can see phone numbers and tokens in full'.")
    audit(request.user.pk, row, "revealed")
    held = request.session.get(_KEY, {})
    held[_name(row)] = (now + LASTS).timestamp()
    request.session[_KEY] = dict(sorted(held.items(), key=lambda item: item[1])[-MOST:])


def is_revealed(request: HttpRequest, row: Model, *, now: datetime) -> bool:
    """True while the reveal lasts and the permission is still held."""
    until = request.session.get(_KEY, {}).get(_name(row), 0)
    return bool(until > now.timestamp()) and request.user.has_perm(PERMISSION)


def _name(row: Model) -> str:
    # Its table's name: a proxy shows the same row.
    return f"{row._meta.db_table}:{row.pk}"
