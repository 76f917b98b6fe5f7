"""Owns who belongs to an account and as what: changing a role, and removing somebody.

Both happen under a lock of the account, and by somebody who is an owner at that moment; nobody does it to himself. So an owner
stays always, whoever does what at the same time.
"""

from django.db import transaction
from django.utils import timezone

from trackly.audit import audit
from trackly.models import Account, Invitation, Membership

Role = Membership.Role


class Refused(Exception):
    """What was asked for is not done; the text says why and what to do instead."""


@transaction.atomic
def change_role(account: Account, membership_id: int, role: Role, by: int) -> Membership | None:
    """The membership with its new role; None where there is none of this id. Raises Refused."""
    membership = _locked(account, membership_id, by)
    if membership is None or membership.role == role:
        return membership
    was = membership.get_role_display()
    membership.role = role
    membership.save(update_fields=["role"])
    audit(by, membership, "changed role", f"{membership.user}: {was} → {membership.get_role_display()}")
    if role != Role.OWNER:
        _withdraw_invitations(membership, by)
    return membership


@transaction.atomic
def remove(account: Account, membership_id: int, by: int) -> Membership | None:
    """The membership that was; None where there is none of this id. Raises Refused."""
    membership = _locked(account, membership_id, by)
    if membership is None:
        return None
    # Through the table, so that the row keeps its id for the audit.
    Membership.objects.filter(pk=membership.pk).delete()
    audit(by, membership, "removed", f"{membership.user}, {membership.get_role_display()}")
    _withdraw_invitations(membership, by)
    return membership


def lock(account: Account) -> None:
    """Until the end of the transaction; rows that refer to the account are taken in meanwhile."""
    Account.objects.select_for_update(no_key=True).get(pk=account.pk)


def is_owner(account: Account, user_id: int) -> bool:
    return Membership.objects.filter(account=account, user_id=user_id, role=Role.OWNER).exists()


def _locked(account: Account, membership_id: int, by: int) -> Membership | None:
    lock(account)
    if not is_owner(account, by):
        raise Refused("You are no owner of this account any more: somebody has just changed that.")
    membership = Membership.objects.select_related("user").filter(account=account, pk=membership_id).first()
    if membership is not None and membership.user_id == by:
        raise Refused("Nobody changes or removes himself. Ask another owner; an account always has one.")
    return membership


def _withdraw_invitations(membership: Membership, by: int) -> None:
    """Who may no longer invite must have no way left in, either."""
    mine = Invitation.objects.filter(account_id=membership.account_id, invited_by_id=membership.user_id)
    for row in mine.filter(accepted_at=None, withdrawn_at=None).select_for_update():
        row.withdrawn_at = timezone.now()
        row.save(update_fields=["withdrawn_at"])
        audit(by, row, "withdrew", f"{row.email}: who invited them is no owner any more")
