"""Signing in to the admin in a real browser."""

from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_wrong_password_says_so_and_keeps_the_name(context: BrowserContext, live_server: Any) -> None:
    factories.StaffFactory(username="ada")
    page = context.new_page()
    page.goto(f"{live_server.url}/admin/")
    page.fill("[name=login]", "ada")
    page.fill("[name=password]", "wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("The name or the password is wrong.")).to_be_visible()
    assert page.input_value("[name=login]") == "ada"


def test_the_index_opens_after_signing_in(staff: Page) -> None:
    expect(staff.get_by_label("Find anything")).to_be_visible()
    expect(staff.get_by_role("link", name="Failed webhooks").first).to_be_visible()


@pytest.mark.parametrize(
    "context", [{"viewport": {"width": 390, "height": 800}, "color_scheme": "dark"}], indirect=True
)
def test_the_index_fits_a_phone_in_the_dark(staff: Page) -> None:
    assert staff.evaluate("document.documentElement.scrollWidth") <= 390
