"""Owns what the log and /metrics learn of sending: told after its commit, never of what was rolled back.

Messages stand in the log by their public ids; never a number, never a text, and of a provider's words its error codes.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import structlog

from sendinglists.barriers import Barrier, Due
from trackly import metrics
from webhooks import providers
from webhooks.orders import Sent, Verdict
from webhooks.statuses import Reason

if TYPE_CHECKING:
    from sendinglists.answers import Try

logger = structlog.get_logger(__name__)

# What we say ourselves of a try, where the provider said nothing.
OUR_WORDS = frozenset({"not_called", "not_reached", "no_answer", "not_understood"})
# Not taken now, for a cause that passes by itself. Any other lies in the account: its credentials, its money, its rights.
_PASSING = frozenset({"not_reached", "throttled"})
# There at 0 from the start: an increase over a line that was not there shows nothing of its first events.
_EXPECTED = (
    ("accepted", ""), ("refused", "other"), ("later", "other"), ("later", "not_reached"), ("unclear", "no_answer"),
    ("unclear", "not_understood"), ("unclear", "other"),
)  # fmt: skip
for _slug in providers.all_providers():
    for _verdict, _why in _EXPECTED:
        metrics.SENDS.labels(_slug, _verdict, _why)


def claimed(handed: Sequence[Due], stopped: Sequence[tuple[Due, Barrier]], now: datetime) -> None:
    """Messages that were handed over, and those that were dropped on the way."""
    for due in handed:
        metrics.SEND_WAIT.labels(due.provider).observe(max((now - due.due_at).total_seconds(), 0.0))
    if handed:
        logger.info("sends begun", n=len(handed), messages=_names(due.public_id for due in handed))
    dropped: defaultdict[str, list[str]] = defaultdict(list)
    for due, why in stopped:
        metrics.SENDS.labels(due.provider, "dropped", why.detail).inc()
        dropped[why.detail].append(due.public_id)
    for cause, names in dropped.items():
        logger.info("sends dropped", cause=cause, n=len(names), messages=_names(names))


def answered(done: Sequence["tuple[Try, Sent]"]) -> None:
    """A batch of answers: one line, one more where something is unclear, and one for each account that is refused."""
    ends: defaultdict[str, list[str]] = defaultdict(list)
    refused: Counter[tuple[object, ...]] = Counter()
    for tried, sent in done:
        cause = _cause(sent)
        metrics.SENDS.labels(tried.provider, str(sent.verdict), cause).inc()
        ends[str(sent.verdict)].append(tried.public_id)
        if sent.verdict == Verdict.LATER and cause not in _PASSING:
            refused[tried.party_id, tried.provider, cause, sent.report.error_code] += 1
    logger.info("sends answered", n=len(done), **{verdict: _names(names) for verdict, names in ends.items()})
    if unclear := ends[Verdict.UNCLEAR.value]:
        logger.warning("sends unclear, not sent again", n=len(unclear), messages=_names(unclear))
    for (party, provider, why, code), n in refused.items():
        logger.warning("provider takes nothing", party=party, provider=provider, cause=why, code=code, n=n)


def asked(learned: Mapping[str, bool]) -> None:
    """Messages that were asked about, and whether anything was learned of each."""
    told = _names(public_id for public_id, is_told in learned.items() if is_told)
    silent = _names(public_id for public_id, is_told in learned.items() if not is_told)
    logger.info("questions put", n=len(learned), told=told, nothing=silent)


def _cause(sent: Sent) -> str:
    """Why it was not accepted, one of few words: ours, or the reason that the provider's code stands for."""
    if sent.verdict == Verdict.ACCEPTED:
        return ""
    word = sent.report.vendor_status
    return word if word in OUR_WORDS else str(sent.report.reason or Reason.OTHER)


def _names(public_ids: Iterable[str]) -> str:
    return " ".join(public_ids)
