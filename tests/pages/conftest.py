"""Two accounts, in each an owner, a member and a viewer; and clients signed in as them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests import factories
from trackly.models import Account, Membership

Role = Membership.Role


@dataclass
class Person:
    """Somebody signed in, who goes to pages of one account by their names."""

    account: Account
    role: Role
    user: Any
    client: Client

    def url(self, name: str, /, *args: Any) -> str:
        return reverse(f"pages:{name}", args=[self.account.public_id, *args])

    def get(self, name: str, /, *args: Any, **query: Any) -> Any:
        return self.client.get(self.url(name, *args), query)

    def post(self, name: str, /, *args: Any, **data: Any) -> Any:
        return self.client.post(self.url(name, *args), data)


@pytest.fixture
def account(db: None) -> Account:
    return factories.AccountFactory(name="Acme")


@pytest.fixture
def other(db: None) -> Account:
    """An account that the people of `account` do not belong to."""
    return factories.AccountFactory(name="Rival")


@pytest.fixture
def person(account: Account) -> Callable[..., Person]:
    """person(Role.VIEWER), or of another account."""

    def make(role: Role = Role.OWNER, of: Account | None = None) -> Person:
        membership = factories.MembershipFactory(account=of or account, role=role)
        client = Client()
        client.force_login(membership.user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return Person(account=membership.account, role=role, user=membership.user, client=client)

    return make


@pytest.fixture
def owner(person: Callable[..., Person]) -> Person:
    return person(Role.OWNER)


@pytest.fixture
def member(person: Callable[..., Person]) -> Person:
    return person(Role.MEMBER)


@pytest.fixture
def viewer(person: Callable[..., Person]) -> Person:
    return person(Role.VIEWER)


@pytest.fixture
def rival(person: Callable[..., Person], other: Account) -> Person:
    """The owner of the other account."""
    return person(Role.OWNER, of=other)
