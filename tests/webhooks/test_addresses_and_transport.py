"""Who called and how: addresses and https behind configured proxies only, and what the address list does."""

from typing import Any

import pytest

from sendinglists.models import Message, ProviderAccount
from tests.factories import AddressRangeFactory, ProviderAccountFactory
from tests.webhooks.calls import BASE, call, events, report, token_url
from webhooks.inbound.models import Cause, InboundRequest, State

pytestmark = pytest.mark.django_db
PROXY, PHONE = "10.0.0.1", "198.51.100.9"


@pytest.fixture
def party() -> ProviderAccount:
    return ProviderAccountFactory()


@pytest.fixture
def proxied(settings: Any) -> None:
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "2001:db8:1::/48"]


def came_from(party: ProviderAccount, forwarded: str | None, peer: str) -> str:
    headers = {} if forwarded is None else {"X-Forwarded-For": forwarded}
    assert call(token_url(party), events(), headers=headers, REMOTE_ADDR=peer).status == 200
    return InboundRequest.objects.get().peer


def test_forwarded_address_is_not_believed_without_configured_proxies(party: ProviderAccount) -> None:
    assert came_from(party, PHONE, PROXY) == PROXY


@pytest.mark.usefixtures("proxied")
@pytest.mark.parametrize(
    ("forwarded", "peer", "client"),
    [
        pytest.param(PHONE, PROXY, PHONE, id="one proxy"),
        pytest.param(f"{PHONE}, 10.0.0.7", PROXY, PHONE, id="two proxies"),
        pytest.param(f"1.1.1.1, {PHONE}", PROXY, PHONE, id="what a stranger wrote on the left does not count"),
        pytest.param(f"10.0.0.9, {PHONE}, 10.0.0.7", PROXY, PHONE, id="a proxy's address written by a stranger"),
        pytest.param(PHONE, "203.0.113.50", "203.0.113.50", id="a stranger is no proxy"),
        pytest.param(None, PROXY, PROXY, id="the proxy says nothing"),
        pytest.param("10.0.0.7", PROXY, "10.0.0.7", id="nothing but proxies"),
        pytest.param("2001:db8:2::9", "2001:db8:1::1", "2001:db8:2::9", id="IPv6"),
        pytest.param(PHONE, "::ffff:10.0.0.1", PHONE, id="the proxy's IPv4 address mapped into IPv6"),
        pytest.param(f"::ffff:{PHONE}", PROXY, PHONE, id="the client's IPv4 address mapped into IPv6"),
        pytest.param(PHONE, "", PHONE, id="a UNIX socket"),
        pytest.param(f"1.1.1.1, unknown, {PHONE}", PROXY, PHONE, id="garbage on the left"),
        pytest.param("1.1.1.1, unknown", PROXY, PROXY, id="garbage ends the walk"),
        pytest.param("1.1.1.1, \x00\xff" + "9" * 5_000, PROXY, PROXY, id="long garbage"),
        pytest.param("fe80::1%" + "a" * 5_000, PROXY, "fe80::1", id="an endless zone"),
        pytest.param("fe80::1%\x00", PROXY, "fe80::1", id="a zone that no table holds"),
        pytest.param(" , ,, ", PROXY, PROXY, id="empty entries"),
    ],
)
def test_client_is_the_first_address_from_the_right_that_is_no_proxy(
    party: ProviderAccount, forwarded: str | None, peer: str, client: str
) -> None:
    assert came_from(party, forwarded, peer) == client


@pytest.mark.parametrize(
    ("scheme", "forwarded", "peer", "is_secure"),
    [
        ("https", "", "203.0.113.7", True),
        ("http", "", "203.0.113.7", False),
        ("http", "https", PROXY, True),
        ("http", "http, https", PROXY, True),
        ("http", "https, http", PROXY, False),
        ("https", "http", PROXY, False),
        ("http", "https", "203.0.113.7", False),
        ("http", "HTTPS ", "", True),
    ],
)
@pytest.mark.usefixtures("proxied")
def test_forwarded_scheme_is_believed_from_a_proxy_alone(
    party: ProviderAccount, scheme: str, forwarded: str, peer: str, is_secure: bool
) -> None:
    headers = {"X-Forwarded-Proto": forwarded} if forwarded else {}
    call(token_url(party), events(), headers=headers, REMOTE_ADDR=peer, **{"wsgi.url_scheme": scheme})
    assert InboundRequest.objects.get().is_secure is is_secure


def test_plain_http_is_refused_where_https_is_required_and_the_request_is_kept(
    party: ProviderAccount, settings: Any
) -> None:
    settings.HTTPS_REQUIRED = True
    answer = call(token_url(party), events(), **{"wsgi.url_scheme": "http"})
    assert answer.status == 403
    assert b"https" in answer.body
    row = InboundRequest.objects.get()
    assert (row.state, row.refusal, row.party_id) == (State.REFUSED, Cause.PLAIN_HTTP, party.id)
    assert bytes(row.body) == events()
    assert call(token_url(party), events()).status == 200


@pytest.mark.parametrize("policy", ["off", "log", "enforce"])
@pytest.mark.parametrize("cidr", ["203.0.113.7", "203.0.113.0/24", "2001:db8::/32"])
def test_call_from_the_address_list_is_accepted_under_every_policy(policy: str, cidr: str) -> None:
    party = ProviderAccountFactory(address_policy=policy)
    AddressRangeFactory(slug="sandbox", cidr=cidr)
    peer = "203.0.113.7" if "." in cidr else "2001:db8::5"
    assert call(token_url(party), events(), REMOTE_ADDR=peer).status == 200
    assert InboundRequest.objects.get().outcome == ""


@pytest.mark.parametrize(("policy", "status"), [("off", 200), ("log", 200), ("enforce", 403)])
def test_call_from_elsewhere_is_refused_only_where_the_list_is_enforced(policy: str, status: int) -> None:
    party = ProviderAccountFactory(address_policy=policy)
    AddressRangeFactory(slug="sandbox", cidr="198.51.100.0/24")
    assert call(token_url(party), events()).status == status
    row = InboundRequest.objects.get()
    assert row.refusal == (Cause.ADDRESS if status == 403 else "")
    assert ("203.0.113.7 is not on the provider's address list." in row.outcome) is (policy != "off")


def test_policy_without_any_known_address_refuses_nobody() -> None:
    party = ProviderAccountFactory(address_policy="enforce")
    AddressRangeFactory(slug="twilio", cidr="198.51.100.0/24")
    assert call(token_url(party), events()).status == 200


@pytest.mark.parametrize("strangers", [0, 1], ids=["one account's references", "two accounts' references"])
def test_enforced_list_is_asked_also_when_references_are_the_proof(
    message: Message, other: Message, strangers: int
) -> None:
    ProviderAccount.objects.filter(id=message.provider_account_id).update(address_policy="enforce")
    AddressRangeFactory(slug="sandbox", cidr="198.51.100.0/24")
    reports = [report(message.reference), report(other.reference)][: 1 + strangers]
    assert call(f"{BASE}/sandbox", events(*reports)).status == 403
    assert call(f"{BASE}/sandbox", events(*reports), REMOTE_ADDR="198.51.100.9").status == 200
