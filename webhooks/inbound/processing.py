"""Owns process(): a batch of provider requests becomes timeline entries, message states, replies and opt-outs.

Set-based: a batch of any size costs the same number of statements, and every message is locked in the order of its id.
"""

from collections import Counter, defaultdict
from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings

from sendinglists import setup, subscriptions
from trackly.text import clean
from trackly.totals import Totals
from webhooks import providers
from webhooks.inbound.answering import verify_again
from webhooks.inbound.inbox import restore
from webhooks.inbound.models import Cause, InboundRequest, Proof, State
from webhooks.inbound.replies import HeardReply, apply_replies
from webhooks.inbound.timeline import Tally, apply_reports
from webhooks.providers.base import BadPayload
from webhooks.statuses import Heard, Item, Reply, Report, Unreadable

# A time further ahead of its receipt is none. Believed, a STOP dated 2099 could never be undone, and a report from the future
# would outrank every later one. Without a time, a reply's decision counts at its receipt, and a report behind all that have
# one: our own receive time takes no part in the order of reports. A day leaves room for a zone read wrongly.
AHEAD = timedelta(days=1)


def process(rows: list[InboundRequest], now: datetime) -> None:
    """Apply a batch within the caller's transaction; each row is told what came of it."""
    reports: list[Heard] = []
    replies: list[HeardReply] = []
    tally: Tally = defaultdict(Counter)
    for row in rows:
        for item in _parse(row):
            _sort(row, item, reports, replies, tally)
    totals = Totals()
    decisions = apply_reports(reports, tally, totals) + apply_replies(replies, tally, totals)
    subscriptions.decide(decisions, totals)
    totals.write()
    setup.heard(_proven_calls(rows), now)
    for row in rows:
        if row.state == State.DONE:
            row.results = tally[row.uid]
            row.outcome = _words(row, tally[row.uid])


def _proven_calls(rows: list[InboundRequest]) -> dict[int, datetime]:
    """Whose authenticated callbacks these are -> when the newest of them came."""
    calls: dict[int, datetime] = {}
    for row in rows:
        if row.party_id is not None and row.proof in (Proof.TOKEN, Proof.SIGNATURE):
            calls[row.party_id] = max(row.received_at, calls.get(row.party_id, row.received_at))
    return calls


def _parse(row: InboundRequest) -> list[Item]:
    """What a request says; nothing, and it is refused, when it still proves nothing or cannot be read."""
    provider = providers.get(row.slug)
    if provider is None:
        raise LookupError(f"There is no provider {row.slug} any more; its file was removed.")
    # Here a second time: somebody asked for it to be replayed.
    if row.refusal and not row.proof and not verify_again(row):
        row.state = State.REFUSED
        return []
    try:
        return provider.parse(restore(row, base_url=settings.PUBLIC_BASE_URL))
    except BadPayload as error:
        row.state, row.refusal, row.outcome = State.REFUSED, Cause.UNREADABLE, clean(str(error), 300)
        return []


def _sort(row: InboundRequest, item: Item, reports: list[Heard], replies: list[HeardReply], tally: Tally) -> None:
    if isinstance(item, Report | Reply) and item.at and item.at > row.received_at + AHEAD:
        item = replace(item, at=None)
    if isinstance(item, Report):
        # Proven by a reference it names, a request speaks for the messages so named and for nothing else.
        party = 0 if row.proof == Proof.REFERENCE else row.party_id or 0
        reports.append(
            Heard(
                report=item,
                provider=row.slug,
                party_id=party,
                account_id=row.account_id,
                received_at=row.received_at,
                request_uid=row.uid,
            )
        )
    elif isinstance(item, Reply):
        if row.party_id is None or row.proof == Proof.REFERENCE or row.account_id is None:
            tally[row.uid]["reply unproven and ignored"] += 1
            return
        replies.append(
            HeardReply(
                reply=item,
                party_id=row.party_id,
                account_id=row.account_id,
                is_proven=row.proof != Proof.WAIVED,
                received_at=row.received_at,
                request_uid=row.uid,
            )
        )
    elif isinstance(item, Unreadable):
        tally[row.uid][f"not readable ({item.cause})"] += 1


def _words(row: InboundRequest, tally: Counter[str]) -> str:
    """'2 new, 1 duplicate'; what receiving had to say stands in front."""
    counts = ", ".join(f"{n} {what}" for what, n in tally.items()) or "nothing in it"
    return f"{row.outcome} {counts}".strip()
