"""What holds for every adapter: the manifest of samples, the declared settings, and that no bytes raise anything else."""

import json
import re
from contextlib import suppress
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests import samples
from trackly.raw import RawRequest
from webhooks.keywords import classify
from webhooks.providers import all_providers, choices, get
from webhooks.providers.base import BadPayload, BadSignature, Config, Provider
from webhooks.statuses import FINAL, TIER, Item, Reason, Reply, Report, Status, Unreadable

NOW = samples.RECEIVED_AT
MANIFEST = json.loads((samples.ROOT / "webhooks" / "expected.json").read_text())
SLUGS = sorted(all_providers())


def adapter_of(row: dict[str, Any]) -> Provider:
    found = get(row["sample"].partition("/")[0])
    assert found is not None
    return found


def config_of(row: dict[str, Any]) -> Config:
    """The manifest's secrets under the names of the provider's settings."""
    secret = dict(row["secret"])
    if "basic" in secret:
        secret["basic_username"], _, secret["basic_password"] = secret.pop("basic").partition(":")
    return secret


def summary(item: Item) -> list[Any]:
    """An item as the manifest writes it: [id, outcome, is it final] or [number, text, decision]."""
    if isinstance(item, Reply):
        return [item.sender, item.text, (item.decision or classify(item.text)).value]
    assert isinstance(item, Report)
    outcome = "pending" if TIER[item.status] == 1 else item.status.value
    return [item.message_key, outcome, item.status in FINAL]


def test_every_sample_is_in_the_manifest_and_the_manifest_has_no_other() -> None:
    on_disk = [name for slug in SLUGS for name in samples.names(slug)]
    assert on_disk == sorted(row["sample"] for row in MANIFEST)


def test_every_provider_has_samples_a_name_and_a_page_of_its_own() -> None:
    assert choices() == [(slug, get(slug).name) for slug in SLUGS]
    assert len({name for _, name in choices()}) == len(SLUGS)
    for slug in SLUGS:
        assert samples.names(slug)
        assert get(slug).docs.startswith("https://")
        assert get(slug).slug == slug


@pytest.mark.parametrize("slug", SLUGS)
def test_settings_are_declared_once_and_secrets_have_no_default(slug: str) -> None:
    fields = get(slug).config
    assert len({field.name for field in fields}) == len(fields)
    assert not [field.name for field in fields if field.secret and field.default]
    assert not [field.name for field in fields if field.choices and field.default not in field.choices]
    assert get(slug).secret_header_names({}) >= {"authorization", "cookie"}


@pytest.mark.parametrize(
    "row", [row for row in MANIFEST if isinstance(row["expect"], list)], ids=lambda row: row["sample"]
)
def test_a_sample_comes_to_what_the_manifest_expects(row: dict[str, Any]) -> None:
    items = adapter_of(row).parse(samples.load(row["sample"]))
    assert [summary(item) for item in items] == [expected[:3] for expected in row["expect"]]
    for item, expected in zip(items, row["expect"], strict=True):
        # A fourth word is a reason, or the note that the sample repeats another one.
        if expected[3:] and expected[3] in Reason.values:
            assert item.reason == expected[3]


@pytest.mark.parametrize("row", MANIFEST, ids=lambda row: row["sample"])
def test_a_sample_is_proven_by_its_own_secret_only(row: dict[str, Any]) -> None:
    adapter, config = adapter_of(row), config_of(row)
    request = samples.load(row["sample"])
    if row["kind"] == "vector":
        request = samples.load(row["sample"], base_url="https://example.com")
    refused = row["expect"] == "403" or "path_token" in config
    if not refused:
        adapter.verify(request, config, now=NOW)
    wrong = {name: f"{value}x" for name, value in config.items()}
    for other in [{}, wrong] + [config] * refused:
        with pytest.raises(BadSignature):
            adapter.verify(request, other, now=NOW)


WORDS = re.findall(
    r"\w+",
    "results status groupId groupName id name error description messageId to from text receivedAt doneAt sentAt price "
    "pricePerMessage currency messageCount event content destination outboundMessageReference outboundMessageId messages msg "
    "reference code errorCode received message number timeUtc events type at MessageSid MessageStatus SmsStatus ErrorCode Body "
    "From To OptOutType AccountSid",
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["report", "reply", "BLOCK", "0", "3", "delivered", "\x00", "\ud800", "9" * 5000, 10**400, 1e308])
    | st.sampled_from(["2026-11-23T09:15:02.481+0000", "9999-12-31T23:59:59-1200", "0001-01-01T00:00:00+1400"])
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=6),
    max_leaves=20,
)
ENVELOPES = (
    st.lists(TREES, max_size=3).map(lambda items: {"results": items})
    | TREES.map(lambda item: {"messages": {"msg": item}})
    | st.lists(TREES, max_size=3).map(lambda items: {"events": items})
    | TREES
)


