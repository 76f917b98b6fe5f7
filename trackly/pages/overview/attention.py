"""Owns what needs attention: sentences with a link each, the most urgent first. Every source is a function that returns them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection

from postbacks.models import NetworkConnection
from postbacks.verdicts import Verdict
from sendinglists import setup
from sendinglists.models import ProviderAccount, SendingList
from trackly.pages.kinds import SENT
from trackly.pages.overview.calling import strangers
from trackly.pages.overview.figures import share
from trackly.pages.overview.health import Known
from trackly.pages.overview.numbers import Sums
from trackly.pages.telling import of_set_up
from trackly.pages.visits import Visit
from trackly.showing import counted, lasting, money
from trackly.stories.standings import label
from trackly.waiting import BEHIND_AFTER, Waiting
from webhooks.inbound.models import Source

WebhookState = ProviderAccount.WebhookState
_TONES = ("bad", "wait", "note")
# As far back conversions are looked at, and among so many of the newest: no index knows an account's verdicts.
WEEK, NEWEST = timedelta(days=7), 20_000
# A postback may overtake the commit of its own click; after an hour nothing is on its way any more.
UNMATCHED_AFTER = timedelta(hours=1)
MOST_QUEUED = 10_000
# Who tries the service out at his own desk knows that nobody calls it from outside.
OWN_MACHINE = frozenset({"127.0.0.1", "localhost", "::1"})
# Of what was sent; fewer opt-outs than ENOUGH_OPT_OUTS say nothing.
MANY_OPT_OUTS, SOME_OPT_OUTS, ENOUGH_OPT_OUTS = 0.03, 0.01, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One thing somebody should do."""

    tone: str
    """'bad': something is lost or stands still; 'wait': it will be, or money waits; 'note': worth knowing."""
    sentence: str
    url: str = ""
    label: str = ""

    @property
    def word(self) -> str:
        """The tone for who does not see colours."""
        return {"bad": "Urgent", "wait": "Soon"}.get(self.tone, "Note")


def needs(visit: Visit, found: Known, sums: Sums, waiting: Waiting) -> list[Need]:
    """The most urgent first; within one urgency in the order of the sources."""
    sources = (
        worker(waiting),
        public_address(visit),
        set_ups(visit, found.accounts),
        refused(visit, found),
        refused_unnamed(visit),
        failed(visit, found),
        paused(visit, found.lists),
        conversions(visit),
        opt_outs(visit, sums),
        sandbox_only(visit, found),
    )
    everything = [need for source in sources for need in source]
    return sorted(everything, key=lambda need: _TONES.index(need.tone))


def worker(waiting: Waiting) -> Iterator[Need]:
    """Whether anybody works off what comes, and sends."""
    if waiting.worker_alarm:
        yield Need(
            tone="bad",
            sentence="No worker is running on this service: nothing is sent, and figures stand still. What providers and networks"
            " report meanwhile is stored before it is acknowledged: it waits and is not lost. Ask whoever runs the service to"
            " start one.",
        )
    elif waiting.late > BEHIND_AFTER:
        sentence = (
            f"The service is behind: what is oldest has waited for {lasting(waiting.late)}. Nothing of it is lost."
        )
        yield Need(tone="wait", sentence=sentence)


def public_address(visit: Visit) -> Iterator[Need]:
    """Whether the URLs that are shown can work."""
    if said := setup.public_address_warning():
        url = visit.url("help")
        tone = "note" if urlsplit(settings.PUBLIC_BASE_URL).hostname in OWN_MACHINE else "bad"
        yield Need(tone=tone, sentence=f"{said} Ask whoever runs the service.", url=url, label="Read what it is for")


