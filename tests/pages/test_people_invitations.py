"""Invitations: made by owners, used once, and what each says that cannot be used."""

import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from threading import Barrier, Thread
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.db import connection
from django.test import Client
from django.utils import timezone

from tests import factories
from tests.pages.conftest import Person, Role
from trackly.logs import formatter
from trackly.models import Account, AuditEntry, Invitation, Membership
from trackly.pages.people import invitations
from trackly.pages.people.mail import settle
from trackly.redaction import mask

pytestmark = pytest.mark.django_db
NEW = {"username": "bob", "email": "bob@example.com", "password1": "battery staple 9", "password2": "battery staple 9"}


@pytest.fixture
def invite(owner: Person) -> Callable[..., str]:
    """The path of a fresh invitation's link."""

    def make(email: str = "bob@example.com", role: Role = Role.MEMBER) -> str:
        return link_in(owner.post("invite", email=email, role=role))

    return make


def link_in(answer: Any) -> str:
    (path,) = set(re.findall(r"https://hooks\.example\.com(/invitation/[a-z2-7]{26}/)", answer.text))
    return path


def test_the_link_is_shown_once_and_only_its_hash_is_kept(owner: Person, invite: Callable[..., str]) -> None:
    token = invite().split("/")[2]
    row = Invitation.objects.get()
    assert (row.email, row.role, row.invited_by) == ("bob@example.com", "member", owner.user)
    assert token not in owner.get("people").text
    with connection.cursor() as cursor:
        cursor.execute("SELECT trackly_invitation::text FROM trackly_invitation")
        assert token not in str(cursor.fetchall())
    assert abs(row.expires_at - timezone.now() - timedelta(days=7)) < timedelta(minutes=1)


def test_a_user_made_by_the_link_is_in_the_account_at_once_although_sign_up_is_closed(
    invite: Callable[..., str],
) -> None:
    path, client = invite(), Client()
    page = client.get(path)
    assert 'value="bob@example.com"' in page.text
    account = Account.objects.get()
    assert client.post(path, NEW)["Location"] == f"/a/{account.public_id}/"
    assert client.get(f"/a/{account.public_id}/").status_code == 200
    assert Membership.objects.get(user__username="bob").role == "member"
    row = Invitation.objects.get()
    assert row.accepted_by == User.objects.get(username="bob")
    assert AuditEntry.objects.filter(verb="accepted", target=f"invitation {row.pk}", account=account).count() == 1


def test_who_is_signed_in_joins_by_a_button(invite: Callable[..., str], rival: Person, account: Account) -> None:
    path = invite(role=Role.VIEWER)
    page = rival.client.get(path).text
    for said in ("Acme", "viewer", "Join"):
        assert said in page
    assert not Membership.objects.filter(account=account, user=rival.user).exists(), "looking is not joining"
    rival.client.post(path)
    assert Membership.objects.get(account=account, user=rival.user).role == "viewer"


def test_who_has_a_user_signs_in_and_comes_back_to_the_invitation(invite: Callable[..., str]) -> None:
    path, client = invite(), Client()
    factories.UserFactory(username="cleo")
    (there,) = re.findall(r'href="(/account/login/\?next=[^"]+)"', client.get(path).text)
    assert client.post(there, {"login": "cleo", "password": "correct horse"})["Location"] == path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"email": "TAKEN@example.com"}, "sign in instead"),
        ({"username": "taken"}, "already exists"),
        ({"password2": "another one 9"}, "The two passwords differ."),
        ({"password1": "short", "password2": "short"}, "at least 8 characters"),
        ({"password1": "password", "password2": "password"}, "too common"),
    ],
)
def test_what_is_wrong_with_the_new_user_is_said_and_nothing_is_used_up(
    invite: Callable[..., str], changes: dict[str, str], said: str
) -> None:
    factories.UserFactory(username="Taken", email="taken@example.com")
    path = invite()
    assert said in Client().post(path, NEW | changes).text
    assert Invitation.objects.get().accepted_at is None
    assert not User.objects.filter(username="bob").exists()


def test_a_link_brings_in_one_person_once(invite: Callable[..., str]) -> None:
    path, client = invite(), Client()
    client.post(path, NEW)
    again = Client().post(path, NEW | {"username": "eve", "email": "eve@example.com"})
    assert again.status_code == 410
    assert "used already" in again.text
    assert "It was you who used it" in client.get(path).text
    assert not User.objects.filter(username="eve").exists()


def _expire() -> None:
    Invitation.objects.update(expires_at=timezone.now())


def _withdraw() -> None:
    Invitation.objects.update(withdrawn_at=timezone.now())


def _suspend() -> None:
    Account.objects.update(status=Account.Status.SUSPENDED)


def _delete() -> None:
    Account.objects.update(status=Account.Status.DELETED)


@pytest.mark.parametrize(
    ("happens", "said"),
    [(_expire, "has expired"), (_withdraw, "was withdrawn"), (_suspend, "is suspended"), (_delete, "is gone")],
)
def test_what_cannot_be_used_says_why_to_everybody(
    invite: Callable[..., str], rival: Person, happens: Callable[[], None], said: str
) -> None:
    path = invite()
    happens()
    for client in (Client(), rival.client):
        for answer in (client.get(path), client.post(path, NEW)):
            assert answer.status_code == 410
            assert said in answer.text
    assert not Membership.objects.filter(account__name="Acme").exclude(role="owner").exists()


def test_a_link_that_we_never_made_is_no_invitation(client: Client) -> None:
    answer = client.get("/invitation/aaaaaaaaaaaaaaaaaaaaaaaaaa/")
    assert answer.status_code == 404
    assert "no invitation of ours" in answer.text


