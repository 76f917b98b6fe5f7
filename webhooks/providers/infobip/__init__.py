"""Infobip SMS: what it calls back (delivery reports of the v2 and v3 API, replies, block-list events), and the API by which
messages are sent, asked for, and its callbacks configured.

From Infobip's OpenAPI 3.210.0 (2026-07-23) and stored copies of https://infobip.com/docs, not from live traffic. Quirks: a
batch holds up to 2,000 items and reports are JSON or XML; status ids are not unique (87 stands in two groups), so the group
decides; offsets are written without a colon; the HMAC's header name and encoding are not in the public specification, so
both are settings; a message refused at once is an HTTP 200 too.
"""

from datetime import datetime
from typing import Any

from trackly.calls import Dialogue
from trackly.raw import RawRequest
from trackly.signing import ALGORITHMS
from webhooks.orders import Asked, Checked, Hook, Sent, Step, Text
from webhooks.providers.base import BadSignature, Config, Field, Provider
from webhooks.providers.infobip import checking, sending, setup
from webhooks.providers.infobip.api import HOSTS
from webhooks.providers.infobip.proofs import HMAC_HEADER, USER, by_basic, by_header, by_hmac
from webhooks.providers.infobip.reading import REASONS, STATUSES, batch_of, read
from webhooks.statuses import Item, Report


class Infobip(Provider):
    name = "Infobip"
    docs = "https://infobip.com/docs/api/channels/sms/sms-messaging/logs-and-status-reports/receive-outbound-sms-message-report"
    config = (
        Field(
            name="base_url",
            label="Base URL",
            required=True,
            hosts=HOSTS,
            help="Use your own base URL, such as https://xxxxx.api.infobip.com, from the portal's home page.",
        ),
        Field(
            name="api_key",
            label="API key",
            secret=True,
            required=True,
            help="Infobip portal, Developer Tools, API keys. Scopes: sms:manage, numbers:manage, subscriptions:manage.",
        ),
        Field(
            name="basic_username",
            label="Basic user name",
            default=USER,
            is_minted=True,
            help="What Infobip is told to call us back with; security type BASIC of the notification profile.",
        ),
        Field(
            name="basic_password",
            label="Basic password",
            secret=True,
            is_minted=True,
            help="Leave it empty: one is made up, and Infobip is told.",
        ),
        Field(name="header_name", label="Secret header name", help="A fixed header of the notification profile."),
        Field(name="header_value", label="Secret header value", secret=True),
        Field(name="hmac_key", label="HMAC secret key", secret=True, help="Security type HMAC: over the raw body."),
        Field(name="hmac_header", label="HMAC header name", default=HMAC_HEADER),
        Field(name="hmac_algorithm", label="HMAC algorithm", default="HMAC_SHA_256", choices=tuple(ALGORITHMS)),
        Field(name="hmac_encoding", label="HMAC encoding", default="hex", choices=("hex", "base64")),
    )
    statuses = STATUSES
    reasons = REASONS
    can_ask = True
    # https://www.infobip.com/docs/sms/sms-over-api#push-retry-cycle-notify-url and its OpenAPI; the waits grow with each try.
    alarms = {
        "notify URL not available": (
            "Infobip pushed reports and got no success from us. It pushes them again after 1, 2, 5, 10, 17 … minutes; after"
            " some 40 hours they are gone. What we refused stands in the failed log and can be replayed; what we answered 503"
            " comes again by itself."
        ),
        "success expression does not match": (
            "The notification profile can demand an answer of its own (responseRegex, responseBodyRegex). We answer 200 with a"
            " short JSON: take the expression out."
        ),
    }

    def verify(self, request: RawRequest, config: Config, *, now: datetime) -> None:
        if not (by_basic(request, config) or by_header(request, config) or by_hmac(request, config)):
            raise BadSignature("neither Basic credentials, secret header nor HMAC prove this request")

    def secret_header_names(self, config: Config) -> frozenset[str]:
        named = {config.get("header_name", "").strip().lower(), (config.get("hmac_header") or HMAC_HEADER).lower()}
        return self.secret_headers | named - {""}

    def parse(self, request: RawRequest) -> list[Item]:
        return [self._item(index, raw) for index, raw in enumerate(batch_of(request.body))]

    def _item(self, index: int, raw: Any) -> Item:
        return read(index, raw)

    def send(self, text: Text, config: Config) -> Dialogue[Sent]:
        return sending.send(text, config)

    def ask(self, asked: Asked, config: Config) -> Dialogue[list[Report]]:
        """Raises Unanswered where Infobip does not say."""
        return sending.ask(asked, config)

    def check(self, config: Config) -> Dialogue[Checked]:
        return checking.check(config)

    def steps(self, config: Config, hook: Hook) -> tuple[Step, ...]:
        return setup.steps(config, hook)


adapter = Infobip()
