"""The pages of failed webhooks in Chromium: both widths, both themes; a replay of all that is watched to its end."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from playwright.sync_api import Page

from sendinglists.models import ProviderAccount
from tests import factories
from trackly.management.commands import work
from webhooks.inbound.models import InboundRequest

pytestmark = pytest.mark.django_db(transaction=True)
WIDTHS, THEMES = (1400, 390), ("light", "dark")


@pytest.fixture
def party(transactional_db: None) -> ProviderAccount:
    return factories.ProviderAccountFactory(account=factories.AccountFactory(name="Acme"), name="Sandbox main")


@pytest.fixture
def request_row(party: ProviderAccount) -> InboundRequest:
    mine = {"account": party.account, "party_id": party.pk}
    factories.RequestTotalFactory(
        account_id=party.account.pk, party_id=party.pk, slug=party.provider, standing="bad_signature", n=312
    )
    factories.InboundRequestFactory(**mine, state="refused", refusal="plain_http", answer_status=403)
    factories.InboundRequestFactory(
        **mine, state="waiting", attempts=2, last_error="Traceback\nValueError: seven is no number"
    )
    return factories.InboundRequestFactory(
        **mine, state="refused", refusal="bad_signature", answer_status=401, ids=["SM1", "+14155550173"],
        answer=b'{"error": "signature"}', headers=b"content-type: application/json\r\nuser-agent: Acme/1.0\r\n",
        body=b'{"results": [{"to": "14155550173", "status": {"groupName": "DELIVERED", "id": 5}}]}',
    )  # fmt: skip


def views(page: Page, paths: list[str]) -> Iterator[str]:
    """Opens each at both widths and in both themes."""
    base = page.url.rstrip("/")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for theme in THEMES:
            page.evaluate(f"localStorage.setItem('theme', '{theme}')")
            for path in paths:
                page.goto(f"{base}/{path}")
                for folded in page.locator("main details").all():
                    folded.evaluate("folded => { folded.open = true; }")
                yield f"{path} {width} {theme}"


def test_the_pages_are_sound_at_both_widths_in_both_themes(
    owner: Callable[..., Page], serious: Callable[[Page], list[str]], request_row: InboundRequest
) -> None:
    page = owner(request_row.account)
    paths = [
        "requests/", "requests/?cause=bad_signature", f"requests/{request_row.uid}/", "requests/replay/",
        "requests/discard/?state=refused",
    ]  # fmt: skip
    found = {}
    for name in views(page, paths):
        wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        found[name] = [*serious(page), *(["the page scrolls sideways"] if wide else [])]
    assert {name: said for name, said in found.items() if said} == {}


def test_all_are_replayed_and_watched_to_the_end_without_a_reload(
    owner: Callable[..., Page], serious: Callable[[Page], list[str]], party: ProviderAccount
) -> None:
    for _ in range(3):
        factories.InboundRequestFactory(account=party.account, party_id=party.pk, state="failed", attempts=6)
    page = owner(party.account)
    page.goto(f"{page.url}requests/")
    page.get_by_role("link", name="Replay all of these").click()
    page.get_by_text("3 failed webhooks are replayed.").wait_for()
    page.get_by_role("button", name="Replay them").click()
    page.get_by_text("0 of 3 worked off.").wait_for()
    assert serious(page) == []
    work.work(datetime.now(UTC))
    page.get_by_text("All 3 are worked off.").wait_for()
    assert page.locator("[hx-trigger]").count() == 0
