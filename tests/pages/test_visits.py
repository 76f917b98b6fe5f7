"""Who reaches a page of an account, and who does not."""

from collections.abc import Callable

from django.test import Client
from django.urls import reverse

from tests import factories
from tests.pages.conftest import Person
from trackly.models import Account, Membership

Role = Membership.Role


def test_the_account_in_the_address_is_the_one_shown(owner: Person) -> None:
    answer = owner.get("overview")
    assert answer.status_code == 200
    assert b"Acme" in answer.content


def test_who_does_not_belong_to_it_finds_nothing(owner: Person, rival: Person) -> None:
    assert rival.client.get(owner.url("overview")).status_code == 404


def test_staff_without_a_membership_find_nothing_either(account: Account, owner: Person) -> None:
    client = Client()
    client.force_login(factories.StaffFactory(), backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.get(owner.url("overview")).status_code == 404


def test_a_deleted_account_is_gone(account: Account, owner: Person) -> None:
    Account.objects.filter(pk=account.pk).update(status=Account.Status.DELETED)
    assert owner.get("overview").status_code == 404


def test_who_is_not_signed_in_is_led_to_the_sign_in_and_back(owner: Person) -> None:
    answer = Client().get(owner.url("overview"))
    assert answer.status_code == 302
    assert answer["Location"] == f"{reverse('account_login')}?next={owner.url('overview')}"


def test_a_live_part_without_a_session_sends_the_whole_page_to_the_sign_in(owner: Person) -> None:
    answer = Client().get(owner.url("overview"), headers={"HX-Request": "true"})
    assert answer["HX-Redirect"] == reverse("account_login")


def test_a_page_without_a_form_takes_no_post(owner: Person) -> None:
    assert owner.post("overview").status_code == 405


def test_the_front_door_leads_to_the_only_account(owner: Person) -> None:
    assert owner.client.get("/")["Location"] == owner.url("overview")


def test_the_front_door_lets_choose_among_several(owner: Person, other: Account) -> None:
    factories.MembershipFactory(account=other, user=owner.user, role=Role.VIEWER)
    words = owner.client.get("/").content.decode()
    assert "Acme" in words
    assert "Rival" in words


def test_the_front_door_leads_staff_without_an_account_to_the_admin(db: None) -> None:
    client = Client()
    client.force_login(factories.StaffFactory(), backend="allauth.account.auth_backends.AuthenticationBackend")
    assert client.get("/")["Location"] == "/admin/"


def test_who_belongs_nowhere_is_told_what_to_do(person: Callable[..., Person], owner: Person) -> None:
    Membership.objects.all().delete()
    assert b"invite you" in owner.client.get("/").content
