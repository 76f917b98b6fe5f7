"""Owns the stories of a contact, of its subscriptions and of a closed number: "I texted STOP and still get messages"."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sendinglists.models import Contact, Message, Subscription, SubscriptionChange, Suppression
from trackly.showing import Badge, Phone, Shown
from trackly.stories import Act, Moment, Story, Table
from trackly.stories.rows import MOST, by_time, link, listed, request_link, state_of
from webhooks.inbound.models import Reply
from webhooks.keywords import is_junk
from webhooks.statuses import Decision, Reason, Status

# So many messages of a number are looked through; the newest.
LOOKED_THROUGH = 1_000


@dataclass(slots=True, kw_only=True)
class Closure:
    """One opt-out: what it covers from when to when, and what became of the messages it covers."""

    since: datetime
    until: datetime | None
    """When an opt-in came; None: it did not."""
    list_id: int | None
    """None: a brand, or everything."""
    brand: str
    """'': the whole account."""
    where: Shown
    by: str
    request_uid: UUID | None
    late: list[Message] = field(default_factory=list)
    kept_back: list[Message] = field(default_factory=list)

    def covers(self, message: Message) -> bool:
        if self.list_id is not None:
            return message.sending_list_id == self.list_id
        # Compared as it is before a send: sendinglists/barriers.py.
        brand = message.sending_list.brand if message.sending_list else ""
        return not self.brand or brand.strip().lower() == self.brand.strip().lower()

    def holds_at(self, moment: datetime) -> bool:
        return self.since < moment and not self.is_over_at(moment)

    def is_over_at(self, moment: datetime) -> bool:
        return self.until is not None and self.until < moment


def contact_story(row: Contact, *, is_revealed: bool) -> Story:
    """Every word about messages to this number, and every message, in one timeline."""
    held = list(Subscription.objects.filter(contact=row).select_related("sending_list").order_by("id")[:MOST])
    closed = list(Suppression.objects.filter(account_id=row.account_id, phone=row.phone).order_by("id")[:MOST])
    changes = list(
        SubscriptionChange.objects.filter(subscription__in=held)
        .select_related("subscription__sending_list")
        .order_by("-id")[:MOST]
    )
    sent = list(
        Message.objects.filter(account_id=row.account_id, to=row.phone)
        .select_related("sending_list")
        .defer("body")
        .order_by("-id")[:LOOKED_THROUGH]
    )
    closures = closures_of(held, closed, changes)
    look_through(closures, sent)
    late = {message.pk for closure in closures for message in closure.late}
    kept_back = {message.pk for closure in closures for message in closure.kept_back}
    return Story(
        state=_state(held, closed),
        headline=_headline(held, closed),
        why=tuple(_why(len(late), len(kept_back))),
        facts=(("Phone", Phone(row.phone)), ("Account", link(row.account)), ("Known since", row.created_at)),
        moments=tuple(_moments(row, changes, sent[:MOST], late, kept_back)),
        tables=(_after(closures, row, is_revealed=is_revealed), _subscriptions(held), _suppressions(closed)),
        holds_secrets=True,
        is_revealed=is_revealed,
    )


def closures_of(
    held: list[Subscription], closed: list[Suppression], changes: list[SubscriptionChange]
) -> list[Closure]:
    """Every opt-out of the number, the first one first."""
    found = [_of_change(change, changes) for change in changes if change.decision == Decision.OPT_OUT]
    known = {closure.list_id for closure in found}
    found += [
        Closure(since=row.decided_at, until=None, list_id=row.sending_list_id, brand="", where=link(row.sending_list),
                by="", request_uid=None)
        for row in held
        if row.state == Subscription.State.OPTED_OUT and row.decided_at and row.sending_list_id not in known
    ]  # fmt: skip
    found += [
        Closure(since=row.decided_at, until=None, list_id=None, brand=row.brand, where=row.brand or "The whole account",
                by=row.cause, request_uid=row.request_uid)
        for row in closed
        if row.is_active
    ]  # fmt: skip
    return sorted(found, key=lambda closure: closure.since)


def _of_change(change: SubscriptionChange, changes: list[SubscriptionChange]) -> Closure:
    sending_list = change.subscription.sending_list
    opened = [
        other.at
        for other in changes
        if other.subscription_id == change.subscription_id
        and other.decision == Decision.OPT_IN
        and other.at > change.at
    ]
    return Closure(
        since=change.at,
        until=min(opened, default=None),
        list_id=sending_list.pk,
        brand="",
        where=link(sending_list),
        by=change.get_origin_display(),
        request_uid=change.request_uid,
    )


def look_through(closures: list[Closure], sent: Iterable[Message]) -> None:
    """Give each opt-out the messages that went out in spite of it, and those that did not because of it."""
    for message in sent:
        covering = [closure for closure in closures if closure.covers(message)]
        if message.status == Status.DROPPED:
            if message.reason == Reason.OPT_OUT:
                # It may have been made before the opt-out that kept it back: whichever ended first after its making did.
                by = [closure for closure in covering if not closure.is_over_at(message.created_at)]
                for closure in by[:1]:
                    closure.kept_back.append(message)
            continue
        if message.due_at and not message.handed_at:
            continue
        # The moment of decision: from then on the provider has it.
        went_at = message.handed_at or message.sent_at or message.created_at
        for closure in covering:
            if closure.holds_at(went_at):
                closure.late.append(message)


def _state(held: list[Subscription], closed: list[Suppression]) -> Shown:
    if any(item.is_active for item in closed):
        return Badge("Closed", "bad")
    if any(item.state == Subscription.State.OPTED_OUT for item in held):
        return Badge("Opted out", "bad")
    return Badge("Subscribed", "good") if held else Badge("Known", "plain")


def _headline(held: list[Subscription], closed: list[Suppression]) -> str:
    if any(item.is_active and not item.brand for item in closed):
        return "This number is closed for the whole account."
    out = [item.sending_list.name for item in held if item.state == Subscription.State.OPTED_OUT]
    out += [f"every list of {item.brand}" for item in closed if item.is_active and item.brand]
    if out:
        return f"This number is opted out of {', '.join(out)}."
    return "This number is opted out of nothing."


def _why(late: int, kept_back: int) -> list[str]:
    said = [f"{kept_back} more would have gone out and were kept back because of an opt-out."] if kept_back else []
    if not late:
        return ["No message was sent to it after an opt-out that covers the message's list.", *said]
    return [
        f"{late} of the messages below were created after an opt-out that covers their list: they stand out in the "
        "timeline. Look at when the STOP reached us (its request) and when each was created.",
        *said,
    ]


def _after(closures: list[Closure], row: Contact, *, is_revealed: bool) -> Table:
    rows: list[tuple[Shown, ...]] = [
        (
            closure.since,
            closure.where,
            closure.by,
            request_link(closure.request_uid, "how it came"),
            Badge(str(len(closure.late)), "bad") if closure.late else "none",
            link(closure.late[0]) if closure.late else None,
            link(closure.kept_back[0], f"{len(closure.kept_back)}, the newest") if closure.kept_back else "none",
            closure.until,
        )
        for closure in reversed(closures[-MOST:])
    ]
    return Table(
        title="What was sent after each opt-out",
        columns=("Counts from", "Closed", "By", "Came in", "Sent after it", "The newest", "Kept back by it", "Until"),
        rows=rows,
        empty="It never opted out, and nobody closed it.",
        # The address names the number.
        more=listed("all", Message, q=row.phone) if is_revealed else None,
    )


def _moments(
    row: Contact, changes: list[SubscriptionChange], sent: list[Message], late: set[int], kept_back: set[int]
) -> list[Moment]:
    found = []
    # Before what it decided: they bear one time.
    replies = (
        Reply.objects.filter(sender=row.phone, account_id=row.account_id).select_related("sending_list").order_by("-id")
    )
    for reply in replies[:MOST]:
        label = ", which calls it spam" if is_junk(reply.text) else ""
        found.append(
            Moment(
                at=reply.at or reply.received_at,
                what="Reply",
                detail=f"“{reply.text[:160]}”{label}",
                source=link(reply, "reply"),
            )
        )
    for change in changes:
        words = f"on {change.subscription.sending_list.name}, by {change.get_origin_display().lower()}"
        detail = words if change.is_proven else f"{words}, without proof of who sent it"
        found.append(
            Moment(
                at=change.at, what=state_of(change, "decision"), detail=detail, source=request_link(change.request_uid)
            )
        )
    found += [_message_moment(message, late, kept_back) for message in sent]
    return sorted(found, key=lambda moment: by_time(moment.at))


def _message_moment(message: Message, late: set[int], kept_back: set[int]) -> Moment:
    where = f"to {message.sending_list.name}" if message.sending_list else "without a list"
    what = Badge("Message", "note")
    if message.pk in late:
        what = Badge("Sent after the opt-out", "bad")
    elif message.pk in kept_back:
        what = Badge("Kept back", "good")
    detail = f"{where}; it is {message.get_status_display().lower()}"
    return Moment(at=message.created_at, what=what, detail=detail, source=link(message))


def _subscriptions(held: list[Subscription]) -> Table:
    rows: list[tuple[Shown, ...]] = [
        (
            link(item.sending_list),
            item.sending_list.brand,
            state_of(item, "state"),
            item.decided_at,
            link(item, "history"),
        )
        for item in held
    ]
    columns = ("List", "Brand", "State", "Decided", "")
    return Table(
        title="Subscriptions",
        columns=columns,
        rows=rows,
        empty="On no list: nobody subscribed it and it wrote to none.",
    )


def _suppressions(closed: list[Suppression]) -> Table:
    rows: list[tuple[Shown, ...]] = [
        (
            item.brand or "The whole account",
            "yes" if item.is_active else "no longer",
            item.decided_at,
            item.cause,
            request_link(item.request_uid),
        )
        for item in closed
    ]
    columns = ("Closed for", "In force", "Since", "Because of", "Came in")
    return Table(title="Suppressions", columns=columns, rows=rows, empty="Closed for no brand and not for the account.")


def subscription_story(row: Subscription, *, is_revealed: bool) -> Story:
    """The decisions that made its state: the latest by the provider's time."""
    moments = [
        Moment(
            at=change.at,
            what=state_of(change, "decision"),
            detail=change.get_origin_display() + ("" if change.is_proven else ", without proof"),
            source=request_link(change.request_uid),
        )
        for change in row.subscriptionchange_set.order_by("-at", "-id")[:MOST]
    ]
    return Story(
        state=state_of(row, "state"),
        headline=f"One number on {row.sending_list.name}.",
        why=("The latest decision by the provider's time stands; of two at one moment, the opt-out.",),
        facts=(
            ("Phone", Phone(row.contact.phone)),
            ("Contact", link(row.contact, "everything about this number")),
            ("Sending list", link(row.sending_list)),
            ("Account", link(row.account)),
            ("Decided", row.decided_at),
        ),
        moments=tuple(moments),
        holds_secrets=True,
        is_revealed=is_revealed,
    )


