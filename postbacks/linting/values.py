"""Owns what the linter says about the parameters of a postback URL: each macro in its place, none missing, none twice."""

import re
from dataclasses import dataclass, field

from postbacks.building import OPTIONAL, click_macro, field_of, optional_parts, written
from postbacks.linting.findings import Expected, Finding, doubt, note, wrong
from postbacks.linting.pasted import Pasted, as_macro
from postbacks.networks.base import Network

_MACRO = re.compile(r"\{[^{}]*\}")
_WORDS = {"click_id": "click id", "payout": "payout", **{name: label.lower() for name, (label, _) in OPTIONAL.items()}}
# Read by the endpoint itself.
_OURS = frozenset({"account", "test"})
# Without these a conversion is lost, or one sale is taken for another.
_VITAL = ("click_id", "payout", "transaction_id")

_MISSING = {
    "click_id": ("no_click_id", "It sends no click id back: no conversion could be credited."),
    "payout": ("no_payout", "It sends no payout: every conversion counts with the offer's default."),
    "transaction_id": (
        "no_transaction", "It sends no transaction id: a second sale of the same click cannot be told from a repeat."
    ),
}  # fmt: skip


@dataclass(slots=True)
class Values:
    """The parameters as they should be, and what was wrong with them."""

    pairs: list[tuple[str, str]] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    seen: dict[str, str] = field(default_factory=dict)
    """Field -> the parameter it was first found under."""


def look_at_values(pasted: Pasted, expected: Expected) -> Values:
    values = Values()
    known = all_macros(expected)
    named: dict[str, str] = {}
    for name, raw in pasted.pairs:
        value, is_odd = as_macro(raw, known)
        if is_odd:
            values.findings.append(_odd(raw, value, expected))
        if not _is_repeated(name, value, named, values):
            _look_at(name, value, expected, values)
    _look_for_missing(expected, values)
    return values


def _odd(raw: str, value: str, expected: Expected) -> Finding:
    said = f"{raw[:60]} is not how {expected.network.name} writes a macro: it would arrive as it stands."
    return wrong("braces", said, f"Write {value[:60]}, and paste it as text: some editors change braces.")


def _is_repeated(name: str, value: str, named: dict[str, str], values: Values) -> bool:
    key = name.lower()
    if key not in named:
        named[key] = value
        return False
    if named[key] != value:
        said = f"{name[:40]} stands in it twice, with different values: which of them is meant nobody can tell, so no hit counts."
        values.findings.append(wrong("twice", said, "Keep one of them."))
    return True


def _look_at(name: str, value: str, expected: Expected, values: Values) -> None:
    what = field_of(expected.network, name)
    if not what:
        _look_at_stranger(name, value, values)
        return
    if what in values.seen:
        said = f"{values.seen[what]} and {name[:40]} both mean the {_WORDS.get(what, what)}; only one is read."
        values.findings.append(doubt("both", said, f"Leave {name[:40]} out."))
        return
    values.seen[what] = name
    finding = _judge(what, name, value, expected)
    if finding is not None:
        values.findings.append(finding)
    right = _right(what, expected)
    # An accepted macro of an older documentation is left to whoever pasted it only while nothing better is known.
    if finding is None or not right:
        values.pairs += [(name, value)] if finding is None else []
    else:
        values.pairs.append((name, right[0]))


def _look_at_stranger(name: str, value: str, values: Values) -> None:
    if name.lower() == "test" and value.lower() in ("1", "true", "yes"):
        said = "It says test=1: every conversion would be a test and count nothing."
        values.findings.append(wrong("test", said, "Leave test out."))
        return
    if name.lower() in _OURS:
        return
    values.pairs.append((name, value))
    values.findings.append(note("unread", f"{name[:40]} is kept with the hit and not read: we know no such parameter."))


def _judge(what: str, name: str, value: str, expected: Expected) -> Finding | None:
    """What is wrong with one value; None when nothing is."""
    words, network = _WORDS.get(what, what), expected.network
    fix = f"Write {name}={right[0]}." if (right := _right(what, expected)) else f"Leave {name[:40]} out."
    if value in right or value in network.other_macros.get(what, ()):
        return _judge_known(what, value, expected, fix)
    macro = _MACRO.search(value)
    if value in all_macros(expected) or (macro and macro[0] == value):
        return _judge_macro(what, value, expected, fix)
    if macro:
        return wrong("around", f"Beside the macro of the {words} there is other text: {value[:60]}.", fix)
    if not value:
        return wrong("empty", f"{name[:40]} is empty.", fix) if what in _VITAL[:2] else None
    return _judge_literal(what, value, fix)


