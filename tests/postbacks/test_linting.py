"""What the linter says about a pasted URL, and the one it offers instead."""

from collections.abc import Iterable

import pytest

from postbacks import networks
from postbacks.building import click_macro, optional_parts, query
from postbacks.linting import Expected, Kind, Report, Severity, Whose, lint
from postbacks.networks.base import USUAL_ALIASES, USUAL_STATUSES, Network
from tests.postbacks.test_parameters import Acme

BASE = "https://hooks.example.com"
TOKEN = "currenttokencurrenttokenab"
TUNE = f"{BASE}/api/postbacks/tune/{TOKEN}"
EVERFLOW = f"{BASE}/api/postbacks/everflow/{TOKEN}"
RIGHT = "click_id={aff_click_id}&payout={payout}&txid={transaction_id}"
E_RIGHT = "click_id={sub1}&payout={payout_amount}&txid={transaction_id}"
WHOSE = {TOKEN: Whose.CURRENT, "formertoken": Whose.FORMER, "othertoken": Whose.OTHER}


def expected(slug: str, *, parameter: str = "", carried: Iterable[str] = (), base_url: str = BASE) -> Expected:
    network = networks.all_networks()[slug]
    parameter = parameter or network.click_parameters[0]
    return Expected(
        base_url=base_url,
        network=network,
        others=tuple(other for name, other in networks.all_networks().items() if name != slug),
        token=TOKEN,
        whose=lambda token: WHOSE.get(token, Whose.UNKNOWN),
        click_parameter=parameter,
        carried=frozenset(carried) | {parameter},
    )


def look(url: str, slug: str = "tune", **fields: object) -> Report:
    return lint(url, expected(slug, **fields))  # type: ignore[arg-type]


def codes(report: Report) -> list[str]:
    return [finding.code for finding in report.findings]


@pytest.mark.parametrize("slug", list(networks.all_networks()))
def test_the_url_we_build_ourselves_is_right_for_every_network(slug: str) -> None:
    network = networks.all_networks()[slug]
    chosen = [part.field for part in optional_parts(network)]
    asked = query(network, click_parameter=network.click_parameters[0], chosen=chosen)
    report = look(f"{BASE}/api/postbacks/{slug}/{TOKEN}?{asked}", slug)
    assert codes(report) == []
    assert report.is_right
    assert report.corrected == ""


# The documented URLs, with the token: {aff_sub} where the tracking link carries it, {revenue} accepted.


def test_the_documented_tune_url_is_right_where_the_tracking_link_carries_aff_sub() -> None:
    url = f"{TUNE}?click_id={{aff_sub}}&payout={{payout}}"
    assert codes(look(url, parameter="aff_sub")) == ["no_transaction"]
    assert codes(look(url, carried=["aff_sub"])) == ["no_transaction"]
    report = look(url)
    assert codes(report) == ["not_carried", "no_transaction"]
    assert report.corrected == f"{TUNE}?{RIGHT}"


def test_the_documented_everflow_payout_is_accepted_and_a_surer_one_named() -> None:
    report = look(f"{EVERFLOW}?click_id={{sub1}}&payout={{revenue}}&txid={{transaction_id}}", "everflow")
    assert codes(report) == ["older"]
    assert report.findings[0].severity == Severity.DOUBT
    assert report.corrected == f"{EVERFLOW}?{E_RIGHT}"


