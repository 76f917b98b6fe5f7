"""Bytes nobody meant as a postback: never an error of ours, never lost, never in the way of others."""

import json
from urllib.parse import quote

import pytest
from django.test import Client
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from postbacks import networks
from postbacks.models import Conversion
from tests.postbacks.conftest import actual_totals, expected_totals
from webhooks.inbound.models import InboundRequest

K = "k3v9q2m7x1c8t4b6n0p5r2w8yd"
FORM, JSON = "application/x-www-form-urlencoded", "application/json"

NAMES = st.sampled_from(["click_id", "payout", "txid", "status", "currency", "event_id", "account", "test", "x", ""])
PAIRS = st.lists(st.tuples(NAMES, st.binary(max_size=20) | st.sampled_from([K.encode(), b"10", b"-1"])), max_size=6)
QUERIES = st.binary(max_size=60) | PAIRS.map(
    lambda pairs: "&".join(f"{n}={quote(v, safe='')}" for n, v in pairs).encode()
)
BODIES = QUERIES | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=10),
    lambda inner: st.dictionaries(NAMES, inner, max_size=4),
).map(lambda value: json.dumps(value).encode())


def everything_stored(
    client: Client, *, method: str, path: str, query: bytes, body: bytes = b"", **headers: str
) -> int:
    """The status of this request, after making sure that no 200 was given without a row."""
    before = InboundRequest.objects.count()
    answer = client.generic(
        method, path, body, content_type=headers.pop("type", ""), QUERY_STRING=query.decode("latin-1"), **headers
    )
    assert answer.status_code < 500
    answer.content.decode("ascii")
    assert InboundRequest.objects.count() - before == (answer.status_code == 200)
    return answer.status_code


@pytest.fixture(autouse=True)
def _no_samples_only(settings):
    settings.REFUSED_SAMPLED_PER_MINUTE = 1_000_000


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    slug=st.sampled_from(sorted(networks.all_networks())),
    rest=st.sampled_from(["", "/", "/~"]) | st.binary(max_size=12).map(lambda raw: "/" + quote(raw, safe="")),
    is_tokened=st.booleans(),
    method=st.sampled_from(["GET", "POST", "HEAD"]),
    query=QUERIES,
    body=BODIES,
    content_type=st.sampled_from([FORM, JSON, "text/plain", "multipart/form-data; boundary=x", "\xff"]),
    header=st.binary(max_size=30),
)
@example(
    slug="tune", rest="", is_tokened=True, method="POST", query=b"account=%00&click_id=%00", body=b"\x00{", content_type=JSON,
    header=b"\x00\xff",
)  # fmt: skip
def test_no_bytes_are_an_error_of_ours(world, slug, rest, is_tokened, method, query, body, content_type, header):
    path = f"/api/postbacks/{world.connection.network}/{world.connection.postback_token}"
    everything_stored(
        world.client,
        method=method,
        path=path if is_tokened else f"/api/postbacks/{slug}{rest}",
        query=query,
        body=body,
        type=content_type,
        HTTP_USER_AGENT=header.decode("latin-1"),
        HTTP_X_FORWARDED_FOR=header.decode("latin-1"),
    )
    world.work()
    assert not InboundRequest.objects.filter(state__in=["waiting", "failed"]).exists()
    assert not InboundRequest.objects.exclude(last_error="").exists()
    assert actual_totals() == expected_totals()


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("click_id={K}&payout=10&txid=t1", FORM),
        ("click_id={K}&payout=10&txid=t1", ""),
        ('{{"click_id": "{K}", "payout": 10, "txid": "t1"}}', JSON),
        ('{{"click_id": "{K}", "payout": "10.00", "txid": "t1"}}', "text/plain"),
    ],
)
def test_a_posted_body_counts_like_a_query(world, body, content_type):
    text = body.format(K=world.click.click_id).encode()
    assert everything_stored(
        world.client, method="POST", path=world.url().rstrip("?"), query=b"", body=text, type=content_type
    ) == 200  # fmt: skip
    world.work()
    row = Conversion.objects.get()
    assert (row.verdict, row.transaction_id, bytes(row.query)) == ("recorded", "t1", b"\n" + text)
    assert world.totals() == {"conversion": (1, "10")}


