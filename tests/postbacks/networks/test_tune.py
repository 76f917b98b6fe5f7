"""What TUNE's postbacks say: every sample and the network's own names, written out whole."""

from decimal import Decimal

import pytest

from postbacks.networks.base import Reported
from postbacks.networks.tune import adapter
from postbacks.verdicts import Verdict
from tests.postbacks.requests import K1, K2, postback
from tests.samples import load

LITERAL = (
    "The click id arrived as {aff_sub}, a macro that was not replaced: paste the URL, with {aff_click_id}, into the"
    " postback field of TUNE and do not open it by hand."
)
MISSING = (
    "No click id arrived: the tracking link must pass ours as aff_click_id and the postback URL must send it back as"
    " click_id={aff_click_id}."
)

SAMPLES = {
    "01_minimal": Reported(click_id=K1, click_text=K1, payout=Decimal("42.00"), payout_text="42.00"),
    "02_conversion_id": Reported(
        click_id=K1,
        click_text=K1,
        payout=Decimal("42.00"),
        payout_text="42.00",
        transaction_id="1029ab44c1d27700e5f18a2b63c9d4",
    ),
    "07_repeat_of_minimal": Reported(click_id=K1, click_text=K1, payout=Decimal(42), payout_text="42.00"),
    "09_literal_macros": Reported(
        click_id="", click_text="{aff_sub}", payout_text="{payout}", problem=Verdict.LITERAL_MACRO, detail=LITERAL
    ),
    "10_literal_macros_encoded": Reported(
        click_id="", click_text="{aff_sub}", payout_text="{payout}", problem=Verdict.LITERAL_MACRO, detail=LITERAL
    ),
    "15_no_click_id": Reported(
        click_id="", payout=Decimal(42), payout_text="42.00", problem=Verdict.MISSING_CLICK_ID, detail=MISSING
    ),
    "16_comma_decimal": Reported(
        click_id=K1, click_text=K1, payout=Decimal("12.50"), payout_text="12,50", flags=("comma_decimal",)
    ),
    "20_absurd_payout": Reported(
        click_id=K1,
        click_text=K1,
        payout_text="99999999999999999999.99",
        problem=Verdict.BAD_PAYOUT,
        detail=("The payout 99999999999999999999.99 is refused: it has more than 12 digits before the decimal point."),
    ),
    "21_nan_payout": Reported(
        click_id=K1,
        click_text=K1,
        payout_text="NaN",
        problem=Verdict.BAD_PAYOUT,
        detail="The payout NaN is refused: it is not a number.",
    ),
    "23_contradiction": Reported(
        click_id="",
        click_text=f"{K1} | {K2}",
        payout_text="42.00 | 1.00",
        problem=Verdict.AMBIGUOUS_PARAMETERS,
        detail="The parameter click_id came more than once with different values: send it once.",
    ),
    "25_unknown_click": Reported(
        click_id="zz00zz00zz00zz00zz00zz00zz",
        click_text="zz00zz00zz00zz00zz00zz00zz",
        payout=Decimal(42),
        payout_text="42.00",
    ),
}


@pytest.mark.parametrize(("name", "expected"), SAMPLES.items(), ids=SAMPLES)
def test_each_sample_is_read_whole(name, expected):
    assert adapter.parse(load(f"postbacks/tune/{name}")) == [expected]


def test_the_full_template_filled_in_is_read_whole():
    query = (
        f"click_id={K1}&payout=42.00&txid=1029ab44c1d27700e5f18a2b63c9d4&goal_id=17&currency=usd&offer_id=9"
        "&goal_name=Sale%20done&status=Approved&datetime=2025-03-04%2018%3A05%3A09"
    )
    assert adapter.parse(postback(query)) == [
        Reported(
            click_id=K1,
            click_text=K1,
            payout=Decimal(42),
            payout_text="42.00",
            currency="USD",
            transaction_id="1029ab44c1d27700e5f18a2b63c9d4",
            event="17",
            event_name="Sale done",
            status_word="approved",
            offer_ref="9",
        )
    ]


@pytest.mark.parametrize(
    ("query", "field", "value"),
    [
        (f"aff_click_id={K1}&aff_sub=summer", "click_id", K1),
        (f"aff_sub={K1}", "click_id", K1),
        (f"aff_sub3={K1}", "click_id", K1),
        (f"aff_unique1={K1}", "click_id", K1),
        ("transaction_id=10aa&tune_event_id=55", "transaction_id", "55"),
        ("transaction_id=10aa", "transaction_id", "10aa"),
        ("goal_id=0", "event", ""),
        ("goal_id=17&event=sale", "event", "17"),
        ("goal=17", "event", "17"),
        ("sale_amount=90.00", "payout", None),
    ],
)
def test_the_networks_own_names_are_read_in_its_order(query, field, value):
    (reported,) = adapter.parse(postback(query))
    assert getattr(reported, field) == value


def test_a_status_macro_that_is_not_replaced_rules_nothing_out():
    (reported,) = adapter.parse(postback(f"click_id={K1}&payout=42&status={{status}}"))
    assert (reported.status_word, reported.flags, reported.problem) == ("", ("literal_status",), None)
