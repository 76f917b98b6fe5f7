"""The pages of network connections in a real browser: nothing serious for axe, no sideways scrolling, in both themes."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from playwright.sync_api import Page

from postbacks.models import Conversion, NetworkConnection
from tests import factories
from trackly.models import Account

pytestmark = pytest.mark.django_db(transaction=True)

WINDOWS = [
    {"viewport": {"width": width, "height": 900}, "color_scheme": scheme} for width in (1400, 390) for scheme in ("light", "dark")
]  # fmt: skip


def filled() -> tuple[Account, NetworkConnection, str]:
    """An account with a connection that lacks nothing, and the query under which its page shows all of it."""
    account = factories.AccountFactory(name="Acme")
    row = factories.NetworkConnectionFactory(
        account=account, network="everflow", name="Acme Everflow", status_words={"hold2": "pending"}
    )
    offer = factories.OfferFactory(connection=row, name="Pills")
    link = factories.LinkFactory(offer=offer, is_test=True)
    click = factories.ClickFactory(link=link, is_test=True, user_agent="Mozilla/5.0 (iPhone) Safari/604.1")
    path = f"/api/postbacks/{row.network}/{row.postback_token}"
    Client().get(f"{path}?click_id={click.click_id}&payout=5&status=odd")
    Client().get(f"{path}?click_id={{Sub1}}&payout={{payout_amount}}&txid={'9' * 80}")
    since = int((datetime.now(UTC) - timedelta(minutes=5)).timestamp())
    return account, row, f"?link={link.code}&since={since}"


@pytest.mark.parametrize("context", WINDOWS, indirect=True)
def test_every_page_is_accessible_and_fits(
    owner: Callable[..., Page], live_server: Any, serious: Callable[[Page], list[str]], work_off: Callable[[], int]
) -> None:
    account, row, query = filled()
    work_off()
    fired = Conversion.objects.earliest("id").request_uid
    page = owner(account)
    base = f"{live_server.url}/a/{account.public_id}/connections/"
    for path in ("", "new/", f"{row.pk}/{query}&fired={fired}", f"{row.pk}/edit/"):
        page.goto(base + path)
        assert serious(page) == [], path
        width = page.evaluate("document.documentElement.clientWidth")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
