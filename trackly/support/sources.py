"""Owns what a search says of those who call us: since when things are kept, who called last, what was refused in 24 hours,
and what an alarm at the vendor's own console means here.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet

from postbacks import networks
from postbacks.models import NetworkConnection
from postbacks.networks.base import Network
from sendinglists.models import ProviderAccount
from trackly.models import Account
from trackly.showing import Badge, Link, Shown, lasting, tone_of
from trackly.stories import Table
from trackly.stories.standings import LABELS, REFUSED, label
from trackly.stories.terms import Terms
from trackly.support.health import MOST_CALLERS, adapter_name, failed_log
from trackly.support.ways import list_url, party_url
from trackly.totals import hour_of
from webhooks import providers
from webhooks.inbound.callers import Caller, callers
from webhooks.inbound.models import InboundRequest, Source, Standing
from webhooks.providers.base import Provider

HOURS = 24
# A card names so many provider accounts or connections of one vendor; those in trouble come first.
MOST_PARTIES = 20
# Who writes more than a line does not ask what an alarm means.
MOST_ASKED = 200

Place = tuple[str, str]
"""Source and slug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """An alarm somebody asks about, or with no words all of a vendor's."""

    source: str
    adapter: Provider | Network
    words: tuple[str, ...] = ()

    @property
    def place(self) -> Place:
        return self.source, self.adapter.slug


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The oldest row of each kind, and the newest request that waits; None: there is none."""

    oldest: dict[str, datetime | None]
    waiting: dict[Place, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Who called, since totals are kept, and how the requests of 24 hours stand."""

    now: datetime
    known: Sequence[Caller]
    waiting: dict[Place, datetime] = field(default_factory=dict)

    @property
    def since(self) -> datetime:
        return hour_of(self.now) - timedelta(hours=HOURS - 1)

    def last(self, place: Place) -> datetime | None:
        """The newest request, worked off or not."""
        times = [caller.last_at for caller in self.known if (caller.source, caller.slug) == place]
        return max([*times, *([self.waiting[place]] if place in self.waiting else [])], default=None)

    def counts(self, place: Place) -> Counter[str]:
        found: Counter[str] = Counter()
        for caller in self.known:
            if (caller.source, caller.slug) == place:
                found.update({standing: sum(hours) for standing, hours in caller.hours.items()})
        return +found


def calls(now: datetime, held: Held | None = None) -> Calls:
    return Calls(
        now=now, known=callers(now, hours=HOURS, limit=MOST_CALLERS), waiting=held.waiting if held is not None else {}
    )


def held() -> Held:
    """Asked of the tables themselves: what the settings promise may not have been kept for so long yet."""
    with connection.cursor() as cursor:
        cursor.execute(_HELD)
        rows = cursor.fetchall()
    return Held(
        oldest={kind: at for kind, _, _, at in rows if kind != "waiting"},
        waiting={(source, slug): at for kind, source, slug, at in rows if kind == "waiting"},
    )


# --- when nothing is found


def places_of(terms: Terms) -> list[Place]:
    """Who could have sent what the terms name: those of the URLs, else everybody; a phone comes from an SMS provider."""
    if terms.calls:
        return list(dict.fromkeys((call.source, call.slug) for call in terms.calls))
    webhooks = [(Source.WEBHOOK.value, slug) for slug in providers.all_providers()]
    postbacks = [(Source.POSTBACK.value, slug) for slug in networks.all_networks()]
    return webhooks if terms.phones and not terms.words else webhooks + postbacks


def kept_table(held: Held) -> Table:
    """Since when each kind of thing can be found."""
    webhooks, postbacks = f"{settings.RETENTION_WEBHOOKS_DAYS} days", f"{settings.RETENTION_POSTBACKS_DAYS} days"
    kinds = (
        ("webhook", "Requests of SMS providers", webhooks),
        ("postback", "Requests of affiliate networks", postbacks),
        ("parked", "Parked reports", webhooks),
        ("event", "Delivery events", "for ever"),
        ("message", "Messages", "for ever"),
        ("reply", "Replies", "for ever"),
        ("click", "Clicks", "for ever"),
        ("conversion", "Conversions", "for ever"),
    )
    rows: list[tuple[Shown, ...]] = [
        (title, kept, held.oldest.get(kind) or "none is held") for kind, title, kept in kinds
    ]
    return Table(
        title="Since when we keep such things", columns=("What", "Kept", "The oldest held"), rows=rows, empty=""
    )


