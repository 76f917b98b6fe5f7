"""What Everflow's postbacks say: every sample and the network's own names, written out whole."""

from decimal import Decimal

import pytest

from postbacks.networks.base import Reported
from postbacks.networks.everflow import adapter
from postbacks.verdicts import ConversionStatus, Verdict
from tests.postbacks.requests import K2, K3, postback
from tests.samples import load

TRANSACTION = "5b1d0c77e9a84f3c9d0a4b6e2f718c35"
FULL = Reported(
    click_id=K2,
    click_text=K2,
    payout=Decimal("18.50"),
    payout_text="18.50",
    currency="USD",
    transaction_id=TRANSACTION,
)

SAMPLES = {
    "03_short_decimals": Reported(click_id=K2, click_text=K2, payout=Decimal("18.50"), payout_text="18.5"),
    "04_full": FULL,
    "05_second_event": Reported(
        click_id=K2,
        click_text=K2,
        payout=Decimal(6),
        payout_text="6.00",
        transaction_id=TRANSACTION,
        event="412",
        event_name="Upsell 1",
    ),
    "06_repeat_of_full": FULL,
    "12_literal_macro_case": Reported(
        click_id="",
        click_text="{Sub1}",
        payout=Decimal("18.50"),
        payout_text="18.50",
        problem=Verdict.LITERAL_MACRO,
        detail=(
            "The click id arrived as {Sub1}, a macro that was not replaced: Everflow replaces it only when it is spelt"
            " exactly, use {sub1}."
        ),
    ),
    "13_empty_click_id": Reported(
        click_id="",
        payout=Decimal("18.50"),
        payout_text="18.50",
        problem=Verdict.MISSING_CLICK_ID,
        detail=(
            "No click id arrived: the tracking link must pass ours as sub1 and the postback URL must send it back as"
            " click_id={sub1}."
        ),
    ),
    "14_empty_payout": Reported(click_id=K2, click_text=K2, flags=("payout_missing",)),
    "18_negative_payout": Reported(
        click_id=K2, click_text=K2, payout=Decimal("-18.50"), payout_text="-18.50", transaction_id=TRANSACTION
    ),
    "26_late": Reported(
        click_id=K3,
        click_text=K3,
        payout=Decimal("18.50"),
        payout_text="18.50",
        transaction_id="0f9e8d7c6b5a49382716f5e4d3c2b1a0",
    ),
}


@pytest.mark.parametrize(("name", "expected"), SAMPLES.items(), ids=SAMPLES)
def test_each_sample_is_read_whole(name, expected):
    assert adapter.parse(load(f"postbacks/everflow/{name}")) == [expected]


@pytest.mark.parametrize(
    ("query", "field", "value"),
    [
        (f"sub1={K2}", "click_id", K2),
        (f"click_id={K2}&sub1=summer", "click_id", K2),
        ("payout_amount=6", "payout", Decimal(6)),
        ("payout=6&revenue=9", "payout", Decimal(6)),
        ("revenue=9&payout_amount=6", "payout", Decimal(6)),
        ("payout=&revenue=9", "payout", Decimal(9)),
        ("sale_amount=90.00", "payout", None),
        ("offer_currency=eur", "currency", "EUR"),
        ("event_id=412&event=sale", "event", "412"),
        ("event_id=0", "event", ""),
        ("oid=7", "offer_ref", "7"),
    ],
)
def test_the_networks_own_names_are_read_in_its_order(query, field, value):
    (reported,) = adapter.parse(postback(query))
    assert getattr(reported, field) == value


def test_the_documented_revenue_spelling_is_told_the_better_macro_when_it_arrives_literally():
    (reported,) = adapter.parse(postback(f"click_id={K2}&payout={{revenue}}"))
    assert (reported.click_id, reported.problem) == (K2, Verdict.LITERAL_MACRO)
    assert reported.detail == (
        "The payout arrived as {revenue}, a macro that was not replaced: use {payout_amount} instead."
    )


def test_its_fourth_state_is_a_rejection():
    assert adapter.statuses["invalid"] is ConversionStatus.REJECTED
