"""Each real provider set up against its fake: credentials entered, numbers ticked, callbacks to what was registered, rotated in
the middle, taken back."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.test import Client

from sendinglists import setup
from sendinglists.callbacks import callback_url
from sendinglists.models import ProviderAccount
from tests import factories
from tests.fakes import cm, twilio
from tests.fakes.infobip import FakeInfobip
from tests.fakes.server import FakeServer
from tests.sendinglists.conftest import BASE
from tests.sendinglists.test_credentials_form import act, page, save
from tests.webhooks.calls import PERSON, call
from webhooks.inbound.models import Reply
from webhooks.orders import StepState

pytestmark = pytest.mark.django_db
Work = Callable[..., int]
OURS = "+18005550142"
INFOBIP = "https://x1y2z3.api.infobip.com"


@pytest.fixture
def staff(client: Client, settings: Any) -> Client:
    settings.PUBLIC_BASE_URL = BASE
    client.force_login(factories.StaffFactory())
    return client


@pytest.fixture
def fake_infobip(settings: Any) -> Iterator[FakeInfobip]:
    with FakeInfobip() as fake:
        settings.OUTGOING_ROUTES = {INFOBIP: fake.url}
        fake.own(OURS.removeprefix("+"))
        yield fake


@pytest.fixture
def fake_twilio(settings: Any) -> Iterator[twilio.FakeTwilio]:
    with twilio.FakeTwilio() as fake:
        settings.OUTGOING_ROUTES = {twilio.API: fake.url, twilio.MESSAGING: fake.url}
        fake.add_number(OURS)
        yield fake


@pytest.fixture
def fake_cm(settings: Any) -> Iterator[cm.FakeCM]:
    with cm.FakeCM() as fake:
        settings.OUTGOING_ROUTES = {"https://gw.messaging.cm.com": fake.url}
        yield fake


def fresh(provider: str) -> ProviderAccount:
    row: ProviderAccount = factories.ProviderAccountFactory(provider=provider, credentials=[])
    return row


def enter(staff: Client, row: ProviderAccount, **fields: Any) -> str:
    """As a browser posts it, with what the page shows; what is no field of this provider's form is passed over."""
    shown = {
        "setting_base_url": INFOBIP,
        "setting_basic_username": "trackly",
        "setting_hmac_algorithm": "HMAC_SHA_256",
        "setting_hmac_encoding": "hex",
    }
    return save(staff, row, **shown | fields)


def arrive(url: str, headers: dict[str, str], body: bytes) -> int:
    """A callback as the provider makes it: the status we answer."""
    assert url.startswith(BASE)
    return call(url.removeprefix(BASE).partition("#")[0], body, headers=headers).status


def steps(row: ProviderAccount) -> list[tuple[str, str]]:
    row.refresh_from_db()
    return list(row.steps.order_by("position").values_list("key", "state"))


def retire(staff: Client, row: ProviderAccount, work_through: Work) -> str:
    act(staff, row, "remove", "yes")
    work_through()
    row.refresh_from_db()
    return row.webhook_state


def test_infobip_from_credentials_to_callbacks_and_back(
    staff: Client, fake_infobip: FakeInfobip, work_through: Work, work_off: Work
) -> None:
    row = fresh("infobip")
    assert "The API key is taken." in enter(staff, row, setting_api_key="good-key")
    enter(staff, row, setting_api_key="", add_numbers=[OURS])
    work_through()
    assert [state for _, state in steps(row)] == [StepState.DONE] * len(steps(row))
    assert row.webhook_state == "configured"
    url, headers, body = fake_infobip.reply(PERSON[1:], OURS[1:], "hello")
    assert url == callback_url(row)
    assert arrive(url, headers, body) == 200
    # Rotated in the middle: what was on its way to the former URL still counts.
    act(staff, row, "rotate")
    late = fake_infobip.reply(PERSON[1:], OURS[1:], "late", id="mo-2")
    work_through()
    row.refresh_from_db()
    new = fake_infobip.reply(PERSON[1:], OURS[1:], "new", id="mo-3")
    assert new[0] == callback_url(row) != late[0]
    assert [arrive(*late), arrive(*new)] == [200, 200]
    work_off()
    assert set(Reply.objects.values_list("text", "provider_account")) == {
        (text, row.pk) for text in ("hello", "late", "new")
    }
    assert retire(staff, row, work_through) == "removed"
    assert (fake_infobip.subscriptions, fake_infobip.profiles, fake_infobip.security) == ({}, {}, {})


def test_infobip_callbacks_prove_themselves_by_the_password_it_was_told(
    staff: Client, fake_infobip: FakeInfobip, work_through: Work, work_off: Work
) -> None:
    row = fresh("infobip")
    enter(staff, row, setting_api_key="good-key")
    enter(staff, row, add_numbers=[OURS])
    work_through()
    [security] = fake_infobip.security.values()
    assert security["credentials"]["password"] == row.settings["basic_password"]
    former = fake_infobip._subscribed("INBOUND_MESSAGE", OURS[1:])[1]
    enter(staff, row, renew="on", keep_old_until="2999-01-01 00:00:00")
    work_through()
    renewed = fake_infobip._subscribed("INBOUND_MESSAGE", OURS[1:])[1]
    assert renewed["Authorization"] != former["Authorization"]
    bare = f"/api/webhook-feedbacks/infobip?account={row.account.public_id}"
    body = fake_infobip.reply(PERSON[1:], OURS[1:], "hi")[2]
    answers = [call(bare, body, headers=headers).status for headers in (former, renewed)]
    assert answers == [200, 200]


