"""The page of an account's people, and who may change what about whom."""

from collections.abc import Callable
from threading import Barrier, Thread
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests import factories
from tests.pages.conftest import Person, Role
from trackly.models import Account, AuditEntry, Invitation, Membership
from trackly.pages.people import membership

pytestmark = pytest.mark.django_db


def row_of(person: Person) -> Membership:
    return Membership.objects.get(account=person.account, user=person.user)


def test_everybody_sees_who_belongs_and_whose_sign_in_is_safe(owner: Person, viewer: Person, rival: Person) -> None:
    Authenticator.objects.create(user=owner.user, type="totp", data={})
    text = viewer.get("people").text
    assert owner.user.username in text
    assert rival.user.username not in text
    assert text.count(">On</span>") == 1
    assert "<form" not in text.partition("<main")[2], "a viewer is offered nothing that would be refused"


def test_an_owner_changes_a_role_and_it_is_put_down(owner: Person, viewer: Person) -> None:
    owner.post("member_role", row_of(viewer).pk, role="member")
    assert row_of(viewer).role == "member"
    entry = AuditEntry.objects.get(verb="changed role")
    assert (entry.user, entry.account, entry.target) == (owner.user, owner.account, f"membership {row_of(viewer).pk}")
    assert entry.detail == f"{viewer.user}: Viewer → Member"


def test_a_role_that_there_is_not_changes_nothing(owner: Person, viewer: Person) -> None:
    owner.post("member_role", row_of(viewer).pk, role="emperor")
    assert row_of(viewer).role == "viewer"


def test_who_is_removed_is_out_at_once(owner: Person, member: Person) -> None:
    pk = row_of(member).pk
    owner.post("member_remove", pk)
    assert member.get("overview").status_code == 404
    assert AuditEntry.objects.get(verb="removed").target == f"membership {pk}"


@pytest.mark.parametrize(("verb", "given"), [("member_role", {"role": "viewer"}), ("member_remove", {})])
def test_nobody_does_it_to_himself(owner: Person, person: Callable[..., Person], verb: str, given: Any) -> None:
    person(Role.OWNER)
    answer = owner.client.post(owner.url(verb, row_of(owner).pk), given, follow=True)
    assert "Nobody changes or removes himself" in answer.text
    assert row_of(owner).role == "owner"


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
@pytest.mark.parametrize("verb", ["member_role", "member_remove"])
def test_nobody_but_owners_does_it(person: Callable[..., Person], role: Role, verb: str) -> None:
    somebody, target = person(role), person(Role.VIEWER)
    assert somebody.post(verb, row_of(target).pk, role="owner").status_code == 403
    assert row_of(target).role == "viewer"


@pytest.mark.parametrize("verb", ["member_role", "member_remove"])
def test_people_of_another_account_are_not_there(owner: Person, rival: Person, verb: str) -> None:
    assert owner.post(verb, row_of(rival).pk, role="viewer").status_code == 404
    assert row_of(rival).role == "owner"


@pytest.mark.parametrize(("verb", "given"), [("member_role", {"role": "viewer"}), ("member_remove", {})])
def test_who_is_no_owner_any_more_has_no_invitation_left(
    owner: Person, person: Callable[..., Person], verb: str, given: Any
) -> None:
    second = person(Role.OWNER)
    mine = factories.InvitationFactory(account=owner.account, invited_by=owner.user)
    theirs = factories.InvitationFactory(account=owner.account, invited_by=second.user, role="owner")
    elsewhere = factories.InvitationFactory(invited_by=second.user)
    owner.post(verb, row_of(second).pk, **given)
    assert set(Invitation.objects.filter(withdrawn_at=None)) == {mine, elsewhere}
    assert AuditEntry.objects.filter(verb="withdrew", target=f"invitation {theirs.pk}").exists()


def test_many_people_cost_no_more_queries(owner: Person, django_assert_max_num_queries: Any) -> None:
    for _ in range(30):
        factories.MembershipFactory(account=owner.account, role="viewer")
        factories.InvitationFactory(account=owner.account, invited_by=owner.user)
    owner.get("people")
    with django_assert_max_num_queries(12):
        assert owner.get("people").text.count("New link for") == 30


def test_names_that_mean_harm_are_text(owner: Person, viewer: Person) -> None:
    viewer.user.username = viewer.user.email = '"><script>alert(1)</script>'
    viewer.user.save()
    assert "<script>alert" not in owner.get("people").text


def test_a_suspended_account_keeps_its_people(owner: Person, viewer: Person) -> None:
    Account.objects.filter(pk=owner.account.pk).update(status=Account.Status.SUSPENDED)
    assert owner.post("member_remove", row_of(viewer).pk).status_code == 403
    assert row_of(viewer)


# --- at the same time


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", ["demote", "remove"])
@pytest.mark.parametrize("turn", range(5))
def test_two_owners_against_each_other_at_once_leave_one(verb: str, turn: int) -> None:
    account = factories.AccountFactory()
    pair = [factories.MembershipFactory(account=account) for _ in range(2)]
    start, refused = Barrier(2), []

    def against(target: Membership, by: int) -> None:
        try:
            start.wait(10)
            if verb == "demote":
                membership.change_role(account, target.pk, Role.VIEWER, by)
            else:
                membership.remove(account, target.pk, by)
        except membership.Refused as error:
            refused.append(str(error))
        finally:
            connection.close()

    threads = [
        Thread(target=against, args=(pair[0], pair[1].user_id)),
        Thread(target=against, args=(pair[1], pair[0].user_id)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert Membership.objects.filter(account=account, role="owner").count() == 1
    assert refused == ["You are no owner of this account any more: somebody has just changed that."]


@pytest.mark.django_db(transaction=True)
def test_what_arrives_is_taken_in_while_people_of_the_account_are_changed() -> None:
    """Every row that arrives refers to the account: the lock must let them by."""
    from django.db import transaction

    account, done = factories.AccountFactory(), []

    def arrive() -> None:
        factories.HourlyTotalFactory(account=account)
        done.append(timezone.now())
        connection.close()

    with transaction.atomic():
        membership.lock(account)
        thread = Thread(target=arrive)
        thread.start()
        thread.join(10)
        assert done


def test_a_client_without_a_session_is_asked_to_sign_in(owner: Person) -> None:
    assert Client().get(owner.url("people")).status_code == 302
