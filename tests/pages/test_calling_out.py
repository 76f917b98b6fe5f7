"""Pages wait for few calls at once: one of an account, two of a process, and the others say so and lose nothing."""

from typing import Any

import pytest

from postbacks.models import Click
from sendinglists.models import ProviderAccount
from tests import factories
from tests.pages.conftest import Person
from trackly.models import Account
from trackly.pages.calling_out import Busy, may_call

BUSY = "Another check is running. Try again in a moment."


def test_an_account_has_one_call_at_a_time(account: Account, other: Account) -> None:
    with may_call(account):
        with pytest.raises(Busy), may_call(account):
            pass
        with may_call(other):
            pass
    with may_call(account):
        pass


def test_a_process_has_two_at_a_time(account: Account, other: Account) -> None:
    third = factories.AccountFactory()
    with may_call(account), may_call(other), pytest.raises(Busy), may_call(third):
        pass
    with may_call(third):
        pass


def test_a_check_that_failed_leaves_its_place(account: Account) -> None:
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), may_call(account):
            raise ZeroDivisionError


def test_what_outlasted_its_time_does_not_free_the_place_of_the_next(account: Account, monkeypatch: Any) -> None:
    from django.core.cache import cache

    with may_call(account):
        cache.set(f"calling:{account.pk}", "another's", timeout=90)
    with pytest.raises(Busy), may_call(account):
        pass


@pytest.mark.parametrize("name", ["credentials_check", "credentials_examine", "domain_check", "connection_fire"])
def test_each_button_that_calls_says_that_another_check_runs(owner: Person, name: str, settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://hooks.example.com"
    row: Any = {
        "credentials_check": factories.ProviderAccountFactory,
        "credentials_examine": factories.ProviderAccountFactory,
        "domain_check": factories.LinkDomainFactory,
        "connection_fire": factories.NetworkConnectionFactory,
    }[name](account=owner.account)
    with may_call(owner.account):
        answer = owner.client.post(owner.url(name, row.pk), {"payout": "12.50"}, follow=True)
    assert BUSY in answer.content.decode()
    assert not Click.objects.exists()


def test_credentials_are_not_kept_untried_because_another_check_runs(owner: Person, settings: Any) -> None:
    settings.SANDBOX_ENABLED = True
    typed = {"name": "Typed by hand", "setting_behavior": "x", "save_unchecked": "on"}
    url = f"{owner.url('credentials_new')}?provider=sandbox"
    with may_call(owner.account):
        said = owner.client.post(url, typed).content.decode()
    assert BUSY in said
    assert "Typed by hand" in said
    assert not ProviderAccount.objects.exists()
