"""The overview in a real browser: an empty account and a busy one, on a desk and on a phone, in the light and in the dark."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests import factories
from trackly.models import Account, HourlyTotal
from webhooks.inbound.models import RequestTotal

pytestmark = pytest.mark.django_db(transaction=True)
_WINDOWS = [
    {"viewport": {"width": width, "height": 900}, "color_scheme": theme}
    for width in (1400, 390)
    for theme in ("light", "dark")
]
HOUR = timedelta(hours=1)


def busy(account: Account) -> None:
    """Two lists, two networks, traffic of two days, and some of everything that needs attention."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    party = factories.ProviderAccountFactory(
        account=account, name="Main keys", webhook_state="failed", webhook_state_cause="It does not know this key."
    )
    calm = factories.ProviderAccountFactory(account=account, name="Second keys", webhook_state="configured")
    lines = [factories.SendingListFactory(provider_account=row, name=f"{row.name} list") for row in (party, calm)]
    factories.MessageFactory(sending_list=lines[0], status="delivered", is_test=True)
    factories.MessageFactory(sending_list=lines[1], due_at=now)
    type(lines[1]).objects.filter(pk=lines[1].pk).update(status="paused")
    networks = [
        factories.NetworkConnectionFactory(account=account, name=name) for name in ("Big network", "Small network")
    ]
    for connection, standing in zip(networks, ("accepted", "bad_secret"), strict=True):
        RequestTotal.objects.create(
            hour=now, source="postback", slug="tune", account_id=account.pk, party_id=connection.pk, standing=standing, n=40,
            last_at=datetime.now(UTC),
        )  # fmt: skip
    factories.ConversionFactory(
        account=account, verdict="held", reported_payout=Decimal("1212.5"), currency="USD", received_at=now
    )
    rows = []
    for ago in range(24 * 16):
        hour, n = now - ago * HOUR, 40 + (ago * 7) % 31
        counts = {
            "message": n + 3, "message_delivered": n - 2, "message_failed": 2, "click": n // 5, "counted_click": n // 6,
            "bot_click": n // 9, "reply": n // 20, "opt_out": n // 35,
        }  # fmt: skip
        for kind, count in counts.items():
            rows.append(HourlyTotal(account=account, hour=hour, kind=kind, list_id=lines[0].pk, n=count))
        for kind, currency, amount in (
            ("conversion", "USD", n * 3),
            ("conversion", "EUR", n),
            ("conversion_pending", "USD", n),
        ):
            rows.append(HourlyTotal(account=account, hour=hour, kind=kind, currency=currency, n=n // 12, amount=amount,
                                    connection_id=networks[0].pk))  # fmt: skip
    HourlyTotal.objects.bulk_create(rows)


def examine(page: Page, serious: Callable[[Page], list[str]]) -> None:
    expect(page.get_by_role("heading", level=1)).to_have_text("Overview")
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("context", _WINDOWS, indirect=True)
def test_a_busy_account_and_an_empty_one_can_be_read_by_everybody(
    owner: Callable[..., Page], serious: Callable[[Page], list[str]], context: Any, settings: Any
) -> None:
    settings.PUBLIC_BASE_URL = "https://hooks.example.com"
    factories.WorkerRunFactory()
    examine(owner(factories.AccountFactory(name="Empty")), serious)
    account = factories.AccountFactory(name="Acme", time_zone="America/New_York")
    busy(account)
    page = owner(account)
    examine(page, serious)
    page.get_by_role("link", name="7 days").click()
    expect(page.get_by_role("heading", name="The last 7 days")).to_be_visible()
    # What is drawn is no empty canvas, and its numbers can be opened.
    expect(page.locator("canvas[data-chart]")).to_have_count(3)
    assert page.evaluate("[...document.querySelectorAll('canvas')].every((canvas) => Chart.getChart(canvas))")
    for summary in page.locator("details:not([data-menu]) > summary", has_text="table").all():
        summary.click()
    expect(page.locator("caption")).to_have_count(3)
    examine(page, serious)