def test_infobip_on_another_host_wants_its_key_again(staff: Client, fake_infobip: FakeInfobip) -> None:
    row = fresh("infobip")
    enter(staff, row, setting_api_key="good-key")
    asked = len(fake_infobip.requests)
    assert "a stored secret is not sent to another host" in enter(
        staff, row, setting_base_url="https://q.api.infobip.com"
    )
    assert "is not a host of this provider" in enter(
        staff, row, setting_base_url="https://api.infobip.com.evil.example", setting_api_key="good-key"
    )
    assert len(fake_infobip.requests) == asked
    row.refresh_from_db()
    assert row.settings["base_url"] == INFOBIP


@pytest.mark.parametrize("has_service", [False, True])
def test_twilio_from_credentials_to_callbacks_and_back(
    staff: Client, fake_twilio: twilio.FakeTwilio, work_through: Work, work_off: Work, has_service: bool
) -> None:
    row = fresh("twilio")
    shown = staff.get(page(row)).text
    assert "Auth Token" in shown or "Auth token" in shown
    service = fake_twilio.add_service(next(iter(fake_twilio.numbers))) if has_service else ""
    enter(
        staff, row, setting_account_sid=twilio.ACCOUNT, setting_auth_token=twilio.TOKEN,
        setting_messaging_service_sid=service,
    )  # fmt: skip
    assert row.vendor_account == twilio.ACCOUNT
    enter(staff, row, setting_account_sid=twilio.ACCOUNT, setting_messaging_service_sid=service, add_numbers=[OURS])
    work_through()
    assert steps(row) == [("messaging service" if has_service else f"number {OURS}", "done")]
    url, headers, body = fake_twilio.reply(PERSON, OURS, "hello")
    assert row.callback_token not in url
    assert arrive(url, headers, body) == 200
    work_off()
    assert Reply.objects.get().provider_account == row
    assert retire(staff, row, work_through) == "removed"
    assert row.callback_token not in str(fake_twilio.requests)
    assert callback_url(row) not in str(fake_twilio.numbers) + str(fake_twilio.services)


def test_twilio_moves_from_its_numbers_to_a_service_and_takes_the_numbers_back(
    staff: Client, fake_twilio: twilio.FakeTwilio, work_through: Work
) -> None:
    row = fresh("twilio")
    sid = {"setting_account_sid": twilio.ACCOUNT}
    enter(staff, row, setting_auth_token=twilio.TOKEN, **sid)
    enter(staff, row, add_numbers=[OURS], **sid)
    work_through()
    [number] = fake_twilio.numbers.values()
    assert number["sms_url"].startswith(callback_url(row))
    service = fake_twilio.add_service(number["sid"])
    enter(staff, row, setting_messaging_service_sid=service, keep_old_until="2999-01-01 00:00:00", **sid)
    work_through()
    assert steps(row) == [("messaging service", "done")]
    assert (row.webhook_state, number["sms_url"]) == ("configured", "")


def test_twilio_says_what_is_wrong_with_the_token(staff: Client, fake_twilio: twilio.FakeTwilio) -> None:
    row = fresh("twilio")
    text = enter(staff, row, setting_account_sid=twilio.ACCOUNT, setting_auth_token="wrong")
    assert "Nothing was saved." in text
    assert row.credentials == []


def test_cm_waits_for_the_url_to_be_pasted_and_is_configured_by_its_first_callback(
    staff: Client, fake_cm: cm.FakeCM, work_through: Work, work_off: Work
) -> None:
    row = fresh("cm")
    text = enter(staff, row, setting_product_token=cm.TOKEN, more_numbers=OURS)
    assert "Product token" in text
    work_through(factories.now())
    assert steps(row) == [("callback", "by_hand")]
    assert row.webhook_state == "by_hand"
    shown = staff.get(page(row)).text
    assert "Paste the callback URL in CM" in shown
    assert row.steps.get().fix.startswith("Press 'Reveal what is masked', then copy the callback URL.")
    assert row.callback_token not in shown
    fake_cm.callback_url = callback_url(row)
    assert arrive(*fake_cm.reply("0014155550101", "0018005550142", "hello")) == 200
    work_off()
    assert steps(row) == [("callback", "done")]
    assert row.webhook_state == "configured"
    assert retire(staff, row, work_through) == "removed"
    assert steps(row) == [("callback", "by_hand")]


@pytest.mark.parametrize("provider", ["infobip", "twilio", "cm"])
def test_a_provider_that_is_away_while_it_is_configured_is_tried_again(
    provider: str, settings: Any, work_through: Work
) -> None:
    with FakeServer() as away:
        gone = away.url
    settings.PUBLIC_BASE_URL = BASE
    settings.OUTGOING_ROUTES = {INFOBIP: gone, twilio.API: gone, twilio.MESSAGING: gone}
    values = {
        "infobip": {"base_url": INFOBIP, "api_key": "good-key"},
        "twilio": {"account_sid": twilio.ACCOUNT, "auth_token": twilio.TOKEN},
        "cm": {"product_token": cm.TOKEN},
    }
    row = factories.ProviderAccountFactory(provider=provider, settings=values[provider])
    factories.SendingListFactory(provider_account=row, number=OURS)
    setup.want(row, setup.Task.CONFIGURE, factories.now())
    work_through()
    row.refresh_from_db()
    if provider == "cm":
        assert row.webhook_state == "by_hand"
        return
    assert (row.webhook_state, row.setup_tries) == ("working", 1)
    assert "could not be reached" in row.webhook_state_cause
    assert "It is tried again." in row.webhook_state_cause
