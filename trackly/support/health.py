"""Owns the health of those who call us: each provider account and connection, when it last called, how its requests of 48
hours stand, and whether it is silent for longer than usual, refused, or was never heard of.

Everything is read from the hourly totals of requests: it costs the same whether ten or ten million came.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any
from urllib.parse import urlencode

from django.db.models import BooleanField, Exists, ExpressionWrapper, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from postbacks import networks
from postbacks.models import Conversion, NetworkConnection, Offer
from postbacks.verdicts import Verdict
from sendinglists.models import ProviderAccount, SendingList
from trackly.models import Account, HourlyTotal
from trackly.showing import Badge, ago, lasting, tone_of
from trackly.stories.standings import REFUSED, label
from trackly.support.bars import Bar, stacked
from trackly.support.ways import party_url
from trackly.totals import hour_of
from webhooks import providers
from webhooks.inbound.callers import Caller, callers
from webhooks.inbound.models import Cause, RequestTotal, Source, Standing

HOURS = 48
# More callers than this are not looked at; who is silent or called last is among them.
MOST_CALLERS = 10_000
# Who stopped so long ago is not missed any more.
FORGOTTEN = timedelta(days=30)
TONES = (("good", frozenset([Standing.ACCEPTED.value])), ("bad", REFUSED), ("wait", frozenset([Standing.FAILED.value])))

# Source, provider, and id of the party: 0 stands for all of one provider's requests that name none of ours.
Who = tuple[str, str, int]
Counts = Counter[str]


class Trouble(IntEnum):
    """What is wrong with a caller, the most urgent first."""

    SILENT = 0
    REFUSED = 1
    NEVER = 2
    NONE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """A provider account or connection as a page names it."""

    source: str
    slug: str
    id: int
    account_id: int = 0
    name: str = ""
    account: str = ""
    is_in_use: bool = False
    """Somebody expects calls from it: it has a sending list, or an offer."""
    is_named_otherwise: bool = False
    """Hits on the URL without its token were counted to it."""
    refused_in: datetime | None = None
    """The last of the 48 hours in which a request of it was refused."""
    let_in_in: datetime | None = None
    """The same of one that was let in."""

    @property
    def who(self) -> Who:
        return self.source, self.slug, self.id

    @property
    def provider(self) -> str:
        return adapter_name(self.source, self.slug) or self.slug

    @property
    def url(self) -> str:
        """Its page; '' for nobody's requests."""
        return party_url(self.source, self.id) if self.id else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyHealth:
    """What is known of one caller, ready to be shown by templates/admin/_health.html."""

    party: Party
    trouble: Trouble
    concern: str = ""
    """What is wrong and what to do, in a sentence; '' when nothing is."""
    evidence: str = ""
    """URL of the requests that show it."""
    last_at: datetime | None
    """None: never."""
    quiet_for: timedelta
    hours: tuple[tuple[datetime, Counts], ...]
    verdicts: Counts
    """How the postbacks of 48 hours were judged; empty for a provider account."""

    @property
    def ago(self) -> str:
        return ago(self.quiet_for)

    @property
    def counts(self) -> Counts:
        return _added(counts for _, counts in self.hours)

    @property
    def words(self) -> list[Badge]:
        """The totals of 48 hours, each with what it counts."""
        return [Badge(f"{n:,} {label(word)}", _tone(word)) for word, n in self.counts.most_common()]

    @property
    def judged(self) -> list[Badge]:
        return [Badge(f"{n:,} {_verdict(word)}", tone_of(word)) for word, n in self.verdicts.most_common()]

    @property
    def chart(self) -> SafeString:
        bars = [Bar(hour=hour, words=said(counts), parts=parts(counts)) for hour, counts in self.hours]
        told = ", ".join(badge.text for badge in self.words) or "none"
        return stacked(bars, label=f"Requests of the last {HOURS} hours, hour by hour: {told}")

    @property
    def busy_hours(self) -> list[tuple[str, str]]:
        """The same for who cannot see the picture: hours in which something came, newest first."""
        return [(f"{hour:%b %d, %H:%M}", said(counts)) for hour, counts in reversed(self.hours) if counts]


