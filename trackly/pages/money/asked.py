"""Owns what is asked of the conversions: the time, by which date, whose, and which verdicts; and the rows that answer it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.db.models import Model, Q, QuerySet

from postbacks.cases import REJECTED
from postbacks.models import Click, Conversion, NetworkConnection, Offer
from postbacks.verdicts import ConversionStatus, Verdict
from sendinglists.models import SendingList
from trackly.pages.forms import DayField
from trackly.pages.messages.fields import ChosenField, TextField
from trackly.pages.messages.fields import Filter as AnyFilter
from trackly.pages.visits import Visit

SPANS = {"1": "24 hours", "7": "7 days", "30": "30 days", "90": "90 days", "own": "From … to"}
# A postback older than that when nobody knows its click will not be overtaken by the click any more.
OVERTAKEN_WITHIN = timedelta(hours=1)
# Hits of one time may be written later than they came, by a worker that was held up; the list of a past time looks so far.
_WRITTEN_WITHIN = timedelta(days=7)
_MOST_CHOICES = 500

# The days of a longer time fill no table that anybody reads.
MOST = timedelta(days=366)
# By the date of the click every click is looked up; a longer time would take too long.
MOST_BY_CLICK = timedelta(days=31)

# What somebody has to do something about.
NEEDING = (
    Verdict.HELD,
    Verdict.BAD_SECRET,
    Verdict.IP_NOT_ALLOWED,
    Verdict.PLAIN_HTTP,
    Verdict.STATUS_UNMAPPED,
    Verdict.UNKNOWN_CLICK,
    Verdict.LITERAL_MACRO,
    Verdict.MISSING_CLICK_ID,
    Verdict.MALFORMED_CLICK_ID,
    Verdict.TOO_LONG,
    Verdict.AMBIGUOUS_PARAMETERS,
    Verdict.BAD_PAYOUT,
    Verdict.NEGATIVE_PAYOUT,
    Verdict.UNREADABLE,
)
GROUPS = {
    "counts": "Counts",
    "not": "Does not count",
    "needs": "Needs you",
    "duplicates": "Duplicates",
    "tests": "Tests",
}
SPLITS = {"day": "By day", "offer": "By offer", "connection": "By connection", "list": "By list"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A time, and by whose clock its days begin."""

    since: datetime
    until: datetime
    zone: ZoneInfo
    by_click: bool
    """Which conversions belong to it: whose click is of this time; else those that came in it."""

    @property
    def days(self) -> list[date]:
        first = self.since.astimezone(self.zone).date()
        last = (self.until - timedelta(microseconds=1)).astimezone(self.zone).date()
        return [first + timedelta(days=n) for n in range((last - first).days + 1)] or [first]


class Filter(AnyFilter):
    """What stands in the address of the conversions."""

    days = ChosenField("Time", SPANS.items(), anything="30 days")
    since = DayField("From")
    until = DayField("To")
    by = ChosenField("By date of", [("click", "The click")], anything="The postback")
    connection = ChosenField("Connection")
    offer = ChosenField("Offer")
    list = ChosenField("List")
    verified = ChosenField("Proof", [("yes", "Verified"), ("no", "Unverified")])
    group = ChosenField("Which", GROUPS.items(), anything="All but tests")
    verdict = ChosenField("Verdict", Verdict.choices)
    status = ChosenField("Status", ConversionStatus.choices)
    transaction = TextField("Transaction id")
    click = TextField("Click id")
    clock = ChosenField("Days of", [("connection", "The connection")], anything="The account")
    split = forms.ChoiceField(choices=[*SPLITS.items()], required=False, widget=forms.HiddenInput)

    def __init__(self, visit: Visit) -> None:
        self.visit = visit
        self.connections = list(
            visit.rows(NetworkConnection).only("id", "name", "time_zone").order_by("name", "id")[:_MOST_CHOICES]
        )
        super().__init__(
            visit,
            connection=[(str(row.pk), row.name) for row in self.connections],
            offer=_named(visit, Offer),
            list=_named(visit, SendingList),
        )
        self.is_valid()
        if not self._zoned():
            del self.fields["clock"]

    def chosen(self, name: str) -> str:
        return str(self.cleaned_data.get(name) or "")

    @property
    def days_asked(self) -> str:
        """A date that was given speaks for itself."""
        is_dated = self.cleaned_data.get("since") or self.cleaned_data.get("until")
        return self.chosen("days") or ("own" if is_dated else "30")

    @property
    def parts(self) -> str:
        return self.chosen("split") or "day"

    def _zoned(self) -> NetworkConnection | None:
        """The one connection that is looked at, if it has a clock of its own."""
        named = self.chosen("connection")
        return next((row for row in self.connections if str(row.pk) == named and row.time_zone), None)

    @property
    def zone(self) -> ZoneInfo:
        own = self._zoned() if self.chosen("clock") else None
        return ZoneInfo(own.time_zone) if own else self.visit.zone

    @property
    def span(self) -> Span:
        """Whole days up to now, or the last 24 hours."""
        zone, now, days = self.zone, self.visit.now, self.days_asked
        today = now.astimezone(zone).date()
        since, until = _midnight(today - timedelta(days=29), zone), now
        if days == "own":
            first: date | None = self.cleaned_data.get("since")
            last: date | None = self.cleaned_data.get("until")
            since = _midnight(first or (last or today) - timedelta(days=29), zone)
            until = _midnight((last or today) + timedelta(days=1), zone)
            since = max(since, until - MOST)
        elif days == "1":
            since = now - timedelta(hours=24)
        else:
            since = _midnight(today - timedelta(days=int(days) - 1), zone)
        by_click = bool(self.chosen("by"))
        if by_click:
            since = max(since, until - MOST_BY_CLICK)
        return Span(since=since, until=until, zone=zone, by_click=by_click)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def _named(visit: Visit, model: type[Model]) -> list[tuple[str, str]]:
    rows = visit.rows(model).order_by("name", "id").values_list("pk", "name")[:_MOST_CHOICES]
    return [(str(key), name) for key, name in rows]


