"""How a postback's parameters are read, whichever network sent them, and what each doubt is answered with."""

import json
from decimal import Decimal
from types import MappingProxyType

import pytest

from postbacks.networks.base import USUAL_ALIASES, USUAL_STATUSES, BadPayload, Network
from postbacks.parameters import MAX_PARAMETERS, read_parameters, report, unreplaced_macro
from postbacks.verdicts import Verdict
from tests.postbacks.requests import K1, K2, postback


class Acme(Network):
    name = "Acme"
    click_parameters = ("s1", "s2")
    click_macro = "{s1}"
    payout_macro = "{earned_amount}"
    aliases = USUAL_ALIASES
    statuses = USUAL_STATUSES


ACME = Acme()
MISSING = "No click id arrived: the tracking link must pass ours as s1 and the postback URL must send it back as click_id={s1}."


def read(query="", **request):
    return report(postback(query, **request), ACME)


# Reading


@pytest.mark.parametrize(
    ("query", "values", "flags"),
    [
        ("", {}, ()),
        ("click_id=abc&payout=5", {"click_id": ("abc",), "payout": ("5",)}, ()),
        ("Click_ID=abc&PAYOUT=5", {"click_id": ("abc",), "payout": ("5",)}, ()),
        ("click_id=abc&amp;payout=5", {"click_id": ("abc",), "payout": ("5",)}, ("amp_key",)),
        ("a=1&amp;amp;b=2", {"a": ("1",), "b": ("2",)}, ("amp_key",)),
        ("click_id[]=abc", {"click_id": ("abc",)}, ("array_key",)),
        ("click_id%5B%5D=abc", {"click_id": ("abc",)}, ("array_key",)),
        ("a=1&a=1", {"a": ("1",)}, ()),
        ("a=1&A=2", {"a": ("1", "2")}, ()),
        ("a=&a=1", {"a": ("1",)}, ()),
        ("a=", {"a": ()}, ()),
        ("a", {"a": ()}, ()),
        ("a=+1+", {"a": ("1",)}, ()),
        ("a=x%ZZ", {"a": ("x%ZZ",)}, ()),
        ("a=%C3%28", {"a": ("\ufffd(",)}, ()),
        ("a=x=y", {"a": ("x=y",)}, ()),
    ],
)
def test_query_parameters_are_read(query, values, flags):
    parameters = read_parameters(postback(query))
    assert (parameters.values, parameters.flags) == (values, flags)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
def test_only_a_post_has_a_body(method):
    assert read_parameters(postback("a=1", method=method, body=b"b=2")).values == {"a": ("1",)}


@pytest.mark.parametrize("content_type", ["", "application/json", "application/x-www-form-urlencoded", "text/plain"])
@pytest.mark.parametrize(
    "body",
    [
        b"b=2&c=x+y",
        b"\r\nb=2&c=x%20y\r\n",
        b'{"b": 2, "c": "x y"}',
        b'\xef\xbb\xbf {"b": "2", "c": "x y"}',
    ],
)
def test_a_body_is_read_for_what_it_is_and_not_for_what_it_is_called(body, content_type):
    request = postback("a=1", method="POST", body=body, content_type=content_type)
    assert read_parameters(request).values == {"a": ("1",), "b": ("2",), "c": ("x y",)}


@pytest.mark.parametrize(
    ("body", "values", "flags"),
    [
        (b'{"payout": 18.50}', {"payout": ("18.50",)}, ()),
        (b'{"payout": 1e5}', {"payout": ("1e5",)}, ()),
        (b'{"payout": NaN}', {"payout": ("NaN",)}, ()),
        (b'{"a": true, "b": false, "c": null}', {"a": ("true",), "b": ("false",), "c": ()}, ()),
        (b'{"a": "1", "a": "2"}', {"a": ("1", "2")}, ()),
        (b'{"a": {"b": 1}, "c": [2], "d": {}, "e": 5}', {"e": ("5",)}, ("nested_parameter",)),
        (b'{"a": "\xc3("}', {"a": ("\ufffd(",)}, ()),
        (b'{"a": ' + b"9" * 10_000 + b"}", {"a": ("9" * 10_000,)}, ()),
        (b"{}", {}, ()),
    ],
)
def test_a_json_object_is_read_as_it_was_written(body, values, flags):
    parameters = read_parameters(postback(method="POST", body=body))
    assert (parameters.values, parameters.flags) == (values, flags)


