"""Owns what the admin's index says: the last 24 hours as cards, each a question with its number in words, and who calls us.

A card is shown to whoever may see the table it counts. Everything but what stands failed or waits right now is read from the
hourly totals, and a total is written in the transaction of what it counts: the page is as right as the tables are.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db.models import Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from postbacks.models import Click, Conversion, NetworkConnection
from sendinglists.models import Message, ProviderAccount
from trackly.models import HourlyTotal
from trackly.showing import Link, Shown, counted, money
from trackly.stories.standings import REFUSED, label
from trackly.support import health
from trackly.support.bars import Bar
from trackly.support.cards import Card
from trackly.support.health import PartyHealth, failed_log
from trackly.support.outgoing_queue import outgoing_cards
from trackly.support.permissions import may_see
from trackly.support.waiting import inbox_card
from trackly.totals import ZERO, hour_of
from trackly.waiting import look
from webhooks.inbound.callers import by_hour
from webhooks.inbound.models import Cause, FailedWebhook, InboundRequest, Source, Standing, State
from webhooks.statuses import FINAL, Status

HOURS = 24
# How many rows of the log of failures are looked through for those that wait for somebody, and how far back.
LOOKED_THROUGH, LOOKED_BACK = 20_000, timedelta(days=30)
ROWS, ALL_ROWS = 50, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """The page; nothing but `may_see` for who may not see requests."""

    may_see: bool
    since: datetime | None = None
    cards: tuple[Card, ...] = ()
    callers: Sequence[PartyHealth] = ()
    n_callers: int = 0
    is_behind: bool = False
    """What waits stands in no total: who looks silent may have called."""
    more: str = ""
    """URL of the page with all callers; '' when they stand here."""
    steps: tuple[Link, ...] = ()
    """What to do first, while there is nobody who could call."""

    @property
    def table(self) -> list[tuple[str, tuple[str, ...]]]:
        """Every chart's numbers, hour by hour, the newest first: (hour, a cell for each card with bars)."""
        drawn = [card.bars for card in self.cards if card.bars]
        rows = [(bars[0].hour, tuple(bar.words or "–" for bar in bars)) for bars in zip(*drawn, strict=True)]
        return [(f"{hour:%b %d, %H:%M} UTC", cells) for hour, cells in reversed(rows)]

    @property
    def columns(self) -> list[str]:
        return [card.title for card in self.cards if card.bars]