def last_table(calls: Calls, places: Iterable[Place]) -> Table:
    """When each of them called last."""
    rows: list[tuple[Shown, ...]] = []
    for source, slug in places:
        name, counts = adapter_name(source, slug), calls.counts((source, slug))
        if not name:
            rows.append((f"{slug} (no such provider)", None, "We answer 404 to this URL and keep nothing of it."))
            continue
        total = ", ".join(f"{n:,} {label(word)}" for word, n in counts.most_common())
        waits = " The newest still waits for a worker." if (source, slug) in calls.waiting else ""
        rows.append((name, calls.last((source, slug)) or "never", f"{total or 'none'}.{waits}"))
    return Table(
        title="When they called last", columns=("Source", "Last request (UTC)", f"Requests of the last {HOURS} hours"),
        rows=rows, empty="No provider or network is known.",
    )  # fmt: skip


def refused_table(calls: Calls, places: Iterable[Place]) -> Table:
    """What was refused, by cause, with the way to it."""
    rows = [
        (adapter_name(*place) or place[1], *_standing(calls, place, word, n))
        for place in places
        for word, n in calls.counts(place).most_common()
        if word in REFUSED or word == Standing.FAILED
    ]
    return Table(
        title=f"Refused or failed in the last {HOURS} hours", columns=("Source", "Cause", "Requests", "Where they are"),
        rows=rows, empty="Nothing was refused and nothing failed.", more=Link("all", failed_log("", calls.since)),
    )  # fmt: skip


def _standing(calls: Calls, place: Place, word: str, n: int) -> tuple[Shown, ...]:
    """How they stand, with the way to them; how many; and what that is."""
    source, slug = place
    name, asked = LABELS.get(word, word), {"source__exact": source, "slug__exact": slug}
    if word == Standing.OVER_QUOTA:
        return name, n, Badge("counted, not kept", "bad")
    if word in REFUSED or word == Standing.FAILED:
        tone = "bad" if word in REFUSED else "wait"
        return Link(name, f"{failed_log(word, calls.since)}&{urlencode(asked)}"), n, Badge("in the failed log", tone)
    tone = "good" if word == Standing.ACCEPTED else tone_of(word)
    return Link(name, list_url(InboundRequest, **asked)), n, Badge("in the raw requests", tone)


# --- alarms at a vendor's console


def asked(text: str) -> list[Asked]:
    """The vendors and alarms a short text names: '11200', 'Acme 11200', 'Acme errors', 'acme'."""
    if len(text) > MOST_ASKED:
        return []
    words = [word.strip(".,:;!?()\"'#") for word in text.casefold().split()]
    line = f" {' '.join(words)} "
    all_of_them: list[tuple[str, Provider | Network]] = [
        *((Source.WEBHOOK.value, adapter) for adapter in providers.all_providers().values()),
        *((Source.POSTBACK.value, adapter) for adapter in networks.all_networks().values()),
    ]
    named = [pair for pair in all_of_them if {pair[1].slug, pair[1].name.casefold()} & set(words)]
    found = []
    for source, adapter in named or all_of_them:
        # Without a name only a code tells whose alarm it is: anybody has errors.
        keys = (key for key in adapter.alarms if f" {key.casefold()} " in line and (named or key.isdigit()))
        matched = tuple(keys)
        if named or matched:
            found.append(Asked(source=source, adapter=adapter, words=matched))
    return found


def card(asked: Asked, calls: Calls) -> list[Table]:
    """What the alarm means, and how its source stands."""
    adapter, place = asked.adapter, asked.place
    alarms = {key: adapter.alarms[key] for key in asked.words} or adapter.alarms
    rows: list[tuple[Shown, ...]] = [(key, meaning) for key, meaning in alarms.items()]
    counts = calls.counts(place)
    return [
        Table(
            title=f"What {adapter.name} says about us", columns=("It says", "What that means here"), rows=rows,
            empty="No alarm of its console is known to us.",
        ),
        Table(title=f"How {adapter.name} stands with us", columns=("What", "How it is"), rows=_facts(calls, place), empty=""),
        Table(
            title=f"Its requests of the last {HOURS} hours", columns=("How they stand", "Requests", "Where they are"),
            rows=[_standing(calls, place, word, n) for word, n in counts.most_common()],
            empty="None reached us, or none was worked off yet: look at the network, the certificate and the URL it was given.",
        ),
        _parties(asked, calls),
    ]  # fmt: skip


