"""Signing in with a second factor, and coming into an account by invitation, in a real browser; and how these pages look."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests import factories
from tests.browser.conftest import PASSWORD
from trackly.models import Account, Invitation, Membership

pytestmark = pytest.mark.django_db(transaction=True)
Role = Membership.Role
SIZES = {
    f"{theme}-{width}": {"viewport": {"width": width, "height": height}, "color_scheme": theme}
    for width, height in ((1400, 900), (390, 844))
    for theme in ("light", "dark")
}


def code_of(secret: str, ahead: int = 0) -> str:
    # The code of the step before is taken until this step ends: not to be typed at its very end.
    if ahead < 0 and (passed := time.time() % 30) > 20:
        time.sleep(30 - passed)
    return format_hotp_value(hotp_value(secret, int(time.time()) // 30 + ahead))


def sign_in(page: Page, base: str, name: str) -> None:
    page.goto(f"{base}/")
    page.get_by_label("User name or e-mail address").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


def sign_out(page: Page) -> None:
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_somebody_sets_up_a_second_factor_and_signs_in_with_it(context: BrowserContext, live_server: Any) -> None:
    factories.MembershipFactory(user__username="ada", account__name="Acme")
    page = context.new_page()
    sign_in(page, live_server.url, "ada")
    page.goto(f"{live_server.url}/account/2fa/")
    page.get_by_role("link", name="Set up").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    picture = page.locator("img.tk-qr")
    assert picture.evaluate("image => image.complete && image.naturalWidth") > 100
    secret = page.locator(".tk-copy-text").inner_text()
    page.get_by_label("Authenticator code").fill(code_of(secret, -1))
    page.get_by_role("button", name="Switch on").click()
    expect(page.get_by_text("Two-factor sign-in is on.")).to_be_visible()
    assert page.get_by_role("list", name="Recovery codes").get_by_role("listitem").count() == 10
    sign_out(page)
    sign_in(page, live_server.url, "ada")
    expect(page.get_by_role("heading", name="Second step")).to_be_visible()
    page.get_by_label("Code").fill(code_of(secret))
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{live_server.url}/a/*/")


def test_an_owner_invites_and_somebody_comes_in_from_another_window(
    owner: Callable[..., Page], browser: Browser, live_server: Any, settings: Any
) -> None:
    settings.PUBLIC_BASE_URL = live_server.url
    account = factories.AccountFactory(name="Acme")
    page = owner(account)
    page.goto(f"{live_server.url}/a/{account.public_id}/people/")
    page.get_by_role("link", name="Invite somebody").click()
    page.get_by_label("E-mail address").fill("bob@example.com")
    page.get_by_label("Role").select_option("viewer")
    page.get_by_role("button", name="Invite").click()
    link = page.get_by_label("Invitation link", exact=True).inner_text()
    window = browser.new_context()
    other = window.new_page()
    other.goto(link)
    expect(other.get_by_label("E-mail address")).to_have_value("bob@example.com")
    other.get_by_label("User name").fill("bob")
    other.get_by_label("Password", exact=True).fill("battery staple 9")
    other.get_by_label("The same password again").fill("battery staple 9")
    other.get_by_role("button", name="Make the user and join").click()
    other.wait_for_url(f"{live_server.url}/a/{account.public_id}/")
    window.close()
    page.get_by_role("link", name="Done").click()
    expect(page.get_by_role("row", name="bob")).to_contain_text("Viewer")
    expect(page.get_by_text("Nobody is waiting")).to_be_visible()
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Remove bob").click()
    expect(page.get_by_text("bob does not belong to this account any more.")).to_be_visible()


def look(page: Page, serious: Callable[[Page], list[str]], name: str) -> None:
    """Nothing serious, and nothing wider than the window. PICTURES keeps what was seen."""
    assert serious(page) == [], name
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    if folder := os.environ.get("PICTURES"):
        theme = page.evaluate("document.documentElement.dataset.bsTheme")
        page.screenshot(path=Path(folder) / f"{name}-{width}-{theme}.png", full_page=True)


@pytest.mark.parametrize("context", SIZES.values(), ids=SIZES, indirect=True)
def test_pages_before_the_sign_in_are_sound(
    context: BrowserContext, live_server: Any, serious: Callable[[Page], list[str]], settings: Any
) -> None:
    page, base = context.new_page(), live_server.url
    invitation = factories.InvitationFactory(account__name="Acme", invited_by=factories.UserFactory(username="ada"))
    token = "a" * 26
    Invitation.objects.filter(pk=invitation.pk).update(token_hash=factories.token_hash(token))
    for name, path in (("login", "/account/login/"), ("closed", "/account/signup/"), ("reset", "/account/password/reset/"),
                       ("invitation", f"/invitation/{token}/")):  # fmt: skip
        page.goto(base + path)
        look(page, serious, name)
    page.get_by_role("button", name="Make the user and join").click()
    settings.HAS_MAIL = settings.SIGNUP_OPEN = True
    for name, path in (("signup", "/account/signup/"), ("reset-by-mail", "/account/password/reset/"),
                       ("reset-done", "/account/password/reset/done/"), ("sent", "/account/confirm-email/")):  # fmt: skip
        page.goto(base + path)
        look(page, serious, name)


@pytest.mark.parametrize("context", SIZES.values(), ids=SIZES, indirect=True)
def test_pages_of_one_s_own_user_are_sound(
    context: BrowserContext, live_server: Any, serious: Callable[[Page], list[str]], settings: Any
) -> None:
    page, base = context.new_page(), live_server.url
    factories.UserFactory(username="ada", email="ada@example.com")
    settings.SIGNUP_OPEN = True
    sign_in(page, base, "ada")
    look(page, serious, "first-account")
    for name, path in (("password", "password/change/"), ("email", "email/"), ("factor-off", "2fa/"), ("logout", "logout/"),
                       ("again", "2fa/totp/activate/")):  # fmt: skip
        page.goto(f"{base}/account/{path}")
        look(page, serious, name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Go on").click()
    look(page, serious, "factor-set-up")
    page.get_by_label("Authenticator code").fill("000000")
    page.get_by_role("button", name="Switch on").click()
    look(page, serious, "factor-wrong-code")
    secret = page.locator(".tk-copy-text").inner_text()
    page.get_by_label("Authenticator code").fill(code_of(secret))
    page.get_by_role("button", name="Switch on").click()
    look(page, serious, "recovery-codes")
    for name, path in (
        ("factor-on", ""),
        ("factor-off-sure", "totp/deactivate/"),
        ("new-codes", "recovery-codes/generate/"),
    ):
        page.goto(f"{base}/account/2fa/{path}")
        look(page, serious, name)
    sign_out(page)
    sign_in(page, base, "ada")
    look(page, serious, "second-step")


@pytest.mark.parametrize("context", SIZES.values(), ids=SIZES, indirect=True)
def test_pages_of_the_account_s_people_are_sound(
    owner: Callable[..., Page], live_server: Any, serious: Callable[[Page], list[str]]
) -> None:
    account: Account = factories.AccountFactory(name="Acme")
    for name, role in (("mia.the-member", Role.MEMBER), ("vera", Role.VIEWER)):
        factories.MembershipFactory(account=account, role=role, user__username=name, user__email=f"{name}@example.com")
    for n, email in enumerate(("bob@example.com", "somebody.with.a.long.address@department.example.com")):
        factories.InvitationFactory(
            account=account, email=email, expires_at=factories.now() + (n - 0.5) * Invitation.LASTS
        )
    page = owner(account)
    for name, path in (("people", "people/"), ("invite", "people/invite/")):
        page.goto(f"{live_server.url}/a/{account.public_id}/{path}")
        look(page, serious, name)
    page.get_by_label("E-mail address").fill("eve@example.com")
    page.get_by_role("button", name="Invite").click()
    look(page, serious, "invited")
