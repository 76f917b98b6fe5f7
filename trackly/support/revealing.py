"""Owns the reveal of masked numbers and tokens: a permission, an audit entry, and ten minutes in the person's session."""

from datetime import datetime, timedelta

from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest

from trackly.models import Account, AuditEntry

PERMISSION = "trackly.reveal"
LASTS = timedelta(minutes=10)
_KEY = "revealed"
MOST = 50


def reveal(request: HttpRequest, row: Model, *, now: datetime) -> None:
    """Let this person see this row's numbers and tokens for a while; audited. Raises PermissionDenied."""
    if not request.user.has_perm(PERMISSION):
        raise PermissionDenied("Revealing needs the permission 'Can see phone numbers and tokens in full'.")
    account = row if isinstance(row, Account) else getattr(row, "account", None)
    AuditEntry.objects.create(user_id=request.user.pk, account=account, verb="revealed", target=target_of(row))
    held = request.session.get(_KEY, {})
    held[_name(row)] = (now + LASTS).timestamp()
    request.session[_KEY] = dict(sorted(held.items(), key=lambda item: item[1])[-MOST:])


def is_revealed(request: HttpRequest, row: Model, *, now: datetime) -> bool:
    """True while the reveal lasts and the permission is still held."""
    until = request.session.get(_KEY, {}).get(_name(row), 0)
    return bool(until > now.timestamp()) and request.user.has_perm(PERMISSION)


def target_of(row: Model) -> str:
    """How an audit entry names a row: 'message 42', 'request 0198…'."""
    noun = str(row._meta.verbose_name)
    return f"{'request' if noun in ('raw request', 'failed webhook') else noun} {row.pk}"[:100]


def _name(row: Model) -> str:
    # Its table's name: a proxy shows the same row.
    return f"{row._meta.db_table}:{row.pk}"
