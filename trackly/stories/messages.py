"""Owns the stories of a message, and of what providers said: delivery events, parked reports, replies."""

from datetime import datetime, timedelta

from django.utils import timezone

from postbacks.models import Click, Conversion
from sendinglists.models import Message, SendingList, Subscription, Suppression
from trackly.models import WorkerRun
from trackly.showing import Badge, Phone, Raw, Shown, ago, decoded, lasting, money, tone_of
from trackly.stories import Moment, Story, Table
from trackly.stories.rows import MOST, by_time, link, listed, party_link, request_link, state_of
from trackly.worker import BEAT
from webhooks.inbound.callers import last_called
from webhooks.inbound.models import (
    DeliveryEvent,
    FailedWebhook,
    InboundRequest,
    ParkedReport,
    Reply,
    RequestTotal,
    Source,
)
from webhooks.statuses import FINAL, Origin, Status

# A carrier's last word comes within minutes, seldom hours; after a day nothing more is to be expected.
STUCK_AFTER = timedelta(hours=1)


def message_story(row: Message, *, is_revealed: bool, now: datetime | None = None) -> Story:
    now = now or timezone.now()
    events = list(DeliveryEvent.objects.filter(message=row).order_by("received_at", "id")[: MOST * 2])
    clicks = list(Click.objects.filter(message=row).order_by("id")[:MOST])
    conversions = list(Conversion.objects.filter(message=row).select_related("offer").order_by("id")[:MOST])
    return Story(
        state=state_of(row, "status"),
        headline=_headline(row, events, now),
        why=tuple(_why(row, events, now)),
        facts=_facts(row),
        moments=tuple(_moments(row, events, clicks, conversions)),
        tables=(_parked_for(row), _person(row)),
        holds_secrets=True,
        is_revealed=is_revealed,
    )


def _headline(row: Message, events: list[DeliveryEvent], now: datetime) -> str:
    if _is_unclear(row):
        return f"Nobody knows whether the message went: its send of {ago(now - (row.handed_at or now))} was never answered."
    stands = f"The message is {row.get_status_display().lower()}"
    if row.status in FINAL:
        since = "" if row.status_at is None else f", the provider says since {row.status_at:%Y-%m-%d %H:%M:%S} UTC"
        return f"{stands}{since}."
    if not events:
        return f"{stands}; it was created {ago(now - row.created_at)} and has no final status yet."
    last = row.status_at or events[-1].received_at
    return f"{stands}; the last word of it came {ago(now - last)}, and it has no final status yet."


def _why(row: Message, events: list[DeliveryEvent], now: datetime) -> list[str]:
    said = [_error_sentence(row)] if row.error_code or row.reason else []
    said += _queued(row, now)
    if row.status not in FINAL and now - row.created_at > STUCK_AFTER:
        said += _why_stuck(row, events, now)
    if row.is_test:
        said.append("A test: it counts in no total.")
    return said


def _queued(row: Message, now: datetime) -> list[str]:
    """Where it stands in our own queues."""
    if row.status in FINAL:
        return []
    if row.due_at is not None:
        wait = f"in {lasting(row.due_at - now)}" if row.due_at > now else "as soon as a worker and its list are free"
        tried = f"Try {row.tries} did not get through; the next is {wait}." if row.tries else f"It is sent {wait}."
        return [tried, *_held_up(row, row.due_at, now)]
    if row.leased_until is not None:
        return ["It is being handed to the provider."]
    if _is_unclear(row):
        asks = f"the provider is asked at {row.ask_at:%H:%M} UTC" if row.ask_at else "only a report can tell"
        return [f"It may have gone, so it is not sent again: {asks}."]
    if row.ask_at is not None:
        return [f"Unless a report comes first, the provider is asked about it at {row.ask_at:%Y-%m-%d %H:%M} UTC."]
    return []


def _held_up(row: Message, due_at: datetime, now: datetime) -> list[str]:
    """What will keep it from being sent, as far as anybody can see now."""
    said = []
    if row.sending_list is not None and row.sending_list.status != SendingList.State.ACTIVE:
        stands = row.sending_list.get_status_display().lower()
        said.append(f"Its list is {stands}: if it still is when the message comes to its turn, the message is dropped.")
    is_late = now - due_at > timedelta(minutes=1)
    if is_late and not WorkerRun.objects.filter(ended_at__isnull=True, beat_at__gt=now - 3 * BEAT).exists():
        said.append("No worker is alive, so nothing is sent: start one with python manage.py work.")
    return said


def _is_unclear(row: Message) -> bool:
    """Handed over, never answered, and not spoken of since."""
    waits = row.due_at is not None or row.leased_until is not None
    return row.handed_at is not None and row.sent_at is None and not waits and row.status not in FINAL


def _error_sentence(row: Message) -> str:
    reason = row.get_reason_display() or "An error was reported"
    text = row.error_text.strip().rstrip(".") or reason
    why = ", ".join(
        part
        for part in (reason.lower() if text != reason else "", f"code {row.error_code}" if row.error_code else "")
        if part
    )
    return f"{text}{f' ({why})' if why else ''}."


