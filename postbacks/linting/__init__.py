"""Owns lint(): what is wrong with a URL somebody pasted, a postback URL or a tracking link, in words, and the URL that is right.

Pure: whose a token is, it is told.
"""

from postbacks.linting.addresses import is_ours, look_at_address, look_at_postback_path
from postbacks.linting.findings import Expected, Finding, Kind, Report, Severity, Whose
from postbacks.linting.pasted import Pasted, read_pasted
from postbacks.linting.tracking import look_at_tracking_link
from postbacks.linting.values import look_at_values

__all__ = ["Expected", "Finding", "Kind", "Report", "Severity", "Whose", "lint"]


def lint(text: str, expected: Expected) -> Report:
    """What is to be said about a pasted URL, the worst first; nothing when it is right."""
    pasted = read_pasted(text)
    if pasted is None:
        return Report(kind=Kind.UNREADABLE, findings=(_not_a_url(),))
    if _is_postback(pasted, expected):
        values = look_at_values(pasted, expected)
        found = [*pasted.findings, *look_at_address(pasted, expected), *look_at_postback_path(pasted, expected)]
        report = Report(
            kind=Kind.POSTBACK,
            findings=(*found, *values.findings),
            corrected=expected.url_of(values.pairs),
        )
    else:
        report = look_at_tracking_link(pasted, expected)
    return report.tidied(text.strip())


def _is_postback(pasted: Pasted, expected: Expected) -> bool:
    """A tracking link has no payout; and an address of ours that is no short link was meant to be the postback's."""
    if is_ours(pasted, expected):
        return not pasted.path.startswith("/c/")
    names = {name.lower() for name, _ in pasted.pairs}
    macros = {expected.network.payout_macro, *expected.network.other_macros.get("payout", ())}
    says_payout = names & set(expected.network.aliases["payout"]) or macros & {value for _, value in pasted.pairs}
    return bool(says_payout) or "postback" in pasted.path.lower()


def _not_a_url() -> Finding:
    return Finding(
        code="not_a_url",
        severity=Severity.WRONG,
        said="This cannot be read as a web address.",
        fix="Paste one whole URL, from https:// to its end.",
    )
