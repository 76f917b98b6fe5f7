"""Every line of the recorded postbacks, in the order of the file, over the token's URL and over the documented bare one."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from postbacks.models import Conversion, NetworkConnection
from tests import samples
from tests.factories import (
    AccountFactory,
    ClickFactory,
    LinkFactory,
    MessageFactory,
    NetworkConnectionFactory,
    OfferFactory,
)
from tests.postbacks.conftest import actual_totals, expected_totals, plain
from tests.postbacks.requests import K1, K2, K3

LINES = json.loads((samples.ROOT / "postbacks" / "expected.json").read_text())
STORED = "Stored: click {}, payout {}. It is judged within seconds; a repeat is not counted twice."
NO_ACCOUNT = " This URL names no account: use the affiliate's postback URL with the token."
UNVERIFIED = " It came without a token, so it is unverified."
LITERAL = "Stored, not counted: The click id arrived as {}, a macro that was not replaced: "
MISSING = (
    "Stored, not counted: No click id arrived: the tracking link must pass ours as {0} and the postback URL must send it"
    " back as click_id={{{0}}}."
)

# Line: verdict, what counts of it, as what, the line it repeats or changes, reply.
EXPECTED = {
    "01": ("recorded", "42", "conversion", None, STORED.format(K1, "42.00")),
    "02": ("duplicate", "42", "", "01", STORED.format(K1, "42.00")),
    "03": ("recorded", "18.5", "conversion", None, STORED.format(K2, "18.5")),
    "04": ("duplicate", "18.5", "", "03", STORED.format(K2, "18.50")),
    "05": ("recorded", "6", "conversion", None, STORED.format(K2, "6.00")),
    "06": ("duplicate", "18.5", "", "03", STORED.format(K2, "18.50")),
    "07": ("duplicate", "42", "", "01", STORED.format(K1, "42.00")),
    "09": (
        "literal_macro", "", "", None,
        LITERAL.format("{aff_sub}")
        + "paste the URL, with {aff_click_id}, into the postback field of TUNE and do not open it by hand.",
    ),
    "10": (
        "literal_macro", "", "", None,
        LITERAL.format("{aff_sub}")
        + "paste the URL, with {aff_click_id}, into the postback field of TUNE and do not open it by hand.",
    ),
    "12": (
        "literal_macro", "18.5", "", None,
        LITERAL.format("{Sub1}") + "Everflow replaces it only when it is spelt exactly, use {sub1}.",
    ),
    "13": ("missing_click_id", "18.5", "", None, MISSING.format("sub1")),
    "14": (
        "duplicate", "0", "", "03",
        f"Stored: click {K2}, no payout, so the offer's default. It is judged within seconds; a repeat is not counted twice.",
    ),
    "15": ("missing_click_id", "42", "", None, MISSING.format("aff_click_id")),
    "16": ("duplicate_differs", "12.5", "", "01", STORED.format(K1, "12.5")),
    "18": ("adjusted", "-18.5", "adjustment", "03", STORED.format(K2, "-18.50")),
    "20": (
        "bad_payout", "", "", None,
        "Stored, not counted: The payout 99999999999999999999.99 is refused: it has more than 12 digits before the decimal"
        " point.",
    ),
    "21": (
        "bad_payout", "", "", None, "Stored, not counted: The payout NaN is refused: it is not a number.",
    ),
    "23": (
        "ambiguous_parameters", "", "", None,
        "Stored, not counted: The parameter click_id came more than once with different values: send it once.",
    ),
    "25": ("unknown_click", "42", "", None, STORED.format("zz00zz00zz00zz00zz00zz00zz", "42.00")),
    "26": ("recorded", "18.5", "conversion", None, STORED.format(K3, "18.50")),
}  # fmt: skip
# On the bare URL nothing is changed and nothing is taken back.
BARE = {"16": ("held", "12.5", "", "01"), "18": ("held", "-18.5", "", None)}


@pytest.fixture
def account(db):
    """One account with the three clicks of the samples, a connection to each network."""
    account = AccountFactory()
    now = datetime.now(UTC)
    for network, clicks in {"tune": {K1: 1}, "everflow": {K2: 1, K3: 140}}.items():
        connection = NetworkConnectionFactory(account=account, network=network)
        offer = OfferFactory(connection=connection)
        for click_id, days in clicks.items():
            message = MessageFactory(sending_list__provider_account__account=account)
            link = LinkFactory(offer=offer, message=message)
            sending_list = message.sending_list
            ClickFactory(click_id=click_id, link=link, sending_list=sending_list, at=now - timedelta(days=days))
    return account


def send(client, line, token):
    slug = line["sample"].split("/")[1]
    target = line["request"].removeprefix("GET ")
    if token:
        connection = NetworkConnection.objects.get(network=slug)
        target = target.replace(f"/{slug}?", f"/{slug}/{connection.postback_token}?")
    return client.get(target)


def play(client, work_off, *, token):
    """Every line of the file, each worked off before the next; line -> (reply, the conversion it became)."""
    told = {}
    for line in LINES:
        before = set(Conversion.objects.values_list("id", flat=True))
        answer = send(client, line, token)
        assert answer.status_code == 200
        work_off()
        told[line["line"]] = answer.content, Conversion.objects.exclude(id__in=before).get()
    return {line: (reply, Conversion.objects.get(id=row.id)) for line, (reply, row) in told.items()}


def summary(row, rows):
    lines = {stored.id: line for line, (_, stored) in rows.items()}
    return row.verdict, plain(row.payout), row.kind, lines.get(row.original_id)


def test_every_line_is_judged_and_answered_as_written(client, work_off, account):
    rows = play(client, work_off, token=True)
    assert {line: (*summary(row, rows), reply.decode()) for line, (reply, row) in rows.items()} == EXPECTED
    assert {line["line"]: line["verdict"] for line in LINES} == {line: row.verdict for line, (_, row) in rows.items()}


def test_what_the_lines_leave_behind_is_counted_once(client, work_off, account):
    rows = {line: row for line, (_, row) in play(client, work_off, token=True).items()}
    assert rows["01"].transaction_id == "1029ab44c1d27700e5f18a2b63c9d4"
    assert (rows["03"].transaction_id, rows["03"].status) == ("5b1d0c77e9a84f3c9d0a4b6e2f718c35", "reversed")
    assert (rows["26"].is_late, rows["03"].is_late) == (True, False)
    assert rows["16"].flags == ["comma_decimal"]
    assert "payout_missing" in rows["14"].flags
    counted = Conversion.objects.exclude(kind="")
    assert sum(row.payout for row in counted) == 42 + 6 + 18.5  # 18.5 - 18.5 is nothing
    assert all(row.message_id and row.sending_list_id and row.is_verified for row in counted)
    assert {row.account_id for row in rows.values()} == {account.id}
    assert actual_totals() == expected_totals()


def test_the_bare_url_counts_new_positive_lines_as_unverified_and_holds_the_negative_one(client, work_off, account):
    rows = play(client, work_off, token=False)
    wanted = {line: BARE.get(line, expected[:4]) for line, expected in EXPECTED.items()}
    assert {line: summary(row, rows) for line, (_, row) in rows.items()} == wanted
    assert not any(row.is_verified for _, row in rows.values())
    assert {key[2] for key in actual_totals() if "conversion" in key[2]} == {"conversion_unverified"}
    assert actual_totals() == expected_totals()


def test_the_bare_url_says_what_it_lacks(client, work_off, account):
    rows = play(client, work_off, token=False)
    known = {line["line"] for line in LINES if line["click"]}
    for line, (reply, row) in rows.items():
        assert reply.decode() == EXPECTED[line][4] + (UNVERIFIED if line in known else NO_ACCOUNT)
        assert (row.account_id is None) == (line not in known)


@pytest.mark.parametrize("token", [True, False])
def test_replies_are_short_and_safe_to_show(client, work_off, account, token):
    for reply, row in play(client, work_off, token=token).values():
        text = reply.decode("ascii")
        assert text.isprintable()
        assert text.endswith(".")
        assert not set(text) & set('<>&"')
        assert len(text) < 300
        assert row.reply == text