@pytest.mark.parametrize(
    ("url", "found"),
    [
        # Where it leads
        (f"http://hooks.example.com/api/postbacks/tune/{TOKEN}?{RIGHT}", ["http"]),
        (f"https://tracker.example.net/api/postbacks/tune/{TOKEN}?{RIGHT}", ["host"]),
        (f"{BASE}:8443/api/postbacks/tune/{TOKEN}?{RIGHT}", ["host"]),
        (f"{BASE}/postbacks/tune/{TOKEN}?{RIGHT}", ["path"]),
        (f"{BASE}/api/postbacks/tune/{TOKEN}/more?{RIGHT}", ["path"]),
        (f"{BASE}/api/postbacks/everflow/{TOKEN}?{RIGHT}", ["network"]),
        (f"{BASE}/api/postbacks/nobody/{TOKEN}?{RIGHT}", ["network"]),
        (f"{BASE}/api/postbacks/?{RIGHT}", ["network"]),
        # Whose it is
        (f"{BASE}/api/postbacks/tune?{RIGHT}", ["no_token"]),
        (f"{BASE}/api/postbacks/tune/?{RIGHT}", ["no_token"]),
        (f"{BASE}/api/postbacks/tune?account=abc&{RIGHT}", ["no_token"]),
        (f"{BASE}/api/postbacks/tune/formertoken?{RIGHT}", ["old_token"]),
        (f"{BASE}/api/postbacks/tune/othertoken?{RIGHT}", ["other_token"]),
        (f"{BASE}/api/postbacks/tune/neverheardof?{RIGHT}", ["token"]),
        (f"{BASE}/api/postbacks/tune/{{token}}?{RIGHT}", ["token"]),
        # What pasting did
        (f"{TUNE}?click_id={{aff_click_id}}&payout= {{payout}}&txid={{transaction_id}}", ["blanks"]),
        (f"{TUNE}?click_id={{aff_click_id}}\n&payout={{payout}}&txid={{transaction_id}}", ["blanks"]),
        (f"{TUNE}?click_id={{aff_click_id}}%0A&payout={{payout}}&txid={{transaction_id}}", ["blanks"]),
        (f"{TUNE}?{RIGHT.replace('&', '&amp;')}", ["amp"]),
        (f"{TUNE}?{RIGHT.replace('&', '&amp;amp;')}", ["amp"]),
        (f"{TUNE}?{RIGHT.replace('&', '?')}", ["joiner"]),
        (f"{TUNE}?{RIGHT.replace('&', ';')}", ["joiner"]),
        (f"{TUNE}?{RIGHT}#here", ["fragment"]),
        (f'"{TUNE}?{RIGHT}"', []),
        # Braces
        (f"{TUNE}?{RIGHT.replace('{', '%7B').replace('}', '%7D')}", ["braces"] * 3),
        (f"{TUNE}?{RIGHT.replace('{', '%257b').replace('}', '%257d')}", ["braces"] * 3),
        (f"{TUNE}?{RIGHT.replace('{', '{{').replace('}', '}}')}", ["braces"] * 3),
        (f"{TUNE}?{RIGHT.replace('{', '[').replace('}', ']')}", ["braces"] * 3),
        (f"{TUNE}?{RIGHT.replace('{', '<').replace('}', '>')}", ["braces"] * 3),
        (f"{TUNE}?{RIGHT.replace('{', '#').replace('}', '#')}", ["braces"] * 3),
        (f"{TUNE}?{RIGHT.replace('{', '${')}", ["braces"] * 3),
        # Macros
        (f"{TUNE}?click_id={{sub1}}&payout={{payout}}&txid={{transaction_id}}", ["other_network"]),
        (f"{TUNE}?click_id={{aff_click_id}}&payout={{payout_amount}}&txid={{transaction_id}}", ["other_network"]),
        (f"{TUNE}?click_id={{Aff_Click_ID}}&payout={{payout}}&txid={{transaction_id}}", ["spelling"]),
        (f"{TUNE}?click_id={{payout}}&payout={{aff_click_id}}&txid={{transaction_id}}", ["swapped"] * 2),
        (f"{TUNE}?click_id={{affiliate_id}}&payout={{payout}}&txid={{transaction_id}}", ["swapped"]),
        (f"{TUNE}?click_id={{our_id}}&payout={{payout}}&txid={{transaction_id}}", ["unknown_macro"]),
        (f"{TUNE}?click_id=id-{{aff_click_id}}&payout={{payout}}&txid={{transaction_id}}", ["around"]),
        (f"{TUNE}?{RIGHT}&status={{status}}", ["unknown_macro"]),
        # Literal text, nothing, and twice
        (f"{TUNE}?click_id=CLICK_ID&payout={{payout}}&txid={{transaction_id}}", ["literal"]),
        (f"{TUNE}?click_id={{aff_click_id}}&payout=5.00&txid={{transaction_id}}", ["literal"]),
        (f"{TUNE}?click_id=&payout={{payout}}&txid={{transaction_id}}", ["empty"]),
        (f"{TUNE}?payout={{payout}}&txid={{transaction_id}}", ["no_click_id"]),
        (f"{TUNE}?click_id={{aff_click_id}}&txid={{transaction_id}}", ["no_payout"]),
        (f"{TUNE}?click_id={{aff_click_id}}&payout={{payout}}", ["no_transaction"]),
        (TUNE, ["no_click_id", "no_payout", "no_transaction"]),
        (f"{TUNE}?{RIGHT}&payout={{sale_amount}}", ["twice"]),
        (f"{TUNE}?{RIGHT}&payout={{payout}}", []),
        (f"{TUNE}?{RIGHT}&revenue={{payout}}", ["both"]),
        (f"{TUNE}?{RIGHT}&test=1", ["test"]),
    ],
)
def test_a_postback_url_is_told_what_is_wrong_with_it_and_how_it_should_be(url: str, found: list[str]) -> None:
    report = look(url)
    assert report.kind == Kind.POSTBACK
    assert codes(report) == found
    assert all(finding.said and finding.fix for finding in report.findings)
    # What is offered instead is right, and nothing is offered for what is.
    assert bool(report.corrected) == bool(found)
    if found:
        assert codes(look(report.corrected)) == []


