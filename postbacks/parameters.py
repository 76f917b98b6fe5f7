"""Owns the reading of a postback, the same for every network: its parameters, and the rule of each field.

Query and body are read alike, and what is doubtful is said instead of guessed: contradicting copies of a parameter, a macro
the network did not replace, an amount that could be two. The first such doubt, in the order ambiguous, literal, click id,
payout, becomes the report's problem, with a sentence for whoever set the postback up.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from urllib.parse import unquote

from postbacks.money import BadMoney, parse_money
from postbacks.networks.base import Network, Reported
from postbacks.verdicts import Verdict
from trackly.payloads import BadPayload, read_pairs, too_deep
from trackly.raw import RawRequest
from trackly.text import clean, echo

MAX_PARAMETERS = 200

_SPACES = " \t\r\n"
# "&amp;" is an ampersand copied out of a page's source, once or more often.
_AMPERSANDS = re.compile(r"(?:amp;)+")
_CLICK_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CURRENCY = re.compile(r"[A-Za-z]{3}")
_NOT_A_FORM = (b"{", b"[", b"<", b'"', b"--")
_YES = frozenset({"1", "true", "yes"})

_MACRO_SIGN = re.compile(r"[{}<>#\[\]%]")
# A brace is in no ordinary value; the other brackets make a macro only around the whole of it.
_MACRO = re.compile(r"[{}]|\A(?:<[^<>]+>|#[^#]+#|\[[^\[\]]+\])\Z")

# Fields a conversion can do without, and the flag for a macro in their place.
_OPTIONAL = {
    "transaction_id": "literal_transaction_id",
    "event": "literal_event",
    "event_name": "literal_event_name",
    "status_word": "literal_status",
    "currency": "literal_currency",
    "offer_ref": "literal_offer",
}

Problem = tuple[Verdict, str]
Pairs = list[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What came for one field, under the first of its names that had a value."""

    name: str = ""
    texts: tuple[str, ...] = ()
    """The different values of that name: none when the field is absent, several when they contradict each other."""
    macro: str = ""
    """The macro that came in place of the (first) value, without percent-encoding; '' when it is a value."""

    @property
    def text(self) -> str:
        return " | ".join(self.texts)

    @property
    def is_ambiguous(self) -> bool:
        return len(self.texts) > 1

    @property
    def usable(self) -> str:
        """The value; '' when there is none or it cannot be relied on."""
        return "" if self.macro or self.is_ambiguous else self.text


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    """All parameters of one request, whatever the case of their names."""

    values: Mapping[str, tuple[str, ...]]
    """Name in lower case -> its different non-empty values, in the order they came."""
    flags: tuple[str, ...] = ()
    """Any of 'amp_key', 'array_key', 'nested_parameter', 'body_unreadable'."""

    def find(self, names: tuple[str, ...]) -> Found:
        for name in names:
            if texts := self.values.get(name):
                return Found(name=name, texts=texts, macro=unreplaced_macro(texts[0]))
        return Found()


def report(request: RawRequest, network: Network) -> Reported:
    """What the request reports, read with the network's names; raises BadPayload."""
    parameters = read_parameters(request)
    found = {field: parameters.find(names) for field, names in network.aliases.items()}
    click, payout = found["click_id"], found["payout"]
    click_id, click_problem = _read_click_id(click, network)
    amount, payout_flags, payout_problem = _read_payout(payout)
    optional, optional_flags = _read_optional(found)
    problem = _ambiguity(found) or _literal_macro(click, payout, network) or click_problem or payout_problem
    if any(text.lower() in _YES for text in parameters.values.get("test", ())):
        problem = _as_test(problem)
    verdict, detail = problem or (None, "")
    return Reported(
        click_id=click_id,
        click_text=click.text,
        payout=amount,
        payout_text=payout.text,
        flags=tuple(dict.fromkeys((*parameters.flags, *payout_flags, *optional_flags))),
        problem=verdict,
        detail=detail,
        **optional,
    )


def read_parameters(request: RawRequest) -> Parameters:
    """The query's parameters and, of a POST, the body's after them; raises BadPayload."""
    pairs, flags = _pairs(request)
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        key, text = name.strip(_SPACES).lower(), value.strip(_SPACES)
        if ampersands := _AMPERSANDS.match(key):
            key = key[ampersands.end() :]
            flags.append("amp_key")
        if key.endswith("[]"):
            key = key.removesuffix("[]")
            flags.append("array_key")
        texts = values.setdefault(key, [])
        if text and text not in texts:
            texts.append(text)
    return Parameters(values={key: tuple(texts) for key, texts in values.items()}, flags=tuple(dict.fromkeys(flags)))


def unreplaced_macro(text: str) -> str:
    """The macro that `text` is, percent-encoding undone; '' for an ordinary value."""
    if not _MACRO_SIGN.search(text):
        return ""
    # No network has a macro of a thousand characters; decoding megabytes twice would take a second.
    plain = unquote(unquote(text[:1_000])).strip(_SPACES)
    return plain if _MACRO.search(plain) else ""


def _pairs(request: RawRequest) -> tuple[Pairs, list[str]]:
    pairs = read_pairs(request.query, MAX_PARAMETERS)
    if request.method != "POST":
        return pairs, []
    # The first character tells what a body is: senders' content types cannot be relied on.
    body = request.body.removeprefix(b"\xef\xbb\xbf").strip()
    flags: list[str] = []
    if not body.startswith(_NOT_A_FORM):
        more = read_pairs(body, MAX_PARAMETERS)
    else:
        try:
            more, flags = _read_object(body)
        except BadPayload:
            # With parameters in the query the body was hardly meant to be read.
            if not pairs:
                raise
            more, flags = [], ["body_unreadable"]
    if len(pairs) + len(more) > MAX_PARAMETERS:
        raise BadPayload(f"more than {MAX_PARAMETERS} parameters")
    return pairs + more, flags