UNREADABLE = [
    b"[]",
    b'["a=1"]',
    b'"a=1"',
    b"{",
    b'{"a": 1,}',
    b"<a>1</a>",
    b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
    b'{"a": ' + b"[" * 100_000,
    b'{"a": ' + b"[" * 65 + b"]" * 65 + b"}",
]


@pytest.mark.parametrize("body", UNREADABLE, ids=range(len(UNREADABLE)))
def test_an_unreadable_body_is_refused_only_where_the_query_says_nothing(body):
    with pytest.raises(BadPayload):
        read_parameters(postback(method="POST", body=body))
    parameters = read_parameters(postback("a=1", method="POST", body=body))
    assert (parameters.values, parameters.flags) == ({"a": ("1",)}, ("body_unreadable",))


def test_two_hundred_parameters_are_the_most():
    half = "&".join(f"p{n}=1" for n in range(MAX_PARAMETERS // 2))
    rest = half.replace("p", "q").encode()
    assert len(read_parameters(postback(half, method="POST", body=rest)).values) == MAX_PARAMETERS
    as_json = json.dumps({f"j{n}": 1 for n in range(MAX_PARAMETERS + 1)}).encode()
    for query, body in ((half, rest + b"&r=1"), (half, as_json), ("", as_json), ("", rest + b"&" + rest + b"&r=1")):
        with pytest.raises(BadPayload):
            read_parameters(postback(query, method="POST", body=body))
    with pytest.raises(BadPayload):
        read_parameters(postback("&".join([half, half, "r=1"])))


# Macros


@pytest.mark.parametrize(
    ("text", "macro"),
    [
        ("{aff_sub}", "{aff_sub}"),
        ("{{sub1}}", "{{sub1}}"),
        ("${sub1}", "${sub1}"),
        ("abc{", "abc{"),
        ("%7Baff_sub%7D", "{aff_sub}"),
        ("%7baff_sub%7d", "{aff_sub}"),
        ("%257Baff_sub%257D", "{aff_sub}"),
        ("<sub1>", "<sub1>"),
        ("%3Csub1%3E", "<sub1>"),
        ("#sub1#", "#sub1#"),
        ("[sub1]", "[sub1]"),
        ("abc", ""),
        ("k3v9-q2m7_X", ""),
        ("42.00", ""),
        ("12%2C50", ""),
        ("100%", ""),
        ("order #7", ""),
        ("a<b", ""),
        ("x[1]", ""),
        ("##", ""),
        ("", ""),
    ],
)
def test_a_macro_is_told_from_a_value(text, macro):
    assert unreplaced_macro(text) == macro


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        (
            "click_id={s1}&payout=5",
            "The click id arrived as {s1}, a macro that was not replaced: paste the URL, with {s1}, into the postback field"
            " of Acme and do not open it by hand.",
        ),
        (
            "click_id={s2}&payout=5",
            "The click id arrived as {s2}, a macro that was not replaced: paste the URL, with {s1}, into the postback field"
            " of Acme and do not open it by hand.",
        ),
        (
            "click_id={S_1}&payout=5",
            "The click id arrived as {S_1}, a macro that was not replaced: Acme replaces it only when it is spelt exactly,"
            " use {s1}.",
        ),
        (
            "click_id=%255Bs2%255D&payout=5",
            "The click id arrived as s2, a macro that was not replaced: Acme replaces it only when it is spelt exactly,"
            " use {s2}.",
        ),
        (
            "click_id=%3C%C3%A9%3E&payout=5",
            "The click id arrived as a macro that was not replaced: use {s1} instead.",
        ),
        (
            f"click_id={K1}&payout={{Earned_Amount}}",
            "The payout arrived as {Earned_Amount}, a macro that was not replaced: Acme replaces it only when it is spelt"
            " exactly, use {earned_amount}.",
        ),
        (
            f"click_id={K1}&payout={{s1}}",
            "The payout arrived as {s1}, a macro that was not replaced: use {earned_amount} instead.",
        ),
        (
            f"click_id={K1}&payout=%257Bsum%257D",
            "The payout arrived as {sum}, a macro that was not replaced: use {earned_amount} instead.",
        ),
    ],
)
def test_a_macro_in_place_of_click_id_or_payout_is_answered_with_the_fix(query, detail):
    reported = read(query)
    assert (reported.problem, reported.detail) == (Verdict.LITERAL_MACRO, detail)


