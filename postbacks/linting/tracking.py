"""Owns what the linter says about a tracking link: whether it carries our click id, and under what."""

import re

from postbacks.building import click_macro
from postbacks.linting.addresses import is_ours
from postbacks.linting.findings import Expected, Finding, Kind, Report, doubt, note, wrong
from postbacks.linting.pasted import Pasted, as_macro
from postbacks.linting.values import own_macros

OURS = "{click_id}"
_OURS = re.compile(r"\{\{\s*click_id\s*\}\}|\{click_id\}")
# As people write it who do not remember how: {clickid}, {CLICK_ID}, {click-id}.
_NEARLY = re.compile(r"\{\{?\s*click[_ -]?id\s*\}?\}", re.IGNORECASE)
_MACRO = re.compile(r"\{[^{}]*\}+")


def look_at_tracking_link(pasted: Pasted, expected: Expected) -> Report:
    if is_ours(pasted, expected):
        said = "This is a short link of ours: it leads to the network's tracking link by itself."
        fix = "Paste the tracking link of the offer to have it looked at."
        return Report(kind=Kind.TRACKING, findings=(note("short_link", said, fix),))
    pairs, findings = _mended(pasted, expected)
    if pasted.scheme == "http":
        findings.append(doubt("http", "It begins with http, not https.", "Write https, if the network answers to it."))
    if _OURS.search(pasted.fragment):
        findings.append(
            wrong("fragment", "Our click id stands after the #, which is never sent.", f"Write {OURS} into the query.")
        )
    carriers = [name for name, value in pairs if _OURS.fullmatch(value)]
    in_path = _OURS.search(pasted.path) is not None
    if not carriers and not in_path:
        findings.append(_not_carried(expected))
        pairs.append((expected.click_parameter, OURS))
    findings += [_unusual(name, expected) for name in carriers if name not in _names(expected)]
    findings += [
        _by_another(name, expected) for name in carriers if name in _names(expected) - {expected.click_parameter}
    ]
    corrected = f"https://{pasted.host}{pasted.path}?{'&'.join(f'{name}={value}' for name, value in pairs)}"
    return Report(kind=Kind.TRACKING, findings=(*pasted.findings, *findings), corrected=corrected)


def _mended(pasted: Pasted, expected: Expected) -> tuple[list[tuple[str, str]], list[Finding]]:
    """The parameters with our click id where it was meant to stand."""
    pairs: list[tuple[str, str]] = []
    findings: list[Finding] = []
    for name, raw in pasted.pairs:
        value, finding = _look_at(name, raw, expected)
        if finding is not None:
            findings.append(finding)
        earlier = dict(pairs).get(name)
        if earlier is None:
            pairs.append((name, value))
        elif earlier != value:
            findings.append(
                wrong("twice", f"{name[:40]} stands in it twice, with different values.", "Keep one of them.")
            )
    return pairs, findings


def _look_at(name: str, raw: str, expected: Expected) -> tuple[str, Finding | None]:
    """The value as it should be, and what was wrong with it."""
    fix = f"Write {name[:40]}={OURS}."
    if _OURS.fullmatch(raw):
        return raw, None
    value, _ = as_macro(raw, frozenset())
    if _NEARLY.fullmatch(value):
        return OURS, wrong(
            "spelling", f"{raw[:60]} is not how our click id is written: it would go out as it stands.", fix
        )
    if name in _names(expected):
        if value in own_macros(expected):
            said = f"{value} is a macro of {expected.network.name} for the postback URL; in the tracking link nobody replaces it."
        else:
            said = f"{name[:40]} is always '{raw[:60]}': the network could not tell us which click converted."
        return OURS, wrong("literal", said, fix)
    if macro := _MACRO.search(value):
        said = f"Nobody replaces {macro[0][:60]} in a tracking link: we know {OURS} alone."
        return raw, doubt("unknown_macro", said, "Take it out, or write what it stands for.")
    return raw, None


def _not_carried(expected: Expected) -> Finding:
    pair = f"{expected.click_parameter}={OURS}"
    said = (
        f"It does not carry our click id. As the destination of an offer that is right: we add {pair} when the link is"
        " opened. A link that is handed out by itself earns nothing here."
    )
    return doubt("no_click_id", said, f"To be sure, write {pair} into it and use it as the destination of an offer.")


def _unusual(name: str, expected: Expected) -> Finding:
    macro = click_macro(expected.network, name)
    said = f"Our click id goes out as {name[:40]}, which {expected.network.name} is not known to give back."
    return doubt("unusual", said, f"Use {expected.click_parameter}, unless the postback URL can say {macro[:60]}.")


def _by_another(name: str, expected: Expected) -> Finding:
    macro = click_macro(expected.network, name)
    return note("another", f"Our click id goes out as {name[:40]}, so the postback URL must send back {macro}.")


def _names(expected: Expected) -> set[str]:
    """Under which this network takes a partner's id."""
    macros = (*expected.network.other_macros.get("click_id", ()), *expected.carried)
    return {
        expected.click_parameter,
        *expected.network.click_parameters,
        *(macro.strip("{}[]<>#%") for macro in macros),
    }
