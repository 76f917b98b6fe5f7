"""The page of the API's schema, in a real browser: it shows every operation, and loads nothing that is not ours."""

import json
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Request, expect

from tests import factories
from tests.api.conftest import caller
from trackly.api.schema import document

pytestmark = pytest.mark.django_db(transaction=True)


def test_the_page_shows_every_operation_and_asks_nobody_else(context: BrowserContext, live_server: Any) -> None:
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url)

    context.on("request", note)
    page = context.new_page()
    page.goto(f"{live_server.url}/api/v2/docs")
    shown = page.locator(".opblock-summary-path")
    operations = [path for path, methods in json.loads(document())["paths"].items() for _ in methods]
    expect(shown).to_have_count(len(operations))
    # They are broken with invisible spaces.
    texts = {text.replace("​", "").strip() for text in shown.all_inner_texts()}
    assert texts == set(operations)
    page.locator("#operations-Messages-send .opblock-summary-control").click()
    expect(page.locator("#operations-Messages-send")).to_contain_text("Idempotency-Key")
    expect(page.locator("#operations-Messages-send")).to_contain_text("idempotency_key_reused")
    assert all(url.startswith((live_server.url, "data:")) for url in asked), asked


def test_a_request_is_tried_from_the_page_with_a_key(context: BrowserContext, live_server: Any) -> None:
    our_list = factories.SendingListFactory(name="Promo")
    key = caller(our_list.account).key
    page = context.new_page()
    page.goto(f"{live_server.url}/api/v2/docs")
    page.get_by_role("button", name="Authorize").click()
    page.locator(".modal-ux input").fill(key)
    page.locator(".modal-ux").get_by_role("button", name="Apply credentials").click()
    page.locator(".modal-ux").get_by_role("button", name="Close").click()
    block = page.locator("#operations-Lists-listLists")
    block.locator(".opblock-summary-control").click()
    block.get_by_role("button", name="Try it out").click()
    block.get_by_role("button", name="Execute").click()
    expect(block.locator(".live-responses-table")).to_contain_text("Promo")
