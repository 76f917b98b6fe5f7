"""Owns how an audit entry is written, and how it names a row."""

from django.db.models import Model

from trackly.models import Account, AuditEntry


def target_of(row: Model) -> str:
    """How an audit entry names a row: 'message 42', 'request 0198…'."""
    noun = str(row._meta.verbose_name)
    return f"{'request' if noun in ('raw request', 'failed webhook') else noun} {row.pk}"[:100]


def audit(user_id: int | None, row: Model, verb: str, detail: str = "") -> None:
    """Put down who did what to this row."""
    account = row if isinstance(row, Account) else getattr(row, "account", None)
    AuditEntry.objects.create(user_id=user_id, account=account, verb=verb, target=target_of(row), detail=detail)
