"""The pages of messages, delivery events, replies and contacts in Chromium: both widths, both themes, and what is live."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page

from sendinglists.models import Message, SendingList
from tests import factories
from trackly.models import Account
from webhooks.statuses import Status

pytestmark = pytest.mark.django_db(transaction=True)
WIDTHS, THEMES = (1400, 390), ("light", "dark")


@pytest.fixture
def sending_list(transactional_db: None) -> SendingList:
    account = factories.AccountFactory(name="Acme")
    party = factories.ProviderAccountFactory(account=account, name="Sandbox main")
    return factories.SendingListFactory(provider_account=party, account=account, name="Acme promotions", brand="Acme")


@pytest.fixture
def message(sending_list: SendingList) -> Message:
    """With a story: events, a click, a conversion, a reply; and others beside it."""
    now, account, party = factories.now(), sending_list.account, sending_list.provider_account
    base = {"sending_list": sending_list, "account": account, "provider_account": party, "campaign": "spring"}
    row = factories.MessageFactory(
        **base, to="+14155550173", body="Hello, see https://go.example.com/abc1234", status=Status.SENT, sent_at=now,
        handed_at=now, created_at=now - timedelta(minutes=2),
    )  # fmt: skip
    factories.DeliveryEventFactory(message=row, status=Status.SENT, vendor_status="SENT", at=now)
    others = (
        ("delivered", "", "DELIVERED"),
        ("failed", "unreachable", "ABSENT_SUBSCRIBER"),
        ("dropped", "opt_out", ""),
    )
    for status, reason, word in others:
        other = factories.MessageFactory(**base, status=status, reason=reason, status_detail=word)
        factories.DeliveryEventFactory(message=other, status=status, reason=reason, vendor_status=word)
    offer = factories.OfferFactory(account=account, connection__account=account, name="Running shoes")
    link = factories.LinkFactory(offer=offer, account=account, message=row, code="abc1234")
    factories.ClickFactory(link=link, account=account, message=row, is_counted=True)
    contact = factories.ContactFactory(account=account, phone=row.to)
    subscription = factories.SubscriptionFactory(
        contact=contact, sending_list=sending_list, state="opted_out", decided_at=now
    )
    factories.SubscriptionChangeFactory(subscription=subscription, at=now)
    factories.SuppressionFactory(account=account, phone=row.to, brand="Acme")
    factories.ReplyFactory(
        account=account, provider_account=party, sending_list=sending_list, sender=row.to, text="STOP " + "please " * 30,
        decision="opt_out",
    )  # fmt: skip
    return row


def views(page: Page, paths: list[str]) -> Iterator[str]:
    """Opens each at both widths and in both themes."""
    base = page.url.rstrip("/")
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        for theme in THEMES:
            page.evaluate(f"localStorage.setItem('theme', '{theme}')")
            for path in paths:
                page.goto(f"{base}/{path}")
                yield f"{path} {width} {theme}"


def wrong(page: Page, serious: Callable[[Page], list[str]]) -> list[str]:
    """What axe finds, and whether the page is wider than the window."""
    wide = page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    return [*serious(page), *(["the page scrolls sideways"] if wide else [])]


def test_the_pages_are_sound_at_both_widths_in_both_themes(
    owner: Callable[..., Page], serious: Callable[[Page], list[str]], message: Message
) -> None:
    page = owner(message.account)
    contact = message.account.contact_set.get(phone=message.to)
    paths = [
        "messages/", "messages/?status=open", f"messages/{message.public_id}/", "events/", "replies/", "contacts/",
        f"contacts/{contact.pk}/", "contacts/close/",
    ]  # fmt: skip
    found = {name: wrong(page, serious) for name in views(page, paths)}
    assert {name: said for name, said in found.items() if said} == {}


def test_a_message_moves_to_delivered_while_it_is_looked_at(owner: Callable[..., Page], message: Message) -> None:
    page = owner(message.account)
    page.goto(f"{page.url}messages/{message.public_id}/")
    assert page.locator(".tk-head .tk-badge").inner_text() == "Sent"
    factories.DeliveryEventFactory(message=message, status=Status.DELIVERED, vendor_status="DELIVERED")
    Message.objects.filter(pk=message.pk).update(status=Status.DELIVERED)
    page.locator(".tk-head .tk-badge", has_text="Delivered").wait_for()
    # It asks no more.
    assert page.locator("[hx-trigger]").count() == 0


def test_a_live_list_shows_what_comes_without_a_reload(owner: Callable[..., Page], message: Message) -> None:
    page = owner(message.account)
    page.goto(f"{page.url}events/")
    page.get_by_role("button", name="Watch live").click()
    page.get_by_role("button", name="Live: stop").wait_for()
    factories.DeliveryEventFactory(message=message, status=Status.READ, vendor_status="SEEN")
    page.get_by_role("cell", name="SEEN").wait_for()


def test_a_number_is_opted_out_by_the_keyboard_alone(owner: Callable[..., Page], message: Message) -> None:
    page = owner(message.account)
    page.goto(f"{page.url}messages/{message.public_id}/")
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_label("Opt this number out of").focus()
    page.keyboard.press("Tab")
    with page.expect_navigation():
        page.keyboard.press("Enter")
    page.get_by_role("status").filter(has_text="already").wait_for()


def test_a_file_of_numbers_is_worked_off_part_by_part(
    owner: Callable[..., Page], sending_list: SendingList, tmp_path: Any
) -> None:
    account: Account = sending_list.account
    file = tmp_path / "numbers.csv"
    file.write_text("phone\n" + "\n".join(f"+1415555{n:04d}" for n in range(1000, 3500)) + "\n12\n")
    page = owner(account)
    page.goto(f"{page.url}contacts/close/")
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Close the numbers of the file").click()
    page.get_by_text("Part 3 of 3: 2,500 numbers closed, 1 wrong.").wait_for()
    page.get_by_text("Line 2502:").wait_for()
