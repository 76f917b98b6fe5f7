"""The whole way with each vendor: credentials entered, webhooks configured, a test message sent, its callbacks taken, delivered;
then the credentials change in the middle of traffic and nothing is lost."""

import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from sendinglists.callbacks import callback_url
from sendinglists.models import Message, ProviderAccount, SendingList, Subscription
from tests import vendors
from tests.factories import AccountFactory, ApiKeyFactory, StaffFactory
from tests.vendors import NUMBER, Callback, Vendor
from trackly.models import Account
from webhooks.inbound.models import DeliveryEvent, InboundRequest
from webhooks.statuses import Origin

pytestmark = pytest.mark.django_db(transaction=True)
Work = Callable[..., int]
CallBack = Callable[[Callback], int]
ADD = "/admin/sendinglists/provideraccount/add/"


@pytest.fixture(params=["infobip", "twilio", "cm"])
def vendor(request: pytest.FixtureRequest, settings: Any) -> Iterator[Vendor]:
    for made in vendors.at(request.param):
        settings.OUTGOING_ROUTES = made.routes
        yield made


@pytest.fixture
def staff() -> Client:
    client = Client()
    client.force_login(StaffFactory())
    return client


@pytest.fixture
def called_back(live_server: Any, settings: Any) -> CallBack:
    """Post a callback over HTTP to the address that was registered, with what was registered; the status of our answer."""

    def post(callback: Callback) -> int:
        url, headers, body = callback
        # What the world's DNS and a proxy do.
        assert url.startswith(settings.PUBLIC_BASE_URL)
        url = live_server.url + url.removeprefix(settings.PUBLIC_BASE_URL)
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, body, headers, method="POST"), timeout=10
            ) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    return post


def add_credentials(staff: Client, vendor: Vendor, account: Account) -> ProviderAccount:
    """As a person does it in the admin: provider chosen, credentials entered and taken, then the numbers."""
    common = {"name": "Ours", "demands_authentication": "on", "address_policy": "off"}
    staff.post(ADD, common | {"account": account.pk, "provider": vendor.slug})
    party = ProviderAccount.objects.get()
    enter(staff, party, vendor.entered)
    party.refresh_from_db()
    assert party.checked_at is not None, "the provider was not asked"
    listed = {row["number"] for row in party.numbers}
    chosen = {"add_numbers": NUMBER} if listed else {"more_numbers": NUMBER}
    assert (NUMBER in listed) != vendor.is_configured_by_hand
    enter(staff, party, kept(vendor) | chosen)
    return party


def kept(vendor: Vendor) -> dict[str, Any]:
    """What the form shows and the browser sends back; secrets are left empty."""
    return {
        name: value for name, value in vendor.entered.items() if name in ("setting_base_url", "setting_account_sid")
    }


def enter(staff: Client, party: ProviderAccount, entered: dict[str, Any]) -> None:
    common = {"name": "Ours", "demands_authentication": "on", "address_policy": "off"}
    shown = {"setting_hmac_algorithm": "HMAC_SHA_256", "setting_hmac_encoding": "hex"}
    answer = staff.post(f"/admin/sendinglists/provideraccount/{party.pk}/change/", common | shown | entered)
    assert answer.status_code == 302, answer.context["adminform"].form.errors


def send(account: Account, phone: str) -> Message:
    """A test message, asked for by the customer's own system."""
    key = ApiKeyFactory.build(account=account)
    text = key.mint()
    key.save()
    asked = {"to": phone, "list_number": NUMBER, "body": "See https://www.example.com/autumn", "is_test": True}
    answer = Client().post("/api/v2/send", asked, "application/json", headers={"X-Api-Key": text})
    assert answer.status_code == 201, answer.content
    return Message.objects.get(public_id=answer.json()["message_id"])


def test_from_credentials_to_delivered_and_through_a_rotation(
    vendor: Vendor, staff: Client, dispatch: Work, work_off: Work, called_back: CallBack
) -> None:
    account = AccountFactory()
    party = add_credentials(staff, vendor, account)
    dispatch()
    party.refresh_from_db()
    by_hand = vendor.is_configured_by_hand
    assert party.webhook_state == ("by_hand" if by_hand else "configured"), list(party.steps.values("title", "said"))
    vendor.paste(party)

    message = send(account, "+14155550101")
    dispatch()
    message.refresh_from_db()
    assert (message.status in ("accepted", "queued"), message.sent_at is not None) == (True, True), message.error_text
    assert "hooks.example.com/c/" in message.body
    assert [called_back(one) for one in vendor.delivered(message)][-1] == 200
    work_off()
    message.refresh_from_db()
    party.refresh_from_db()
    assert (message.status, party.webhook_state) == ("delivered", "configured")
    assert set(DeliveryEvent.objects.values_list("origin", flat=True)) == {Origin.ANSWER, Origin.CALLBACK}

    rotate_in_the_middle(vendor, staff, party, dispatch, work_off, called_back)
    stop(vendor, account, dispatch, work_off, called_back)


def rotate_in_the_middle(
    vendor: Vendor, staff: Client, party: ProviderAccount, dispatch: Work, work_off: Work, called_back: CallBack
) -> None:
    """Sent before, reported after; sent after; told with the old credentials and with the new ones: all arrives."""
    before = [send(party.account, f"+1415555020{n}") for n in range(6)]
    dispatch()
    early = [callback for message in before[:2] for callback in vendor.delivered(message)]
    late = [callback for message in before[2:4] for callback in vendor.delivered(message)]
    assert {called_back(one) for one in early} == {200}
    old_url = callback_url(party)
    until = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M")
    enter(staff, party, kept(vendor) | vendor.change_credentials() | {"keep_old_until": until})
    staff.post(f"/admin/sendinglists/provideraccount/{party.pk}/do/rotate/")
    party.refresh_from_db()
    # Not yet told: what the vendor still makes with the old credentials to the old address counts.
    assert {called_back(one) for one in late} == {200}
    dispatch()
    party.refresh_from_db()
    assert (callback_url(party) != old_url) == (vendor.slug != "twilio")
    vendor.paste(party)
    after = [send(party.account, f"+1415555030{n}") for n in range(3)]
    dispatch()
    new = [callback for message in (*before[4:], *after) for callback in vendor.delivered(message)]
    assert {called_back(one) for one in new} == {200}
    work_off()
    assert set(Message.objects.values_list("status", flat=True)) == {"delivered"}
    assert not InboundRequest.objects.exclude(refusal="").exists()


def stop(vendor: Vendor, account: Account, dispatch: Work, work_off: Work, called_back: CallBack) -> None:
    """STOP by way of what was configured; the next message is not even handed over."""
    phone = "+14155550101"
    assert called_back(vendor.replied(phone, "STOP")) == 200
    work_off()
    assert Subscription.objects.get(contact__phone=phone, sending_list=SendingList.objects.get()).state == "opted_out"
    asked = len(vendor.fake.requests)
    message = send(account, phone)
    dispatch()
    message.refresh_from_db()
    assert (message.status, message.reason, len(vendor.fake.requests)) == ("dropped", "opt_out", asked)
