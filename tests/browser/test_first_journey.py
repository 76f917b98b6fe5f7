"""The first journey of an account owner, in a real browser: credentials added, webhooks configured by themselves, a test message
sent, its timeline watched until it is delivered. Nothing is reloaded: a mark set in the page is still there at the end."""

import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connections
from playwright.sync_api import Page, expect

from sendinglists.models import Message, ProviderAccount
from tests import factories, vendors
from tests.vendors import NUMBER, AtTwilio, Callback
from trackly.dispatch import Dispatcher
from trackly.management.commands import work

pytestmark = pytest.mark.django_db(transaction=True)
Owner = Callable[..., Page]
MARK = "window.marker = 'still the same page'"
PAUSE_S = 0.05


@contextmanager
def worker() -> Iterator[None]:
    """What `manage.py work` does, in threads, until the block ends."""
    dispatcher, is_over = Dispatcher(work.lines(), slots=8), threading.Event()

    def work_off() -> None:
        try:
            while not is_over.wait(PAUSE_S):
                work.work(datetime.now(UTC))
        finally:
            connections.close_all()

    batches = threading.Thread(target=work_off)
    dispatcher.start()
    batches.start()
    try:
        yield
    finally:
        is_over.set()
        batches.join()
        dispatcher.stop()


@pytest.fixture
def routes(settings: Any, live_server: Any) -> dict[str, str]:
    """The world's DNS: our public address leads to the server of this test."""
    settings.OUTGOING_ROUTES = {"https://hooks.example.com": live_server.url}
    return settings.OUTGOING_ROUTES  # type: ignore[no-any-return]


def is_unmoved(page: Page) -> bool:
    return bool(page.evaluate("window.marker === 'still the same page'"))


def test_with_the_sandbox_by_keyboard_alone(owner: Owner, routes: dict[str, str]) -> None:
    account = factories.AccountFactory()
    page = owner(account)
    keys = Keyboard(page)
    keys.enter("Sending lists")
    keys.enter("New sending list")
    keys.enter("Add credentials at Sandbox")
    keys.type("Name", "Practice")
    keys.enter("Try and keep them")
    keys.press("+18005550142: make a list", "Space")
    keys.type("Name of the list for +18005550142", "Autumn")
    keys.enter("Make the lists")
    expect(page.locator("#webhooks")).to_contain_text("Configured")
    keys.enter("Autumn")
    keys.type("To", "+14155550101")
    keys.enter("Send a test message")
    expect(page.get_by_text("Queued: it waits for its turn")).to_be_visible()
    page.evaluate(MARK)
    with worker():
        expect(page.locator(".tk-headline")).to_contain_text("The message is delivered")
    expect(page.locator(".tk-moments")).to_contain_text("Sent")
    expect(page.locator("[data-live]")).to_have_count(0)
    expect(page.locator("#announce")).to_contain_text("The message is delivered")
    assert is_unmoved(page)
    assert Message.objects.get().is_test


class Keyboard:
    """A person without a mouse: Tab until the thing has the focus, then a key or a text."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def to(self, name: str) -> None:
        for _ in range(120):
            self._page.keyboard.press("Tab")
            if self._page.evaluate(_NAME_OF_FOCUS) == name:
                return
        raise AssertionError(f"Tab does not lead to '{name}'")

    def press(self, name: str, key: str) -> None:
        self.to(name)
        self._page.keyboard.press(key)

    def enter(self, name: str) -> None:
        """Onward to another page."""
        self.to(name)
        with self._page.expect_navigation():
            self._page.keyboard.press("Enter")

    def type(self, name: str, text: str) -> None:
        self.to(name)
        self._page.keyboard.press("Control+A")
        self._page.keyboard.type(text)


# As a screen reader would name it, near enough.
_NAME_OF_FOCUS = """(() => {
  const here = document.activeElement;
  const label = here.labels && here.labels[0];
  const words = here.getAttribute('aria-label') || (label ? label.textContent : here.textContent);
  return words.replace(/\\s+/g, ' ').trim();
})()"""


@pytest.fixture
def twilio(routes: dict[str, str]) -> Iterator[AtTwilio]:
    for made in vendors.at("twilio"):
        assert isinstance(made, AtTwilio)
        routes.update(made.routes)
        yield made


def call_back(live_server: Any, callback: Callback) -> None:
    """Over HTTP, to the address that was registered, as the world's DNS would lead it."""
    url, headers, body = callback
    assert url.startswith("https://hooks.example.com")
    here = live_server.url + url.removeprefix("https://hooks.example.com")
    with urllib.request.urlopen(urllib.request.Request(here, body, headers, method="POST"), timeout=10) as answer:
        assert answer.status == 200


def test_with_twilio(owner: Owner, twilio: AtTwilio, live_server: Any) -> None:
    account = factories.AccountFactory()
    page = owner(account)
    page.get_by_role("link", name="Sending lists").first.click()
    page.get_by_role("link", name="New sending list").first.click()
    page.get_by_role("link", name="Add credentials at Twilio").click()
    page.get_by_label("Account SID").fill(twilio.entered["setting_account_sid"])
    page.get_by_label("Auth token").fill("one digit wrong")
    page.get_by_role("button", name="Try and keep them").click()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was saved.")
    assert not ProviderAccount.objects.exists()
    # Nothing was lost but the secret.
    expect(page.get_by_label("Account SID")).to_have_value(twilio.entered["setting_account_sid"])
    expect(page.get_by_label("Auth token")).to_have_value("")
    page.get_by_label("Auth token").fill(twilio.entered["setting_auth_token"])
    page.get_by_role("button", name="Try and keep them").click()
    page.get_by_text(NUMBER, exact=False).first.wait_for()
    page.get_by_role("button", name="Make the lists").click()
    watch_it_configure_itself(page, twilio)
    page.get_by_role("region", name="Its sending lists").get_by_role("link").first.click()
    page.get_by_label("To", exact=True).fill("+1 415 555 0101")
    page.get_by_role("button", name="Send a test message").click()
    watch_it_arrive(page, twilio, live_server)


def watch_it_configure_itself(page: Page, twilio: AtTwilio) -> None:
    panel = page.locator("#webhooks")
    expect(panel).to_contain_text("Being configured")
    expect(panel.locator("[data-step=waiting]")).not_to_have_count(0)
    page.evaluate(MARK)
    with worker():
        expect(panel.locator(".tk-head")).to_contain_text("Configured")
    expect(panel.locator("[data-step=waiting]")).to_have_count(0)
    expect(panel.locator("[data-step=done]")).not_to_have_count(0)
    assert panel.get_attribute("hx-get") is None, "it still asks, with nothing to wait for"
    assert is_unmoved(page)
    [number] = twilio.fake.numbers.values()  # type: ignore[attr-defined]
    assert "hooks.example.com" in str(number)


def watch_it_arrive(page: Page, twilio: AtTwilio, live_server: Any) -> None:
    headline = page.locator(".tk-headline")
    expect(page.get_by_text("Queued: it waits for its turn")).to_be_visible()
    page.evaluate(MARK)
    with worker():
        expect(page.get_by_text("waiting for the carrier")).to_be_visible()
        sent, delivered = twilio.delivered(Message.objects.get())
        call_back(live_server, sent)
        expect(page.get_by_text("waiting for the phone to confirm")).to_be_visible()
        call_back(live_server, delivered)
        expect(headline).to_contain_text("The message is delivered")
    expect(page.locator("[data-live]")).to_have_count(0)
    assert is_unmoved(page)
