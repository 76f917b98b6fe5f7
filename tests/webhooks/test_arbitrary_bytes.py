"""Whatever the bytes, at every provider's path in every form: no 5xx, a row for every 200, and no failure of ours behind it."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from sendinglists.models import ProviderAccount
from tests import samples
from tests.factories import AccountFactory, MessageFactory, ProviderAccountFactory, SendingListFactory
from tests.webhooks.calls import BASE, call
from trackly.raw import RawRequest
from webhooks.inbound import batches, processing
from webhooks.inbound.models import InboundRequest, Source, State
from webhooks.providers import all_providers
from webhooks.providers.base import BadSignature
from webhooks.providers.twilio import sign, signed_fields

pytestmark = pytest.mark.django_db
SLUGS = sorted(all_providers())
JOB = batches.Job(source=Source.WEBHOOK, handle=processing.process)
WORDS = [
    "results",
    "messages",
    "msg",
    "events",
    "type",
    "report",
    "reply",
    "message",
    "messageId",
    "status",
    "groupId",
    "id",
]
WORDS += [
    "name",
    "error",
    "code",
    "from",
    "to",
    "text",
    "number",
    "at",
    "doneAt",
    "receivedAt",
    "timeUtc",
    "price",
    "event",
]
WORDS += [
    "pricePerMessage",
    "currency",
    "messageCount",
    "reference",
    "received",
    "errorCode",
    "content",
    "destination",
    "BLOCK",
]
WORDS += [
    "MessageSid",
    "MessageStatus",
    "SmsSid",
    "Body",
    "From",
    "To",
    "AccountSid",
    "ErrorCode",
    "OptOutType",
    "statuscode",
]
TIMES = ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-11-23T09:15:00+0000", "2026-11-23"]
VALUES = [
    "STOP",
    "START",
    "delivered",
    "3",
    "m-1",
    "+14155550101",
    "\x00",
    "1e999",
    "-0",
    "9" * 400,
    "NaN",
    "é\ud800",
    *TIMES,
]
ODD = st.sampled_from(WORDS + VALUES) | st.text(max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | ODD
TREES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD, inner, max_size=5), max_leaves=15
)
PAIRS = st.lists(st.tuples(ODD, ODD), max_size=8)


def as_json(tree: Any) -> bytes:
    return json.dumps(tree).encode()


def as_form(pairs: list[tuple[str, str]]) -> bytes:
    return "&".join(f"{quote(a, errors='replace')}={quote(b, errors='replace')}" for a, b in pairs).encode()


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A sample's body with a piece of it replaced."""
    name = draw(st.sampled_from([name for slug in SLUGS for name in samples.names(slug)]))
    body = samples.load(name).body
    start, length = draw(st.integers(0, len(body))), draw(st.integers(0, 12))
    return body[:start] + draw(st.binary(max_size=12) | ODD.map(as_json)) + body[start + length :]


def envelope(tree: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([tree, {"events": [tree]}, {"results": [tree]}, {"messages": {"msg": tree}}])


ANY: Any = ...
# What each provider sends, with something odd in every place; m-1 is known.
SHAPES = [
    {
        "events": [
            {
                "type": "report",
                "message": "m-1",
                "status": ANY,
                "at": ANY,
                "to": ANY,
                "error": {"code": ANY, "text": ANY},
            }
        ]
    },
    {"events": [{"type": "reply", "id": ANY, "from": ANY, "to": ANY, "text": ANY, "at": ANY}]},
    {
        "results": [
            {
                "messageId": ANY,
                "doneAt": ANY,
                "to": ANY,
                "status": {"groupId": ANY, "id": ANY, "name": ANY},
                "error": ANY,
            }
        ]
    },
    {
        "results": [
            {"messageId": "m-1", "status": {}, "price": {"pricePerMessage": ANY, "currency": ANY}, "smsCount": ANY}
        ]
    },
    {"results": [{"from": ANY, "to": ANY, "text": ANY, "receivedAt": ANY, "messageId": ANY}]},
    {
        "results": [
            {"event": "BLOCK", "receivedAt": ANY, "content": {"destination": ANY, "sender": ANY, "channel": ANY}}
        ]
    },
    {"messages": {"msg": {"reference": ANY, "received": ANY, "to": ANY, "status": {"code": ANY, "errorCode": ANY}}}},
    {"from": {"number": ANY}, "to": {"number": ANY}, "message": {"text": ANY}, "timeUtc": ANY, "reference": ANY},
]
NAMES = [
    "MessageSid",
    "MessageStatus",
    "From",
    "To",
    "Body",
    "ErrorCode",
    "AccountSid",
    "OptOutType",
    "reference",
    "statuscode",
]


def filled(shape: Any) -> st.SearchStrategy[Any]:
    if isinstance(shape, dict):
        return st.fixed_dictionaries({name: filled(inner) for name, inner in shape.items()})
    if isinstance(shape, list):
        return st.tuples(*(filled(inner) for inner in shape)).map(list)
    return SCALARS if shape is ANY else st.just(shape)


SHAPED = st.one_of([filled(shape) for shape in SHAPES]).map(as_json)
FORMS_FILLED = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, ODD)).map(
    lambda form: as_form(list(form.items()))
)
BODIES = SHAPED | st.one_of(
    st.binary(max_size=200), TREES.flatmap(envelope).map(as_json), PAIRS.map(as_form), damaged(), SHAPED, FORMS_FILLED
)
# What a request line and a header line can hold at all.
LINE = st.text(st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="#?\x7f"), max_size=40)
HEADER_NAMES = [
    "Content-Type",
    "Authorization",
    "X-Twilio-Signature",
    "X-Twilio-Webhooks-Signature-Settings",
    "Accept",
    "Cookie",
]
HEADER_NAMES += [
    "X-Sandbox-Signature",
    "X-Infobip-Signature",
    "X-Hook",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "User-Agent",
]
HEADER_TEXT = st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=60)
HEADERS = st.dictionaries(
    st.sampled_from(HEADER_NAMES), HEADER_TEXT | st.sampled_from(["Basic ====", "t=1,v1=a,t"]), max_size=4
)
QUERIES = LINE | PAIRS.map(as_form).map(bytes.decode) | FORMS_FILLED.map(bytes.decode)
FORMS = [
    "/{token}",
    "/{token}",
    "",
    "?account=42",
    "/{tail}",
    "/{token}/mo?account={tail}",
    "/{token}{tail}?account=42",
]


