"""Owns the figures as they are told: each with its rate, how it changed, what it counts, and the list behind it."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from trackly.models import ExchangeRate
from trackly.pages.kinds import DELIVERED, FAILED, NOT_SENT, SENT
from trackly.pages.overview import numbers
from trackly.pages.overview.numbers import APPROVED, CLICKED, PENDING, REJECTED, UNVERIFIED, Sums
from trackly.pages.visits import Visit
from trackly.showing import counted, money
from trackly.totals import ZERO
from webhooks.statuses import Decision, Status

# A change on fewer than these says nothing.
SMALL = 10
_BY_MESSAGE = "Counts by the time the message was made."


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number with what belongs to it."""

    name: str
    number: str
    rate: str = ""
    change: str = ""
    notes: tuple[str, ...] = ()
    help: str = ""
    """By which time it counts."""
    url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """The money of one currency."""

    approved: str
    change: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Revenue:
    currencies: tuple[Earned, ...]
    converted: str
    """All of it in the account's currency, or why that is not known; '' when it all is in that currency."""
    lacks_rate: bool


def figures(visit: Visit, sums: Sums) -> list[Figure]:
    """In the order of what happens to a message."""
    return [_sent(visit, sums), _delivered(visit, sums), _failed(visit, sums), _clicks(visit, sums), _replies(visit, sums),
            _opt_outs(visit, sums), _conversions(visit, sums)]  # fmt: skip


def _sent(visit: Visit, sums: Sums) -> Figure:
    waiting, refused = sums.waiting, sums.n(*NOT_SENT)
    notes = [f"{waiting:,} waiting to be sent"] if waiting else []
    if refused:
        notes.append(f"{refused:,} not sent: closed numbers, or too late")
    return _figure(sums, "Sent", SENT, notes=notes, help=_BY_MESSAGE, url=_messages(visit, sums))


def _delivered(visit: Visit, sums: Sums) -> Figure:
    on_the_way = sums.n(*SENT) - sums.n(*DELIVERED, *FAILED)
    rate = share(sums.n(*DELIVERED), sums.n(*SENT), "of sent")
    notes = [f"{on_the_way:,} without a final status yet"] if on_the_way else []
    url = _messages(visit, sums, status=Status.DELIVERED.value)
    return _figure(sums, "Delivered", DELIVERED, rate=rate, notes=notes, help=_BY_MESSAGE, url=url)


def _failed(visit: Visit, sums: Sums) -> Figure:
    rate = share(sums.n(*FAILED), sums.n(*SENT), "of sent")
    notes = ["Below 5 % is healthy"] if sums.n(*SENT) >= SMALL else []
    url = _messages(visit, sums, status="lost")
    return _figure(sums, "Failed", FAILED, rate=rate, notes=notes, help=_BY_MESSAGE, url=url)


def _clicks(visit: Visit, sums: Sums) -> Figure:
    opened, machines = sums.n(CLICKED), sums.n("bot_click")
    notes = [f"{counted(opened, 'message')} opened"] if opened else []
    if machines:
        notes.append(f"{machines:,} more by machines, which count for nothing")
    rate = share(opened, sums.n(*SENT), "of sent messages")
    told = "Counts by the time of the click."
    return _figure(sums, "Clicks by people", ("click",), rate=rate, notes=notes, help=told, url=visit.url("clicks"))


def _replies(visit: Visit, sums: Sums) -> Figure:
    told = "Counts by the time it came."
    return _figure(sums, "Replies", ("reply",), help=told, url=_replies_since(visit, sums))


def _opt_outs(visit: Visit, sums: Sums) -> Figure:
    rate = share(sums.n("opt_out"), sums.n(*SENT), "of sent", places=2)
    told = "Counts by the time the provider gives; an error code that tells of one, by the time the message was sent."
    url = _replies_since(visit, sums, decision=Decision.OPT_OUT.value)
    return _figure(sums, "Opt-outs", ("opt_out",), rate=rate, help=told, url=url)