def health_of(source: str, party_id: int, *, now: datetime | None = None) -> PartyHealth | None:
    """The health of one provider account or connection; None when there is none with this id."""
    now = now or timezone.now()
    found = [party for party in parties([source], now=now, party_id=party_id) if party.id == party_id]
    examined = _examined(found, _known(now), now=now, most=1)
    return examined[0] if examined else None


def healths(sources: Collection[str], *, now: datetime, most: int) -> tuple[list[PartyHealth], int]:
    """Those in trouble first, then who called last, no more than `most`; and how many there are."""
    known = _known(now)
    strangers = [
        Party(source=source, slug=slug, id=0)
        for (source, slug, party_id), caller in known.items()
        if not party_id and caller.last_at >= _first_hour(now)
    ]
    found = [*parties(sources, now=now), *strangers]
    return _examined(found, known, now=now, most=most), len(found)


def _known(now: datetime) -> dict[Who, Caller]:
    # Of the running hour alone: the other hours are asked for of those that are shown.
    found = callers(now, hours=1, limit=MOST_CALLERS)
    return {(caller.source, caller.slug, caller.party_id): caller for caller in found}


def parties(sources: Collection[str], *, now: datetime, party_id: int = 0) -> list[Party]:
    """Every provider account and connection of these sources, unless its account is deleted; or the one with this id."""
    found = {Source.WEBHOOK: _provider_accounts(), Source.POSTBACK: _connections()}
    asked = [_chosen(found[Source(source)], Source(source), party_id, now) for source in sources]
    return (
        [Party(**dict(zip(_READ, row, strict=True))) for row in asked[0].union(*asked[1:], all=True)] if asked else []
    )


def _examined(found: list[Party], known: Mapping[Who, Caller], *, now: datetime, most: int) -> list[PartyHealth]:
    """The health of these parties, in the order of healths()."""
    placed = [(_trouble(party, known.get(party.who)), party) for party in found]
    placed.sort(key=lambda place: (place[0], -_last_s(known.get(place[1].who)), place[1].who))
    placed = placed[:most]
    shown = [party for _, party in placed]
    hours, verdicts = _hourly(shown, now), _judged(shown, now)
    return [
        _described(trouble, party, known.get(party.who), hours[party.who], verdicts[party.who], now)
        for trouble, party in placed
    ]


def _last_s(caller: Caller | None) -> float:
    return caller.last_at.timestamp() if caller else 0.0


def failed_log(cause: str, since: datetime, party: Party | None = None) -> str:
    """URL of the failed-webhook log from then on: of this cause, and of this party."""
    asked = {"received_at__gte": since.isoformat()}
    if cause in Cause.values:
        asked["refusal__exact"] = cause
    if party is not None:
        asked |= {"source__exact": party.source, "party_id": str(party.id)}
    return f"{reverse('admin:webhooks_failedwebhook_changelist')}?{urlencode(asked)}"


def adapter_name(source: str, slug: str) -> str:
    """Of a provider or network; '' when there is none of this slug."""
    adapter = providers.get(slug) if source == Source.WEBHOOK else networks.get(slug)
    return adapter.name if adapter else ""


def said(counts: Counts) -> str:
    """How many stand how, the most first; '' when there are none."""
    return ", ".join(f"{n:,} {label(word)}" for word, n in counts.most_common())


def parts(counts: Counts) -> tuple[tuple[str, int], ...]:
    """By colour; what is none of these (probes, discarded) is left plain."""
    found = [(tone, sum(counts[word] for word in words)) for tone, words in TONES]
    return (*found, ("plain", counts.total() - sum(n for _, n in found)))


