"""Owns the browser of the browser tests: the system's Chromium, signed in as staff, where any violation of the policy fails."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests import factories
from trackly.models import Account, Membership

# Playwright's loop runs in this thread, where the ORM is used as well; nothing here is asynchronous.
os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "true")

PASSWORD = "correct horse"
_AXE = Path(__file__).parent / "vendor" / "axe.min.js"
_REPORT_VIOLATIONS = """
document.addEventListener('securitypolicyviolation',
  event => console.error('POLICY ' + event.violatedDirective + ' ' + event.blockedURI + ' ' + event.sample));
"""


# While it is there a loop runs in this thread, so it goes when these tests are over and others may run loops of their own.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        words = "There is no Chromium: browser tests were skipped. `apt-get install chromium` brings it."
        # What nobody looked at must not pass for tested.
        (pytest.fail if os.environ.get("CI") else pytest.skip)(words)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox", "--disable-gpu"])
        yield chromium
        chromium.close()


@pytest.fixture(autouse=True)
def _nobody_signed_in_before(transactional_db: None) -> None:
    """Attempts are counted in a table that no model has, so it is not emptied after a test."""
    cache.clear()


@pytest.fixture
def context(browser: Browser, request: pytest.FixtureRequest) -> Iterator[BrowserContext]:
    """A fresh browser window; the test fails on a policy violation, a script error, or a file of ours that is missing."""
    options: dict[str, Any] = getattr(request, "param", {"viewport": {"width": 1400, "height": 900}})
    window = browser.new_context(**options)
    window.set_default_timeout(15_000)
    window.add_init_script(_REPORT_VIOLATIONS)
    said: list[str] = []
    window.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    window.on("weberror", lambda error: said.append(str(error.error)))
    yield window
    window.close()
    assert said == []


@pytest.fixture
def staff(context: BrowserContext, live_server: Any) -> Page:
    """The admin's index, signed in with a password."""
    factories.StaffFactory(username="ada")
    page = context.new_page()
    page.goto(f"{live_server.url}/admin/")
    page.fill("[name=login]", "ada")
    page.fill("[name=password]", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{live_server.url}/admin/")
    return page


@pytest.fixture
def find(staff: Page) -> Callable[[str], Page]:
    """Type into the one search box, and wait for what comes."""

    def run(text: str) -> Page:
        box = staff.get_by_label("Find anything")
        box.fill(text)
        with staff.expect_navigation():
            box.press("Enter")
        return staff

    return run


@pytest.fixture
def owner(context: BrowserContext, live_server: Any) -> Callable[..., Page]:
    """owner(account) or owner(account, Role.VIEWER): a page signed in without a form, at the account's overview."""

    def sign_in(account: Account, role: Membership.Role = Membership.Role.OWNER) -> Page:
        client = Client()
        person = factories.MembershipFactory(account=account, role=role).user
        client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
        session = client.cookies["sessionid"].value
        context.add_cookies([{"name": "sessionid", "value": session, "url": live_server.url}])
        page = context.new_page()
        page.goto(f"{live_server.url}/a/{account.public_id}/")
        return page

    return sign_in


@pytest.fixture
def serious() -> Callable[[Page], list[str]]:
    """What axe finds on a page that is serious or critical: rule, and the first element it met."""

    def look(page: Page) -> list[str]:
        # Run in the page's own world, past its policy, which lets no script in.
        page.evaluate(_AXE.read_text())
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
        return [
            f"{item['id']}: {item['help']}; {item['nodes'][0]['html'][:200]} ({len(item['nodes'])} in all)"
            for item in found
            if item["impact"] in ("serious", "critical")
        ]

    return look
