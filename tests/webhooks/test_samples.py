"""Every recorded sample that arrives at us, through the real endpoint, row by row against what it is expected to do."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO
from typing import Any

import pytest
from django.core.handlers.wsgi import WSGIRequest
from django.db.models import Q

from sendinglists.models import Message, ProviderAccount, Subscription
from tests import samples
from tests.factories import AccountFactory, MessageFactory, ProviderAccountFactory, SendingListFactory
from tests.webhooks.calls import Answer, call
from trackly.models import HourlyTotal
from trackly.phones import e164
from webhooks.inbound.models import Cause, DeliveryEvent, InboundRequest, Reply, State
from webhooks.inbound.views import raw_request
from webhooks.providers import get
from webhooks.providers.sandbox import HEADER, sign
from webhooks.statuses import FINAL, TIER, Status

MANIFEST = json.loads((samples.ROOT / "webhooks" / "expected.json").read_text())
ARRIVING = [row for row in MANIFEST if row["kind"] in ("dlr", "mo", "blocklist")]
TWILIO_ACCOUNT = "AC" + "0" * 30 + "42"
NUMBERS = ("+18005550142", "3669", "+31600000042")


def title(row: dict[str, Any]) -> str:
    """The sample's name; what is inferred or made up about it stands in the test's name as well."""
    return row["sample"] if row["trust"] == "confirmed-shape" else f"{row['sample']} [{row['trust']}]"


def is_report(row: dict[str, Any], entry: list[Any]) -> bool:
    return row["kind"] == "dlr" and entry[-1] not in ("opt_in", "help", "reply") and entry[1] in {*Status, "pending"}


def set_up(row: dict[str, Any]) -> ProviderAccount:
    """Account 42 with the sample's secrets and lists, and the messages the sample speaks of."""
    slug, secret = row["sample"].partition("/")[0], dict(row["secret"])
    token = secret.pop("path_token", "callbacktoken0000000000000")
    if "basic" in secret:
        secret["basic_username"], _, secret["basic_password"] = secret.pop("basic").partition(":")
    if slug == "twilio":
        secret["account_sid"] = TWILIO_ACCOUNT
    party = ProviderAccountFactory(
        account=AccountFactory(public_id="42"), provider=slug, settings=secret, callback_token=token
    )
    lists = [SendingListFactory(provider_account=party, number=number) for number in NUMBERS]
    # CM and the sandbox name a message by our reference, the others by their own id.
    name = "reference" if slug in ("cm", "sandbox") else "provider_message_id"
    entries = [entry for entry in row["expect"] if is_report(row, entry)] if row["expect"] != "403" else []
    for key in {entry[0] for entry in entries}:
        MessageFactory(sending_list=lists[0], **{name: key})
    return party


def arrive(name: str) -> Answer:
    """The sample over the wire, its bytes untouched; the sandbox's signature alone is made anew, for it ages."""
    raw = samples.load(name)
    headers = dict(raw.headers)
    if HEADER.lower() in headers:
        headers[HEADER.lower()] = sign("sandbox-key-for-tests", raw.body, datetime.now(UTC))
    return call(raw.target, raw.body, method=raw.method, headers=headers)


def check_report(entry: list[Any]) -> None:
    key, outcome, is_final, *reason = entry
    message = Message.objects.get(Q(reference=key) | Q(provider_message_id=key))
    status = Status(message.status)
    assert ("pending" if TIER[status] == 1 else status.value) == outcome
    assert (status in FINAL) is is_final
    # A message begins queued; that the report was heard shows in the provider's word.
    assert message.status_detail
    if reason and reason[0] != "duplicate":
        assert message.reason == reason[0]


def check_reply(entry: list[Any], kind: str) -> None:
    number, text, decision = entry
    stored = Reply.objects.filter(sender=e164(number))
    assert [(item.text, item.decision) for item in stored] == ([(text, decision)] if kind != "blocklist" else [])
    states = list(Subscription.objects.filter(contact__phone=e164(number)).values_list("state", flat=True))
    assert states == {"opt_out": ["opted_out"], "opt_in": ["subscribed"]}.get(decision, [])


@pytest.mark.django_db
@pytest.mark.parametrize("row", [pytest.param(row, id=title(row)) for row in ARRIVING])
def test_sample_does_what_the_manifest_says(row: dict[str, Any], work_off: Callable[[], int]) -> None:
    party = set_up(row)
    answer = arrive(row["sample"])
    stored = InboundRequest.objects.get()
    if row["expect"] == "403":
        assert answer.status == 403
        assert (stored.state, stored.refusal) == (State.REFUSED, Cause.BAD_SIGNATURE)
        return
    assert (answer.status, answer.body) == (200, get(party.provider).reply[1])
    assert (stored.account_id, stored.party_id) == (party.account_id, party.id)
    assert work_off() == 1
    for entry in row["expect"]:
        if is_report(row, entry):
            check_report(entry)
        else:
            check_reply(entry, row["kind"])


@pytest.mark.django_db
def test_delivered_callback_that_twilio_repeats_is_one_event(work_off: Callable[[], int]) -> None:
    row = next(row for row in MANIFEST if row["sample"] == "twilio/status_delivered_retry_duplicate")
    set_up(row)
    for name in ("twilio/status_delivered", row["sample"], row["sample"]):
        assert arrive(name).status == 200
        work_off()
    assert DeliveryEvent.objects.count() == 1
    assert {total.kind: total.n for total in HourlyTotal.objects.all()} == {
        "report": 1,
        "report_duplicate": 2,
        "message_delivered": 1,
    }


@pytest.mark.django_db
def test_tampered_sample_changes_no_message(work_off: Callable[[], int]) -> None:
    row = next(row for row in MANIFEST if row["expect"] == "403")
    party = set_up(row)
    message = MessageFactory(
        sending_list=party.sendinglist_set.first(), provider_message_id="SM00000000000000000000000000000013"
    )
    arrive(row["sample"])
    work_off()
    message.refresh_from_db()
    assert (message.status, message.status_detail) == ("queued", "")


def test_vector_printed_by_twilio_verifies_over_the_url_we_build(settings: Any) -> None:
    settings.PUBLIC_BASE_URL = "https://example.com"
    raw = samples.load("twilio/official_vector")
    environ = {
        "REQUEST_METHOD": raw.method,
        "RAW_URI": raw.target,
        "REMOTE_ADDR": "203.0.113.7",
        "HTTP_HOST": "an-internal-name:8000",
        "CONTENT_TYPE": raw.header("content-type"),
        "HTTP_X_TWILIO_SIGNATURE": raw.header("x-twilio-signature"),
        "wsgi.input": BytesIO(),
        "wsgi.url_scheme": "http",
    }
    request = raw_request(WSGIRequest(environ), raw.body)
    assert request.url == "https://example.com/myapp.php?foo=1&bar=2"
    get("twilio").verify(request, {"auth_token": "12345"}, now=samples.RECEIVED_AT)