def _conversions(visit: Visit, sums: Sums) -> Figure:
    groups = (("without the token", UNVERIFIED), ("pending", PENDING), ("rejected", REJECTED))
    notes = [f"{sums.n(*kinds):,} {word}" for word, kinds in groups if sums.n(*kinds)]
    rate = share(sums.n(*APPROVED), sums.n("click"), "of clicks")
    told = "Approved ones, by the time their postback came."
    url = conversions_url(visit, sums)
    return _figure(sums, "Conversions", APPROVED, rate=rate, notes=notes, help=told, url=url)


def conversions_url(visit: Visit, sums: Sums) -> str:
    """The conversions of this span."""
    return visit.url("conversions", days=sums.window.span.days or 1)


def _messages(visit: Visit, sums: Sums, **query: str) -> str:
    return visit.url("messages", **query, since=_begin(sums))


def _replies_since(visit: Visit, sums: Sums, **query: str) -> str:
    return visit.url("replies", **query, since=_begin(sums))


def _begin(sums: Sums) -> str:
    """As the forms of lists read a moment: in the account's zone."""
    return f"{sums.window.starts[0].astimezone(sums.window.zone):%Y-%m-%dT%H:%M}"


def _figure(
    sums: Sums,
    name: str,
    kinds: tuple[str, ...],
    *,
    help: str,
    url: str,
    rate: str = "",
    notes: list[str] | None = None,
) -> Figure:
    now, before = sums.compared(*kinds)
    change = changed(now, before, sums.window.span.words) if before >= SMALL else ""
    number = f"{sums.n(*kinds):,}"
    return Figure(name=name, number=number, rate=rate, change=change, notes=tuple(notes or ()), help=help, url=url)


def share(n: int, of: int, words: str, *, places: int = 1) -> str:
    """'97.1 % of sent'; '' where there is nothing to be a share of."""
    return f"{100 * n / of:.{places}f} % {words}" if of else ""


def changed(now: Decimal | int, before: Decimal | int, words: str) -> str:
    """'+12 % on the 7 days before'. `before` is above 0."""
    ratio = Decimal(now) / Decimal(before)
    if ratio >= 10:
        return f"{ratio:,.0f} times the {words} before"
    percent = round(100 * (ratio - 1))
    if not percent:
        return f"as in the {words} before"
    return f"{'+' if percent > 0 else '−'}{abs(percent)} % on the {words} before"


# --- money

_MONEY = (*APPROVED, *UNVERIFIED, *PENDING)
Rates = Mapping[str, list[tuple[date, Decimal]]]


def revenue(visit: Visit, sums: Sums) -> Revenue:
    """Each currency by itself; and together where the account has rates."""
    currencies = sums.currencies(*_MONEY)
    earned = tuple(_earned(sums, currency) for currency in currencies)
    approved = sums.currencies(*APPROVED)
    if not set(approved) - {visit.account.currency}:
        return Revenue(currencies=earned, converted="", lacks_rate=False)
    total = numbers.converted(sums, APPROVED, rates(visit, approved))
    if total is None:
        return Revenue(currencies=earned, converted="", lacks_rate=True)
    return Revenue(currencies=earned, converted=money(total, visit.account.currency), lacks_rate=False)


def rates(visit: Visit, currencies: list[str]) -> Rates:
    """The account's own rates for these, oldest first; its own currency is worth 1."""
    found: dict[str, list[tuple[date, Decimal]]] = defaultdict(list)
    found[visit.account.currency].append((date.min, Decimal(1)))
    rows = visit.rows(ExchangeRate).filter(currency__in=currencies).order_by("valid_from")
    for currency, since, rate in rows.values_list("currency", "valid_from", "rate"):
        found[currency].append((since, rate))
    return found


def _earned(sums: Sums, currency: str) -> Earned:
    now, before = sums.compared_amounts(APPROVED, currency)
    # The number of conversions says whether there is anything to compare; that of all currencies is near enough.
    is_compared = before > ZERO and sums.compared(*APPROVED)[1] >= SMALL and now >= ZERO
    groups = (("without the token", UNVERIFIED), ("pending", PENDING))
    amounts = [(word, sums.amount(kinds, currency)) for word, kinds in groups]
    return Earned(
        approved=money(sums.amount(APPROVED, currency), currency or "without a currency"),
        change=changed(now, before, sums.window.span.words) if is_compared else "",
        notes=tuple(f"{money(amount, currency)} {word}" for word, amount in amounts if amount),
    )
