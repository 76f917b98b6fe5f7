"""Owns Finding and Report, what the linter says, and Expected, what a right URL of a connection looks like."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from postbacks.building import postback_url
from postbacks.networks.base import Network


class Severity(StrEnum):
    WRONG = "wrong"
    """Conversions are lost or credited wrongly."""
    DOUBT = "doubt"
    """It works, and not as well as it could."""
    NOTE = "note"


class Kind(StrEnum):
    POSTBACK = "postback"
    TRACKING = "tracking"
    UNREADABLE = "unreadable"


class Whose(StrEnum):
    """Whose postback token it is."""

    CURRENT = "current"
    FORMER = "former"
    """Of this connection, replaced, and still accepted for a while."""
    OTHER = "other"
    """Of another connection of the account."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    code: str
    severity: Severity
    said: str
    fix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What the linter says about one URL."""

    kind: Kind
    findings: tuple[Finding, ...] = ()
    corrected: str = ""
    """The URL as it should be; '' when the pasted one is."""

    @property
    def is_right(self) -> bool:
        """Nothing has to be changed."""
        return all(finding.severity == Severity.NOTE for finding in self.findings)

    def tidied(self, text: str) -> Self:
        """The worst first, each once; no correction of what is right."""
        order = list(Severity)
        once = {(finding.code, finding.said): finding for finding in self.findings}
        findings = tuple(sorted(once.values(), key=lambda finding: order.index(finding.severity)))
        sorted_ = replace(self, findings=findings)
        is_same = self.corrected == text or sorted_.is_right
        return replace(sorted_, corrected="" if is_same else self.corrected)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A connection, as far as its URLs are concerned."""

    base_url: str
    """Our scheme and host; '' when nobody has set it."""
    network: Network
    others: tuple[Network, ...]
    """The other networks there are: their macros are a usual mistake."""
    token: str
    whose: Callable[[str], Whose]
    click_parameter: str
    """Under which new tracking links carry our click id."""
    carried: frozenset[str]
    """Every parameter under which one of its offers carries it."""

    def url_of(self, pairs: Iterable[tuple[str, str]]) -> str:
        asked = "&".join(f"{name}={value}" for name, value in pairs)
        return postback_url(self.base_url, self.network, self.token, asked)


def wrong(code: str, said: str, fix: str) -> Finding:
    return Finding(code=code, severity=Severity.WRONG, said=said, fix=fix)


def doubt(code: str, said: str, fix: str) -> Finding:
    return Finding(code=code, severity=Severity.DOUBT, said=said, fix=fix)


def note(code: str, said: str, fix: str = "") -> Finding:
    return Finding(code=code, severity=Severity.NOTE, said=said, fix=fix)
