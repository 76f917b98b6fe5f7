"""Troubleshooting in the browser: checks that call somebody wait for each other, and one that could not begin is tried again."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import factories
from trackly.doctor import accounts, house
from trackly.doctor.findings import Finding, good
from trackly.models import Account
from trackly.pages.calling_out import may_call

BUSY = "Another check is running"


@pytest.fixture
def account(transactional_db: None, monkeypatch: pytest.MonkeyPatch) -> Account:
    def slow(*args: Any, **options: Any) -> Iterator[Finding]:
        time.sleep(0.5)
        yield good("Public address", "It was reached.")

    monkeypatch.setattr(house, "address", slow)
    monkeypatch.setattr(accounts, "registered", slow)
    account: Any = factories.AccountFactory()
    factories.ProviderAccountFactory(account=account)
    return account


def troubleshoot(owner: Callable[..., Page], account: Account) -> Page:
    page = owner(account)
    page.goto(f"{page.url}help/troubleshoot/?run=1")
    return page


def test_checks_that_call_somebody_wait_for_each_other(owner: Callable[..., Page], account: Account) -> None:
    page = troubleshoot(owner, account)
    expect(page.locator(".tk-check")).to_have_count(10)
    assert "It was reached." in page.inner_text("main")
    assert BUSY not in page.inner_text("main")


def test_a_check_that_could_not_begin_is_tried_again_in_its_place(owner: Callable[..., Page], account: Account) -> None:
    with may_call(account):
        page = troubleshoot(owner, account)
        expect(page.locator(".tk-check")).to_have_count(10)
        assert page.inner_text("main").count(BUSY) == 2
    page.locator("#check-address").get_by_role("link", name="Try again").click()
    expect(page.locator("#check-address")).to_contain_text("It was reached.")
    assert page.inner_text("main").count(BUSY) == 1
