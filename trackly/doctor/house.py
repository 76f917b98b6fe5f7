"""Owns the examination of this installation: its address, clock, worker, queues, partitions, spool. Nothing is changed."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from django.conf import settings
from django.db import connection
from django.utils import timezone

from trackly import partitions
from trackly.calls import Answer, Barred, Call, Dialogue, Unanswered, Unreached
from trackly.doctor.findings import Finding, bad, good, note, warning
from trackly.models import WorkerRun
from trackly.outgoing import hold_now
from trackly.showing import ago, counted, lasting
from trackly.worker import BEAT

# What two clocks may differ by; a signature with a time in it is good for five minutes.
DRIFT = timedelta(seconds=5)
WAITS_LONG = timedelta(minutes=2)


def examine(now: datetime, *, may_call: bool) -> Iterator[Finding]:
    """Everything that is not one provider account's. `may_call` False: nothing leaves this machine."""
    yield from address(may_call=may_call)
    yield clock(now)
    yield worker(now)
    yield from queues(now)
    yield ahead(now)
    yield note(
        "Spool",
        "There is none in this version: while the database is away requests are answered 503, and senders repeat.",
    )


def address(*, may_call: bool) -> Iterator[Finding]:
    """The public address, and whether it leads to us."""
    base = settings.PUBLIC_BASE_URL
    if not base:
        yield bad("Public address", "PUBLIC_BASE_URL is not set.", "Set it to the address that providers call, https.")
        return
    if urlsplit(base).scheme != "https":
        yield warning("Public address", f"{base} is not https.", "Put TLS in front and set PUBLIC_BASE_URL to https.")
    if may_call:
        yield reach("Public address", f"{base}/healthz", "web")


def reach(about: str, url: str, what: str, *, method: str = "GET") -> Finding:
    """Whether an address of ours answers 200 by way of the world, and tells the right time."""
    host = urlsplit(url).netloc
    fix = f"Look at the DNS of {host}, the firewall, the proxy and its certificate: providers meet the same."
    try:
        answer = hold_now(_one(Call(method=method, url=url)))
    except Barred as error:
        return warning(
            about,
            f"{host} cannot be tried from here: {error}",
            "Try it from outside, or name the network in OUTGOING_ALLOW.",
        )
    except (Unreached, Unanswered) as error:
        return bad(about, f"{host} was not reached: {error}", fix)
    if answer.status != 200:
        return bad(
            about,
            f"The {what} at {host} answers {answer.status} instead of 200.",
            "Another server or installation answers there: compare the proxy's routes.",
        )
    return _timely(answer) or good(about, f"The {what} is reached through {host} and answers 200.")


def _one(call: Call) -> Dialogue[Answer]:
    return (yield call)


def _timely(answer: Answer) -> Finding | None:
    """What is wrong with the clock of the server that answered; None: nothing, or it told no time."""
    try:
        told = parsedate_to_datetime(answer.header("date") or "")
    except ValueError:
        return None
    # The header tells whole seconds, hence one more.
    if told.tzinfo is None or (drift := abs(timezone.now() - told)) <= DRIFT + timedelta(seconds=1):
        return None
    return warning("Clock", f"The web server's clock differs from this one by {lasting(drift)}.", "Run NTP on both.")


def clock(now: datetime) -> Finding:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        drift = abs(cursor.fetchone()[0] - timezone.now())
    if drift > DRIFT:
        fix = "Run NTP on both: signatures carry times, and retries and retention are computed from them."
        return bad("Clock", f"The database's clock differs from this machine's by {lasting(drift)}.", fix)
    return good("Clock", "This machine and the database agree on the time.")


def worker(now: datetime) -> Finding:
    """Whether anybody works off what was acknowledged."""
    last = WorkerRun.objects.order_by("-beat_at").first()
    start = (
        "Start one: python manage.py work; whoever runs this service can. What was acknowledged waits and is not lost."
    )
    if last is None:
        return bad("Worker", "No worker ever ran.", start)
    alive = WorkerRun.objects.filter(ended_at__isnull=True, beat_at__gt=now - 3 * BEAT).count()
    if not alive:
        return bad("Worker", f"No worker is alive; the last beat was {ago(now - last.beat_at)}.", start)
    died = WorkerRun.objects.filter(ended_cleanly=False, ended_at__gt=now - timedelta(days=1)).count()
    if died:
        return warning(
            "Worker",
            f"{counted(alive, 'worker')} alive, but {died} died uncleanly within a day.",
            "The log of its host tells what happened before that: killed for memory, most often.",
        )
    return good("Worker", f"{counted(alive, 'worker')} alive.")


def queues(now: datetime) -> Iterator[Finding]:
    """Whether the queues move."""
    with connection.cursor() as cursor:
        # The first entry of each partition's index; min() would be planned over all that is due.
        cursor.execute(
            "SELECT due_at FROM webhooks_inboundrequest WHERE state = 'waiting' AND due_at <= %s ORDER BY due_at LIMIT 1",
            [now],
        )
        inbox = (cursor.fetchone() or [None])[0]
        # One probe of the queue's index for each list.
        cursor.execute(
            "SELECT min(first.due_at) FROM sendinglists_sendinglist list CROSS JOIN LATERAL"
            " (SELECT due_at FROM sendinglists_message WHERE sending_list_id = list.id AND due_at <= %s"
            " ORDER BY due_at LIMIT 1) first",
            [now],
        )
        message = cursor.fetchone()[0]
    for name, oldest in (("Inbox", inbox), ("Sending", message)):
        if oldest is not None and now - oldest > WAITS_LONG:
            yield warning(
                name,
                f"The oldest entry has been due for {lasting(now - oldest)}.",
                "More workers, or see in the log what they stumble over.",
            )
        else:
            yield good(name, "Nothing waits for long.")


def ahead(now: datetime) -> Finding:
    """Partitions for the days to come: without one a request cannot be stored."""
    missing = partitions.missing(now, now + timedelta(days=7))
    if missing:
        return bad(
            "Partitions",
            f"{counted(len(missing), 'partition')} of the next 7 days missing, first {missing[0]}.",
            "Start a worker: it makes them hourly. The web makes one only when a request needs it.",
        )
    return good("Partitions", "Made for the next 7 days at least.")