@pytest.mark.parametrize(
    ("name", "field", "flag"),
    [
        ("txid", "transaction_id", "literal_transaction_id"),
        ("event_id", "event", "literal_event"),
        ("event_name", "event_name", "literal_event_name"),
        ("status", "status_word", "literal_status"),
        ("currency", "currency", "literal_currency"),
        ("offer_id", "offer_ref", "literal_offer"),
    ],
)
@pytest.mark.parametrize("macro", ["{x}", "%257Bx%257D", "[x]", "{{x}}"])
def test_a_macro_elsewhere_counts_as_absent(name, field, flag, macro):
    reported = read(f"click_id={K1}&payout=5&{name}={macro}")
    assert (getattr(reported, field), reported.flags) == ("", (flag,))
    assert (reported.problem, reported.detail) == (None, "")


# Click ids


@pytest.mark.parametrize(
    ("sent", "click_id"),
    [(K1, K1), (K1.upper(), K1), (f"+{K1}%20", K1), ("A-b_9", "a-b_9"), ("x" * 64, "x" * 64), ("click", "click")],
)
def test_click_ids_are_compared_in_lower_case(sent, click_id):
    reported = read(f"click_id={sent}&payout=5")
    assert (reported.click_id, reported.problem) == (click_id, None)


@pytest.mark.parametrize(
    ("sent", "problem", "detail"),
    [
        ("", Verdict.MISSING_CLICK_ID, MISSING),
        ("%20", Verdict.MISSING_CLICK_ID, MISSING),
        (
            "x" * 65,
            Verdict.TOO_LONG,
            "The click id arrived as 65 characters where ours have 26: write click_id={s1} in the postback URL.",
        ),
        (
            "%21" * 65,
            Verdict.TOO_LONG,
            "The click id arrived as 65 characters where ours have 26: write click_id={s1} in the postback URL.",
        ),
        (
            "abc%00def",
            Verdict.MALFORMED_CLICK_ID,
            "The click id arrived with characters ours never have (abcdef): write click_id={s1} in the postback URL.",
        ),
        (
            "%C3%A9",
            Verdict.MALFORMED_CLICK_ID,
            "The click id arrived with characters ours never have (other characters): write click_id={s1} in the"
            " postback URL.",
        ),
        (
            "abc;payout=5",
            Verdict.MALFORMED_CLICK_ID,
            "The click id arrived with characters ours never have (abcpayout5): put an ampersand between the parameters"
            " of the postback URL.",
        ),
        # The Kelvin sign becomes an ordinary k in lower case.
        (
            "%E2%84%AA9",
            Verdict.MALFORMED_CLICK_ID,
            "The click id arrived with characters ours never have (9): write click_id={s1} in the postback URL.",
        ),
    ],
)
def test_what_is_no_click_id_is_answered_with_the_fix(sent, problem, detail):
    reported = read(f"payout=42.00&click_id={sent}")
    assert (reported.click_id, reported.problem, reported.detail) == ("", problem, detail)
    assert reported.payout == 42


def test_an_absent_click_id_keeps_what_helps_to_match_by_hand():
    reported = read("payout=42.00&offer_id=9&goal_id=17")
    assert (reported.problem, reported.offer_ref, reported.event) == (Verdict.MISSING_CLICK_ID, "9", "17")


@pytest.mark.parametrize(
    ("query", "click_id"),
    [
        (f"cid={K2}&click_id={K1}", K1),
        (f"click_id=&cid={K2}", K2),
        (f"click_id=+&subid={K2}", K2),
        (f"CLICKID={K2}", K2),
    ],
)
def test_the_first_name_with_a_value_counts(query, click_id):
    assert read(f"{query}&payout=5").click_id == click_id


# Repetition


@pytest.mark.parametrize(
    "name", ["click_id", "payout", "txid", "event", "event_name", "status", "currency", "offer_id"]
)
def test_contradicting_copies_of_a_used_parameter_rule_a_conversion_out(name):
    base = "&".join(part for part in (f"click_id={K1}", "payout=5") if not part.startswith(name))
    reported = read(f"{base}&{name}=one&{name}=two")
    assert reported.problem is Verdict.AMBIGUOUS_PARAMETERS
    assert reported.detail == f"The parameter {name} came more than once with different values: send it once."