def _why_stuck(row: Message, events: list[DeliveryEvent], now: datetime) -> list[str]:
    """What speaks for the provider being silent, and what for us refusing to listen."""
    n = "once" if len(events) == 1 else f"{len(events)} times"
    said = [
        f"The provider reported {n} about it, nothing final." if events else "The provider never reported about it."
    ]
    last = last_called(row.provider_account_id)
    if last is None:
        said.append(
            "Its provider account was never called about any message: the callback URL is not registered at the provider."
        )
    elif last < row.created_at:
        said.append(
            f"Its provider account was last called {ago(now - last)}, before this message: callbacks do not reach us any more."
        )
    else:
        said.append(
            f"Its provider account was called {ago(now - last)}, so callbacks reach us; the carrier may owe this one."
        )
    refused = RequestTotal.objects.filter(
        source=Source.WEBHOOK, party_id=row.provider_account_id, hour__gte=row.created_at - timedelta(hours=1)
    ).exclude(standing__in=["accepted", "probe", "discarded"])
    n_refused = sum(refused.values_list("n", flat=True)[:500])
    if n_refused:
        said.append(
            f"Since then {n_refused} callbacks of that provider account, perhaps one about this message, were refused or failed:"
            " look at its page, mend it, then replay them."
        )
    return said


def _facts(row: Message) -> tuple[tuple[str, Shown], ...]:
    of_its_party = {"party_id": row.provider_account_id, "source": Source.WEBHOOK.value}
    return (
        ("Message id", row.public_id),
        ("Reference", row.reference),
        ("Provider's id", row.provider_message_id),
        ("Account", link(row.account)),
        ("Provider account", link(row.provider_account)),
        ("Sending list", link(row.sending_list)),
        ("Campaign", row.campaign),
        ("To", Phone(row.to)),
        ("Cost", money(row.cost, row.cost_currency)),
        ("Segments", row.segments),
        ("Provider's word", " ".join(part for part in (row.status_detail, row.status_code) if part)),
        ("Text", row.body),
        ("Refused callbacks of its provider account", listed("in the failed log", FailedWebhook, **of_its_party)),
        (
            "Every request that names it",
            listed("raw requests", InboundRequest, q=row.reference),
        ),
    )


def _moments(
    row: Message, events: list[DeliveryEvent], clicks: list[Click], conversions: list[Conversion]
) -> list[Moment]:
    found = [Moment(at=row.created_at, what=Badge("Created", "note"), detail=row.campaign, source="sending")]
    if row.handed_at is not None:
        tries = "" if row.tries <= 1 else f"try {row.tries}"
        found.append(
            Moment(at=row.handed_at, what=Badge("Handed to the provider", "note"), detail=tries, source="sending")
        )
    for event in events:
        found.append(_event_moment(event))
    for click in clicks:
        what = Badge(f"Opened by a machine: {click.bot}", "note") if click.bot else Badge("Link opened", "good")
        counts = "counts as the click of this message" if click.is_counted else "not counted: another opening was first"
        found.append(Moment(at=click.at, what=what, detail="" if click.bot else counts, source=link(click, "click")))
    for hit in conversions:
        detail = " ".join(
            part for part in (money(hit.payout, hit.currency), hit.offer.name if hit.offer else "") if part
        )
        what = Badge(f"Postback: {hit.get_verdict_display().lower()}", tone_of(hit.verdict))
        found.append(Moment(at=hit.received_at, what=what, detail=detail, source=link(hit, "conversion")))
    return sorted(found, key=lambda moment: by_time(moment.at))


def _event_moment(event: DeliveryEvent) -> Moment:
    """At the provider's time where it sent one; how much later it reached us is worth knowing."""
    late = event.received_at - event.at if event.at else timedelta(0)
    words = [f"{event.vendor_status} {event.vendor_code}".strip(), event.get_reason_display() or "", event.error_text]
    if late > timedelta(minutes=1):
        words.append(f"reached us {lasting(late)} later")
    if event.at is None and event.origin == Origin.CALLBACK:
        words.append("without a time of its own")
    return Moment(
        at=event.at or event.received_at,
        what=_what(event),
        detail="; ".join(dict.fromkeys(word.strip().rstrip(".") for word in words if word)),
        source=request_link(event.request_uid) or event.get_origin_display().lower(),
    )


def _what(event: DeliveryEvent) -> Shown:
    """The status it told; an answer that told none says whether the message was taken."""
    if event.origin != Origin.ANSWER or event.status != Status.UNKNOWN:
        return state_of(event, "status")
    return Badge("Not taken" if event.reason else "No clear answer", "wait")


def _parked_for(row: Message) -> Table:
    """Reports that name it and did not get through: normally none, the sweep joins them within seconds."""
    names = [name for name in (row.reference, row.provider_message_id) if name]
    found = ParkedReport.objects.filter(message_key__in=names).order_by("id")[:MOST]
    rows: list[tuple[Shown, ...]] = [
        (
            state_of(item, "status"),
            item.received_at,
            item.error or "not joined: it came for another provider account",
            link(item, "parked report"),
        )
        for item in found
    ]
    empty = "None: every report that names this message is in its timeline."
    return Table(
        title="Parked reports that name it", columns=("Says", "Received", "Why it waits", ""), rows=rows, empty=empty
    )