def change_story(row: SubscriptionChange, *, may_undo: bool, is_revealed: bool) -> Story:
    subscription = row.subscription
    can_undo = may_undo and not row.is_proven and row.decision == "opt_out"
    why = "It came with proof of who sent it." if row.is_proven else (
        "It came without proof of who sent it: the account lets anybody who knows its id say so. It can be undone."
    )  # fmt: skip
    return Story(
        state=state_of(row, "decision"),
        headline=f"{row.get_decision_display()} on {subscription.sending_list.name}, by {row.get_origin_display().lower()}.",
        why=(why,),
        facts=(
            ("Phone", Phone(subscription.contact.phone)),
            ("Contact", link(subscription.contact, "everything about this number")),
            ("Subscription", link(subscription, "its history")),
            ("Counts from", row.at),
            ("Came in", request_link(row.request_uid)),
            ("Account", link(row.account)),
        ),
        acts=(Act(verb="undo", label="Undo this opt-out"),) if can_undo else (),
        holds_secrets=True,
        is_revealed=is_revealed,
    )


def suppression_story(row: Suppression, *, is_revealed: bool) -> Story:
    contact = Contact.objects.filter(account_id=row.account_id, phone=row.phone).first()
    where = f"every list of {row.brand}" if row.brand else "the whole account"
    return Story(
        state=Badge("Closed", "bad") if row.is_active else Badge("Open again", "good"),
        headline=f"A number {'closed' if row.is_active else 'that was closed'} for {where}.",
        why=(row.cause,),
        facts=(
            ("Phone", Phone(row.phone)),
            ("Contact", link(contact, "everything about this number")),
            ("Since", row.decided_at),
            ("Came in", request_link(row.request_uid)),
            ("Account", link(row.account)),
        ),
        holds_secrets=True,
        is_revealed=is_revealed,
    )