def test_a_contradicted_value_is_not_used_but_shown():
    reported = read(f"click_id={K1}&click_id={K2}&payout=42.00&payout=1.00&txid=a&txid=b")
    assert (reported.click_id, reported.payout, reported.transaction_id) == ("", None, "")
    assert (reported.click_text, reported.payout_text) == (f"{K1} | {K2}", "42.00 | 1.00")


@pytest.mark.parametrize(
    "query",
    [
        f"click_id={K1}&click_id={K1}&payout=5",
        f"click_id={K1}&click_id=&payout=5",
        f"click_id={K1}&payout=5&other=1&other=2",
        f"click_id={K1}&payout=5&revenue=9&revenue=8",
    ],
)
def test_agreeing_copies_and_parameters_nobody_reads_do_no_harm(query):
    reported = read(query)
    assert (reported.click_id, reported.payout, reported.problem) == (K1, 5, None)


def test_query_and_body_contradict_each_other_too():
    reported = read(f"click_id={K1}", method="POST", body=f"click_id={K2}&payout=5".encode())
    assert reported.problem is Verdict.AMBIGUOUS_PARAMETERS


# Money


@pytest.mark.parametrize(
    ("sent", "payout", "text", "flags"),
    [
        ("18.5", Decimal("18.50"), "18.5", ()),
        ("12,50", Decimal("12.50"), "12,50", ("comma_decimal",)),
        ("12%2C50", Decimal("12.50"), "12,50", ("comma_decimal",)),
        ("+5.00", Decimal(5), "5.00", ()),
        ("-18.50", Decimal("-18.50"), "-18.50", ()),
        ("0", Decimal(0), "0", ()),
        ("", None, "", ("payout_missing",)),
        ("%20", None, "", ("payout_missing",)),
    ],
)
def test_payouts_are_read_and_their_text_kept(sent, payout, text, flags):
    reported = read(f"click_id={K1}&payout={sent}")
    assert (reported.payout, reported.payout_text, reported.flags) == (payout, text, flags)
    assert reported.problem is None


@pytest.mark.parametrize(
    ("sent", "detail"),
    [
        ("1e5", "The payout 1e5 is refused: it is written with an exponent; write a plain amount such as 12.50."),
        ("12%252C50", "The payout is refused: it is percent-encoded twice."),
        (
            "1,234",
            "The payout is refused: its comma may separate decimals or thousands; write it with a decimal point and no"
            " commas.",
        ),
        ("$5.00", "The payout is refused: it is not a plain amount such as 12.50."),
        ("9" * 10_000, "The payout is refused: it has more than 12 digits before the decimal point."),
    ],
)
def test_a_payout_that_cannot_be_read_is_refused_with_the_reason(sent, detail):
    reported = read(f"click_id={K1}&payout={sent}")
    assert (reported.click_id, reported.payout, reported.problem) == (K1, None, Verdict.BAD_PAYOUT)
    assert reported.detail == detail


# Optional fields


@pytest.mark.parametrize(
    ("query", "field", "value", "flags"),
    [
        ("event_id=0", "event", "", ()),
        ("event_id=00", "event", "00", ()),
        ("event_id=412", "event", "412", ()),
        ("currency=usd", "currency", "USD", ()),
        ("currency=US", "currency", "", ("bad_currency",)),
        ("currency=U%24D", "currency", "", ("bad_currency",)),
        ("currency=dollar", "currency", "", ("bad_currency",)),
        ("currency=%EF%BC%B5SD", "currency", "", ("bad_currency",)),
        ("currency=", "currency", "", ()),
        ("status=+Approved%20", "status_word", "approved", ()),
        ("txid=AbC", "transaction_id", "AbC", ()),
        ("txid=a%00b", "transaction_id", "ab", ()),
        ("event_name=Upsell+1", "event_name", "Upsell 1", ()),
    ],
)
def test_optional_fields_are_read(query, field, value, flags):
    reported = read(f"click_id={K1}&payout=5&{query}")
    assert (getattr(reported, field), reported.flags, reported.problem) == (value, flags, None)


