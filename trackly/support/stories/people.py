"""Owns the stories of a contact, of its subscriptions and of a closed number: "I texted STOP and still get messages"."""

from datetime import datetime

from sendinglists.models import Contact, Message, Subscription, SubscriptionChange, Suppression
from trackly.showing import Badge, Phone, Shown
from trackly.stories import Act, Moment, Story, Table
from trackly.support.stories.rows import MOST, by_time, link, request_link, state_of
from webhooks.inbound.models import Reply


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
        .order_by("-id")[:MOST]
    )
    after = sent_after_opt_out(held, closed, sent)
    return Story(
        state=_state(held, closed),
        headline=_headline(held, closed),
        why=tuple(_why(after)),
        facts=(("Phone", Phone(row.phone)), ("Account", link(row.account)), ("Known since", row.created_at)),
        moments=tuple(_moments(row, changes, sent, {message.pk for message in after})),
        tables=(_subscriptions(held), _suppressions(closed)),
        holds_secrets=True,
        is_revealed=is_revealed,
    )


def sent_after_opt_out(held: list[Subscription], closed: list[Suppression], sent: list[Message]) -> list[Message]:
    """The messages that went out though the number was closed for them by then."""
    out = {item.sending_list_id: item.decided_at for item in held if item.state == Subscription.State.OPTED_OUT}
    shut = {item.brand: item.decided_at for item in closed if item.is_active}
    late = []
    for message in sent:
        brand = message.sending_list.brand if message.sending_list else ""
        since: list[datetime | None] = [out.get(message.sending_list_id or 0), shut.get("")]
        since += [shut.get(brand)] if brand else []
        if any(at is not None and message.created_at > at for at in since):
            late.append(message)
    return late


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


def _why(after: list[Message]) -> list[str]:
    if not after:
        return ["No message was sent to it after an opt-out that covers the message's list."]
    return [
        f"{len(after)} of the messages below were created after an opt-out that covers their list: they stand out in the "
        "timeline. Look at when the STOP reached us (its request) and when each was created."
    ]


def _moments(row: Contact, changes: list[SubscriptionChange], sent: list[Message], late: set[int]) -> list[Moment]:
    found = []
    # Before what it decided: they bear one time.
    replies = (
        Reply.objects.filter(sender=row.phone, account_id=row.account_id).select_related("sending_list").order_by("-id")
    )
    for reply in replies[:MOST]:
        found.append(
            Moment(
                at=reply.at or reply.received_at,
                what="Reply",
                detail=f"“{reply.text[:160]}”",
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
    for message in sent:
        where = f"to {message.sending_list.name}" if message.sending_list else "without a list"
        what = Badge("Sent after the opt-out", "bad") if message.pk in late else Badge("Message", "note")
        detail = f"{where}; it is {message.get_status_display().lower()}"
        found.append(Moment(at=message.created_at, what=what, detail=detail, source=link(message)))
    return sorted(found, key=lambda moment: by_time(moment.at))


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