def set_ups(visit: Visit, accounts: Iterable[ProviderAccount]) -> Iterator[Need]:
    """Credentials that are refused or lacking, and webhooks that are not configured."""
    everybodys = setup.public_address_warning()
    for row in accounts:
        url = visit.url("credentials", row.pk)
        for said in setup.warnings(row):
            if said != everybodys:
                yield Need(
                    tone="bad", sentence=of_set_up(visit, f"{row.name}: {said}"), url=url, label="Open the credentials"
                )
        if row.webhook_state == WebhookState.FAILED:
            said = f"{row.name}: its webhooks could not be configured. {row.webhook_state_cause}".strip()
            yield Need(tone="bad", sentence=of_set_up(visit, said), url=url, label="See the failed step")
        elif row.webhook_state == WebhookState.BY_HAND:
            said = f"{row.name}: its callback URL is to be entered at the provider by hand; the first callback ends the wait."
            yield Need(tone="wait", sentence=said, url=url, label="Show the URL")


def refused(visit: Visit, found: Known) -> Iterator[Need]:
    """What was refused within a day, by party and cause."""
    for row in found.parties:
        is_network = isinstance(row, NetworkConnection)
        noun, source = ("postback", Source.POSTBACK) if is_network else ("callback", Source.WEBHOOK)
        for word, n in found.called(row).refused.most_common():
            was = "was" if n == 1 else "were"
            said = f"{row.name}: {counted(n, noun)} of the last 24 hours {was} refused: {label(word)}."
            url = visit.url("requests", source=source.value, party_id=row.pk, cause=word)
            yield Need(tone="bad", sentence=said, url=url, label="Look at them")


def refused_unnamed(visit: Visit) -> Iterator[Need]:
    """What named this account, and was refused before it was known whose it is."""
    nouns = {Source.WEBHOOK.value: "callback", Source.POSTBACK.value: "postback"}
    for (source, word), n in strangers(visit.account.pk, visit.now).most_common():
        said = f"{counted(n, nouns[source])} of the last 24 hours named this account and nothing in it: {label(word)}."
        url = visit.url("requests", source=source, cause=word)
        yield Need(tone="wait", sentence=said, url=url, label="Look at them")


def failed(visit: Visit, found: Known) -> Iterator[Need]:
    """What we could not work off, and waits for a replay."""
    if n := sum(calls.failed for calls in found.calls.values()):
        wait = "waits" if n == 1 else "wait"
        said = f"{counted(n, 'webhook')} of the last 30 days could not be worked off, and {wait} for a replay."
        yield Need(tone="bad", sentence=said, url=visit.url("requests", state="failed"), label="Look, and replay")


def paused(visit: Visit, lists: Iterable[SendingList]) -> Iterator[Need]:
    """Lists that do not send although messages wait in them."""
    stopped = {row.pk: row for row in lists if row.status != SendingList.State.ACTIVE}
    if not stopped:
        return
    with connection.cursor() as cursor:
        cursor.execute(_QUEUED, [list(stopped), MOST_QUEUED + 1])
        queued = dict(cursor.fetchall())
    for key, n in queued.items():
        row = stopped[key]
        many = f"more than {MOST_QUEUED:,} messages" if n > MOST_QUEUED else counted(n, "message")
        said = f"{row.name} is {row.get_status_display().lower()}, and {many} in it {'waits' if n == 1 else 'wait'} to be sent."
        yield Need(tone="wait", sentence=said, url=visit.url("list", key), label="Open the list")


# --- conversions

_ASKS = {
    Verdict.HELD: ("wait", "{n} held for you{money}: accept or reject.", "Decide"),
    Verdict.UNKNOWN_CLICK: ("wait", "{n} no click was found for{money}.", "Match them"),
    Verdict.STATUS_UNMAPPED: ("wait", "{n} with a status word that nobody explained{money}.", "Say what it means"),
    Verdict.LITERAL_MACRO: ("bad", "{n} in which the network did not replace a macro{money}: the postback URL there is wrong.",
                            "See which"),
}  # fmt: skip