def test_a_parameter_we_do_not_know_is_kept_and_only_noted() -> None:
    report = look(f"{TUNE}?{RIGHT}&placement=left")
    assert [(finding.code, finding.severity) for finding in report.findings] == [("unread", Severity.NOTE)]
    assert report.is_right
    assert (
        "placement=left"
        in look(f"{TUNE}?click_id=x&payout={{payout}}&txid={{transaction_id}}&placement=left").corrected
    )


def test_the_worst_stands_first() -> None:
    report = look(f"{BASE}/api/postbacks/tune?click_id=CLICK&payout={{payout}}&placement=left")
    assert [finding.severity for finding in report.findings] == ["wrong", "doubt", "doubt", "note"]


def test_a_parameter_chosen_on_the_connection_is_what_the_postback_must_give_back() -> None:
    report = look(f"{TUNE}?{RIGHT}", parameter="aff_sub3")
    assert codes(report) == ["not_carried"]
    assert report.corrected == f"{TUNE}?{RIGHT.replace('aff_click_id', 'aff_sub3')}"


def test_without_an_address_of_ours_no_host_is_blamed() -> None:
    assert codes(look(f"https://anything.example.net/api/postbacks/tune/{TOKEN}?{RIGHT}", base_url="")) == []


def test_where_we_are_reached_over_http_https_is_not_demanded() -> None:
    url = f"http://127.0.0.1:8000/api/postbacks/tune/{TOKEN}?{RIGHT}"
    assert codes(look(url, base_url="http://127.0.0.1:8000")) == []


# Tracking links

LINK = "https://net.go2cloud.example/aff_c?offer_id=1&aff_id=2"


