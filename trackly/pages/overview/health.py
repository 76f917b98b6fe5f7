"""Owns the health of an account's sending lists and connections: each with a word, a sentence, and the page to look at."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef

from postbacks.models import Conversion, NetworkConnection, Offer
from sendinglists.models import ProviderAccount, SendingList
from trackly.pages.kinds import DELIVERED, FAILED, SENT
from trackly.pages.overview.calling import Calls, Who, calls
from trackly.pages.overview.figures import share
from trackly.pages.overview.numbers import Sums
from trackly.pages.telling import of_set_up
from trackly.pages.visits import Visit
from trackly.showing import Badge, ago, counted, lasting, tone_of
from trackly.stories.standings import label
from webhooks.inbound.models import Source

WebhookState = ProviderAccount.WebhookState
Party = ProviderAccount | NetworkConnection
# So many stand in the table, the worst of them; the lists have all.
MOST = 50
# Fewer messages than this say nothing about a share of them.
ENOUGH = 50
HEALTHY_FAILURES = 0.05
_FINE, _NOTED, _WAITING, _BROKEN = range(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """The account's parties and lists, and who called; read once for the whole page."""

    accounts: Sequence[ProviderAccount]
    """Without those removed."""
    lists: Sequence[SendingList]
    connections: Sequence[NetworkConnection]
    """Each with has_offers and has_hits."""
    calls: Mapping[Who, Calls]
    is_behind: bool
    """Nobody works off what comes: who looks silent may have called."""

    @property
    def parties(self) -> list[Party]:
        return [*self.accounts, *self.connections]

    def called(self, row: Party) -> Calls:
        return self.calls.get(_who(row), Calls(caller=None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """One line of the table."""

    kind: str
    name: str
    url: str
    badge: Badge
    said: str
    last_at: datetime | None
    rank: int


def known(visit: Visit, *, is_behind: bool) -> Known:
    """Four statements, however many there are."""
    accounts = list(
        visit.rows(ProviderAccount).filter(removed_at=None).select_related("account").order_by("name", "id")
    )
    lists = visit.rows(SendingList).exclude(status=SendingList.State.DELETED).order_by("name", "id")
    offers, hits = (Exists(model._default_manager.filter(connection=OuterRef("pk"))) for model in (Offer, Conversion))
    connections = list(visit.rows(NetworkConnection).annotate(has_offers=offers, has_hits=hits).order_by("name", "id"))
    parties: list[Party] = [*accounts, *connections]
    return Known(
        accounts=accounts,
        lists=list(lists),
        connections=connections,
        calls=calls([_who(row) for row in parties], visit.now),
        is_behind=is_behind,
    )


def _who(row: Party) -> Who:
    if isinstance(row, ProviderAccount):
        return Source.WEBHOOK.value, row.provider, row.pk
    return Source.POSTBACK.value, row.network, row.pk


def health(visit: Visit, found: Known, sums: Sums) -> tuple[list[Health], int]:
    """The worst first, no more than MOST; and how many there are."""
    by_id = {row.pk: row for row in found.accounts}
    lines = [_list_health(visit, row, by_id.get(row.provider_account_id), found, sums) for row in found.lists]
    lines += [_connection_health(visit, row, found) for row in found.connections]
    lines.sort(key=lambda line: -line.rank)
    return lines[:MOST], len(lines)


def _list_health(visit: Visit, row: SendingList, account: ProviderAccount | None, found: Known, sums: Sums) -> Health:
    heard = found.called(account) if account else Calls(caller=None)
    troubles = (
        _credentials_trouble(account),
        _calls_trouble(heard, "callback", is_behind=found.is_behind),
        _failing(sums.lists.get(row.pk, Counter())),
        _webhook_trouble(account),
        _state_trouble(row),
    )
    worst = max((trouble for trouble in troubles if trouble), key=lambda trouble: trouble[0], default=None)
    rank, badge, said = worst or (
        _FINE,
        Badge("Working", "good"),
        _fine(heard, sums.lists.get(row.pk, Counter()), visit),
    )
    last_at = heard.caller.last_at if heard.caller else None
    return Health(
        kind="Sending list", name=row.name, url=visit.url("list", row.pk), badge=badge, said=of_set_up(visit, said),
        last_at=last_at, rank=rank,
    )  # fmt: skip


Trouble = tuple[int, Badge, str]


def _credentials_trouble(account: ProviderAccount | None) -> Trouble | None:
    if account is None:
        return (
            _BROKEN,
            Badge("No credentials", "bad"),
            "Its credentials were removed: it sends nothing. Give it others.",
        )
    if account.check_cause:
        return _BROKEN, Badge("Credentials refused", "bad"), account.check_cause
    if account.webhook_state == WebhookState.FAILED:
        said = f"The webhooks are not configured. {account.webhook_state_cause}".strip()
        return _BROKEN, Badge("Set-up failed", "bad"), said
    return None


def _calls_trouble(heard: Calls, noun: str, *, is_behind: bool) -> Trouble | None:
    if heard.ends_refused:
        return _BROKEN, Badge("Refused", "bad"), _refusals(heard, noun)
    if heard.is_silent and not is_behind:
        return _WAITING, Badge("Silent", "wait"), _silence(heard)
    return None


def _refusals(heard: Calls, noun: str) -> str:
    refused = heard.refused
    n, of = refused.total(), refused.total() + heard.let_in
    ((word, most),) = refused.most_common(1)
    which = f"{n:,} of {of:,} {noun}s" if n < of else f"All {n:,} {noun}s" if n > 1 else f"The only {noun}"
    return f"{which} of the last 24 hours refused, {'mostly: ' if most < n else ''}{label(word)}."


def _silence(heard: Calls) -> str:
    assert heard.caller is not None
    usual = heard.caller.usual_quiet
    before = (
        f"before, the longest silence of a week was {lasting(usual)}"
        if usual
        else "before, no hour passed without a call"
    )
    return f"Silent for {lasting(heard.caller.quiet_for)}; {before}. Did sending stop, or was our URL changed there?"


def _failing(counts: Counter[str]) -> Trouble | None:
    sent, failed = _of(counts, SENT), _of(counts, FAILED)
    if sent < ENOUGH or failed <= sent * HEALTHY_FAILURES:
        return None
    said = f"{share(failed, sent, 'of its messages failed')} ({failed:,} of {sent:,}); below 5 % is healthy."
    return _WAITING, Badge("Many fail", "wait"), said


def _webhook_trouble(account: ProviderAccount | None) -> Trouble | None:
    if account is None or account.webhook_state == WebhookState.CONFIGURED:
        return None
    state = WebhookState(account.webhook_state)
    said = {
        WebhookState.BY_HAND: "Enter the callback URL at the provider, as its page says; the first callback ends the wait.",
        WebhookState.WORKING: "The provider is being told where to report; it takes a moment.",
    }.get(state, account.webhook_state_cause or "The provider was not told where to report deliveries and replies.")
    return _NOTED, Badge(state.label, tone_of(state)), said


def _state_trouble(row: SendingList) -> Trouble | None:
    if row.status == SendingList.State.ACTIVE:
        return None
    state = SendingList.State(row.status)
    return _NOTED, Badge(state.label, tone_of(state)), "It sends nothing; reports and opt-outs are still taken."


def _fine(heard: Calls, counts: Counter[str], visit: Visit) -> str:
    called = f"Last callback {ago(visit.now - heard.caller.last_at)}." if heard.caller else "No callback yet."
    sent = _of(counts, SENT)
    if not sent:
        return f"{called} Nothing was sent."
    return f"{called} {share(_of(counts, DELIVERED), sent, 'delivered')} of {counted(sent, 'message')}."


def _of(counts: Counter[str], kinds: tuple[str, ...]) -> int:
    return sum(counts[kind] for kind in kinds)


def _connection_health(visit: Visit, row: Any, found: Known) -> Health:
    heard = found.called(row)
    rank, badge, said = _calls_trouble(heard, "postback", is_behind=found.is_behind) or _heard_at_all(row, heard, visit)
    last_at = heard.caller.last_at if heard.caller else None
    return Health(
        kind="Network", name=row.name, url=visit.url("connection", row.pk), badge=badge, said=said, last_at=last_at,
        rank=rank,
    )  # fmt: skip


def _heard_at_all(row: Any, heard: Calls, visit: Visit) -> Trouble:
    if heard.caller is not None:
        n = counted(heard.let_in, "postback")
        return (
            _FINE,
            Badge("Working", "good"),
            f"Last postback {ago(visit.now - heard.caller.last_at)}; {n} in 24 hours.",
        )
    if row.has_hits:
        said = "Its own URL was never called; postbacks without the token were counted to it. Give the network the URL with it."
        return _NOTED, Badge("Without token", "note"), said
    said = "Never called yet. Give the network the postback URL from its page, and test it."
    return (_NOTED if row.has_offers else _FINE), Badge("Not heard yet", "plain"), said
