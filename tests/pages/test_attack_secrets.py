"""Attacks on what a viewer, a cache or a stranger may learn from the account owner's pages."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.pages.conftest import Person
from tests.pages.test_access import PAGES, rows_of
from trackly.models import Account, Membership
from trackly.pages.visits import VIEWER
from trackly.signing import token_hash

PHONE = "+14155550199"


def test_a_viewer_does_not_see_the_secret_reference_on_the_page_of_a_test_message(viewer: Person) -> None:
    message = factories.MessageFactory(
        sending_list=factories.SendingListFactory(
            provider_account=factories.ProviderAccountFactory(account=viewer.account)
        ),
        reference="knowsthisspeaksforprovider",
    )
    assert message.reference not in viewer.get("test_message", message.public_id).content.decode()


@pytest.mark.parametrize("name", ["contacts", "messages", "replies"])
def test_a_viewer_cannot_ask_a_list_whether_a_full_number_is_in_it(viewer: Person, name: str) -> None:
    """Of a masked number five digits are hidden: a hundred thousand questions of ten milliseconds tell them."""
    account = viewer.account
    party = factories.ProviderAccountFactory(account=account)
    factories.ContactFactory(account=account, phone=PHONE)
    factories.MessageFactory(sending_list=factories.SendingListFactory(provider_account=party), to=PHONE)
    factories.ReplyFactory(provider_account=party, sender=PHONE)
    right = viewer.client.get(viewer.url(name), {"phone": PHONE}, headers={"HX-Request": "true"}).content
    wrong = viewer.client.get(viewer.url(name), {"phone": f"{PHONE[:-1]}8"}, headers={"HX-Request": "true"}).content
    assert right.count(b"<tr") == wrong.count(b"<tr")


@pytest.mark.parametrize("known", [PHONE, "knowsthisspeaksforprovider"])
def test_a_viewer_cannot_ask_the_failed_webhooks_for_a_number_or_a_reference(viewer: Person, known: str) -> None:
    request = factories.InboundRequestFactory(account=viewer.account, state="failed", ids=[known])
    found = viewer.get("requests", q=known).content.decode()
    assert str(request.uid) not in found


def test_the_link_of_an_invitation_is_kept_by_no_cache(owner: Person) -> None:
    answer = owner.post("invite", email="new@example.com", role="owner")
    assert b"/invitation/" in answer.content
    assert "no-store" in answer.headers.get("Cache-Control", "")


@pytest.mark.parametrize("name", ["connection", "credentials"])
def test_a_page_that_shows_a_token_is_kept_by_no_cache(owner: Person, name: str) -> None:
    page = next(item for item in PAGES if item.name == name)
    answer = owner.get(name, *rows_of(page, owner.account))
    assert "no-store" in answer.headers.get("Cache-Control", "")


def test_who_was_invited_is_told_to_owners_alone_in_the_history_as_well(owner: Person, viewer: Person) -> None:
    owner.post("invite", email="secret.hire@example.com", role="owner")
    assert b"secret.hire@example.com" not in viewer.get("people").content
    assert b"secret.hire@example.com" not in viewer.get("history").content


def test_whoever_holds_an_invitation_cannot_try_addresses_without_end(client: Client, account: Account) -> None:
    factories.UserFactory(username="victim", email="victim@example.com")
    factories.InvitationFactory(account=account, token_hash=token_hash("q" * 26))
    tried = {"username": "new", "email": "victim@example.com", "password1": "x", "password2": "y"}
    url = reverse("invitation", args=["q" * 26])
    last = [client.post(url, tried) for _ in range(60)][-1]
    assert last.status_code == 429


@pytest.mark.parametrize("page", [page for page in PAGES if page.callback.changes], ids=lambda page: page.name)
def test_no_form_is_taken_that_did_not_come_from_a_page_of_ours(page: Any, owner: Person) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner.user, backend="allauth.account.auth_backends.AuthenticationBackend")
    url = reverse(f"pages:{page.name}", args=[owner.account.public_id, *rows_of(page, owner.account)])
    assert client.post(url, headers={"HX-Request": "true"}).status_code == 403


def test_who_was_made_a_viewer_changes_nothing_with_the_session_of_an_owner(owner: Person) -> None:
    Membership.objects.filter(user=owner.user).update(role=VIEWER)
    assert owner.post("invite", email="x@example.com", role="owner").status_code == 403
    assert owner.get("keys").status_code == 403


def test_the_sign_in_gives_the_session_a_new_id(client: Client, db: None) -> None:
    session = client.session
    session["planted"] = 1
    session.save()
    client.cookies["sessionid"] = planted = session.session_key
    factories.UserFactory(username="lola")
    client.post(reverse("account_login"), {"login": "lola", "password": "correct horse"})
    assert client.cookies["sessionid"].value != planted