def _judge_known(what: str, value: str, expected: Expected, fix: str) -> Finding | None:
    """One of the network's macros that may stand there."""
    network = expected.network
    if what == "payout" and value != network.payout_macro:
        said = f"{value} is accepted. {network.payout_macro} is surer to be what you are paid."
        return doubt("older", said, fix)
    if what != "click_id" or any(value == click_macro(network, parameter) for parameter in expected.carried):
        return None
    carried = " and ".join(sorted(expected.carried))
    said = f"{value} gives back another parameter of the tracking link than {carried}, which carries our click id."
    return wrong(
        "not_carried", said, f"{fix[:-1]}, or let the tracking link carry {{click_id}} under the parameter of {value}."
    )


def _judge_macro(what: str, value: str, expected: Expected, fix: str) -> Finding:
    """A macro that is none of those that belong there."""
    network, words = expected.network, _WORDS.get(what, what)
    own = own_macros(expected)
    if value in own:
        return wrong("swapped", f"{value} stands for something else than the {words}.", fix)
    if twin := next((macro for macro in sorted(own) if _bare(macro) == _bare(value)), ""):
        return wrong(
            "spelling", f"{network.name} knows {twin}, not {value[:60]}: it replaces what is spelt exactly.", fix
        )
    if other := next((other for other in expected.others if value in _macros_of(other)), None):
        return wrong("other_network", f"{value} is a macro of {other.name}, not of {network.name}.", fix)
    said = f"{value[:60]} is not among the macros of {network.name} that we know. One it does not have arrives as it stands."
    return wrong("unknown_macro", said, fix) if what in _VITAL else doubt("unknown_macro", said, fix)


def _judge_literal(what: str, value: str, fix: str) -> Finding:
    words, shown = _WORDS.get(what, what), value[:60]
    said = {
        "click_id": f"The click id is always '{shown}': it names no click, so nothing can be credited.",
        "payout": f"The payout is always '{shown}', whatever the conversion earned.",
        "transaction_id": f"The transaction id is always '{shown}': a second sale would be taken for a repeat.",
    }.get(what, f"The {words} is always '{shown}'.")
    # A fixed payout may be meant, and so may a fixed currency.
    return wrong("literal", said, fix) if what in ("click_id", "transaction_id") else doubt("literal", said, fix)


def _look_for_missing(expected: Expected, values: Values) -> None:
    known = written(expected.network)
    for place, what in enumerate(_VITAL):
        right = _right(what, expected)
        if what in values.seen or not right:
            continue
        name = known.get(what, (expected.network.aliases[what][0], ""))[0]
        values.pairs.insert(place, (name, right[0]))
        code, said = _MISSING[what]
        make = wrong if what == "click_id" else doubt
        values.findings.append(make(code, said, f"Add {name}={right[0]}."))


def _right(what: str, expected: Expected) -> tuple[str, ...]:
    """The macros that belong to a field, the recommended one first; none where the network has none for it."""
    network = expected.network
    if what == "click_id":
        parameters = (expected.click_parameter, *sorted(expected.carried), *network.click_parameters)
        return tuple(dict.fromkeys(click_macro(network, parameter) for parameter in parameters))
    if what == "payout":
        return (network.payout_macro,)
    return tuple(part.macro for part in optional_parts(network) if part.field == what)


def own_macros(expected: Expected) -> frozenset[str]:
    return _macros_of(expected.network)


def all_macros(expected: Expected) -> frozenset[str]:
    return own_macros(expected).union(*(_macros_of(other) for other in expected.others))


def _macros_of(network: Network) -> frozenset[str]:
    fields = [macro for macros in network.other_macros.values() for macro in macros]
    clicks = [click_macro(network, parameter) for parameter in network.click_parameters]
    template = [macro for _, macro in written(network).values()]
    return frozenset(
        {network.payout_macro, *clicks, *template, *fields, *network.macros.values(), *network.known_macros}
    )


def _bare(macro: str) -> str:
    return re.sub(r"[^a-z0-9]", "", macro.lower())
