"""The pages of conversions in a browser: at two widths and in both themes nothing serious, nothing wider than the phone."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page

from postbacks.models import Conversion
from tests import factories
from trackly.models import Account

pytestmark = pytest.mark.django_db(transaction=True)
SIZES = [{"viewport": {"width": width, "height": 900}} for width in (1400, 390)]


@pytest.fixture
def account() -> Account:
    """With postbacks of every kind that these pages tell about."""
    connection = factories.NetworkConnectionFactory(name="Maxbounty, a network with a rather long name")
    account = connection.account
    offer = factories.OfferFactory(connection=connection, name="Summer sale of a shop with a long name")
    link = factories.LinkFactory(offer=offer)
    now = factories.now()
    common = {"account": account, "connection": connection, "offer": offer, "currency": "USD", "is_verified": True}
    for n in range(40):
        key = factories.fingerprint((str(n),))
        click = factories.ClickFactory(link=link, at=now - timedelta(hours=6 * n + 1))
        factories.ConversionFactory(
            **{**common, "currency": "EUR" if n % 9 == 0 else "USD", "is_verified": n % 4 != 0},
            click=click, click_ref=click.click_id, click_text=click.click_id, kind="conversion", verdict="recorded", key=key,
            payout=10 + n, status=("approved", "pending", "rejected")[n % 3 if n % 2 else 0],
            received_at=now - timedelta(hours=6 * n), transaction_id=f"1029ab44c1d27700e5f18a2b63c9d4{n}",
        )  # fmt: skip
    for verdict, text in [("unknown_click", "y" * 26), ("literal_macro", "{aff_sub}"), ("held", "k" * 26)]:
        factories.ConversionFactory(
            **{**common, "offer": None}, verdict=verdict, payout=12, click_text=text, click_ref=text[:20],
            received_at=now - timedelta(hours=3), query=b"click_id=%7Baff_sub%7D&payout=12.00",
        )  # fmt: skip
    factories.ExchangeRateFactory(account=account, currency="EUR", valid_from=(now - timedelta(days=60)).date())
    return account


def _addresses(account: Account) -> list[str]:
    name = {row.verdict: f"{row.request_uid}-{row.item}" for row in Conversion.objects.order_by("id")}
    base = f"/a/{account.public_id}"
    return [
        f"{base}/conversions/?group=needs&verdict=held",
        f"{base}/conversions/",
        f"{base}/conversions/?split=offer&days=90&live=1",
        f"{base}/conversions/?transaction=none",
        f"{base}/conversions/{name['recorded']}/",
        f"{base}/conversions/{name['held']}/",
        f"{base}/conversions/{name['literal_macro']}/",
        f"{base}/conversions/{name['literal_macro']}/match/",
        f"{base}/unmatched/",
        f"{base}/conversions/accept/",
    ]


@pytest.mark.parametrize("context", SIZES, indirect=True, ids=["wide", "phone"])
def test_every_page_is_in_order_at_both_widths_and_in_both_themes(
    account: Account, owner: Callable[..., Page], serious: Callable[[Page], list[str]], live_server: Any
) -> None:
    page = owner(account)
    for theme in ("light", "dark"):
        page.evaluate(f"localStorage.setItem('theme', '{theme}')")
        for address in _addresses(account):
            page.goto(f"{live_server.url}{address}")
            page.wait_for_load_state("networkidle") if "live=1" not in address else page.wait_for_timeout(300)
            assert serious(page) == [], (theme, address)
            wide, seen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
            assert wide <= seen, (theme, address)


def test_a_sale_is_rejected_and_taken_back_with_the_keyboard_alone(
    account: Account, owner: Callable[..., Page], live_server: Any
) -> None:
    hit = Conversion.objects.filter(verdict="recorded", status="approved", currency="USD").order_by("id")[0]
    page = owner(account)
    page.goto(f"{live_server.url}/a/{account.public_id}/conversions/{hit.request_uid}-{hit.item}/")
    page.get_by_label("Why? (if you want to say)").press_sequentially("Fraud")
    page.keyboard.press("Enter")
    page.get_by_text("It was rejected by hand").wait_for()
    page.get_by_role("button", name="Take the rejection back").press("Enter")
    page.get_by_text("The network says: approved.").wait_for()
    hit.refresh_from_db()
    assert hit.status == "approved"


def test_the_list_shows_what_comes_while_it_is_watched(
    account: Account, owner: Callable[..., Page], live_server: Any
) -> None:
    page = owner(account)
    page.goto(f"{live_server.url}/a/{account.public_id}/conversions/")
    page.get_by_role("button", name="Watch live").click()
    factories.ConversionFactory(account=account, verdict="duplicate", transaction_id="just-now", payout=1)
    page.get_by_text("just-now").wait_for(timeout=6_000)
