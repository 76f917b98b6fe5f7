"""Attacks by what is typed, pasted or named in an address: nothing of it may be an error of ours, or stop the others."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from tests import factories
from tests.pages.conftest import Person
from trackly.models import Membership

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"
TEXTUAL = [
    ("links/{}/", "GET"),
    ("links/{}/edit/", "POST"),
    ("links/{}/end/", "POST"),
    ("clicks/{}/", "GET"),
    ("messages/{}/", "GET"),
    ("messages/{}/opt-out/", "POST"),
    ("tests/{}/", "GET"),
]


@pytest.mark.parametrize(("path", "method"), TEXTUAL)
def test_a_nul_in_an_address_names_nothing(owner: Person, path: str, method: str) -> None:
    owner.client.raise_request_exception = False
    answer = owner.client.generic(method, f"/a/{owner.account.public_id}/{path.format('a%00b')}")
    assert answer.status_code == 404


def test_a_nul_in_the_click_that_is_matched_names_nothing(owner: Person) -> None:
    owner.client.raise_request_exception = False
    row = factories.ConversionFactory(account=owner.account, verdict="unknown_click")
    answer = owner.post("conversion_match", f"{row.request_uid}-0", click="a\x00b")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        *[(name, {"until": "9999-12-31T23:59"}) for name in ("messages", "events", "replies", "requests")],
        ("clicks", {"day": "9999-12-31"}),
        ("clicks", {"day": "0001-01-01"}),
        ("conversions", {"until": "9999-12-31"}),
        ("conversions", {"until": "0001-01-01"}),
        ("conversions_csv", {"until": "9999-12-31"}),
    ],
)
def test_a_day_at_the_end_of_the_calendar_is_answered_in_words(owner: Person, name: str, asked: Any) -> None:
    owner.client.raise_request_exception = False
    answer = owner.client.get(owner.url(name), asked)
    assert answer.status_code == 200
    if name != "conversions_csv":
        assert "between 2000 and 2099" in answer.content.decode()


def test_a_form_has_no_more_rows_than_there_may_be_words_whatever_it_claims(owner: Person) -> None:
    row = factories.NetworkConnectionFactory(account=owner.account)
    said = {"words-TOTAL_FORMS": "1000000", "words-INITIAL_FORMS": "0", "name": "x"}
    answer = owner.post("connection_edit", row.pk, **said)
    assert answer.content.count(b"-means") < 500


def test_a_list_of_addresses_of_a_network_has_an_end(owner: Person) -> None:
    """Each process reads it anew, for two seconds in which nobody's webhook is taken."""
    row = factories.NetworkConnectionFactory(account=owner.account)
    given = {
        "name": "n", "duplicate_rule": "ignore", "duplicate_minutes": "1", "attribution_days": "9",
        "address_policy": "enforce", "words-TOTAL_FORMS": "0", "words-INITIAL_FORMS": "0",
        "addresses": "\n".join(f"10.{n // 62500}.{n // 250 % 250}.{n % 250}" for n in range(60_000)),
    }  # fmt: skip
    assert "At most 500 addresses" in owner.post("connection_edit", row.pk, **given).content.decode()
    row.refresh_from_db()
    assert not row.addresses


def test_a_host_that_was_removed_is_not_another_accounts_at_once(owner: Person, rival: Person, settings: Any) -> None:
    """Its DNS record still leads here: whoever adds it speaks to phones under somebody else's brand."""
    settings.PUBLIC_BASE_URL = "https://hooks.example.com"
    owner.post("domain_new", host="go.victim.example.com", brand="")
    row = owner.account.linkdomain_set.get()
    owner.post("domain_remove", row.pk)
    refused = rival.post("domain_new", host="go.victim.example.com", brand="")
    assert "for 30 days after it was removed" in refused.content.decode()
    assert not rival.account.linkdomain_set.exists()


@pytest.mark.django_db(transaction=True)
def test_checks_that_nobody_answers_leave_the_webs_threads_to_the_webhooks(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixteen threads take the webhooks of all accounts in; each check of a domain holds one as long as its host likes."""
    from sendinglists import domains

    settings.PUBLIC_BASE_URL = "https://hooks.example.com"
    held, most = [0], [0]

    def slow(dialogue: Any, **options: Any) -> Any:
        held[0] += 1
        most[0] = max(most[0], held[0])
        time.sleep(1)
        held[0] -= 1
        dialogue.close()
        return "It did not answer."

    monkeypatch.setattr(domains, "hold_now", slow)
    membership = factories.MembershipFactory(role=Membership.Role.OWNER)
    row = factories.LinkDomainFactory(account=membership.account)
    url = reverse("pages:domain_check", args=[membership.account.public_id, row.pk])

    def press(_: int) -> int:
        from django.db import connection

        client = Client()
        client.force_login(membership.user, backend=BACKEND)
        status = client.post(url).status_code
        connection.close()
        return status

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(press, range(12)))
    assert most[0] <= 2
