"""Owns who calls the API in its tests: an account with a key, and another one with another key."""

import json
from typing import Any

import pytest
from django.test import Client

from sendinglists.models import SendingList
from tests import factories
from trackly.models import Account, ApiKey

Answer = tuple[int, dict[str, Any]]


class Caller:
    """One of an account's own systems."""

    def __init__(self, account: Account, key: str) -> None:
        self.account, self.key = account, key

    def ask(self, method: str, path: str, body: Any = None, kind: str = "application/json", **headers: str) -> Any:
        """The whole response; a body that is not bytes is sent as JSON."""
        content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        given = {"X-Api-Key": self.key, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return Client(raise_request_exception=False).generic(
            method, f"/api/v2/{path}", content, content_type=kind if content else "", headers=given
        )

    def get(self, path: str, **headers: str) -> Answer:
        return read(self.ask("GET", path, **headers))

    def post(self, path: str, body: Any = None, kind: str = "application/json", **headers: str) -> Answer:
        return read(self.ask("POST", path, body, kind, **headers))

    def delete(self, path: str) -> Answer:
        return read(self.ask("DELETE", path))


def read(response: Any) -> Answer:
    assert response.headers["Content-Type"] == "application/json", response.content
    return response.status_code, json.loads(response.content)


def caller(account: Account) -> Caller:
    row = ApiKey(account=account, name="Tests")
    key = row.mint()
    row.save()
    return Caller(account, key)


@pytest.fixture
def us(db: None) -> Caller:
    return caller(factories.AccountFactory())


@pytest.fixture
def them(db: None) -> Caller:
    return caller(factories.AccountFactory())


@pytest.fixture
def our_list(us: Caller) -> SendingList:
    party = factories.ProviderAccountFactory(account=us.account)
    return factories.SendingListFactory(provider_account=party, name="Promo", brand="Acme", number="+18005550142")
