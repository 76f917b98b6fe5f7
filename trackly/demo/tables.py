"""Owns the reading of what a run left in the tables: its own rows only, whatever else the service was doing."""

import re
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.db import connection
from django.db.models import Count, Exists, OuterRef, Sum
from django.utils import timezone

from postbacks.models import Click, Conversion
from sendinglists.models import Link, Message, Subscription, SubscriptionChange, Suppression
from trackly.demo import book
from trackly.demo.book import Book, Line, Totals, kept, revenue, status, verdict
from trackly.demo.campaign import Campaign
from trackly.models import Account, HourlyTotal, WorkerRun
from webhooks.inbound.models import DeliveryEvent, InboundRequest, ParkedReport, Reply, Source, State

# A worker says every ten seconds that it lives.
ALIVE = timedelta(seconds=35)
# What the worker notes on a request of the reports and replies in it.
_WORDS = re.compile(r"(\d+) (duplicate reply|duplicate|parked|not readable|wrong_account)\b")
_NOTED = {
    "duplicate": book.REPEATED,
    "duplicate reply": book.REPLY_REPEATED,
    "parked": book.PARKED,
    "not readable": book.UNREADABLE,
    "wrong_account": book.ANOTHERS,
}
# The hourly totals this traffic may move; other kinds are none of its business.
_KINDS = r"^(report|report_duplicate|message_.*|reply|opt_out|opt_in|click|bot_click|counted_click|postback_.*|conversion.*)$"


@dataclass(frozen=True, slots=True)
class Kept:
    """One request of the run as the inbox has it."""

    uid: UUID
    source: str
    state: str
    refusal: str
    outcome: str


def has_worker() -> bool:
    return WorkerRun.objects.filter(ended_at__isnull=True, beat_at__gte=timezone.now() - ALIVE).exists()


def unfinished(account: Account) -> int:
    """What an earlier run, perhaps one that was stopped, may still move in the totals of the account."""
    found = Message.objects.filter(reference=OuterRef("message_key"))
    # What failed already waits for minutes, and may never come to anything.
    waiting = InboundRequest.objects.filter(account=account, state=State.WAITING, attempts=0)
    untallied = Click.objects.filter(account=account, is_tallied=False)
    parked = ParkedReport.objects.filter(Exists(found), account=account, error="")
    return waiting.count() + untallied.count() + parked.count()


def waiting(campaign: Campaign) -> int:
    """How many of the run's own rows the worker has still to do something with."""
    references = [sent.message.reference for sent in campaign.sent if sent.story.is_early and sent.message.pk]
    links = [link.pk for link in campaign.links if link.pk]
    requests = sum(request.state == State.WAITING for request in requests_of(campaign))
    clicks = Click.objects.filter(link__in=links, is_tallied=False).count()
    return requests + clicks + ParkedReport.objects.filter(message_key__in=references).count()


def requests_of(campaign: Campaign) -> list[Kept]:
    """Told by the User-Agent: some of them name nothing else that is ours."""
    with connection.cursor() as cursor:
        # Slack for a service whose clock is not ours.
        cursor.execute(_REQUESTS, [campaign.now - timedelta(minutes=5), campaign.agent.encode()])
        return [Kept(*row) for row in cursor.fetchall()]


def totals_of(account: Account) -> Totals:
    rows = HourlyTotal.objects.filter(account=account, kind__regex=_KINDS).values("kind", "currency")
    sums = rows.annotate(count=Sum("n"), money=Sum("amount")).order_by()
    return {(row["kind"], row["currency"]): (row["count"], row["money"]) for row in sums}


