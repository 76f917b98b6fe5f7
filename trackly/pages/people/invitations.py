"""Owns invitations: made, made again, withdrawn, and used once by whoever has the link. Only the hash of its token is kept."""

from datetime import datetime, timedelta
from enum import Enum

from allauth.account.utils import filter_users_by_email
from django.db import transaction
from django.db.models import QuerySet

from trackly.audit import audit
from trackly.models import Account, Invitation, Membership
from trackly.pages.people.membership import Refused, is_owner, lock
from trackly.signing import new_token, token_hash

# So that nobody has us write to half the world.
MOST_A_DAY = 50


class Standing(Enum):
    """What a link is good for. The value says it to whoever opened it."""

    OPEN = ""
    UNKNOWN = "This link is no invitation of ours. Look whether it was copied whole, or ask for a new one."
    USED = "This invitation was used already: a link brings in one person, once."
    WITHDRAWN = "This invitation was withdrawn. If you still should come in, ask for a new one."
    EXPIRED = "This invitation has expired: a link is good for seven days. Ask for a new one."
    SUSPENDED = "The account is suspended, so nobody can join it now. Ask whoever invited you."
    DELETED = "The account that this invitation was for is gone."


class Closed(Exception):
    """The invitation cannot be used: `standing` says why."""

    def __init__(self, standing: Standing) -> None:
        super().__init__(standing.value)
        self.standing = standing


class BelongsAlready(Exception):
    """Who wanted to join is in the account; the invitation is kept for somebody else."""


def standing_of(row: Invitation | None, now: datetime) -> Standing:
    if row is None:
        return Standing.UNKNOWN
    if row.accepted_at is not None:
        return Standing.USED
    if row.withdrawn_at is not None:
        return Standing.WITHDRAWN
    if row.expires_at <= now:
        return Standing.EXPIRED
    states = {Account.Status.SUSPENDED: Standing.SUSPENDED, Account.Status.DELETED: Standing.DELETED}
    return states.get(Account.Status(row.account.status), Standing.OPEN)


def find(token: str) -> Invitation | None:
    return Invitation.objects.select_related("account", "invited_by").filter(token_hash=token_hash(token)).first()


def pending(account: Account) -> QuerySet[Invitation]:
    """Neither used nor withdrawn, the newest first; some may have expired."""
    rows = Invitation.objects.filter(account=account, accepted_at=None, withdrawn_at=None)
    return rows.select_related("invited_by").order_by("-id")


@transaction.atomic
def invite(account: Account, email: str, role: str, *, by: int, now: datetime) -> tuple[Invitation, str]:
    """The invitation and its token, which is known only now. Raises Refused."""
    _demand(account, by, now)
    if Membership.objects.filter(account=account, user__in=filter_users_by_email(email)).exists():
        raise Refused("Who has this address belongs to the account already.")
    if pending(account).filter(email=email, expires_at__gt=now).exists():
        raise Refused("This address is invited already. Make a new link below, or withdraw that invitation.")
    return _made(account, email, role, by, now)


@transaction.atomic
def again(account: Account, invitation_id: int, *, by: int, now: datetime) -> tuple[Invitation, str] | None:
    """A new invitation in place of a pending one, whose link ends; None where there is none. Raises Refused."""
    _demand(account, by, now)
    old = withdraw(account, invitation_id, by=by, now=now)
    return _made(account, old.email, old.role, by, now) if old else None


@transaction.atomic
def withdraw(account: Account, invitation_id: int, *, by: int, now: datetime) -> Invitation | None:
    """The invitation whose link is dead now; None where there is none that is pending."""
    row = Invitation.objects.select_for_update().filter(account=account, pk=invitation_id).first()
    if row is None or row.accepted_at or row.withdrawn_at:
        return None
    row.withdrawn_at = now
    row.save(update_fields=["withdrawn_at"])
    # Every role reads the history; whom an invitation was for, owners alone.
    audit(by, row, "withdrew", row.get_role_display())
    return row


@transaction.atomic
def accept(invitation_id: int, user_id: int, *, now: datetime) -> Membership:
    """The membership it brought. Raises Closed, or BelongsAlready."""
    # The row alone: its account is shared with everything that is taken in.
    row = Invitation.objects.select_for_update(of=("self",)).select_related("account").get(pk=invitation_id)
    standing = standing_of(row, now)
    if standing is not Standing.OPEN:
        raise Closed(standing)
    membership, is_new = Membership.objects.get_or_create(
        account=row.account, user_id=user_id, defaults={"role": row.role}
    )
    if not is_new:
        raise BelongsAlready
    row.accepted_by_id, row.accepted_at = user_id, now
    row.save(update_fields=["accepted_by", "accepted_at"])
    audit(user_id, row, "accepted", row.get_role_display())
    return membership


def _demand(account: Account, by: int, now: datetime) -> None:
    lock(account)
    if not is_owner(account, by):
        raise Refused("You are no owner of this account any more: somebody has just changed that.")
    if Invitation.objects.filter(account=account, created_at__gt=now - timedelta(days=1)).count() >= MOST_A_DAY:
        raise Refused(f"{MOST_A_DAY} invitations were made in a day, which is the most. Go on tomorrow.")


def _made(account: Account, email: str, role: str, by: int, now: datetime) -> tuple[Invitation, str]:
    token = new_token()
    row = Invitation.objects.create(
        account=account,
        email=email,
        role=role,
        token_hash=token_hash(token),
        invited_by_id=by,
        expires_at=now + Invitation.LASTS,
    )
    audit(by, row, "invited", row.get_role_display())
    return row, token
