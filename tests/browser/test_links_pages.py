"""Offers, links, clicks and brand domains in a real browser: at two widths and in both themes; and a link made and followed."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page

from sendinglists import brand_hosts, domains
from sendinglists.models import Link
from tests import factories
from trackly.models import Account

pytestmark = pytest.mark.django_db(transaction=True)
WIDTHS = [{"viewport": {"width": 1400, "height": 900}}, {"viewport": {"width": 390, "height": 844}}]


@pytest.fixture
def account(settings: Any) -> Account:
    """One with something on every page."""
    settings.PUBLIC_BASE_URL = "https://hooks.example.com"
    domains.forget()
    brand_hosts.forget()
    account: Account = factories.AccountFactory(
        name="Acme", fallback_url="https://acme.example.com/over", time_zone="Europe/Berlin"
    )
    connection = factories.NetworkConnectionFactory(account=account, name="Bold Ads")
    offer = factories.OfferFactory(
        connection=connection, account=account, name="Sneakers", default_payout=Decimal("12.5")
    )
    factories.OfferFactory(connection=None, account=account, name="Own shop", status="paused")
    link = factories.LinkFactory(offer=offer, account=account, code="summer", campaign="Summer sale")
    factories.LinkFactory(
        offer=None, account=account, destination="https://shop.example.com/a/long/path?with=much&to=read", code="over",
        expires_at=factories.now(),
    )  # fmt: skip
    for bot in ("", "", "preview", "crawler"):
        factories.ClickFactory(link=link, bot=bot)
    factories.ClickFactory(
        link=link, click_id="theclick", user_agent="Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X)"
    )
    factories.ConversionFactory(account=account, offer=offer, connection=connection, payout=Decimal(9), currency="USD")
    factories.LinkDomainFactory(account=account, host="go.acme.example", checked_at=factories.now())
    factories.LinkDomainFactory(
        account=account, host="b.acme.example", brand="Beta", check_cause="Another server answers there."
    )
    return account


def _addresses(account: Account) -> list[str]:
    offer, domain = account.offer_set.first(), account.linkdomain_set.first()
    return [
        "offers/", "offers/new/", f"offers/{offer.pk}/", f"offers/{offer.pk}/edit/", "links/", "new-link/", "links/summer/",
        "links/summer/edit/", "clicks/?who=all", "clicks/?live=1", "clicks/theclick/", "domains/", "domains/new/",
        f"domains/{domain.pk}/", "fallback/",
    ]  # fmt: skip


@pytest.mark.parametrize("context", WIDTHS, indirect=True, ids=["wide", "phone"])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_page_can_be_read_by_everybody(
    owner: Callable[..., Page], account: Account, serious: Callable[[Page], list[str]], theme: str
) -> None:
    page = owner(account)
    page.evaluate("theme => localStorage.setItem('theme', theme)", theme)
    start = page.url
    for address in _addresses(account):
        page.goto(f"{start}{address}")
        assert (address, serious(page)) == (address, [])
        assert (address, page.evaluate("document.documentElement.scrollWidth <= innerWidth")) == (address, True)


def test_a_link_is_made_and_stands_in_the_list(owner: Callable[..., Page], account: Account) -> None:
    page = owner(account)
    page.goto(f"{page.url}links/")
    page.get_by_role("link", name="Make a link").click()
    page.get_by_label("Offer").select_option("Sneakers")
    page.get_by_label("Own code").fill("winter-26")
    page.get_by_role("button", name="Make the link").click()
    page.get_by_text("The link was made").wait_for()
    assert page.get_by_label("Short link", exact=True).inner_text() == "https://go.acme.example/c/winter-26"
    page.get_by_role("link", name="Links").first.click()
    page.get_by_role("link", name="winter-26", exact=True).wait_for()


def test_clicks_appear_without_reload_while_it_is_live(owner: Callable[..., Page], account: Account) -> None:
    page = owner(account)
    page.goto(f"{page.url}clicks/?live=1")
    link = Link.objects.get(code="summer")
    factories.ClickFactory(link=link, click_id="justnow")
    page.locator("a[href$='/clicks/justnow/']").wait_for()


@pytest.mark.parametrize("context", WIDTHS, indirect=True, ids=["wide", "phone"])
def test_on_a_phone_the_filters_are_folded_until_they_are_asked_for(
    owner: Callable[..., Page], account: Account, context: BrowserContext
) -> None:
    page = owner(account)
    page.goto(f"{page.url}clicks/")
    fold = page.locator("summary", has_text="Filter")
    if page.viewport_size == WIDTHS[1]["viewport"]:
        assert not page.get_by_label("Campaign").is_visible()
        fold.click()
    assert fold.is_visible() == (page.viewport_size == WIDTHS[1]["viewport"])
    page.get_by_label("Campaign").fill("Summer sale")
    page.get_by_role("button", name="Filter", exact=True).click()
    page.wait_for_url("**campaign=Summer+sale**")
    assert page.get_by_label("Campaign").is_visible()


@pytest.mark.parametrize("context", [{**size, "java_script_enabled": False} for size in WIDTHS], indirect=True)
def test_without_scripts_the_filters_can_be_reached(owner: Callable[..., Page], account: Account) -> None:
    page = owner(account)
    page.goto(f"{page.url}clicks/")
    fold = page.locator("summary", has_text="Filter")
    if fold.is_visible():
        fold.click()
    page.get_by_label("Campaign").fill("Summer sale")
    page.get_by_role("button", name="Filter", exact=True).click()
    page.wait_for_url("**campaign=Summer+sale**")
