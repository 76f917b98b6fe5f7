"""Hosts of customers' own: what is answered under them, when texts name them, and how a host is seen to reach this service."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from postbacks.models import Click
from sendinglists import brand_hosts, domains
from sendinglists.models import LinkDomain
from sendinglists.queueing import Draft, queue
from sendinglists.tracked import track
from tests import factories
from tests.fakes.server import FakeServer, Response, Seen
from trackly.models import Account
from trackly.parties import AGAIN, Recent

pytestmark = pytest.mark.django_db
OURS = "https://hooks.example.com"
HOST = "go.acme.com"


@pytest.fixture(autouse=True)
def _hosts(settings: Any) -> None:
    settings.PUBLIC_BASE_URL = OURS
    settings.ALLOWED_HOSTS = ["testserver", "hooks.example.com", "localhost"]


@pytest.fixture
def domain() -> LinkDomain:
    return factories.LinkDomainFactory(host=HOST, checked_at=factories.now())


def asked(path: str, host: str = HOST, method: str = "GET") -> Any:
    return Client().generic(method, path, headers={"host": host})


def link_of(account: Account, **fields: Any) -> Any:
    return factories.LinkFactory(account=account, offer=None, destination="https://shop.example.com/", **fields)


# --- what is answered


def test_a_link_is_opened_under_its_accounts_host(domain: LinkDomain) -> None:
    link = link_of(domain.account)
    answer = asked(f"/c/{link.code}", "GO.acme.com:443")
    assert answer.status_code == 302
    assert answer["Location"].startswith("https://shop.example.com/?click_id=")
    assert Click.objects.get().link == link


def test_another_accounts_link_is_unknown_under_it(domain: LinkDomain) -> None:
    answer = asked(f"/c/{link_of(factories.AccountFactory()).code}")
    assert answer.status_code == 404
    assert not Click.objects.exists()


def test_what_is_unknown_under_it_leads_to_its_accounts_own_fallback(domain: LinkDomain) -> None:
    Account.objects.filter(pk=domain.account_id).update(fallback_url="https://acme.com/over")
    other = factories.AccountFactory(fallback_url="https://rival.com/")
    assert asked("/c/nothing")["Location"] == "https://acme.com/over"
    assert asked(f"/c/{link_of(other).code}")["Location"] == "https://acme.com/over"


@pytest.mark.parametrize(
    "path",
    [
        "/", "/admin/", "/account/login/", "/healthz", "/api/v2/links", "/api/webhook-feedbacks/sandbox", "/c/", "/c/a/b",
        "/api/postbacks/tune?click_id=x", "/static/trackly/pages.css", "/.well-known/trackly/", "/.well-known/trackly/wrong",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nothing_else_is_answered_under_it(domain: LinkDomain, path: str, method: str) -> None:
    answer = asked(path, method=method)
    assert (answer.status_code, answer.content) == (404, b"There is nothing here.\n")


def test_a_strangers_host_is_refused_as_before(domain: LinkDomain) -> None:
    link = link_of(domain.account)
    for host in ("stranger.example", "acme.com", "x.go.acme.com", "go.acme.com.evil.example", ""):
        assert asked(f"/c/{link.code}", host).status_code == 400


def test_our_own_host_answers_all_it_did(domain: LinkDomain) -> None:
    assert asked(f"/c/{link_of(domain.account).code}", "hooks.example.com").status_code == 302
    assert asked("/healthz", "hooks.example.com").status_code == 200


def test_a_host_that_allowed_hosts_names_is_ours_even_if_somebody_added_it() -> None:
    factories.LinkDomainFactory(host="hooks.example.com")
    assert asked("/healthz", "hooks.example.com").status_code == 200


def test_a_flood_of_unknown_hosts_costs_no_query_each(domain: LinkDomain, monkeypatch: pytest.MonkeyPatch) -> None:
    # All within one second, however slow this machine is.
    for name in ("_HOSTS", "_NEWEST"):
        monkeypatch.setattr(brand_hosts, name, Recent(timer=lambda: 0.0))
    with CaptureQueriesContext(connection) as queries:
        for n in range(200):
            assert asked("/c/x", f"host{n}.example").status_code == 400
    assert len(queries) == AGAIN + 1


def test_a_host_just_added_answers_at_once() -> None:
    assert asked("/c/x").status_code == 400
    factories.LinkDomainFactory(host=HOST)
    assert asked("/c/x").status_code == 404


# --- what texts name


def test_a_text_names_the_host_of_its_brand_else_of_the_account_else_ours(domain: LinkDomain) -> None:
    account = domain.account
    factories.LinkDomainFactory(account=account, host="b.acme.com", brand="Beta", checked_at=factories.now())
    bases = [domains.base_url(account.pk, brand) for brand in ("Beta", "Other", "")]
    assert bases == ["https://b.acme.com", f"https://{HOST}", f"https://{HOST}"]
    assert domains.base_url(factories.AccountFactory().pk, "Beta") == OURS
    body = track("Look: https://shop.example.com/", account_id=account.pk, offer_id=None, wraps=True, brand="Beta").body
    assert body.startswith("Look: https://b.acme.com/c/")


def test_a_message_names_the_host_of_its_lists_brand(domain: LinkDomain) -> None:
    factories.LinkDomainFactory(account=domain.account, host="b.acme.com", brand="Beta", checked_at=factories.now())
    offer = factories.OfferFactory(account=domain.account, connection__account=domain.account)
    for brand, host in (("Beta", "b.acme.com"), ("Other", HOST)):
        sending_list = factories.SendingListFactory(provider_account__account=domain.account, brand=brand)
        draft = Draft(sending_list=sending_list, to="+14155550101", body="Look: {{link}}", offer_id=offer.pk)
        message, _ = queue(draft, now=factories.now())
        link = message.link_set.get()
        assert message.body == f"Look: https://{host}/c/{link.code}" == f"Look: {domains.short_url(link)}"


@pytest.mark.parametrize("state", [{"checked_at": None}, {"check_cause": "No such host."}])
def test_a_host_that_does_not_reach_us_is_not_named(domain: LinkDomain, state: dict[str, Any]) -> None:
    LinkDomain.objects.update(**state)
    assert domains.base_url(domain.account_id) == OURS


def test_short_links_of_any_host_of_the_account_are_left_as_they_are(domain: LinkDomain) -> None:
    LinkDomain.objects.update(check_cause="away")
    text = f"{OURS}/c/abc https://{HOST}/c/abc"
    assert track(text, account_id=domain.account_id, offer_id=None, wraps=True).body == text


def test_a_link_of_a_message_is_shown_under_its_lists_brand(domain: LinkDomain) -> None:
    factories.LinkDomainFactory(account=domain.account, host="b.acme.com", brand="Beta", checked_at=factories.now())
    sending_list = factories.SendingListFactory(provider_account__account=domain.account, brand="Beta")
    link = link_of(domain.account, message=factories.MessageFactory(sending_list=sending_list))
    assert domains.short_url(link) == f"https://b.acme.com/c/{link.code}"
    assert domains.short_url(alone := link_of(domain.account)) == f"https://{HOST}/c/{alone.code}"


def test_the_port_and_scheme_of_our_address_are_those_of_the_host(domain: LinkDomain, settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "http://localhost:8000"
    assert domains.base_url(domain.account_id) == f"http://{HOST}:8000"


# --- which hosts can be added


@pytest.mark.parametrize(
    ("typed", "host"),
    [
        ("go.acme.com", "go.acme.com"),
        (" GO.Acme.com. ", "go.acme.com"),
        ("go.bücher.example", "go.xn--bcher-kva.example"),
    ],
)
def test_a_host_is_kept_in_lower_case_ascii(typed: str, host: str) -> None:
    assert domains.read_host(typed) == host


@pytest.mark.parametrize(
    "typed",
    [
        "https://go.acme.com", "go.acme.com/x", "go.acme.com:8443", "me@acme.com", "localhost", "acme", "10.0.0.1", "[::1]",
        "a..b.com", "-a.com", "a-.com", "a_b.com", "printer.local", "x.internal", "hooks.example.com", "a b.com", "", ".",
        "x.123", "\u202ego.acme.com", "a" * 64 + ".com", ".".join(["abcdefgh"] * 40),
    ],
)  # fmt: skip
def test_what_is_no_public_host_of_ones_own_is_refused(typed: str) -> None:
    with pytest.raises(ValidationError):
        domains.read_host(typed)


# --- the check


class There(FakeServer):
    """The server the host leads to."""

    body, status = b"", 200

    def answer(self, seen: Seen) -> Response:
        return Response(status=self.status, body=self.body, headers={"Content-Type": "text/plain"})


@pytest.fixture
def there(settings: Any) -> Iterator[There]:
    with There() as server:
        settings.OUTGOING_ROUTES = {f"https://{HOST}": server.url}
        yield server


def test_a_host_that_answers_the_proof_is_in_use(domain: LinkDomain, there: There) -> None:
    LinkDomain.objects.update(checked_at=None, check_cause="before")
    there.body = asked(f"{domains.PROOF_PATH}{domain.token}").content
    domain.refresh_from_db()
    at = factories.now()
    assert domains.check(domain, at)
    domain.refresh_from_db()
    assert (domain.checked_at, domain.check_cause) == (at, "")
    assert domains.base_url(domain.account_id) == f"https://{HOST}"
    assert (there.requests[0].path, there.requests[0].headers["host"]) == (f"{domains.PROOF_PATH}{domain.token}", HOST)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"hello", "Another server"), (404, b"", "404"), (400, b"", "Host header"), (301, b"", "leads elsewhere"),
        (200, b"TOKEN", "Another server"),
    ],
)  # fmt: skip
def test_what_another_server_answers_is_no_proof(
    domain: LinkDomain, there: There, status: int, body: bytes, words: str
) -> None:
    seen = factories.now() - timedelta(days=1)
    LinkDomain.objects.update(checked_at=seen)
    domain.refresh_from_db()
    there.status, there.body = status, body.replace(b"TOKEN", domain.token.encode())
    assert not domains.check(domain, factories.now())
    domain.refresh_from_db()
    assert words in domain.check_cause
    # When it was last seen stays; texts name it no more.
    assert domain.checked_at == seen
    assert domains.base_url(domain.account_id) == OURS


def test_a_host_that_nobody_answers_for_is_told_in_words(domain: LinkDomain, settings: Any) -> None:
    with There() as gone:
        settings.OUTGOING_ROUTES = {f"https://{HOST}": gone.url}
    assert not domains.check(domain, factories.now())
    assert "DNS record" in domain.check_cause


def test_a_private_address_is_not_asked(domain: LinkDomain, settings: Any) -> None:
    settings.OUTGOING_ALLOW = []
    domain.host = "localhost"
    assert not domains.check(domain, factories.now())
    assert domain.check_cause


def test_one_accounts_proof_is_not_answered_under_anothers_host(domain: LinkDomain) -> None:
    other = factories.LinkDomainFactory(host="go.rival.com")
    assert asked(f"{domains.PROOF_PATH}{other.token}").status_code == 404
    assert asked(f"{domains.PROOF_PATH}{other.token}", "go.rival.com").status_code == 200