@st.composite
def xml_trees(draw: st.DrawFn) -> bytes:
    """A result or MSG element of odd children."""
    tags = st.sampled_from([*WORDS, "TO", "REFERENCE", "STATUS", "CODE", "ERRORCODE"])
    leaf = st.tuples(tags, st.text("ab03é \t", max_size=5)).map(lambda pair: f"<{pair[0]}>{pair[1]}</{pair[0]}>")
    node = st.recursive(
        leaf,
        lambda inner: st.tuples(tags, st.lists(inner, max_size=3)).map(
            lambda pair: f"<{pair[0]}>{''.join(pair[1])}</{pair[0]}>"
        ),
    )
    children = "".join(draw(st.lists(node, max_size=5)))
    outer = draw(
        st.sampled_from(["<r><results><result>{}</result></results></r>", "<MESSAGES><MSG>{}</MSG></MESSAGES>"])
    )
    return outer.format(children).encode()


@st.composite
def damaged_samples(draw: st.DrawFn) -> bytes:
    """A sample's body with a few bytes replaced by others."""
    body = samples.load(draw(st.sampled_from([row["sample"] for row in MANIFEST]))).body
    start = draw(st.integers(0, len(body)))
    return body[:start] + draw(st.binary(max_size=6)) + body[start + draw(st.integers(0, 40)) :]


LATIN = st.text(st.characters(max_codepoint=255), max_size=60)
BODIES = (
    st.binary(max_size=200)
    | ENVELOPES.map(lambda tree: json.dumps(tree).encode())
    | xml_trees()
    | damaged_samples()
    | st.dictionaries(st.sampled_from(WORDS), st.text(max_size=9)).map(
        lambda d: "&".join(map("=".join, d.items())).encode()
    )
)
QUERIES = LATIN | st.lists(st.tuples(st.sampled_from(WORDS), LATIN)).map(lambda p: "&".join(map("=".join, p)))
HEADER_NAMES = st.sampled_from(
    ["authorization", "content-type", "x-infobip-signature", "x-sandbox-signature", "x-twilio-signature"]
    + ["x-twilio-webhooks-signature-settings", "x-secret"]
)
HEADER_VALUES = LATIN | st.sampled_from(
    ["Basic 0", "Basic \xe9", "Basic dTpw", "t=1,v1=0", "application/json", "application/x-www-form-urlencoded"]
)
CONFIGS = st.fixed_dictionaries(
    {},
    optional={
        name: st.text(max_size=8)
        for name in (
            "basic_username",
            "basic_password",
            "header_value",
            "hmac_key",
            "auth_token",
            "shared_key",
            "signing_key",
        )
    },
).map(lambda config: {"header_name": "X-Secret"} | config)
BOMB = b'<!DOCTYPE a [<!ENTITY a "aa"><!ENTITY b "&a;&a;&a;&a;">]><MESSAGES><MSG><TO>&b;&b;</TO></MSG></MESSAGES>'


def is_sound(item: Item) -> bool:
    """Every text of the item can be stored, and its time compared."""
    if isinstance(item, Unreadable):
        return bool(item.cause)
    texts = [value for name in item.__slots__ if isinstance(value := getattr(item, name), str)]
    storable = all("\x00" not in text and text.encode() is not None for text in texts)
    timed = item.at is None or (isinstance(item.at, datetime) and item.at > datetime.fromisoformat("2000-01-01T00:00Z"))
    if isinstance(item, Reply):
        return storable and timed and bool(item.key) and bool(item.sender)
    return storable and timed and item.status in Status and bool(item.message_key) and len(item.fingerprint) == 32


@pytest.mark.parametrize("slug", SLUGS)
@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(
    method=st.sampled_from(["POST", "GET"]),
    headers=st.lists(st.tuples(HEADER_NAMES | LATIN, HEADER_VALUES), max_size=5),
    query=QUERIES,
    body=BODIES,
    config=CONFIGS,
)
@example("POST", [], "", BOMB, {})
@example("POST", [], "", b"<a>" * 150_000, {})
@example("POST", [], "", b"[" * 200_000, {})
@example("POST", [], "", b'{"results":[{"messageId":"\\u0000","status":{}}]}', {})
@example("POST", [], "", b'{"type":"reply","id":"\\u0000","from":"1"}', {})
@example("POST", [], "", b"MessageSid=%00&MessageStatus=sent", {})
@example("GET", [], "reference=%00&status=2", b"", {})
@example("POST", [], "", b'{"results":[' + b"9" * 10_000 + b"]}", {})
@example("POST", [], "", b'{"messages":{"msg":{"reference":"' + b"m" * 4000 + b'","status":{"code":2}}}}', {})
@example("POST", [("content-type", "application/json")], "bodySHA256=%FF", b"{}", {"auth_token": "a"})
def test_no_bytes_raise_anything_but_the_two_refusals(
    slug: str, method: str, headers: list[tuple[str, str]], query: str, body: bytes, config: dict[str, str]
) -> None:
    adapter = get(slug)
    request = RawRequest(
        method=method,
        path="/api/webhook-feedbacks/x",
        query=query,
        headers=tuple(headers),
        body=body,
        base_url="https://hooks.example.com",
        peer="203.0.113.7",
        secure=True,
        received_at=NOW,
    )
    with suppress(BadPayload):
        assert all(is_sound(item) for item in adapter.parse(request))
    with suppress(BadSignature):
        adapter.verify(request, config, now=NOW)
    assert isinstance(adapter.names(request), str)