@pytest.mark.parametrize(
    ("name", "field", "limit", "flag"),
    [("txid", "transaction_id", 255, "long_transaction_id"), ("event", "event", 100, "long_event")],
)
def test_long_ids_that_begin_alike_stay_two(name, field, limit, flag):
    fits, one, other = (read(f"click_id={K1}&payout=5&{name}=" + "x" * limit + end) for end in ("", "1", "2"))
    assert (getattr(fits, field), fits.flags) == ("x" * limit, ())
    assert one.flags == other.flags == (flag,)
    assert getattr(one, field) != getattr(other, field)
    assert max(len(getattr(one, field)), len(getattr(other, field))) <= limit


def test_a_long_transaction_id_keeps_its_beginning():
    reported = read(f"click_id={K1}&payout=5&txid=" + "x" * 256)
    beginning, _, digest = reported.transaction_id.partition("~")
    assert (beginning, digest) == ("x" * 200, "85e62acd750c4eb56b7b6a1d66dca5bfaac5f062")


# Several problems, and tests


@pytest.mark.parametrize(
    ("query", "problem"),
    [
        ("click_id={s1}&payout=5&payout=6", Verdict.AMBIGUOUS_PARAMETERS),
        ("click_id=a&click_id={s1}&payout=x", Verdict.AMBIGUOUS_PARAMETERS),
        ("click_id={s1}&payout=NaN", Verdict.LITERAL_MACRO),
        ("payout={payout}", Verdict.LITERAL_MACRO),
        ("click_id=a%20b&payout={payout}", Verdict.LITERAL_MACRO),
        ("click_id=a%20b&payout=NaN", Verdict.MALFORMED_CLICK_ID),
        ("payout=NaN", Verdict.MISSING_CLICK_ID),
        ("click_id=" + "x" * 65 + "&payout=NaN", Verdict.TOO_LONG),
    ],
)
def test_the_first_problem_in_order_is_the_one_reported(query, problem):
    assert read(query).problem is problem


@pytest.mark.parametrize("value", ["1", "true", "YES"])
def test_a_test_is_a_test_whatever_else_is_wrong(value):
    good = read(f"click_id={K1}&payout=5&test={value}")
    assert (good.problem, good.detail) == (Verdict.TEST, "This is a test (test=1) and counts nothing.")
    assert (good.click_id, good.payout) == (K1, 5)
    bad = read(f"click_id={K1}&payout=1e5&test={value}")
    assert bad.problem is Verdict.TEST
    assert bad.detail == (
        "This is a test and counts nothing, but as a real postback: the payout 1e5 is refused: it is written with an"
        " exponent; write a plain amount such as 12.50."
    )


@pytest.mark.parametrize("value", ["0", "", "false", "no", "2"])
def test_other_values_of_test_mean_nothing(value):
    assert read(f"click_id={K1}&payout=5&test={value}").problem is None


def test_flags_are_listed_once_in_the_order_of_their_causes():
    reported = read(f"click_id[]={K1}&amp;payout[]=12,50&amp;txid={{x}}&currency=x")
    assert reported.flags == ("array_key", "amp_key", "comma_decimal", "literal_transaction_id", "bad_currency")


def test_a_network_need_not_name_every_field():
    class Bare(Acme):
        aliases = MappingProxyType({"click_id": ("click_id",), "payout": ("payout",)})

    reported = report(postback(f"click_id={K1}&payout=5&currency=USD"), Bare())
    assert (reported.click_id, reported.payout, reported.currency) == (K1, 5, "")


@pytest.mark.parametrize("text", ["amp;", "%7B", "{", "9", "%C3"])
def test_parameters_of_a_megabyte_are_refused_before_they_are_decoded(text):
    filler = text * (1_000_000 // len(text))
    for query in (f"{filler}click_id=1", f"click_id={filler}"):
        with pytest.raises(BadPayload, match="longer than"):
            read(query)


def test_a_sentence_never_repeats_what_a_page_would_run():
    reported = read("click_id=%3Cscript%3Ealert(1)%3C/script%3E" + "{" * 200)
    assert reported.problem is Verdict.LITERAL_MACRO
    assert set("<>()/") & set(reported.detail) == set()
    assert len(reported.detail) < 200