@pytest.fixture
def parties(settings: Any) -> dict[str, ProviderAccount]:
    """One at every provider, in account 42, so open-handed that as much as possible is accepted."""
    settings.TRUSTED_PROXIES = ["203.0.113.0/24"]
    account, found = AccountFactory(public_id="42"), {}
    for slug in SLUGS:
        credentials = {"account_sid": "AC1", "auth_token": "t", "hmac_key": "k", "signing_key": "k"}
        credentials |= {"header_name": "X-Hook", "header_value": "v", "basic_username": "u", "basic_password": "p"}
        party = ProviderAccountFactory(
            account=account, provider=slug, settings=credentials, demands_authentication=False
        )
        MessageFactory(sending_list=SendingListFactory(provider_account=party), provider_message_id="m-1")
        found[slug] = party
    return found


def sign_for_twilio(method: str, target: str, body: bytes, headers: dict[str, str]) -> dict[str, str]:
    path, _, query = target.partition("?")
    lines = (("content-type", headers.get("Content-Type", "")),)
    request = RawRequest(
        method=method, path=path, query=query, headers=lines, body=body, base_url="https://hooks.example.com",
        peer="", secure=True, received_at=datetime.now(UTC),
    )  # fmt: skip
    with suppress(BadSignature):
        return headers | {"X-Twilio-Signature": sign("t", request.url, signed_fields(request)).decode()}
    return headers


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    slug=st.sampled_from(SLUGS), form=st.sampled_from(FORMS), method=st.sampled_from(["POST", "POST", "POST", "GET"]),
    body=BODIES, query=QUERIES, tail=LINE, headers=HEADERS, is_signed=st.booleans(),
)  # fmt: skip
@example("sandbox", "?account=42", "POST", b'{"type":"reply","id":"1","from":" ","text":"STOP"}', "", "", {}, False)
@example("cm", "/{token}/mo?account={tail}", "POST", b"{}", "", "%00", {}, False)
@example("sandbox", "/{tail}", "POST", b'{"events":[]}', "", "%0a", {}, False)
def test_arbitrary_bytes_never_fail(
    parties: dict[str, ProviderAccount],
    slug: str,
    form: str,
    method: str,
    body: bytes,
    query: str,
    tail: str,
    headers: dict[str, str],
    is_signed: bool,
) -> None:
    InboundRequest.objects.all().delete()
    target = f"{BASE}/{slug}" + form.format(token=parties[slug].callback_token, tail=tail)
    target += ("&" if "?" in target else "?") + query
    body = b"" if method == "GET" else body
    if slug == "twilio" and is_signed:
        headers = sign_for_twilio(method, target, body, headers)
    answer = call(target, body, method=method, headers=headers)
    assert answer.status in (200, 400, 403, 404, 405)
    if answer.status == 200:
        row = InboundRequest.objects.get()
        assert (row.answer_status, bytes(row.body), bytes(row.query)) == (
            200,
            body,
            target.partition("?")[2].encode("latin-1"),
        )
    now = datetime.now(UTC)
    while batches.run(JOB, now=now, limit=100):
        pass
    for row in InboundRequest.objects.all():
        assert row.last_error == ""
        assert row.state in (State.DONE, State.REFUSED)