def _facts(calls: Calls, place: Place) -> list[tuple[Shown, ...]]:
    base = settings.PUBLIC_BASE_URL
    if not base:
        address = "PUBLIC_BASE_URL is not set: no URL of ours can be right."
    elif base.startswith("https://"):
        address = f"{base}: it must resolve and show a valid certificate to the world."
    else:
        address = f"{base}: plain http. Signatures are made over https addresses; set PUBLIC_BASE_URL to https."
    busy = (
        "Requests we answered 503 because the database was away stand in no table. Only /metrics knows them: "
        f'trackly_requests_total{{source="{place[0]}",provider="{place[1]}",outcome="busy"}}.'
    )
    return [
        ("Called last (UTC)", calls.last(place) or "never"),
        ("The address it is given", address),
        ("What was not stored", busy),
    ]


def _parties(asked: Asked, calls: Calls) -> Table:
    """Its provider accounts or connections, those in trouble first."""
    source, slug = asked.place
    known = {(caller.source, caller.slug, caller.party_id): caller for caller in calls.known}
    of_it: QuerySet[Any] = (
        ProviderAccount.objects.filter(provider=slug)
        if source == Source.WEBHOOK
        else NetworkConnection.objects.filter(network=slug)
    )
    named = of_it.exclude(account__status=Account.Status.DELETED).values_list("id", "name", "account__name").order_by()
    ours = [(known.get((source, slug, id)), id, name, account) for id, name, account in named]
    rows: list[tuple[Shown, ...]] = [
        (
            Link(name, party_url(source, id)),
            account,
            caller.last_at if caller else "never",
            _concern(caller),
        )
        for caller, id, name, account in sorted(ours, key=lambda one: _urgency(one[0]))[:MOST_PARTIES]
    ]
    kind = "Provider accounts" if source == Source.WEBHOOK else "Connections"
    return Table(
        title=f"{kind} at {asked.adapter.name}", columns=("Name", "Account", "Called last (UTC)", "What stands out"),
        rows=rows, empty="Nobody has set one up.",
    )  # fmt: skip


def _urgency(caller: Caller | None) -> tuple[bool, bool, float]:
    if caller is None:
        return True, True, 0.0
    return not caller.is_silent, not _refused(caller), -caller.last_at.timestamp()


def _concern(caller: Caller | None) -> str:
    if caller is None:
        return "It never called."
    parts = [f"Silent for {lasting(caller.quiet_for)}, longer than usual."] if caller.is_silent else []
    refused = _refused(caller)
    if refused:
        of, why = sum(sum(hours) for hours in caller.hours.values()), label(refused.most_common(1)[0][0])
        parts.append(f"{refused.total():,} of {of:,} requests in {HOURS} hours were refused, most for: {why}.")
    return " ".join(parts) or "Nothing."


def _refused(caller: Caller) -> Counter[str]:
    return Counter({word: sum(hours) for word, hours in caller.hours.items() if word in REFUSED})


# Each the first or last entry of an index, however large the table.
_HELD = """
(SELECT 'webhook', '', '', received_at FROM webhooks_inboundrequest WHERE source = 'webhook' ORDER BY received_at LIMIT 1)
UNION ALL
(SELECT 'postback', '', '', received_at FROM webhooks_inboundrequest WHERE source = 'postback' ORDER BY received_at LIMIT 1)
UNION ALL (SELECT 'parked', '', '', received_at FROM webhooks_parkedreport ORDER BY received_at LIMIT 1)
UNION ALL (SELECT 'event', '', '', received_at FROM webhooks_deliveryevent ORDER BY id LIMIT 1)
UNION ALL (SELECT 'message', '', '', created_at FROM sendinglists_message ORDER BY id LIMIT 1)
UNION ALL (SELECT 'reply', '', '', received_at FROM webhooks_reply ORDER BY id LIMIT 1)
UNION ALL (SELECT 'click', '', '', at FROM postbacks_click ORDER BY id LIMIT 1)
UNION ALL (SELECT 'conversion', '', '', received_at FROM postbacks_conversion ORDER BY id LIMIT 1)
UNION ALL
SELECT 'waiting', source, slug, max(received_at) FROM (
    SELECT source, slug, received_at FROM webhooks_inboundrequest WHERE state = 'waiting' ORDER BY due_at DESC LIMIT 1000
) AS newest GROUP BY source, slug
"""