def test_who_belongs_already_is_told_so_and_uses_nothing_up(invite: Callable[..., str], viewer: Person) -> None:
    path = invite()
    for answer in (viewer.client.get(path), viewer.client.post(path)):
        assert "You belong already" in answer.text
    assert Invitation.objects.get().accepted_at is None
    assert Membership.objects.get(user=viewer.user).role == "viewer", "an invitation changes no role"


# --- what owners do with them


def test_a_new_link_ends_the_old_one(owner: Person, invite: Callable[..., str]) -> None:
    old = invite()
    new = link_in(owner.post("invitation_again", Invitation.objects.get().pk))
    assert "was withdrawn" in Client().get(old).text
    assert Client().get(new).status_code == 200


def test_a_withdrawn_one_opens_nothing(owner: Person, invite: Callable[..., str]) -> None:
    path, row = invite(), Invitation.objects.get()
    owner.post("invitation_withdraw", row.pk)
    assert "was withdrawn" in Client().get(path).text
    assert AuditEntry.objects.filter(verb="withdrew", target=f"invitation {row.pk}").count() == 1
    assert "meanwhile" in owner.client.post(owner.url("invitation_again", row.pk), follow=True).text
    assert Invitation.objects.count() == 1


def test_who_belongs_or_is_invited_is_not_invited_again(
    owner: Person, member: Person, invite: Callable[..., str]
) -> None:
    member.user.email = "mia@example.com"
    member.user.save()
    invite()
    assert "belongs to the account already" in owner.post("invite", email="MIA@example.com", role="viewer").text
    assert "invited already" in owner.post("invite", email="Bob@example.com", role="viewer").text
    assert Invitation.objects.count() == 1


def test_more_than_the_most_of_a_day_are_refused(owner: Person, account: Account) -> None:
    for _ in range(invitations.MOST_A_DAY):
        factories.InvitationFactory(account=account)
    assert "Go on tomorrow" in owner.post("invite", email="bob@example.com", role="viewer").text


@pytest.mark.parametrize("role", [Role.MEMBER, Role.VIEWER])
def test_nobody_but_owners_invites_or_sees_who_is_invited(
    person: Callable[..., Person], account: Account, role: Role
) -> None:
    row, somebody = factories.InvitationFactory(account=account), person(role)
    assert somebody.get("invite").status_code == 403
    assert somebody.post("invite", email="bob@example.com", role="owner").status_code == 403
    assert somebody.post("invitation_again", row.pk).status_code == 403
    assert somebody.post("invitation_withdraw", row.pk).status_code == 403
    assert row.email not in somebody.get("people").text
    assert Invitation.objects.filter(withdrawn_at=None).count() == 1


def test_where_there_is_mail_the_link_is_also_sent(owner: Person, invite: Callable[..., str], settings: Any) -> None:
    settings.HAS_MAIL = True
    Account.objects.update(name="Acme\nBcc: all@example.com")
    path = invite()
    settle()
    (letter,) = mail.outbox
    assert letter.to == ["bob@example.com"]
    assert f"https://hooks.example.com{path}" in letter.body
    assert letter.subject == "[Trackly] You are invited to Acme Bcc: all@example.com"


def test_without_mail_none_is_sent(invite: Callable[..., str]) -> None:
    invite()
    settle()
    assert mail.outbox == []


def test_the_token_stands_in_no_line_of_the_log(invite: Callable[..., str], caplog: pytest.LogCaptureFixture) -> None:
    path, shape = invite(), formatter()
    caplog.clear()
    Client().get(path)
    Client().post(path, NEW)
    lines = [shape.format(record) for record in caplog.records]
    assert len([line for line in lines if "/invitation/***/" in line]) == 2
    assert path.split("/")[2] not in "".join(lines)
    assert mask(f"/account/login/?next={path.replace('/', '%2F')}") == "/account/login/?next=%2Finvitation%2F***%2F"


def test_another_site_does_not_learn_the_link(invite: Callable[..., str]) -> None:
    assert Client().get(invite())["Referrer-Policy"] == "same-origin"


# --- at the same time


def _together(*calls: Callable[[], Any]) -> list[Any]:
    """What each returned or raised, all begun at once, each on a connection of its own."""
    start, results = Barrier(len(calls)), [None] * len(calls)

    def run(place: int, call: Callable[[], Any]) -> None:
        try:
            start.wait(10)
            results[place] = call()
        except Exception as error:
            results[place] = error  # type: ignore[call-overload]
        finally:
            connection.close()

    threads = [Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(5))
def test_two_people_with_one_link_at_once_one_comes_in(turn: int) -> None:
    row = factories.InvitationFactory()
    people = [factories.UserFactory() for _ in range(2)]
    results = _together(*(partial(invitations.accept, row.pk, person.pk, now=timezone.now()) for person in people))
    assert sorted(type(result).__name__ for result in results) == ["Closed", "Membership"]
    assert Membership.objects.filter(account=row.account).count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("turn", range(5))
def test_one_person_with_two_links_at_once_uses_one_of_them(turn: int) -> None:
    account, person = factories.AccountFactory(), factories.UserFactory()
    rows = [factories.InvitationFactory(account=account) for _ in range(2)]
    results = _together(*(partial(invitations.accept, row.pk, person.pk, now=timezone.now()) for row in rows))
    assert sorted(type(result).__name__ for result in results) == ["BelongsAlready", "Membership"]
    assert Invitation.objects.filter(account=account, accepted_at=None).count() == 1