STRANGE = {
    "payout of 10,000 digits": ("payout=" + "9" * 10_000, "bad_payout"),
    "payout of 10,000 decimals": ("payout=1." + "9" * 10_000, "bad_payout"),
    "payout with NUL": ("payout=1%000", "bad_payout"),
    "payout in full-width digits": ("payout=%EF%BC%95", "bad_payout"),
    "payout as an exponent": ("payout=1e5", "bad_payout"),
    "transaction of 4,000 characters": ("payout=10&txid=" + "t" * 4_000, "recorded"),
    "event of 4,000 characters": ("payout=10&event_id=" + "e" * 4_000, "recorded"),
    "status of 4,000 characters": ("payout=10&status=" + "s" * 4_000, "status_unmapped"),
    "transaction with NUL": ("payout=10&txid=a%00b", "recorded"),
    "broken UTF-8": ("payout=10&txid=%C3%28%FF&event_name=%ED%A0%80", "recorded"),
    "lone surrogate": ("payout=10&event_name=%ED%A0%80", "recorded"),
    "two clicks": ("payout=10&click_id=other", "ambiguous_parameters"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_values_are_judged(world, name):
    query, verdict = STRANGE[name]
    row = world.say(f"click_id={world.click.click_id}&{query}")
    assert row.verdict == verdict
    assert len(row.reply) <= 300
    assert row.reply.isascii()


def test_long_ids_that_begin_alike_stay_two(world):
    for end in "ab":
        assert world.say(payout=10, txid="t" * 4_000 + end).verdict == "recorded"


@pytest.mark.parametrize("click_id", ["x" * 4_000, "a%00b", "%F0%9F%98%80", "a b", "../..", "%3Cscript%3E"])
def test_strange_click_ids_are_told(world, click_id):
    row = world.say(f"click_id={click_id}&payout=10")
    assert row.verdict in ("too_long", "malformed_click_id", "literal_macro")
    assert (row.account, row.click) == (world.account, None)
    assert not set("<>&'\"") & set(row.reply)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"x" * 65_536, FORM),
        (b"&" * 65_536, FORM),
        (b"a=1&" * 16_000, FORM),
        (b"[" * 65_536, JSON),
        (b'{"click_id":' * 5_000, JSON),
        (b'{"payout": ' + b"9" * 60_000 + b"}", JSON),
        (b"\xff\xfe\x00", JSON),
    ],
)
def test_a_huge_or_broken_body_is_kept_and_told(world, body, content_type):
    path = world.url().rstrip("?")
    assert everything_stored(world.client, method="POST", path=path, query=b"", body=body, type=content_type) == 200
    world.work()
    row = Conversion.objects.get()
    assert row.kind == ""
    assert row.reply.startswith("Stored, not counted: ")
    assert len(row.query) <= 8_192
    assert bytes(InboundRequest.objects.get().body) == body


def test_a_broken_body_does_not_hide_the_query(world):
    query = f"click_id={world.click.click_id}&payout=10".encode()
    path = world.url().rstrip("?")
    assert everything_stored(world.client, method="POST", path=path, query=query, body=b"{", type=JSON) == 200
    world.work()
    row = Conversion.objects.get()
    assert (row.verdict, row.flags) == ("recorded", ["body_unreadable"])


def test_a_body_no_postback_needs_is_told_so_and_not_kept(world):
    path = world.url() + f"click_id={world.click.click_id}&payout=10"
    answer = world.client.post(path, b"x" * 65_537, content_type=FORM)
    assert (answer.status_code, answer.content) == (413, b"The body is over 65536 bytes.")
    assert not InboundRequest.objects.exists()
