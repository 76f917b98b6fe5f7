"""From a postback URL that is right the first time to a verdict that comes without reloading, in a real browser."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from postbacks.models import Click, Conversion
from tests import factories
from trackly.models import Membership

pytestmark = pytest.mark.django_db(transaction=True)

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0"
    " Mobile/15E148 Safari/604.1"
)


@pytest.fixture
def page(owner: Callable[..., Page], settings: Any, live_server: Any) -> Page:
    """The overview of an account whose service is reached where the browser reaches it."""
    settings.PUBLIC_BASE_URL = live_server.url
    return owner(factories.AccountFactory(name="Acme"))


def connect(page: Page, live_server: Any) -> None:
    account = page.url.split("/a/")[1].split("/")[0]
    page.goto(f"{live_server.url}/a/{account}/connections/")
    page.get_by_role("link", name="Connect a network").click()
    page.get_by_label("Network", exact=True).select_option("tune")
    page.get_by_label("Name", exact=True).fill("Acme TUNE")
    page.get_by_role("button", name="Connect").click()
    expect(page.get_by_role("heading", name="Acme TUNE")).to_be_visible()


def url_of(page: Page) -> str:
    return page.locator("#built code.tk-copy-text").inner_text()


def open_with_phone(browser: Browser, url: str) -> None:
    phone = browser.new_context(user_agent=PHONE)
    tab = phone.new_page()
    tab.goto(url)
    assert "aff_click_id=" in tab.url
    phone.close()


def test_a_connection_is_set_up_checked_and_tested_without_a_reload(
    page: Page, browser: Browser, live_server: Any, work_off: Callable[[], int]
) -> None:
    connect(page, live_server)
    # The URL follows the boxes.
    assert "goal_id={goal_id}" in url_of(page)
    page.get_by_role("checkbox", name="Event or goal").uncheck()
    expect(page.locator("#built code.tk-copy-text")).not_to_contain_text("goal_id")
    page.get_by_role("checkbox", name="Offer {offer_id}").check()
    expect(page.locator("#built code.tk-copy-text")).to_contain_text("offer_id={offer_id}")
    expect(page.get_by_label("Message to the network's manager")).to_contain_text("offer_id={offer_id}")

    # A URL that somebody pasted wrongly is told so, and the right one offered.
    wrong = url_of(page).replace("{aff_click_id}", "{sub1}").replace("{payout}", "%7Bpayout%7D")
    page.get_by_label("A postback URL or a tracking link").fill(wrong)
    page.get_by_role("button", name="Check it").click()
    expect(page.get_by_text("{sub1} is a macro of Everflow, not of TUNE.")).to_be_visible()
    expect(page.get_by_text("%7Bpayout%7D is not how TUNE writes a macro")).to_be_visible()
    corrected = page.get_by_label("Corrected URL", exact=True).inner_text()
    page.get_by_label("A postback URL or a tracking link").fill(corrected)
    page.get_by_role("button", name="Check it").click()
    expect(page.get_by_text("Nothing is wrong with it.")).to_be_visible()

    # A test link, opened with a phone: the click comes by itself.
    account = Membership.objects.get().account
    connection = account.networkconnection_set.get()
    factories.OfferFactory(connection=connection, name="Pills", destination=f"{live_server.url}/healthz?offer_id=1")
    page.reload()
    page.get_by_role("button", name="Make a test link").click()
    expect(page.get_by_text("Waiting for the click.")).to_be_visible()
    open_with_phone(browser, page.get_by_label("Test link", exact=True).inner_text())
    expect(page.get_by_text("Clicked", exact=True)).to_be_visible()
    click = Click.objects.get()
    assert (click.is_test, click.bot) == (True, "")

    # Fired for that click through the real endpoint; the verdict comes by itself.
    page.get_by_role("link", name="Fire a postback for this click").click()
    expect(page.get_by_label("Test click")).to_have_value(click.click_id)
    page.get_by_role("button", name="Fire a test postback").click()
    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text("Being judged")
    expect(verdict).to_contain_text("We answered 200: Stored: click")
    work_off()
    expect(verdict).to_contain_text("The click is a test.")
    assert verdict.get_attribute("hx-trigger") is None
    hit = Conversion.objects.get()
    assert (hit.verdict, hit.is_verified, hit.click, str(hit.payout.normalize())) == ("test", True, click, "12.5")


def test_whatever_the_network_sends_appears_while_one_looks(
    page: Page, context: BrowserContext, live_server: Any, work_off: Callable[[], int]
) -> None:
    connect(page, live_server)
    tail = page.locator("#arrivals")
    expect(tail).to_contain_text("nothing yet")
    page.request.get(url_of(page).replace("{aff_click_id}", "{aff_sub9}"))
    expect(tail).to_contain_text("Being judged")
    work_off()
    expect(tail).to_contain_text("Macro not replaced")
    expect(tail).to_contain_text("click_id={aff_sub9}")


def test_a_test_without_a_click_makes_its_own(page: Page, live_server: Any, work_off: Callable[[], int]) -> None:
    connect(page, live_server)
    page.get_by_role("button", name="Fire a test postback").click()
    expect(page.locator("#verdict")).to_contain_text("Being judged")
    work_off()
    expect(page.locator("#verdict")).to_contain_text("The click is a test.")
    assert Click.objects.get().is_test


def test_where_our_own_address_does_not_answer_the_command_is_told(page: Page, live_server: Any, settings: Any) -> None:
    connect(page, live_server)
    settings.PUBLIC_BASE_URL = "http://127.0.0.1:9"
    page.get_by_role("button", name="Fire a test postback").click()
    expect(page.get_by_text("Our own address could not be called from here.")).to_be_visible()
    expect(page.get_by_label("Command", exact=True)).to_contain_text("curl -i 'http://127.0.0.1:9/api/postbacks/tune/")
    assert not Conversion.objects.exists()