@pytest.mark.parametrize(
    ("url", "found", "corrected"),
    [
        (f"{LINK}&aff_click_id={{click_id}}", [], ""),
        (f"{LINK}&aff_click_id={{{{ click_id }}}}".replace(" ", ""), [], ""),
        (LINK, ["no_click_id"], f"{LINK}&aff_click_id={{click_id}}"),
        (f"{LINK}&aff_click_id={{aff_click_id}}", ["literal"], f"{LINK}&aff_click_id={{click_id}}"),
        (f"{LINK}&aff_click_id=123", ["literal"], f"{LINK}&aff_click_id={{click_id}}"),
        (f"{LINK}&aff_click_id={{clickid}}", ["spelling"], f"{LINK}&aff_click_id={{click_id}}"),
        (f"{LINK}&aff_click_id=[click_id]", ["spelling"], f"{LINK}&aff_click_id={{click_id}}"),
        (f"{LINK}&aff_click_id=%7Bclick_id%7D", ["spelling"], f"{LINK}&aff_click_id={{click_id}}"),
        (f"{LINK}&aff_sub={{click_id}}", ["another"], ""),
        (f"{LINK}&foo={{click_id}}", ["unusual"], f"{LINK}&foo={{click_id}}"),
        (
            "http://net.example/aff_c?aff_click_id={click_id}",
            ["http"],
            "https://net.example/aff_c?aff_click_id={click_id}",
        ),
        (f"{LINK}#aff_click_id={{click_id}}", ["fragment", "no_click_id"], f"{LINK}&aff_click_id={{click_id}}"),
    ],
)
def test_a_tracking_link_is_told_whether_it_carries_our_click_id(url: str, found: list[str], corrected: str) -> None:
    report = look(url)
    assert report.kind == Kind.TRACKING
    assert codes(report) == found
    assert report.corrected == (corrected if corrected != url else "")


def test_a_short_link_of_ours_is_recognised() -> None:
    assert codes(look(f"{BASE}/c/abc1234")) == ["short_link"]


@pytest.mark.parametrize(
    "text", ["", "hello", "ftp://example.com/x", "//example.com/", "https://[broken", "https:///path", "\0"]
)
def test_what_is_no_url_is_said_to_be_none(text: str) -> None:
    assert codes(look(text)) == ["not_a_url"]


@pytest.mark.parametrize(
    "piece", ["{" * 3_000, "%7B" * 2_000, "&amp;" * 2_000, "#a" * 2_000, "a=" * 3_000, "\u202e{x}", "=#a#" * 1_500]
)
def test_whatever_is_pasted_is_looked_at_in_no_time(piece: str) -> None:
    assert look(f"{TUNE}?click_id={piece}").kind == Kind.POSTBACK


# Whoever writes a new adapter states nothing more than before.


class Hashes(Network):
    """A network that writes its macros otherwise."""

    slug = "hashes"
    name = "Hashes"
    click_parameters = ("s1", "s2")
    click_macro = "#s1#"
    payout_macro = "#money#"
    template = "click_id=#s1#&payout=#money#&txid=#tid#"
    aliases = USUAL_ALIASES
    statuses = USUAL_STATUSES


def test_an_adapter_without_the_further_words_is_served() -> None:
    network = Hashes()
    assert [(part.field, part.macro, part.is_recommended) for part in optional_parts(network)] == [
        ("transaction_id", "#tid#", True)
    ]
    assert click_macro(network, "s2") == "#s2#"
    asked = query(network, click_parameter="s2", chosen=["transaction_id"])
    assert asked == "click_id=#s2#&payout=#money#&txid=#tid#"
    known = expected("tune")
    wanted = Expected(
        base_url=BASE, network=network, others=(known.network,), token=TOKEN, whose=known.whose,
        click_parameter="s2", carried=frozenset({"s2"}),
    )  # fmt: skip
    assert codes(lint(f"{BASE}/api/postbacks/hashes/{TOKEN}?{asked}", wanted)) == []
    braces = lint(f"{BASE}/api/postbacks/hashes/{TOKEN}?{asked.replace('#s2#', '{s2}')}", wanted)
    assert codes(braces) == ["spelling"]
    assert braces.corrected == f"{BASE}/api/postbacks/hashes/{TOKEN}?{asked}"


def test_a_network_without_a_recommended_query_still_gets_a_url() -> None:
    network = Acme()
    network.template = ""  # type: ignore[misc]
    assert query(network, click_parameter="s1", chosen=[]) == "click_id={s1}&payout={earned_amount}"
