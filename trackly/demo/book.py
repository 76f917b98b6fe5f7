"""Owns Book: what a run of the demo comes to, line by line. One is planned and one is read from the tables; they must agree."""

from collections.abc import Iterator
from decimal import Decimal
from typing import NamedTuple

from postbacks.verdicts import ConversionStatus, Verdict
from webhooks.inbound.models import Cause, Source, State
from webhooks.statuses import Decision, Status


class Line(NamedTuple):
    """What is counted, in words for people; the section is its heading."""

    section: str
    words: str


HTTP = "Requests sent, by their answer"
INBOX = "Requests kept, by what came of them"
REPORTS = "Delivery reports, each an item of a request"
MESSAGES = "Messages, by their final status"
REPLIES = "Replies and what they decided"
CLICKS = "Openings of short links"
POSTBACKS = "Postbacks, by their verdict"
REVENUE = "Revenue"
SECTIONS = (HTTP, INBOX, REPORTS, MESSAGES, REPLIES, CLICKS, POSTBACKS, REVENUE)

ENTERED = Line(REPORTS, "counted: entered in the timeline of a message")
REPEATED = Line(REPORTS, "duplicates: said before, entered no second time")
PARKED = Line(REPORTS, "parked on arrival: the message was not known yet")
STILL_PARKED = Line(REPORTS, "still parked: the message never came")
UNREADABLE = Line(REPORTS, "not readable in a batch whose other items counted")
ANOTHERS = Line(REPORTS, "refused: about a message of another provider account")
UNKNOWN_WORD = Line(REPORTS, "counted with a status word we do not know")

REPLY_NEW = Line(REPLIES, "counted: stored replies")
REPLY_REPEATED = Line(REPLIES, "duplicates: delivered to us a second time")
OPTED_OUT_BY_CODE = Line(REPLIES, "opt-outs by an error code of the provider")
OPTED_OUT_BY_REPLY = Line(REPLIES, "opt-outs by a reply")
OPTED_IN = Line(REPLIES, "opt-ins by a reply")
OUT_AT_THE_END = Line(REPLIES, "people who are opted out at the end")
CLOSED = Line(REPLIES, "numbers closed for a whole brand or account")

BY_PEOPLE = Line(CLICKS, "by people")
BY_MACHINES = Line(CLICKS, "by machines: previews, crawlers, scripts")
COUNTED = Line(CLICKS, "counted: the first person of each message")

CALLBACKS, HITS, OPENINGS = "provider callbacks", "postbacks", "short links"
_ANSWERS = {
    200: "200, acknowledged",
    302: "302, redirected",
    400: "400, refused: not readable",
    403: "403, refused: nothing proves the sender",
    404: "404, no such address",
}
_WHO = {Source.WEBHOOK: CALLBACKS, Source.POSTBACK: HITS}
_MONEY = {
    ConversionStatus.APPROVED: "approved",
    ConversionStatus.REVERSED: "approved",
    ConversionStatus.PENDING: "pending",
    ConversionStatus.REJECTED: "rejected",
}


def answered(kind: str, status: int) -> Line:
    return Line(HTTP, f"{kind}: {_ANSWERS.get(status, str(status))}")


def kept(source: str, state: str, refusal: str = "") -> Line:
    because = f", {Cause(refusal).label.lower()}" if refusal else ""
    return Line(INBOX, f"{_WHO[Source(source)]}: {State(state).label.lower()}{because}")


def status(status: str) -> Line:
    return Line(MESSAGES, Status(status).label.lower())


def decision(decision: str) -> Line:
    return Line(REPLIES, f"read as: {Decision(decision).label.lower()}")


def verdict(verdict: str) -> Line:
    return Line(POSTBACKS, Verdict(verdict).label.lower())


def revenue(status: str, currency: str, *, is_trusted: bool) -> Line:
    """What an adjustment takes back wholly stays among the approved, where the two come to nothing."""
    suffix = "" if is_trusted else ", unverified"
    return Line(REVENUE, f"{currency} {_MONEY[ConversionStatus(status)]}{suffix}")


def revenue_kind(status: str, *, is_trusted: bool) -> str:
    """The hourly total that revenue stands in."""
    word = _MONEY[ConversionStatus(status)]
    return "conversion" + ("" if word == "approved" else f"_{word}") + ("" if is_trusted else "_unverified")


# Kind and currency -> how many, and how much.
Totals = dict[tuple[str, str], tuple[int, Decimal]]


class Book:
    """Counts by line, and by what they add to the hourly totals."""

    def __init__(self) -> None:
        self.lines: dict[Line, Decimal] = {}
        self._totals: Totals = {}

    def add(self, line: Line, n: int | Decimal = 1, *, total: str = "") -> None:
        """Count it; with `total`, in the hourly totals of that kind as well."""
        self.lines[line] = self.lines.get(line, Decimal(0)) + n
        if total:
            self.add_total(total, int(n))

    def add_total(self, kind: str, n: int, currency: str = "", amount: Decimal = Decimal(0)) -> None:
        before = self._totals.get((kind, currency), (0, Decimal(0)))
        self._totals[kind, currency] = (before[0] + n, before[1] + amount)

    @property
    def totals(self) -> Totals:
        """Those that change anything."""
        return {key: change for key, change in self._totals.items() if change != (0, 0)}

    def __iter__(self) -> Iterator[Line]:
        """The lines in the order they are read in."""
        return iter(
            sorted(self.lines, key=lambda line: (SECTIONS.index(line.section), _PLACES.get(line, 0), line.words))
        )


_ORDER = (
    *(answered(kind, code) for kind in (CALLBACKS, OPENINGS, HITS) for code in _ANSWERS),
    ENTERED, REPEATED, PARKED, STILL_PARKED, UNKNOWN_WORD, UNREADABLE, ANOTHERS,
    *(status(value) for value in Status),
    REPLY_NEW, REPLY_REPEATED, *(decision(value) for value in Decision),
    OPTED_OUT_BY_REPLY, OPTED_OUT_BY_CODE, OPTED_IN, OUT_AT_THE_END, CLOSED,
    BY_PEOPLE, BY_MACHINES, COUNTED,
    *(verdict(value) for value in Verdict),
)  # fmt: skip
_PLACES = {line: place for place, line in enumerate(_ORDER)}