def _provider_accounts() -> QuerySet[ProviderAccount]:
    lists = Exists(SendingList.objects.filter(provider_account=OuterRef("pk")))
    is_configured = Q(webhook_state=ProviderAccount.WebhookState.CONFIGURED)
    return ProviderAccount.objects.annotate(
        slug=F("provider"),
        is_in_use=ExpressionWrapper(lists | is_configured, BooleanField()),
        is_named_otherwise=Value(False),
    )


def _connections() -> QuerySet[NetworkConnection]:
    offers, hits = (Exists(model._default_manager.filter(connection=OuterRef("pk"))) for model in (Offer, Conversion))
    return NetworkConnection.objects.annotate(slug=F("network"), is_in_use=offers, is_named_otherwise=hits)


def _chosen(rows: QuerySet[Any], source: Source, party_id: int, now: datetime) -> QuerySet[Any]:
    """Its columns as _READ names them. The totals are read backwards along their unique key, to the first that fits."""
    totals = RequestTotal.objects.filter(
        source=source, slug=OuterRef("slug"), party_id=OuterRef("pk"), hour__gte=_first_hour(now)
    )
    last = totals.filter(n__gt=0).order_by("-hour").values("hour")
    rows = rows.filter(pk=party_id) if party_id else rows.exclude(account__status=Account.Status.DELETED)
    return rows.annotate(
        source=Value(source.value),
        account_name=F("account__name"),
        refused_in=Subquery(last.filter(standing__in=REFUSED)[:1]),
        let_in_in=Subquery(last.filter(standing__in=_LET_IN)[:1]),
    ).values_list("source", "slug", "id", "account_id", "name", "account_name", *_READ[6:])


_READ = (
    "source", "slug", "id", "account_id", "name", "account", "is_in_use", "is_named_otherwise", "refused_in", "let_in_in",
)  # fmt: skip
_LET_IN = frozenset([Standing.ACCEPTED.value, Standing.FAILED.value])


def _trouble(party: Party, caller: Caller | None) -> Trouble:
    if not party.id:
        return Trouble.NONE
    if caller is None:
        return Trouble.NEVER if party.is_in_use and not party.is_named_otherwise else Trouble.NONE
    if caller.is_silent and caller.quiet_for < FORGOTTEN:
        return Trouble.SILENT
    # In one hour with the last accepted one, the totals cannot tell which came after it: most of the running hour decides.
    is_refused = _ends_refused(party) or (party.refused_in == party.let_in_in and _is_mostly_refused(caller))
    return Trouble.REFUSED if is_refused else Trouble.NONE


def _ends_refused(party: Party) -> bool:
    """True when its last hours with requests had none that was let in."""
    return party.refused_in is not None and (party.let_in_in is None or party.refused_in > party.let_in_in)


def _is_mostly_refused(caller: Caller) -> bool:
    """Of the running hour."""
    refused, let_in = (
        sum(sum(ns) for word, ns in caller.hours.items() if word in words) for words in (REFUSED, _LET_IN)
    )
    return refused > let_in


def _hourly(shown: list[Party], now: datetime) -> dict[Who, dict[datetime, Counts]]:
    """Their requests of 48 hours, hour by hour."""
    found: dict[Who, dict[datetime, Counts]] = defaultdict(lambda: defaultdict(Counter))
    whose = Q(pk__in=[])
    for source, slug in {(party.source, party.slug) for party in shown}:
        ids = [party.id for party in shown if (party.source, party.slug) == (source, slug)]
        whose |= Q(source=source, slug=slug, party_id__in=ids)
    totals = RequestTotal.objects.filter(whose, hour__gte=_first_hour(now), n__gt=0)
    for source, slug, party_id, hour, standing, n in totals.values_list(
        "source", "slug", "party_id", "hour", "standing", "n"
    ):
        found[source, slug, party_id][hour][standing] += n
    return found