# --- the rows


def rows_of(visit: Visit) -> QuerySet[Conversion]:
    """The account's, without what no list shows: the token is decrypted, the query is long."""
    rows = visit.rows(Conversion).select_related("connection", "offer", "message")
    return rows.defer("connection__postback_token", "query", "reply")


def reached(rows: QuerySet[Conversion], visit: Visit, form: Filter) -> QuerySet[Conversion]:
    """Of a time that is over, only what was written by then or soon after: not the newest rows of all are looked through."""
    if form.days_asked != "own" or _is_named(form.cleaned_data):
        return rows
    earned = visit.rows(Conversion).filter(received_at__gte=form.span.until + _WRITTEN_WITHIN, is_test=False)
    after = earned.exclude(kind="").order_by("received_at").values_list("pk", flat=True).first()
    return rows.filter(pk__lt=after) if after and not form.span.by_click else rows


def narrowed(rows: QuerySet[Conversion], form: Filter, visit: Visit) -> QuerySet[Conversion]:
    """The rows that the form asks for."""
    met = _of_group(form.chosen("group"), visit.now)
    if form.chosen("group") != "tests" and form.chosen("verdict") != Verdict.TEST:
        met &= Q(is_test=False)
    for name, lookup in (
        ("verdict", "verdict"),
        ("status", "status"),
        ("connection", "connection"),
        ("offer", "offer"),
    ):
        if form.chosen(name):
            met &= Q(**{lookup: form.chosen(name)})
    if form.chosen("list"):
        met &= Q(sending_list=form.chosen("list"))
    if form.chosen("verified"):
        trusted = Q(is_verified=True) | Q(is_accepted=True)
        met &= trusted if form.chosen("verified") == "yes" else ~trusted
    return _named_or_timed(rows.filter(met), form, visit)


def _named_or_timed(rows: QuerySet[Conversion], form: Filter, visit: Visit) -> QuerySet[Conversion]:
    """Who names one hit finds it whenever it came."""
    if form.chosen("transaction"):
        rows = rows.filter(transaction_id=form.chosen("transaction"))
    if form.chosen("click"):
        word = form.chosen("click").lower()
        ours = list(visit.rows(Click).filter(click_id=word).values_list("pk", flat=True))
        rows = rows.filter(Q(click__in=ours) if ours else Q(click__isnull=True, click_ref=word))
    if _is_named(form.cleaned_data):
        return rows
    span = form.span
    at = "click__at" if span.by_click else "received_at"
    return rows.filter(**{f"{at}__gte": span.since, f"{at}__lt": span.until})


def _is_named(chosen: Mapping[str, Any]) -> bool:
    return bool(chosen.get("transaction") or chosen.get("click"))


def _of_group(group: str, now: datetime) -> Q:
    match group:
        case "counts":
            return ~Q(kind="")
        case "not":
            return Q(kind="")
        case "needs":
            return needing(now)
        case "duplicates":
            return Q(verdict__in=[Verdict.DUPLICATE, Verdict.DUPLICATE_DIFFERS])
        case "tests":
            return Q(is_test=True)
    return Q()


def needing(now: datetime) -> Q:
    """Hits that count only once somebody does something, and that nobody has turned down."""
    waits = Q(verdict=Verdict.UNKNOWN_CLICK, received_at__gte=now - OVERTAKEN_WITHIN)
    return Q(verdict__in=NEEDING, is_test=False) & ~waits & ~Q(flags__contains=[REJECTED])