# (tone, word, kinds of totals) from the bottom of a bar up.
_Groups = tuple[tuple[str, str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Day:
    """The hourly totals of the last 24 hours."""

    hours: tuple[datetime, ...]
    requests: Mapping[str, tuple[int, ...]]
    n: dict[str, Counter[datetime]] = field(default_factory=lambda: defaultdict(Counter))
    """By kind and hour."""
    amounts: dict[str, dict[str, Decimal]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(Decimal)))
    """By kind and currency: money of two currencies is never added."""

    def total(self, *kinds: str) -> int:
        return sum(self.n[kind].total() for kind in kinds)

    def standing(self, standings: frozenset[str]) -> int:
        return sum(sum(ns) for word, ns in self.requests.items() if word in standings)

    def request_bars(self, tones: Mapping[str, frozenset[str]]) -> tuple[Bar, ...]:
        """One bar an hour of the requests that stand so."""
        everything = frozenset().union(*tones.values())
        bars = []
        for place, hour in enumerate(self.hours):
            counts = Counter(
                {word: ns[place] for word, ns in self.requests.items() if ns[place] and word in everything}
            )
            parts = tuple((tone, sum(counts[word] for word in words)) for tone, words in tones.items())
            bars.append(Bar(hour=hour, words=health.said(counts), parts=parts))
        return tuple(bars)

    def kind_bars(self, groups: _Groups) -> tuple[Bar, ...]:
        """One bar an hour of these groups."""
        bars = []
        for hour in self.hours:
            parts = [(tone, word, sum(self.n[kind][hour] for kind in kinds)) for tone, word, kinds in groups]
            said = ", ".join(f"{n:,} {word}" for _, word, n in parts if n)
            bars.append(Bar(hour=hour, words=said, parts=tuple((tone, n) for tone, _, n in parts)))
        return tuple(bars)


def overview(request: HttpRequest, *, now: datetime | None = None) -> Overview:
    """What this person may see of the last 24 hours."""
    if not may_see(request.user, InboundRequest):
        return Overview(may_see=False)
    now = (now or timezone.now()).astimezone(UTC)
    day = _day(now)
    found = look(now)
    waiting = inbox_card(found)
    cards = [
        *_request_cards(request, day, now),
        waiting,
        *outgoing_cards(request, now, has_worker=not found.worker_alarm),
        *_effect_cards(request, day),
    ]
    sources = [
        source
        for source, model in ((Source.WEBHOOK, ProviderAccount), (Source.POSTBACK, NetworkConnection))
        if may_see(request.user, model)
    ]
    most = ALL_ROWS if request.GET.get("all") == "1" else ROWS
    callers, n = health.healths(sources, now=now, most=most)
    return Overview(
        may_see=True,
        since=day.hours[0],
        cards=tuple(cards),
        callers=callers,
        n_callers=n,
        is_behind=bool(waiting.alarm),
        more=f"{reverse('admin:index')}?all=1" if n > len(callers) and most == ROWS else "",
        steps=() if n else _steps(request),
    )


# --- requests

_ACCEPTED = frozenset([Standing.ACCEPTED.value])
_FAILED = frozenset([Standing.FAILED.value])
_UNKEPT = {Standing.OVER_QUOTA.value: "not kept: over the quota of refused requests"}


def _request_cards(request: HttpRequest, day: _Day, now: datetime) -> list[Card]:
    may_see_log = may_see(request.user, FailedWebhook)
    accepted, refused = day.standing(_ACCEPTED), day.standing(REFUSED)
    return [
        Card(
            title="Requests accepted",
            figure=f"{accepted:,}",
            words=(_share(accepted, accepted + refused + day.standing(_FAILED), "of all requests"), *_others(day)),
            bars=day.request_bars({"good": _ACCEPTED}),
        ),
        Card(
            title="Refused",
            figure=f"{refused:,}",
            words=_causes(day, may_see_log),
            bars=day.request_bars({"bad": REFUSED}),
        ),
        _failed(day, now, may_see_log),
    ]


def _share(n: int, of: int, words: str) -> str:
    return f"{100 * n / of:.1f} % {words}" if of else "None yet"


def _others(day: _Day) -> list[str]:
    """What came and is neither good nor bad."""
    probes, discarded = (sum(day.requests.get(word, ())) for word in (Standing.PROBE, Standing.DISCARDED))
    said = [f"{counted(probes, 'probe')} (HEAD)"] if probes else []
    return [*said, f"{discarded:,} discarded by hand"] if discarded else said


def _causes(day: _Day, may_see_log: bool) -> tuple[Shown, ...]:
    counts = Counter({word: sum(ns) for word, ns in day.requests.items() if word in REFUSED})
    found: list[Shown] = []
    for word, n in counts.most_common():
        words = f"{n:,} {_UNKEPT.get(word) or label(word)}"
        is_kept = word in Cause.values
        found.append(Link(words, failed_log(word, day.hours[0])) if is_kept and may_see_log else words)
    return tuple(found) or ("Nothing was refused",)


def _failed(day: _Day, now: datetime, may_see_log: bool) -> Card:
    """What stands failed now, whenever it came."""
    log = InboundRequest.objects.filter(state__in=[State.FAILED, State.REFUSED], received_at__gt=now - LOOKED_BACK)
    newest = log.order_by("-received_at", "-uid").values("state")[:LOOKED_THROUGH]
    # The index of the log holds what was refused, too: a flood of that must not make this a long reading.
    states = Counter(newest.values_list("state", flat=True))
    n, is_all = states[State.FAILED], states.total() < LOOKED_THROUGH
    url = f"{reverse('admin:webhooks_failedwebhook_changelist')}?state__exact={State.FAILED}"
    look: Shown = Link("Look at them, and replay", url) if may_see_log else "They need a replay"
    words: tuple[Shown, ...] = (look,) if n else ("Nothing waits for a replay",)
    of_the_day = day.standing(_FAILED)
    return Card(
        title="Failed, waiting for somebody",
        figure=f"{n:,}" if is_all else f"{n:,}+",
        words=(*words, *([f"{of_the_day:,} of them came in these 24 hours"] if of_the_day else [])),
        bars=day.request_bars({"wait": _FAILED}),
    )


# --- what they had for effects

_DELIVERED = tuple(f"message_{status}" for status in (Status.DELIVERED, Status.READ))
_UNDELIVERED = tuple(sorted(f"message_{status}" for status in FINAL if f"message_{status}" not in _DELIVERED))
_UNDECIDED = tuple(f"message_{status}" for status in Status if status not in FINAL)
_VERIFIED, _UNVERIFIED = ("conversion",), ("conversion_unverified",)
_PENDING = ("conversion_pending", "conversion_pending_unverified")
_REJECTED = ("conversion_rejected", "conversion_rejected_unverified")
_CLICKS, _BOTS = ("click",), ("bot_click",)
_KINDS = (
    *_DELIVERED, *_UNDELIVERED, *_UNDECIDED, *_VERIFIED, *_UNVERIFIED, *_PENDING, *_REJECTED, *_CLICKS, *_BOTS,
)  # fmt: skip

_MESSAGES: _Groups = (
    ("good", "delivered", _DELIVERED), ("bad", "failed", _UNDELIVERED), ("plain", "on the way", _UNDECIDED),
)  # fmt: skip
_SALES: _Groups = (
    ("good", "verified", _VERIFIED), ("wait", "unverified", _UNVERIFIED), ("note", "pending", _PENDING),
    ("bad", "rejected", _REJECTED),
)  # fmt: skip
_OPENINGS: _Groups = (("good", "by people", _CLICKS), ("plain", "by bots", _BOTS))


def _legend(groups: _Groups) -> tuple[tuple[str, str], ...]:
    return tuple((tone, word) for tone, word, _ in groups)


def _day(now: datetime) -> _Day:
    hours = tuple(hour_of(now) - timedelta(hours=n) for n in range(HOURS - 1, -1, -1))
    day = _Day(hours, by_hour(now, hours=HOURS))
    totals = HourlyTotal.objects.filter(hour__gte=hours[0], kind__in=_KINDS).values_list("hour", "kind", "currency")
    for hour, kind, currency, n, amount in totals.annotate(Sum("n"), Sum("amount")).order_by():
        day.n[kind][hour] += n
        day.amounts[kind][currency] += amount
    return day


def _effect_cards(request: HttpRequest, day: _Day) -> list[Card]:
    cards = ((_delivered, Message), (_conversions, Conversion), (_clicks, Click))
    return [make(day) for make, model in cards if may_see(request.user, model)]


def _delivered(day: _Day) -> Card:
    delivered, failed, undecided = day.total(*_DELIVERED), day.total(*_UNDELIVERED), day.total(*_UNDECIDED)
    final = delivered + failed
    words = (
        (f"{delivered:,} of {final:,} messages with a final status", _share(failed, final, f"failed ({failed:,})"))
        if final
        else ("No message of these hours has a final status yet",)
    )
    return Card(
        title="Delivered",
        figure=f"{100 * delivered / final:.1f} %" if final else "–",
        words=(*words, *([f"{undecided:,} reported, still on the way"] if undecided else [])),
        bars=day.kind_bars(_MESSAGES),
        legend=_legend(_MESSAGES),
    )


def _conversions(day: _Day) -> Card:
    verified = _money(day, _VERIFIED)
    words = [f"Verified: {verified}"] if verified else []
    for title, kinds in (("unverified", _UNVERIFIED), ("pending", _PENDING), ("rejected", _REJECTED)):
        n, sums = day.total(*kinds), _money(day, kinds)
        if n or sums:
            words.append(f"{n:,} {title}: {sums}" if sums else f"{n:,} {title}")
    return Card(
        title="Conversions",
        figure=f"{day.total(*_VERIFIED):,}",
        words=tuple(words) or ("None reported",),
        bars=day.kind_bars(_SALES),
        legend=_legend(_SALES),
    )


def _money(day: _Day, kinds: tuple[str, ...]) -> str:
    sums: dict[str, Decimal] = defaultdict(Decimal)
    for kind in kinds:
        for currency, amount in day.amounts[kind].items():
            sums[currency] += amount
    return ", ".join(money(amount, currency) for currency, amount in sorted(sums.items()) if amount != ZERO)


def _clicks(day: _Day) -> Card:
    people, bots = day.total(*_CLICKS), day.total(*_BOTS)
    return Card(
        title="Clicks",
        figure=f"{people:,}",
        words=(f"by people; {bots:,} more by bots and previews, which count for nothing",),
        bars=day.kind_bars(_OPENINGS),
        legend=_legend(_OPENINGS),
    )


# --- nobody yet


def _steps(request: HttpRequest) -> tuple[Link, ...]:
    """What makes this page fill, as far as this person may do it."""
    steps = (
        ("Add an account", "trackly", "account"),
        (
            "Add a provider account, and register its callback URL at the SMS provider",
            "sendinglists",
            "provideraccount",
        ),
        (
            "Add a network connection, and give its postback URL to the affiliate network",
            "postbacks",
            "networkconnection",
        ),
        ("Add a short link for people to open", "sendinglists", "link"),
    )
    return tuple(
        Link(words, reverse(f"admin:{app}_{model}_add"))
        for words, app, model in steps
        if request.user.has_perm(f"{app}.add_{model}")
    )
