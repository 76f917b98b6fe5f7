"""Every page of sending lists and credentials, as it looks: wide and narrow, light and dark."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from sendinglists.models import ProviderAccount
from tests import factories
from tests.fakes.acme import HOME, KEY, OURS, SECOND, SETTINGS, Acme, FakeAcme
from webhooks import providers
from webhooks.inbound.models import DeliveryEvent
from webhooks.orders import StepState

pytestmark = pytest.mark.django_db(transaction=True)
Owner = Callable[..., Page]
Serious = Callable[[Page], list[str]]
PHONE = {"viewport": {"width": 390, "height": 844}}
WIDE = {"viewport": {"width": 1400, "height": 900}}


@pytest.fixture
def acme(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeAcme]:
    monkeypatch.setitem(providers.all_providers(), "acme", Acme())
    with FakeAcme() as fake:
        settings.OUTGOING_ROUTES = {HOME: fake.url, "https://hooks.example.com": fake.url}
        yield fake


@pytest.fixture
def party(acme: FakeAcme) -> ProviderAccount:
    """Credentials with every state of a step, two lists, messages and their events, refused callbacks."""
    now = factories.now()
    row: ProviderAccount = factories.ProviderAccountFactory(
        account=factories.AccountFactory(name="Northwind outdoor shops"), provider="acme", name="Main line",
        settings=SETTINGS, webhook_state="failed", webhook_state_cause="Acme answered 503. Ask Acme.", webhook_state_at=now,
        numbers=[{"number": "+18005550150", "name": "Free line", "can_receive": True}], checked_at=now,
    )  # fmt: skip
    for n, state in enumerate(StepState):
        row.steps.create(
            key=f"k{n}", position=n, title=f"Hook of number +1800555014{n}", state=state, at=now,
            said="The provider was told to call us.", fix="Paste the URL in its console." if n > 2 else "",
        )  # fmt: skip
    lists = [
        factories.SendingListFactory(provider_account=row, number=OURS, name="Autumn offers", brand="Northwind"),
        factories.SendingListFactory(provider_account=row, number=SECOND, name="Winter", status="paused"),
    ]
    for kind, n in (("message", 1_204), ("message_delivered", 1_117), ("reply", 31)):
        hour = now.replace(minute=0, second=0, microsecond=0)
        factories.HourlyTotalFactory(account=row.account, list_id=lists[0].pk, kind=kind, n=n, hour=hour)
    factories.RequestTotalFactory(
        slug="acme", party_id=row.pk, account_id=row.account_id, standing="bad_signature", n=7, last_at=now
    )
    for n in range(4):
        message = factories.MessageFactory(
            sending_list=lists[0], to=f"+1415555010{n}", body="Trail shoes at half the price until Sunday.", is_test=n == 0,
            created_at=now - timedelta(minutes=n), sent_at=now,
        )  # fmt: skip
        factories.DeliveryEventFactory(
            message=message, account=row.account, vendor_status="DELIVERED_TO_HANDSET", received_at=now, at=now
        )
    factories.OfferFactory(account=row.account, name="Trial month")
    return row


def pages_of(party: ProviderAccount) -> dict[str, str]:
    """Name -> path of every page of this part."""
    base = f"/a/{party.account.public_id}"
    row, one = f"{base}/credentials/{party.pk}", f"{base}/lists/{party.sendinglist_set.order_by('id')[0].pk}"
    message = DeliveryEvent.objects.order_by("id")[0].message
    return {
        "lists": f"{base}/lists/",
        "list_new": f"{base}/lists/new/",
        "list": f"{one}/",
        "list_edit": f"{one}/edit/",
        "list_delete": f"{one}/delete/",
        "list_test": f"{one}/test/",
        "test_message": f"{base}/tests/{message.public_id}/",
        "credentials_new": f"{base}/credentials/new/?provider=acme",
        "credentials": f"{row}/",
        "credentials_numbers": f"{row}/numbers/",
        "credentials_change": f"{row}/change/",
        "credentials_proof": f"{row}/proof/",
        "credentials_retire": f"{row}/retire/",
    }


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("context", [WIDE, PHONE], indirect=True, ids=["wide", "phone"])
def test_every_page_is_accessible_and_fits(
    owner: Owner, party: ProviderAccount, serious: Serious, live_server: Any, theme: str
) -> None:
    page = owner(party.account)
    page.evaluate(f"localStorage.setItem('theme', '{theme}')")
    for name, path in pages_of(party).items():
        page.goto(live_server.url + path)
        assert page.locator("html").get_attribute("data-bs-theme") == theme, name
        assert serious(page) == [], name
        overflow = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert overflow <= 0, f"{name} scrolls sideways by {overflow}px"


def test_an_empty_account_is_told_what_to_do(owner: Owner, live_server: Any, serious: Serious) -> None:
    account = factories.AccountFactory()
    page = owner(account)
    page.goto(f"{live_server.url}/a/{account.public_id}/lists/")
    expect(page.get_by_role("heading", name="What a sending list is")).to_be_visible()
    assert serious(page) == []
    page.get_by_role("link", name="New sending list").last.click()
    expect(page.get_by_role("heading", name="New sending list")).to_be_visible()


def test_the_check_shows_its_progress_and_then_what_it_found(
    owner: Owner, party: ProviderAccount, live_server: Any, serious: Serious
) -> None:
    page = owner(party.account)
    page.goto(live_server.url + pages_of(party)["credentials"])
    page.evaluate("window.marker = 1")
    busy = page.locator("#examining")
    expect(busy).not_to_be_visible()
    page.route("**/examine/", lambda route: (expect(busy).to_be_visible(), route.continue_())[1])
    page.get_by_role("button", name="Check my set-up").click()
    expect(page.locator("#findings")).to_contain_text("not ours")
    expect(busy).not_to_be_visible()
    assert page.evaluate("window.marker") == 1
    assert serious(page) == []


def test_while_credentials_are_tried_the_button_says_so(owner: Owner, party: ProviderAccount, live_server: Any) -> None:
    page = owner(party.account)
    page.goto(live_server.url + pages_of(party)["credentials_new"])
    page.get_by_label("Key", exact=True).fill(KEY)
    # While a page goes, nothing in it can be asked: it notes down by itself what it showed.
    page.evaluate(
        "const it = document.querySelector('[data-busy]');"
        "new MutationObserver(() => { sessionStorage.shown = it.textContent; }).observe(it, {childList: true})"
    )
    page.get_by_role("button", name="Try and keep them").click()
    expect(page.get_by_text("Acme knows you.")).to_be_visible()
    assert page.evaluate("sessionStorage.shown") == "Trying the credentials…"


@pytest.mark.parametrize("context", [{**WIDE, "java_script_enabled": False}], indirect=True)
def test_without_scripts_everything_is_reached_by_links_and_forms(
    owner: Owner, party: ProviderAccount, live_server: Any
) -> None:
    page = owner(party.account)
    page.goto(live_server.url + pages_of(party)["credentials"])
    page.get_by_role("button", name="Check my set-up").click()
    expect(page.get_by_role("heading", name="What the check found")).to_be_visible()
    page.get_by_role("link", name="Back to Main line").click()
    page.get_by_role("button", name="Configure again").click()
    expect(page.get_by_role("link", name="Reload to see how it goes on")).to_be_visible()
    page.goto(live_server.url + pages_of(party)["list"])
    page.get_by_label("To", exact=True).fill("+14155550101")
    page.get_by_role("button", name="Send a test message").click()
    expect(page.get_by_text("Queued: it waits for its turn")).to_be_visible()
    expect(page.get_by_role("link", name="Reload to see how it goes on")).to_be_visible()
