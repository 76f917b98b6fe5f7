"""Owns what a journey needs to know of each vendor out in the world: its fake, what a person types for it, what it calls back."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from sendinglists.callbacks import callback_url
from sendinglists.models import Message, ProviderAccount
from tests.fakes.cm import TOKEN as CM_TOKEN
from tests.fakes.cm import FakeCM
from tests.fakes.infobip import FakeInfobip
from tests.fakes.server import FakeServer
from tests.fakes.twilio import ACCOUNT, Credentials, FakeTwilio
from tests.fakes.twilio import TOKEN as TWILIO_TOKEN

NUMBER = "+18005550142"
# URL, headers, body: one callback as the vendor makes it.
Callback = tuple[str, dict[str, str], bytes]


class Vendor:
    """One vendor on loopback, and a person who holds an account there."""

    slug: str
    fake: FakeServer
    routes: dict[str, str]
    entered: dict[str, Any]
    """What the person enters in the form of the provider account, its numbers included."""
    is_configured_by_hand = False

    def paste(self, party: ProviderAccount) -> None:
        """What is done by hand at the vendor, where anything is."""

    def delivered(self, message: Message) -> list[Callback]:
        """What it calls back about a message that arrives."""
        raise NotImplementedError

    def replied(self, phone: str, text: str) -> Callback:
        """An SMS from this phone to NUMBER."""
        raise NotImplementedError

    def change_credentials(self) -> dict[str, Any]:
        """The person has the vendor give out new ones; what is entered here then."""
        raise NotImplementedError


class AtInfobip(Vendor):
    slug = "infobip"

    def __init__(self, fake: FakeInfobip) -> None:
        self.fake = fake
        fake.own(NUMBER.lstrip("+"))
        self.routes = {"https://abc.api.infobip.com": fake.url}
        self.entered = {"setting_base_url": "https://abc.api.infobip.com", "setting_api_key": next(iter(fake.keys))}

    def delivered(self, message: Message) -> list[Callback]:
        return [self.fake.report(message.reference)]

    def replied(self, phone: str, text: str) -> Callback:
        return self.fake.reply(phone.lstrip("+"), NUMBER.lstrip("+"), text, id=f"mo-{text}-{phone}")

    def change_credentials(self) -> dict[str, Any]:
        # The API key stays; the password Infobip calls us with is renewed, and Infobip is told.
        return {"setting_base_url": "https://abc.api.infobip.com", "renew": "on"}


class AtTwilio(Vendor):
    slug = "twilio"

    def __init__(self, fake: FakeTwilio) -> None:
        self.fake = fake
        fake.add_number(NUMBER)
        self.routes = {"https://api.twilio.com": fake.url, "https://messaging.twilio.com": fake.url}
        self.entered = {"setting_account_sid": ACCOUNT, "setting_auth_token": TWILIO_TOKEN}

    def delivered(self, message: Message) -> list[Callback]:
        sid = next(sid for sid, url in self.fake.callbacks.items() if f"message={message.public_id}" in url)
        return [self.fake.report(sid, word) for word in ("sent", "delivered")]

    def replied(self, phone: str, text: str) -> Callback:
        return self.fake.reply(phone, NUMBER, text)

    def change_credentials(self) -> dict[str, Any]:
        # The secondary token becomes the primary one: from then on it signs.
        self.fake.accounts[ACCOUNT] = Credentials(token="5" * 32)
        return {"setting_account_sid": ACCOUNT, "setting_auth_token": "5" * 32}


class AtCM(Vendor):
    slug = "cm"
    is_configured_by_hand = True

    def __init__(self, fake: FakeCM) -> None:
        self.fake = fake
        self.routes = {"https://gw.messaging.cm.com": fake.url}
        self.entered = {"setting_product_token": CM_TOKEN}

    def paste(self, party: ProviderAccount) -> None:
        self.fake.callback_url = callback_url(party)

    def delivered(self, message: Message) -> list[Callback]:
        return [self.fake.report(message.reference, "2")]

    def replied(self, phone: str, text: str) -> Callback:
        at = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
        return self.fake.reply(f"00{phone[1:]}", f"00{NUMBER[1:]}", text, at=at)

    def change_credentials(self) -> dict[str, Any]:
        self.fake.tokens.add("66666666-6666-4666-8666-666666666666")
        return {"setting_product_token": "66666666-6666-4666-8666-666666666666"}


def at(slug: str) -> Iterator[Vendor]:
    """The vendor of that name, served until the generator is closed."""
    made, kind = {"infobip": (FakeInfobip, AtInfobip), "twilio": (FakeTwilio, AtTwilio), "cm": (FakeCM, AtCM)}[slug]
    with made() as fake:
        yield kind(fake)
