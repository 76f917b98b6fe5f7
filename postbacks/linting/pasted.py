"""Owns the reading of a pasted URL into its pieces, and what pasting itself does to one: line breaks, &amp;, wrong joiners."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from postbacks.linting.findings import Finding, wrong

LONGEST = 4_000
_BLANKS = re.compile(r"\s+|%0[AD]|\u200b|\ufeff", re.IGNORECASE)
_AMPERSANDS = re.compile(r"&(?:amp;)+|&#0*38;")
# A second question mark, or a semicolon, where the next parameter begins.
_JOINERS = re.compile(r"[?;](?=[A-Za-z][\w.\[\]-]*=)")
_MACRO_BY_ENCODING = re.compile(r"%(?:25)*7B([A-Za-z0-9_]+)%(?:25)*7D", re.IGNORECASE)
# As other systems write macros. Around the whole of a value: brackets and signs are in ordinary values as well.
_MACRO_OF_OTHERS = re.compile(
    r"\[([A-Za-z]\w*)\]|<([A-Za-z]\w*)>|#([A-Za-z]\w*)#|%([A-Za-z]\w*)%|\$\{([A-Za-z]\w*)\}|@([A-Za-z]\w*)@"
)
_DOUBLED = re.compile(r"\{\{\s*([A-Za-z]\w*)\s*\}\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pasted:
    """A URL in pieces, after what pasting did to it was undone."""

    scheme: str
    host: str
    """With the port, in lower case."""
    path: str
    pairs: tuple[tuple[str, str], ...]
    """As written: nothing is decoded, so that what is offered as right differs only where it must."""
    fragment: str = ""
    findings: tuple[Finding, ...] = ()


def read_pasted(text: str) -> Pasted | None:
    """None when it is no URL."""
    plain = text.strip().strip("\"'“”`")[:LONGEST]
    findings = []
    if _BLANKS.search(plain):
        findings.append(
            wrong(
                "blanks",
                "There are spaces or line breaks in it.",
                "Paste it in one line, without spaces: a network cuts it there.",
            )
        )
        plain = _BLANKS.sub("", plain)
    if _AMPERSANDS.search(plain):
        findings.append(
            wrong("amp", "It says &amp; between parameters: it was copied out of a page's source.", "Write & alone.")
        )
        plain = _AMPERSANDS.sub("&", plain)
    address, _, asked = plain.partition("?")
    if _JOINERS.search(asked):
        findings.append(
            wrong(
                "joiner",
                "Two parameters are not separated by an ampersand.",
                "Write & between parameters, and one ? before the first.",
            )
        )
        asked = _JOINERS.sub("&", asked)
    return _split(address, asked, tuple(findings))


def _split(address: str, asked: str, findings: tuple[Finding, ...]) -> Pasted | None:
    try:
        parts = urlsplit(address)
        host = parts.netloc.rpartition("@")[2].lower()
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host:
        return None
    asked, fragment = _without_fragment(asked)
    return Pasted(
        scheme=parts.scheme,
        host=host,
        path=parts.path,
        pairs=tuple((unquote(name), value) for name, _, value in (pair.partition("=") for pair in asked.split("&") if pair)),
        fragment=fragment or parts.fragment,
        findings=findings,
    )  # fmt: skip


def _without_fragment(asked: str) -> tuple[str, str]:
    """(query, what stands after #). A macro between two # signs is no fragment."""
    kept = re.sub(r"=#(\w+)#", lambda found: f"=\0{found[1]}\0", asked)
    before, _, after = kept.partition("#")
    return before.replace("\0", "#"), after.replace("\0", "#")


def as_macro(value: str, known: frozenset[str]) -> tuple[str, bool]:
    """(the value with its macro in single braces, whether it was written otherwise). What the network knows stays as it is."""
    if value in known:
        return value, False
    plain = _MACRO_BY_ENCODING.sub(lambda found: f"{{{found[1]}}}", value)
    plain = _DOUBLED.sub(lambda found: f"{{{found[1]}}}", plain)
    if other := _MACRO_OF_OTHERS.fullmatch(plain):
        plain = f"{{{next(filter(None, other.groups()))}}}"
    return plain, plain != value
