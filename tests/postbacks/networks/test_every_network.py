"""What holds of every network, by the registry: a new file is held to it without an edit here."""

import json
from dataclasses import fields
from pathlib import Path
from urllib.parse import parse_qsl

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from postbacks.networks import all_networks, choices, get
from postbacks.networks.base import BadPayload, Reported
from postbacks.verdicts import BY_REQUEST, ConversionStatus, Verdict
from tests.postbacks.requests import K1, postback
from tests.samples import ROOT, load

NETWORKS = all_networks()
EXPECTED = json.loads((ROOT / "postbacks" / "expected.json").read_text())
# Names that users paste from other trackers' instructions.
KNOWN_NAMES = {
    "click_id": ("click_id", "clickid", "cid", "subid", "aff_sub", "sub1"),
    "payout_text": ("payout", "revenue", "amount", "sum"),
    "transaction_id": ("txid", "conversion_id", "transaction_id", "tid"),
    "event": ("event", "event_id", "goal", "goal_id"),
    "status_word": ("status",),
    "currency": ("currency",),
}
NAME_ROWS = [(field, name) for field, names in KNOWN_NAMES.items() for name in names]


@pytest.fixture(params=sorted(NETWORKS))
def network(request):
    return NETWORKS[request.param]


def test_the_two_documented_networks_are_found_by_their_file_names():
    assert {"tune", "everflow"} <= set(NETWORKS)
    assert ("everflow", "Everflow") in choices()
    assert get("tune").slug == "tune"
    assert get("base") is None


def test_it_says_who_it_is_and_where_that_is_written(network):
    assert network.name
    assert network.docs.startswith("https://")
    assert network.name.isascii()


def test_it_has_samples_and_a_test_of_its_own(network):
    assert list((ROOT / "postbacks" / network.slug).glob("*.http"))
    assert (Path(__file__).parent / f"test_{network.slug}.py").exists()


def test_its_names_fill_fields_that_exist_and_no_name_fills_two(network):
    names = [name for group in network.aliases.values() for name in group]
    assert set(network.aliases) <= {field.name for field in fields(Reported)}
    assert len(names) == len(set(names))
    assert names == [name.lower() for name in names]
    assert network.click_parameters
    assert set(network.click_parameters) <= set(network.aliases["click_id"])


def test_its_words_are_in_lower_case_and_mean_one_of_three_states(network):
    three = {ConversionStatus.APPROVED, ConversionStatus.PENDING, ConversionStatus.REJECTED}
    assert {"approved", "pending", "rejected"} <= set(network.statuses)
    assert set(network.statuses.values()) == three
    assert all(word == word.strip().lower() for word in network.statuses)


@pytest.mark.parametrize(("field", "name"), NAME_ROWS)
def test_the_usual_names_are_read(network, field, name):
    value = {"click_id": K1, "currency": "EUR"}.get(field, "17")
    (reported,) = network.parse(postback(f"{name}={value}"))
    assert getattr(reported, field) == value


def test_its_template_filled_in_is_a_conversion_without_a_question(network):
    pairs = parse_qsl(network.template, strict_parsing=True)
    values = {network.click_macro: K1, network.payout_macro: "42.00"}
    filled = "&".join(f"{name}={values.get(macro, 'usd')}" for name, macro in pairs)
    (reported,) = network.parse(postback(filled))
    assert (reported.click_id, reported.payout, reported.currency) == (K1, 42, "USD")
    assert (reported.problem, reported.flags) == (None, ())
    assert reported.transaction_id == reported.event == "usd"


def test_its_template_opened_by_hand_is_answered_with_the_macro_to_use(network):
    (reported,) = network.parse(postback(network.template))
    assert reported.problem is Verdict.LITERAL_MACRO
    assert network.click_macro in reported.detail


def test_its_macros_are_in_its_template(network):
    macros = [macro for _, macro in parse_qsl(network.template)]
    assert macros.count(network.click_macro) == 1
    assert macros.count(network.payout_macro) == 1


@pytest.mark.parametrize("row", EXPECTED, ids=lambda row: row["line"])
def test_what_the_request_alone_decides_is_decided_in_reading_it(row):
    slug = row["sample"].split("/")[1]
    (reported,) = get(slug).parse(load(row["sample"]))
    verdict = Verdict(row["verdict"])
    assert reported.problem == (verdict if verdict in BY_REQUEST else None)
    assert bool(reported.detail) == bool(reported.problem)


def test_every_sample_is_expected_and_has_the_bytes_of_its_line():
    files = {
        f"postbacks/{path.parent.name}/{path.stem}": path.read_bytes() for path in (ROOT / "postbacks").glob("*/*.http")
    }
    assert files == {
        row["sample"]: f"{row['request']} HTTP/1.1\r\nHost: hooks.example.com\r\n\r\n".encode() for row in EXPECTED
    }
    assert {"K1", "K2", "K3", None} == {row["click"] for row in EXPECTED}
    assert len(EXPECTED) == 20


QUERIES = st.text(st.characters(max_codepoint=255), max_size=300) | st.from_regex(
    r"((amp;)?(click_id|payout|txid|event|status|currency|test)(\[\])?=[\x00-\xff%{}0-9]{0,40}&?){0,8}", fullmatch=True
).map(lambda text: text.encode("utf-8", "replace").decode("latin-1"))
BODIES = (
    st.binary(max_size=300)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["click_id", "payout", "txid", "test"]), inner),
    ).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=60).map(lambda junk: b'{"click_id": "' + junk + b'"}')
)


@settings(deadline=None, max_examples=300)
@given(
    slug=st.sampled_from(sorted(NETWORKS)),
    method=st.sampled_from(["GET", "HEAD", "POST", "PUT"]),
    query=QUERIES,
    body=BODIES,
    content_type=st.text(st.characters(max_codepoint=255), max_size=40),
)
def test_any_bytes_are_a_report_that_can_be_stored_or_unreadable(slug, method, query, body, content_type):
    request = postback(query, method=method, body=body, content_type=content_type)
    try:
        (reported,) = get(slug).parse(request)
    except BadPayload:
        return
    texts = [getattr(reported, field.name) for field in fields(reported)]
    assert not any("\x00" in text for text in texts if isinstance(text, str))
    "".join(text for text in texts if isinstance(text, str)).encode()
    assert reported.payout is None or reported.payout.is_finite()
    assert (reported.problem is None) or reported.problem in BY_REQUEST
    assert reported.detail.isascii()
    assert bool(reported.click_id) or reported.problem is not None
