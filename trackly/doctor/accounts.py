"""Owns the examination of one provider account: do callbacks find us, are they registered, do they come, are they believed."""

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Sum

from sendinglists import setup
from sendinglists.callbacks import callback_url
from sendinglists.models import Message, ProviderAccount
from trackly.doctor.findings import Finding, Level, bad, good, note, warning
from trackly.doctor.house import reach
from trackly.showing import ago, counted
from trackly.stories.standings import label
from webhooks.inbound.callers import last_called
from webhooks.inbound.models import RequestTotal, Source, Standing
from webhooks.orders import StepState
from webhooks.statuses import FINAL

LATELY = timedelta(hours=1)
# The first report of a message comes within seconds; five minutes leave room for a provider's queue.
REPORTS_WITHIN = timedelta(minutes=5)
_REPORTS, _REFUSED = "Reports of the last hour", "Refused callbacks"
_LEVELS = {
    StepState.DONE: Level.GOOD,
    StepState.WARNING: Level.WARNING,
    StepState.BY_HAND: Level.NOTE,
    StepState.WAITING: Level.NOTE,
    StepState.FAILED: Level.BAD,
}


def examine(row: ProviderAccount, now: datetime, *, may_call: bool) -> Iterator[Finding]:
    """Everything about this provider account. `may_call` False: neither the provider nor our own address is called."""
    for said in setup.warnings(row):
        # Of the address everybody is told once.
        if said != setup.public_address_warning():
            yield warning("Set-up", said, "On its page: enter what is missing, check it, then configure the webhooks.")
    if may_call and settings.PUBLIC_BASE_URL:
        yield reach("Callback URL", callback_url(row), "callback URL", method="HEAD")
    if may_call:
        yield from registered(row)
    yield heard(row, now)
    yield from refused(row, now)


def registered(row: ProviderAccount) -> Iterator[Finding]:
    """What the provider has of ours, step by step; it is asked."""
    for title, outcome in setup.look(row):
        yield Finding(level=_LEVELS[outcome.state], about=title, said=outcome.said, fix=outcome.fix)


def heard(row: ProviderAccount, now: datetime) -> Finding:
    """Whether the messages of the last hour were reported at all."""
    sent = Message.objects.filter(
        provider_account=row, is_external=False, sent_at__gt=now - LATELY, sent_at__lt=now - REPORTS_WITHIN
    )
    n, last = sent.count(), last_called(row.pk)
    called = f"It called {ago(now - last)}." if last else "It never called."
    if not n:
        return note(_REPORTS, f"Nothing was sent with it within the hour. {called}", "Send a test message.")
    if last is None or last < now - LATELY:
        return bad(
            _REPORTS,
            f"{counted(n, 'message')} sent within the hour, and no callback came. {called}",
            "A firewall may be blocking the provider, or the URL registered there is not ours.",
        )
    open_ = sent.exclude(status__in=FINAL).count()
    waiting = f" {counted(open_, 'message')} of them without a final status yet." if open_ else ""
    return good(_REPORTS, f"{counted(n, 'message')} sent within the hour. {called}{waiting}")


def refused(row: ProviderAccount, now: datetime) -> Iterator[Finding]:
    """What of it we refused within a day, by cause."""
    totals = RequestTotal.objects.filter(source=Source.WEBHOOK, party_id=row.pk, hour__gt=now - timedelta(days=1))
    counts = totals.exclude(standing__in=[Standing.ACCEPTED, "probe", "discarded"]).values("standing")
    found = {entry["standing"]: entry["n"] for entry in counts.annotate(n=Sum("n")) if entry["n"]}
    if not found:
        yield good(_REFUSED, "Nothing it sent within a day was refused.")
    for standing, n in sorted(found.items(), key=lambda entry: -entry[1]):
        yield warning(
            _REFUSED,
            f"{counted(n, 'callback')} of a day: {label(standing)}.",
            "Each of its failed webhooks names its cause; what was refused for credentials that were wrong here can be replayed.",
        )