def conversions(visit: Visit) -> Iterator[Need]:
    """Postbacks of a week that do not count yet, with the money they spoke of."""
    ns, sums, is_all = _at_stake(visit.account.pk, visit.now)
    for verdict, (tone, words, asks) in _ASKS.items():
        if not ns[verdict]:
            continue
        amounts = ", ".join(money(amount, currency) for currency, amount in sorted(sums[verdict].items()) if amount > 0)
        many = f"{'' if is_all else 'at least '}{counted(ns[verdict], 'postback')}"
        said = words.format(n=many, money=f", {amounts} at stake" if amounts else "")
        url = visit.url("conversions", days=7, verdict=verdict.value)
        if verdict == Verdict.UNKNOWN_CLICK:
            url = visit.url("unmatched")
        yield Need(tone=tone, sentence=f"{said[:1].upper()}{said[1:]}", url=url, label=asks)


def _at_stake(account_id: int, now: datetime) -> tuple[Counter[str], dict[str, dict[str, Decimal]], bool]:
    """(how many, the money by currency) of each verdict; and whether the whole week was looked at."""
    asked: dict[str, Any] = {
        "account": account_id,
        "newest": NEWEST,
        "verdicts": [verdict.value for verdict in _ASKS],
        "unmatched": Verdict.UNKNOWN_CLICK.value,
        "since": now - WEEK,
        "settled": now - UNMATCHED_AFTER,
    }
    ns: Counter[str] = Counter()
    sums: dict[str, dict[str, Decimal]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_AT_STAKE, asked)
        rows = cursor.fetchall()
    for verdict, currency, n, amount, _ in rows:
        ns[verdict] += n
        sums[verdict][currency] = amount
    return ns, sums, all(row[-1] for row in rows)


# --- what is unusual


def opt_outs(visit: Visit, sums: Sums) -> Iterator[Need]:
    """A share of opt-outs that is high, or twice what it was."""
    n, sent = sums.n("opt_out"), sums.n(*SENT)
    if n < ENOUGH_OPT_OUTS or not sent:
        return
    before, sent_before = sums.compared("opt_out")[1], sums.compared(*SENT)[1]
    usual = before / sent_before if sent_before else 0
    is_doubled = usual > 0 and n / sent > max(2 * usual, SOME_OPT_OUTS)
    if n / sent < MANY_OPT_OUTS and not is_doubled:
        return
    words = sums.window.span.words
    than = f" In the {words} before it was {share(before, sent_before, '', places=1).strip()}." if usual else ""
    said = f"Unusually many people opted out in the last {words}: {n:,}, {share(n, sent, 'of what was sent')}.{than}"
    yield Need(tone="wait", sentence=said, url=visit.url("replies", decision="opt_out"), label="Read what they wrote")


def sandbox_only(visit: Visit, found: Known) -> Iterator[Need]:
    """Whether anything real can be sent."""
    if found.accounts and all(row.provider == "sandbox" for row in found.accounts):
        said = "Only the sandbox is set up: messages look delivered, and reach nobody. Add a provider's credentials to send."
        yield Need(tone="note", sentence=said, url=visit.url("list_new"), label="Add credentials")


# The queue of each list by its index, to an end.
_QUEUED = """
SELECT list.id, queued.n FROM unnest(%s::bigint[]) AS list (id)
CROSS JOIN LATERAL (SELECT count(*) AS n FROM (
    SELECT FROM sendinglists_message WHERE sending_list_id = list.id AND due_at IS NOT NULL LIMIT %s) AS first) AS queued
WHERE queued.n > 0 ORDER BY queued.n DESC
"""
_AT_STAKE = """
WITH newest AS MATERIALIZED (
    SELECT verdict, currency, coalesce(reported_payout, payout) AS amount, received_at, is_test
    FROM postbacks_conversion WHERE account_id = %(account)s ORDER BY id DESC LIMIT %(newest)s
)
SELECT verdict, currency, count(*), coalesce(sum(amount), 0),
       (SELECT count(*) < %(newest)s OR min(received_at) <= %(since)s FROM newest)
FROM newest
WHERE verdict = ANY(%(verdicts)s) AND received_at > %(since)s AND NOT is_test
  AND (verdict <> %(unmatched)s OR received_at < %(settled)s)
GROUP BY 1, 2
"""