def _judged(shown: list[Party], now: datetime) -> dict[Who, Counts]:
    """How the postbacks of these connections were judged in 48 hours, whichever URL they came on."""
    found: dict[Who, Counts] = defaultdict(Counter)
    asked = {party.id: party for party in shown if party.source == Source.POSTBACK and party.id}
    if asked:
        # By the account, too: by it the totals are found.
        accounts = {party.account_id for party in asked.values()}
        totals = HourlyTotal.objects.filter(account__in=accounts, hour__gte=_first_hour(now), connection_id__in=asked)
        judged = totals.filter(kind__startswith="postback_").values_list("connection_id", "kind")
        for connection_id, kind, n in judged.annotate(Sum("n")).order_by():
            if n:
                found[asked[connection_id].who][kind.removeprefix("postback_")] = n
    return found


def _described(
    trouble: Trouble,
    party: Party,
    caller: Caller | None,
    by_hour: Mapping[datetime, Counts],
    verdicts: Counts,
    now: datetime,
) -> PartyHealth:
    first = _first_hour(now)
    every = [first + timedelta(hours=place) for place in range(HOURS)]
    hours = tuple((hour, by_hour.get(hour, Counter())) for hour in every)
    concern, evidence = "", ""
    if caller is None:
        concern = _never(party)
    elif trouble == Trouble.SILENT:
        concern = _silence(caller)
        if _ends_refused(party):
            words, evidence = _refusals(party, hours)
            concern = f"{concern} {words}"
    elif trouble == Trouble.REFUSED:
        concern, evidence = _refusals(party, hours)
    return PartyHealth(
        party=party,
        trouble=trouble,
        concern=concern,
        evidence=evidence,
        last_at=caller.last_at if caller else None,
        quiet_for=caller.quiet_for if caller else timedelta(0),
        hours=hours,
        verdicts=verdicts,
    )


def _never(party: Party) -> str:
    if party.is_named_otherwise:
        return "Its own URL was never called; hits on the URL without the token were counted to it."
    return "Never called yet. Register the URL shown on its page." if party.is_in_use else "Never called yet."


def _silence(caller: Caller) -> str:
    usual = caller.usual_quiet
    before = (
        f"the longest silence of the week before was {lasting(usual)}"
        if usual
        else "before, no hour passed without a call"
    )
    return f"Silent for {lasting(caller.quiet_for)}; {before}. Did sending stop, or was our URL changed there?"


def _refusals(party: Party, hours: tuple[tuple[datetime, Counts], ...]) -> tuple[str, str]:
    """What was refused since something was last let in, in words, and where it stands."""
    refused_in = [place for place, (_, counts) in enumerate(hours) if REFUSED & counts.keys()]
    let_in = [place for place, (_, counts) in enumerate(hours) if _LET_IN & counts.keys()]
    after = let_in[-1] if let_in else -1
    place = next((place for place in refused_in if place > after), refused_in[-1])
    since, total = hours[place][0], _added(counts for _, counts in hours[place:])
    refused = Counter({word: n for word, n in total.items() if word in REFUSED})
    n, of = refused.total(), refused.total() + sum(total[word] for word in _LET_IN)
    which = f"{n:,} of {of:,} requests" if n < of else f"All {n:,} requests" if n > 1 else "The only request"
    ((cause, most),) = refused.most_common(1)
    why = f"{'mostly ' if most < n else ''}{label(cause)}"
    words = f"{which} since {since:%b %d, %H:%M} UTC {'were' if of > 1 else 'was'} refused: {why}."
    return words, failed_log(cause if most == n else "", since, party)


def _first_hour(now: datetime) -> datetime:
    return hour_of(now.astimezone(UTC)) - timedelta(hours=HOURS - 1)


def _added(each: Iterable[Counts]) -> Counts:
    total: Counts = Counter()
    for counts in each:
        total.update(counts)
    return total


def _tone(standing: str) -> str:
    return next((tone for tone, words in TONES if standing in words), "plain")


def _verdict(word: str) -> str:
    return _lowered(Verdict(word).label) if word in Verdict.values else word


def _lowered(words: str) -> str:
    # Only the beginning: a URL stays one.
    return words[:1].lower() + words[1:]