def _read_object(body: bytes) -> tuple[Pairs, list[str]]:
    if too_deep(body):
        raise BadPayload("body is nested too deeply")
    try:
        # Unlike the kernel's reader this one shows both copies of a repeated key, and numbers as they were written.
        members = json.loads(
            body.decode("utf-8", "replace"),
            object_pairs_hook=tuple,
            parse_int=str,
            parse_float=str,
            parse_constant=str,
        )
    except ValueError as error:
        raise BadPayload("body is neither form fields nor a JSON object") from error
    if not isinstance(members, tuple):
        raise BadPayload("body is neither form fields nor a JSON object")
    flat = [(name, _as_text(value)) for name, value in members if not isinstance(value, list | tuple)]
    return flat, ["nested_parameter"] if len(flat) < len(members) else []


def _as_text(value: str | bool | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value).lower()


def _read_click_id(click: Found, network: Network) -> tuple[str, Problem | None]:
    text = click.usable
    if not click.texts:
        detail = (
            f"No click id arrived: the tracking link must pass ours as {network.click_parameters[0]}"
            f" and the postback URL must send it back as click_id={network.click_macro}."
        )
        return "", (Verdict.MISSING_CLICK_ID, detail)
    if not text or _CLICK_ID.fullmatch(text):
        return text.lower(), None
    shown, fix = echo(text) or "other characters", f"write click_id={network.click_macro} in the postback URL."
    if len(text) > 64:
        return "", (Verdict.TOO_LONG, f"The click id arrived as {len(text)} characters where ours have 26: {fix}")
    if "=" in text:
        fix = "put an ampersand between the parameters of the postback URL."
    return "", (Verdict.MALFORMED_CLICK_ID, f"The click id arrived with characters ours never have ({shown}): {fix}")


def _read_payout(payout: Found) -> tuple[Decimal | None, tuple[str, ...], Problem | None]:
    text = payout.usable
    if not text:
        return None, () if payout.texts else ("payout_missing",), None
    try:
        money = parse_money(text)
    except BadMoney as reason:
        # An echo that had to leave characters out would show another amount than arrived.
        shown = f" {text}" if echo(text) == text else ""
        return None, (), (Verdict.BAD_PAYOUT, f"The payout{shown} is refused: {reason}.")
    return money.amount, money.flags, None


def _read_optional(found: Mapping[str, Found]) -> tuple[dict[str, str], list[str]]:
    texts, flags = {}, []
    for field, flag in _OPTIONAL.items():
        item = found.get(field, Found())
        texts[field] = clean(item.usable, len(item.usable))
        if item.macro:
            flags.append(flag)
    texts["status_word"] = texts["status_word"].lower()
    if texts["event"] == "0":
        texts["event"] = ""
    if texts["currency"] and not _CURRENCY.fullmatch(texts["currency"]):
        texts["currency"] = ""
        flags.append("bad_currency")
    texts["currency"] = texts["currency"].upper()
    for field, limit, keep in (("transaction_id", 255, 200), ("event", 100, 50)):
        if len(texts[field]) > limit:
            texts[field] = _shortened(texts[field], keep)
            flags.append(f"long_{field}")
    return texts, flags


def _shortened(text: str, keep: int) -> str:
    """The first `keep` characters, '~' and 40 of a hash: two long ids that begin alike stay two."""
    return f"{text[:keep]}~{sha256(text.encode()).hexdigest()[:40]}"


def _ambiguity(found: Mapping[str, Found]) -> Problem | None:
    name = next((item.name for item in found.values() if item.is_ambiguous), "")
    if not name:
        return None
    return (
        Verdict.AMBIGUOUS_PARAMETERS,
        f"The parameter {name} came more than once with different values: send it once.",
    )


def _literal_macro(click: Found, payout: Found, network: Network) -> Problem | None:
    tracked = tuple(f"{{{name}}}" for name in network.click_parameters)
    for what, item, known in (
        ("click id", click, (network.click_macro, *tracked)),
        ("payout", payout, (network.payout_macro,)),
    ):
        if item.macro:
            shown = f"{name}, " if (name := echo(item.macro)) else ""
            advice = _macro_advice(item.macro, known, network)
            return Verdict.LITERAL_MACRO, f"The {what} arrived as {shown}a macro that was not replaced: {advice}."
    return None


def _macro_advice(arrived: str, known: tuple[str, ...], network: Network) -> str:
    if arrived in known:
        return f"paste the URL, with {known[0]}, into the postback field of {network.name} and do not open it by hand"
    twin = next((macro for macro in known if _bare(macro) == _bare(arrived)), None)
    if twin:
        return f"{network.name} replaces it only when it is spelt exactly, use {twin}"
    return f"use {known[0]} instead"


def _bare(macro: str) -> str:
    return re.sub(r"[^a-z0-9]", "", macro.lower())


def _as_test(problem: Problem | None) -> Problem:
    if problem is None:
        return Verdict.TEST, "This is a test (test=1) and counts nothing."
    _, detail = problem
    return Verdict.TEST, f"This is a test and counts nothing, but as a real postback: {detail[0].lower()}{detail[1:]}"