def _person(row: Message) -> Table:
    """May this number get messages?"""
    rows: list[tuple[Shown, ...]] = []
    held = Subscription.objects.filter(contact__account_id=row.account_id, contact__phone=row.to).select_related(
        "contact", "sending_list"
    )
    for subscription in held.order_by("id")[:MOST]:
        rows.append(
            (
                link(subscription.sending_list),
                state_of(subscription, "state"),
                subscription.decided_at,
                link(subscription.contact, "contact"),
            )
        )
    for closed in Suppression.objects.filter(account_id=row.account_id, phone=row.to, is_active=True)[:MOST]:
        rows.append(
            (
                closed.brand or "The whole account",
                Badge("Suppressed", "bad"),
                closed.decided_at,
                link(closed, "suppression"),
            )
        )
    columns = ("Where", "State", "Since", "")
    return Table(
        title="The recipient",
        columns=columns,
        rows=rows,
        empty="Neither subscribed nor opted out anywhere in this account.",
    )


def event_story(row: DeliveryEvent, *, is_revealed: bool) -> Story:
    moment = _event_moment(row)
    stands = row.message.get_status_display().lower()
    said = row.vendor_status or row.status
    return Story(
        state=state_of(row, "status"),
        headline=_heard_headline(row, said),
        why=(f"The message stands at {stands}: the greatest of everything said of it, in whatever order it came.",),
        facts=(
            ("Message", link(row.message)),
            ("To", Phone(row.message.to)),
            ("Account", link(row.account)),
            ("Provider's time", row.at),
            ("Received", row.received_at),
            ("Came in", request_link(row.request_uid) or row.get_origin_display().lower()),
            ("Provider's code", row.vendor_code),
            ("Reason", row.get_reason_display()),
            ("Error", " ".join(part for part in (row.error_code, row.error_text) if part)),
            ("In words", moment.detail),
        ),
        holds_secrets=True,
        is_revealed=is_revealed,
    )


def _heard_headline(row: DeliveryEvent, said: str) -> str:
    of = f"of message {row.message.public_id}"
    if row.origin == Origin.OURS:
        return f"We decided '{said}' {of}; the provider was not asked."
    if row.origin == Origin.IMPORT:
        return f"An import said '{said}' {of}."
    return f"{row.message.provider_account.name} said '{said}' {of}."


def parked_story(row: ParkedReport, *, is_revealed: bool, now: datetime | None = None) -> Story:
    waits = (now or timezone.now()) - row.received_at
    if row.error:
        why = f"It was set aside: {row.error}"
    elif waits < timedelta(hours=1):
        why = "It came before its message, which is normal for seconds. It is joined as soon as the message is known."
    else:
        why = (
            "No message of ours has this id: it was sent from elsewhere, by another account, or never recorded. It is joined by "
            "itself should the message appear, and forgotten with the raw requests."
        )
    return Story(
        state=state_of(row, "status"),
        headline=f"A report about '{row.message_key}', which is no message we know.",
        why=(why,),
        facts=(
            ("Received", row.received_at),
            ("Waits", lasting(waits)),
            ("Provider", row.provider),
            ("Account", link(row.account)),
            ("May speak for", _party(row)),
            ("Came in", request_link(row.request_uid)),
        ),
        tables=(Table(title="The report as read", columns=("JSON",), rows=[(Raw(decoded(row.report)),)], empty=""),),
        holds_secrets=True,
        is_revealed=is_revealed,
    )


def _party(row: ParkedReport) -> Shown:
    if not row.party_id:
        return "the message whose reference it names, and no other"
    return party_link(Source.WEBHOOK, row.party_id, "this provider account")


def reply_story(row: Reply, *, is_revealed: bool) -> Story:
    where = row.sending_list.name if row.sending_list else "a number no list has"
    effects = {
        "opt_out": "It closes the list (or brand, or account, as the list says) from the provider's time on.",
        "opt_in": "It opens the subscription again from the provider's time on.",
        "help": "It asks for help and changes nothing.",
    }
    contact = row.account.contact_set.filter(phone=row.sender).first()
    return Story(
        state=state_of(row, "decision"),
        headline=f"Somebody wrote to {where}.",
        why=(effects.get(row.decision, "An ordinary reply: it changes nothing."),),
        facts=(
            ("From", Phone(row.sender)),
            ("To", Phone(row.recipient)),
            ("Contact", link(contact, "contact")),
            ("Sending list", link(row.sending_list)),
            ("Answers", link(row.message)),
            ("Account", link(row.account)),
            ("Provider's time", row.at),
            ("Received", row.received_at),
            ("Came in", request_link(row.request_uid)),
            ("Provider's id", row.key),
        ),
        tables=(Table(title="Text", columns=("As it was written",), rows=[(Raw(row.text),)], empty=""),),
        holds_secrets=True,
        is_revealed=is_revealed,
    )