def read(campaign: Campaign, before: Totals) -> Book:
    """What the tables hold of this run; `before` is what the totals were when it began."""
    found, requests = Book(), requests_of(campaign)
    for request in requests:
        found.add(kept(request.source, request.state, request.refusal))
    _read_reports(found, campaign, requests)
    _read_replies(found, campaign, requests)
    _read_clicks(found, campaign)
    _read_postbacks(found, requests)
    for key, (n, amount) in totals_of(campaign.stage.account).items():
        was_n, was_amount = before.get(key, (0, Decimal(0)))
        found.add_total(key[0], n - was_n, key[1], amount - was_amount)
    return found


def _read_reports(found: Book, campaign: Campaign, requests: list[Kept]) -> None:
    messages = [sent.message.pk for sent in campaign.sent]
    for row in Message.objects.filter(id__in=messages).values("status").annotate(n=Count("id")).order_by():
        found.add(status(row["status"]), row["n"])
    events = DeliveryEvent.objects.filter(message__in=messages)
    _put(found, book.ENTERED, events.count())
    _put(found, book.UNKNOWN_WORD, events.filter(status="unknown").count())
    _put(found, book.STILL_PARKED, ParkedReport.objects.filter(request_uid__in=_uids(requests)).count())
    noted: Counter[Line] = Counter()
    for request in (request for request in requests if request.source == Source.WEBHOOK):
        for n, words in _WORDS.findall(request.outcome):
            noted[_NOTED[words]] += int(n)
    for line, n in noted.items():
        found.add(line, n)


def _read_replies(found: Book, campaign: Campaign, requests: list[Kept]) -> None:
    account, uids = campaign.stage.account, _uids(requests)
    stored = Reply.objects.filter(account=account, request_uid__in=uids)
    _put(found, book.REPLY_NEW, stored.count())
    for row in stored.values("decision").annotate(n=Count("id")).order_by():
        found.add(book.decision(row["decision"]), row["n"])
    changes = SubscriptionChange.objects.filter(account=account, request_uid__in=uids)
    _put(found, book.OPTED_OUT_BY_CODE, changes.filter(decision="opt_out", origin="vendor_code").count())
    _put(found, book.OPTED_OUT_BY_REPLY, changes.filter(decision="opt_out", origin="reply").count())
    _put(found, book.OPTED_IN, changes.filter(decision="opt_in").count())
    phones = [sent.message.to for sent in campaign.sent]
    people = Subscription.objects.filter(account=account, contact__phone__in=phones, state="opted_out")
    _put(found, book.OUT_AT_THE_END, people.count())
    closed = Suppression.objects.filter(account=account, request_uid__in=uids, is_active=True)
    _put(found, book.CLOSED, closed.count())


def _read_clicks(found: Book, campaign: Campaign) -> None:
    links: list[Link] = [*campaign.links, campaign.expired]
    clicks = Click.objects.filter(link__in=[link.pk for link in links])
    _put(found, book.BY_PEOPLE, clicks.filter(bot="").count())
    _put(found, book.BY_MACHINES, clicks.exclude(bot="").count())
    _put(found, book.COUNTED, clicks.filter(is_counted=True).count())


def _read_postbacks(found: Book, requests: list[Kept]) -> None:
    hits = Conversion.objects.filter(request_uid__in=_uids(requests))
    for row in hits.values("verdict").annotate(n=Count("id")).order_by():
        found.add(verdict(row["verdict"]), row["n"])
    for hit in hits.exclude(kind="").select_related("original"):
        # An adjustment is of the status of what it adjusts.
        of = hit.original if hit.kind == Conversion.Kind.ADJUSTMENT and hit.original else hit
        is_trusted = of.is_verified or of.is_accepted
        found.add(revenue(of.status, hit.currency, is_trusted=is_trusted), hit.payout or Decimal(0))


def _put(found: Book, line: Line, n: int) -> None:
    if n:
        found.add(line, n)


def _uids(requests: list[Kept]) -> list[UUID]:
    return [request.uid for request in requests]


_REQUESTS = """
SELECT uid, source, state, refusal, outcome FROM webhooks_inboundrequest
WHERE received_at >= %s AND position(%s::bytea IN headers) > 0
"""
