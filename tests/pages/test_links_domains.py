"""The pages of brand domains and of the fall-back: owners change them, everybody reads how they stand."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from sendinglists import brand_hosts, domains
from sendinglists.models import LinkDomain
from tests import factories
from tests.fakes.server import FakeServer, Response, Seen
from tests.pages.conftest import Person
from trackly.models import Account, AuditEntry


@pytest.fixture(autouse=True)
def _address(settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://hooks.example.com"
    settings.ALLOWED_HOSTS = ["testserver", "hooks.example.com"]
    domains.forget()
    brand_hosts.forget()


@pytest.fixture
def domain(account: Account) -> LinkDomain:
    return factories.LinkDomainFactory(account=account, host="go.acme.com")


class Proving(FakeServer):
    """The server the host leads to."""

    token = ""

    def answer(self, seen: Seen) -> Response:
        return Response(body=domains.proof(self.token).encode())


@pytest.fixture
def there(settings: Any) -> Iterator[Proving]:
    with Proving() as server:
        settings.OUTGOING_ROUTES = {"https://go.acme.com": server.url}
        yield server


def test_an_owner_adds_a_domain_and_is_told_what_to_do(owner: Person) -> None:
    factories.SendingListFactory(provider_account__account=owner.account, brand="Beta")
    owner.post("domain_new", host="GO.acme.com", brand="Beta")
    row = LinkDomain.objects.get()
    assert (row.account, row.host, row.brand, row.checked_at) == (owner.account, "go.acme.com", "Beta", None)
    said = owner.get("domain", row.pk).content.decode()
    assert "go.acme.com. CNAME hooks.example.com." in said
    assert "server_name go.acme.com;" in said
    assert "proxy_set_header Host $host;" in said
    assert AuditEntry.objects.filter(account=owner.account, verb="added", detail="go.acme.com").exists()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"host": "https://go.acme.com/"}, "Only the host name"),
        ({"host": "hooks.example.com"}, "This service itself"),
        ({"host": "go.rival.com"}, "in use here already"),
        ({"host": "new.acme.com", "brand": ""}, "All brands have a domain already"),
        ({"host": "new.acme.com", "brand": "Unknown"}, "Select a valid choice"),
    ],
)
def test_what_cannot_be_a_domain_is_refused_with_the_fix(
    owner: Person, domain: LinkDomain, other: Account, typed: Any, words: str
) -> None:
    factories.LinkDomainFactory(account=other, host="go.rival.com")
    answer = owner.post("domain_new", **typed)
    assert words in answer.content.decode()
    assert LinkDomain.objects.count() == 2


def test_a_check_that_succeeds_puts_the_host_into_use(owner: Person, domain: LinkDomain, there: Proving) -> None:
    there.token = domain.token
    assert (
        "reaches this service" in owner.client.post(owner.url("domain_check", domain.pk), follow=True).content.decode()
    )
    domain.refresh_from_db()
    assert domain.checked_at
    assert domains.base_url(domain.account_id) == "https://go.acme.com"


def test_a_check_that_fails_says_why(owner: Person, domain: LinkDomain, there: Proving) -> None:
    said = owner.client.post(owner.url("domain_check", domain.pk), follow=True).content.decode()
    assert "does not reach this service" in said
    assert "Another server answers there" in said


def test_a_removed_host_answers_no_more(owner: Person, domain: LinkDomain, client: Any) -> None:
    assert client.get("/c/x", headers={"host": "go.acme.com"}).status_code == 404
    owner.post("domain_remove", domain.pk)
    assert client.get("/c/x", headers={"host": "go.acme.com"}).status_code == 400


def test_a_removed_host_is_told_nowhere(owner: Person, domain: LinkDomain) -> None:
    LinkDomain.objects.update(checked_at=factories.now())
    assert domains.base_url(owner.account.pk) == "https://go.acme.com"
    owner.post("domain_remove", domain.pk)
    assert domains.base_url(owner.account.pk) == "https://hooks.example.com"
    assert "https://go.acme.com" not in domains.known_base_urls(owner.account.pk)
    assert "No domain yet" in owner.client.get(owner.url("domains")).content.decode()
    for name in ("domain", "domain_check", "domain_remove"):
        assert owner.post(name, domain.pk).status_code in (404, 405)
    assert owner.get("domain", domain.pk).status_code == 404


def test_a_brand_whose_domain_was_removed_takes_another(owner: Person, domain: LinkDomain) -> None:
    owner.post("domain_remove", domain.pk)
    owner.post("domain_new", host="new.acme.com", brand="")
    assert LinkDomain.objects.get(removed_at=None).host == "new.acme.com"


def test_who_removed_a_host_may_add_it_again_and_it_is_checked_anew(owner: Person, domain: LinkDomain) -> None:
    LinkDomain.objects.update(checked_at=factories.now())
    owner.post("domain_remove", domain.pk)
    owner.post("domain_new", host="go.acme.com", brand="")
    row = LinkDomain.objects.get()
    assert (row.account, row.removed_at, row.checked_at) == (owner.account, None, None)


@pytest.mark.parametrize(("days", "is_free"), [(29, False), (30, True)])
def test_a_removed_host_is_anybodys_after_thirty_days(
    rival: Person, domain: LinkDomain, client: Any, days: int, is_free: bool
) -> None:
    LinkDomain.objects.update(removed_at=factories.now() - timedelta(days=days))
    rival.post("domain_new", host="go.acme.com", brand="")
    assert LinkDomain.objects.filter(account=rival.account).exists() == is_free
    assert LinkDomain.objects.count() == 1


@pytest.mark.parametrize("who", ["member", "viewer"])
def test_only_owners_change_domains_and_the_fallback(
    who: str, domain: LinkDomain, request: pytest.FixtureRequest
) -> None:
    person: Person = request.getfixturevalue(who)
    for name, args in (
        ("domain_new", ()), ("domain_check", (domain.pk,)), ("domain_remove", (domain.pk,)), ("fallback", ()),
    ):  # fmt: skip
        assert person.post(name, *args, host="x.acme.com", fallback_url="https://x.example/").status_code == 403
    assert person.get("domain", domain.pk).status_code == 200
    assert "Add a domain" not in person.get("domains").content.decode()
    assert LinkDomain.objects.get() == domain


def test_the_token_of_the_check_is_shown_to_nobody(owner: Person, domain: LinkDomain) -> None:
    assert domain.token not in owner.get("domain", domain.pk).content.decode()


def test_the_fallback_is_kept_and_emptied(owner: Person) -> None:
    owner.post("fallback", fallback_url="https://acme.com/over")
    assert Account.objects.get(pk=owner.account.pk).fallback_url == "https://acme.com/over"
    assert "https://acme.com/over" in owner.get("domains").content.decode()
    owner.post("fallback", fallback_url="")
    assert Account.objects.get(pk=owner.account.pk).fallback_url == ""


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "acme", "https://hooks.example.com/c/abc", "https://go.acme.com/c/abc"]
)
def test_a_fallback_that_leads_nowhere_or_in_a_circle_is_refused(owner: Person, domain: LinkDomain, url: str) -> None:
    assert owner.post("fallback", fallback_url=url).status_code == 200
    assert Account.objects.get(pk=owner.account.pk).fallback_url == ""
