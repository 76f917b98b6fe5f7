"""Ten tickets as they reach support, each answered through real pages by somebody who has never read the code."""

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from twilio.request_validator import RequestValidator

from postbacks.models import Click, Conversion
from tests import factories
from tests.fakes.twilio import Credentials, FakeTwilio
from webhooks.providers.sandbox import HEADER, sign

pytestmark = pytest.mark.django_db(transaction=True)

PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Safari/604.1"
PREVIEW = "facebookexternalhit/1.1 Facebot Twitterbot/1.0"
Find = Callable[[str], Page]
Work = Callable[[], int]


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


class World:
    """What calls the service from outside, over real HTTP."""

    def __init__(self, base: str) -> None:
        self.base = base

    def call(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, str]:
        """Status and text of one request; a redirect gives its address."""
        request = urllib.request.Request(
            self.base + path, body, {name.replace("_", "-"): v for name, v in headers.items()}
        )
        try:
            with urllib.request.build_opener(NoRedirect).open(request, timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("Location") or error.read().decode()

    def open(self, code: str, agent: str = PHONE) -> Click:
        """An opening of a short link; its click."""
        before = set(Click.objects.values_list("pk", flat=True))
        assert self.call(f"/c/{code}", User_Agent=agent)[0] == 302
        return Click.objects.exclude(pk__in=before).get()

    def postback(self, connection: Any, **parameters: Any) -> str:
        """One hit on the connection's URL; our answer."""
        path = f"/api/postbacks/{connection.network}/{connection.postback_token}?{urllib.parse.urlencode(parameters)}"
        status, text = self.call(path)
        assert status == 200
        return text

    def tell(self, party: Any, *events: dict[str, Any]) -> None:
        """Events on the party's callback URL, with the token."""
        body = json.dumps({"events": events}).encode()
        assert self.call(f"/api/webhook-feedbacks/sandbox/{party.callback_token}", body)[0] == 200


@pytest.fixture
def world(live_server: Any) -> World:
    return World(live_server.url)


def story(page: Page) -> Any:
    return page.locator("article.tk-story")


def test_the_network_says_transaction_x_fired_and_we_see_nothing(world: World, find: Find, work_off: Work) -> None:
    offer = factories.OfferFactory()
    world.postback(offer.connection, click_id="k" * 26, payout="12.50", txid="TX-1001")
    work_off()
    page = find("TX-1001")
    page.get_by_role("link", name="Conversion TX-1001").click()
    expect(story(page)).to_contain_text("It does not count (12.50")
    expect(story(page)).to_contain_text("No link of ours made this click id")
    # The one that never came.
    page = find("TX-9999")
    expect(story(page)).to_contain_text("Nothing is stored under this.")
    expect(story(page)).to_contain_text("Ask the network or provider for the exact time")
    expect(story(page).get_by_role("row").filter(has_text=offer.connection.network).first).to_contain_text("20")


def test_everflow_reports_errors_from_us(world: World, find: Find, work_off: Work) -> None:
    connection = factories.NetworkConnectionFactory(network="everflow")
    click = world.open(factories.LinkFactory(offer=factories.OfferFactory(connection=connection)).code)
    world.postback(connection, click_id=click.click_id, payout="5", txid="E1")
    assert world.call(f"/api/postbacks/everflow/{'x' * 26}?click_id={click.click_id}&payout=5")[0] == 200
    work_off()
    page = find("everflow errors")
    expect(story(page)).to_contain_text("25")
    expect(story(page)).to_contain_text("Wrong or withdrawn token in the URL")
    page.get_by_role("link", name="Wrong or withdrawn token in the URL").first.click()
    expect(page.locator("#result_list tbody tr")).to_have_count(1)


def test_three_hours_are_missing_since_we_changed_the_token(world: World, staff: Page, work_off: Work) -> None:
    party = factories.ProviderAccountFactory(settings={"signing_key": "the old key"}, name="Our line")
    sending_list = factories.SendingListFactory(provider_account=party)
    sent = [factories.MessageFactory(sending_list=sending_list) for _ in range(3)]
    for message in sent:
        body = json.dumps({"type": "report", "message": message.public_id + "-x", "status": "sent"}).encode()
        signature = sign("the new key", body, factories.now())
        url = f"/api/webhook-feedbacks/sandbox?account={party.account.public_id}"
        assert world.call(url, body, **{HEADER: signature})[0] == 403
    # The index says so by itself, and leads to them.
    staff.reload()
    row = staff.get_by_role("listitem").filter(has_text="Our line")
    expect(row).to_contain_text("signature or credentials do not match")
    row.get_by_role("link", name="Look at them").click()
    expect(staff.locator("#result_list tbody tr")).to_have_count(3)
    # Mend the key, then replay all of them.
    staff.goto(f"{world.base}/admin/sendinglists/provideraccount/{party.pk}/change/")
    staff.get_by_label("Signing key").fill("the new key")
    staff.get_by_role("button", name="Save", exact=True).click()
    staff.get_by_role("link", name="Failed webhooks").first.click()
    staff.get_by_label("Select all objects on this page").check()
    staff.locator("select[name=action]").select_option("replay")
    staff.get_by_role("button", name="Run").click()
    expect(staff.get_by_text("3 requests are due again")).to_be_visible()
    work_off()
    staff.get_by_role("link", name="Failed webhooks").first.click()
    expect(staff.locator("#result_list tbody tr")).to_have_count(0)


def test_i_texted_stop_and_still_get_messages(world: World, find: Find, work_off: Work) -> None:
    sending_list = factories.SendingListFactory(name="Spring sale")
    person = "+14155550177"
    stop = {"type": "reply", "id": "r1", "from": person, "to": sending_list.number, "text": "STOP"}
    world.tell(sending_list.provider_account, stop)
    work_off()
    factories.MessageFactory(sending_list=sending_list, to=person, created_at=factories.now() + timedelta(seconds=2))
    page = find("(415) 555-0177")
    story(page).get_by_role("link", name="Contact +").click()
    expect(story(page)).to_contain_text("This number is opted out of Spring sale.")
    expect(story(page)).to_contain_text("1 of the messages below were created after an opt-out")
    expect(story(page)).to_contain_text("Sent after the opt-out")
    expect(story(page)).not_to_contain_text(person)
    # Who sent the STOP, and when: the request itself.
    story(page).get_by_role("row").filter(has_text="Opt-out").get_by_role("link", name="request").click()
    page.get_by_text("The request as it came").click()
    expect(story(page)).to_contain_text("STOP")


def test_my_conversions_stopped_yesterday(world: World, staff: Page) -> None:
    connection = factories.NetworkConnectionFactory(name="Main network")
    factories.NetworkConnectionFactory(name="Another one")
    now = factories.now()
    for hours in range(26, 26 + 48):
        at = now - timedelta(hours=hours)
        factories.RequestTotalFactory(
            source="postback", slug="tune", party_id=connection.pk, account_id=connection.account_id, last_at=at, n=3
        )
    staff.reload()
    first = staff.get_by_role("list").filter(has_text="Main network").get_by_role("listitem").first
    expect(first).to_contain_text("Silent for 1 d 2 h; before, no hour passed without a call.")
    first.get_by_role("link", name="Main network").first.click()
    expect(staff.get_by_text("Its requests of the last 48 hours")).to_be_visible()


def test_this_message_is_stuck_on_sent(world: World, find: Find, work_off: Work) -> None:
    message = factories.MessageFactory(created_at=factories.now() - timedelta(hours=5))
    world.tell(message.provider_account, {"type": "report", "message": message.reference, "status": "sent"})
    work_off()
    page = find(message.public_id)
    expect(story(page)).to_contain_text("The message is sent")
    expect(story(page)).to_contain_text("it has no final status yet")
    expect(story(page)).to_contain_text("The provider reported once about it, nothing final.")
    expect(story(page)).to_contain_text("so callbacks reach us; the carrier may owe this one")


def test_a_sale_was_counted_twice(world: World, find: Find, work_off: Work) -> None:
    connection = factories.NetworkConnectionFactory(duplicate_rule="add")
    click = world.open(factories.LinkFactory(offer=factories.OfferFactory(connection=connection)).code)
    world.postback(connection, click_id=click.click_id, payout="10", txid="TW-1")
    world.postback(connection, click_id=click.click_id, payout="12", txid="TW-1")
    work_off()
    page = find("TW-1")
    page.get_by_role("link", name="Conversion TW-1").first.click()
    expect(story(page)).to_contain_text("the connection's duplicate rule is 'add as an upsell'")
    story(page).get_by_label("Why?").fill("the network reported one sale twice")
    story(page).get_by_role("button", name="Mark as test").click()
    expect(page.get_by_text("It is a test now and counts in no total.")).to_be_visible()
    assert Conversion.objects.exclude(kind="").count() == 1


def test_clicks_are_far_higher_than_people(world: World, find: Find) -> None:
    message = factories.MessageFactory()
    link = factories.LinkFactory(
        message=message, account=message.account, offer=factories.OfferFactory(account=message.account)
    )
    for agent in (PREVIEW, PREVIEW, "curl/8.5", PHONE, PHONE):
        world.open(link.code, agent)
    page = find(f"{world.base}/c/{link.code}")
    page.goto(page.url) if "/link/" in page.url else page.get_by_role("link", name=f"Link {link.code}").click()
    expect(story(page)).to_contain_text("Of 5 openings, 2 by people and 3 by machines (2 preview, 1 library)")
    expect(story(page)).to_contain_text("only the first opening by a person counts")


def test_payout_is_zero(world: World, find: Find, work_off: Work) -> None:
    offer = factories.OfferFactory(default_payout=None)
    click = world.open(factories.LinkFactory(offer=offer).code)
    world.postback(offer.connection, click_id=click.click_id, txid="Z-1")
    work_off()
    page = find("Z-1")
    page.get_by_role("link", name="Conversion Z-1").click()
    expect(story(page)).to_contain_text("names no amount and the offer has no default payout")


@pytest.fixture
def twilio(settings: Any) -> Iterator[FakeTwilio]:
    """At which credentials are tried before they are kept."""
    with FakeTwilio() as fake:
        fake.accounts = {"AC" + "0" * 32: Credentials(token="rotated")}
        settings.OUTGOING_ROUTES = {"https://api.twilio.com": fake.url, "https://messaging.twilio.com": fake.url}
        yield fake


def test_twilios_debugger_shows_11200_for_you(world: World, find: Find, work_off: Work, twilio: FakeTwilio) -> None:
    party = factories.ProviderAccountFactory(
        provider="twilio", name="Twilio line", settings={"account_sid": "AC" + "0" * 32, "auth_token": "stale"}
    )
    message = factories.MessageFactory(
        sending_list=factories.SendingListFactory(provider_account=party), provider_message_id="SM1"
    )
    path = f"/api/webhook-feedbacks/twilio?account={party.account.public_id}"
    form = {"MessageSid": "SM1", "MessageStatus": "delivered", "AccountSid": "AC" + "0" * 32}
    signature = RequestValidator("rotated").compute_signature(f"https://hooks.example.com{path}", form)
    body = urllib.parse.urlencode(form).encode()
    kind = "application/x-www-form-urlencoded"
    assert world.call(path, body, Content_Type=kind, X_Twilio_Signature=signature)[0] == 403
    page = find("11200")
    expect(story(page)).to_contain_text("Signature or credentials do not match")
    page.get_by_role("link", name="Twilio line").first.click()
    page.get_by_label("Auth token").fill("rotated")
    page.get_by_role("button", name="Save", exact=True).click()
    page = find("SM1")
    if "/inboundrequest/" not in page.url:
        page.get_by_role("link", name="Request to twilio").first.click()
    story(page).get_by_role("button", name="Replay").click()
    expect(page.get_by_text("It is due again")).to_be_visible()
    work_off()
    message.refresh_from_db()
    assert message.status == "delivered"
