"""Owns the page of one sending list, and what its members do with it: edit, pause, resume, delete."""

from typing import Any

from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone

from sendinglists import setup
from sendinglists.models import Message, SendingList
from trackly.pages.listing import newest
from trackly.pages.sending import figures
from trackly.pages.sending.forms import DeleteListForm, ListForm, posted, test_form
from trackly.pages.sending.panel import live_until, named_for, panel
from trackly.pages.sending.trying import about
from trackly.pages.visits import MEMBER, OWNER, Visit, act, page
from trackly.showing import Badge, Phone, short
from trackly.stories import Table
from trackly.stories.rows import link, state_of
from webhooks.inbound.models import DeliveryEvent

State = SendingList.State
SHOWN = 10
# Among so many of the account's newest the list's own are looked for: no index knows them by list.
AMONG_MESSAGES, AMONG_EVENTS = 20_000, 2_000


def one(visit: Visit, list_id: int) -> SendingList:
    return visit.one(SendingList.objects.select_related("account", "provider_account__account"), pk=list_id)


@page()
def show(visit: Visit, list_id: int) -> HttpResponse:
    row = one(visit, list_id)
    part = visit.request.GET.get("part") if visit.wants_part else ""
    if part == "events":
        return visit.render("pages/sending/_events.html", _events(visit, row))
    stands = panel(visit, row.provider_account, visit.request.path, part="webhooks")
    if visit.wants_part:
        return visit.render("pages/sending/_webhooks.html", {"panel": stands, "is_short": True})
    form = test_form(row)()
    return visit.render(
        "pages/sending/list.html",
        {
            "title": named_for(visit, row.name),
            "number": Phone(row.number),
            "panel": stands,
            "is_short": True,
            "state": state_of(row, "status"),
            "sentence": _sentence(row),
            "per_minute": f"{row.messages_per_minute:,}",
            "figures": figures.of_list(row, visit.now),
            "messages_table": _messages(visit, row),
            **about(row, form),
            **_events(visit, row),
        },
    )


def _sentence(row: SendingList) -> str:
    match row.status:
        case State.ACTIVE if row.provider_account.removed_at is None:
            return "It sends, and takes reports and replies."
        case State.PAUSED:
            return "Nothing is sent; what was to be sent meanwhile is dropped. Reports and replies are still taken."
        case State.SUSPENDED:
            return "Support suspended it: nothing is sent. Reports and replies are still taken."
        case State.DELETED:
            return "Nothing is sent. Reports and STOP are still taken. Add its number again to have it back."
    return "Its credentials are retired: nothing can be sent with them."


def _messages(visit: Visit, row: SendingList) -> Table:
    rows = newest(visit.rows(Message), AMONG_MESSAGES).filter(sending_list=row).order_by("-pk")[:SHOWN]
    return Table(
        title="Recent messages",
        columns=("Message", "To", "State", "Text", "Created"),
        rows=[(link(item), Phone(item.to), state_of(item, "status"), _text(item), item.created_at) for item in rows],
        empty=f"None among the newest {AMONG_MESSAGES:,} messages of the account.",
    )


def _text(row: Message) -> str:
    return f"{'Test. ' if row.is_test else ''}{short(row.body)}"


def _events(visit: Visit, row: SendingList) -> dict[str, Any]:
    """What providers said about its messages, newest first, and where to ask for it again."""
    found = newest(visit.rows(DeliveryEvent), AMONG_EVENTS).filter(message__sending_list=row)
    rows = found.select_related("message").order_by("-pk")[:SHOWN]
    until = live_until(visit)
    is_live = visit.now < until
    return {
        "events": Table(
            title="Recent delivery events",
            columns=("Received", "State", "Message", "To", "What the provider said"),
            rows=[
                (
                    item.received_at,
                    state_of(item, "status") or Badge(item.status),
                    link(item.message),
                    Phone(item.message.to),
                    " ".join(word for word in (item.vendor_status, item.error_text) if word),
                )
                for item in rows
            ],
            empty=f"None among the newest {AMONG_EVENTS:,} events of the account. A test message brings the first.",
        ),
        "events_again": f"{visit.request.path}?part=events&until={int(until.timestamp())}" if is_live else "",
    }


@page(sees=MEMBER, changes=MEMBER)
def edit(visit: Visit, list_id: int) -> HttpResponse:
    row = one(visit, list_id)
    form = ListForm(posted(visit.request), instance=row)
    if form.is_bound and form.is_valid():
        with transaction.atomic():
            # A worker writes when its next message may go.
            row.save(update_fields=ListForm.Meta.fields)
            visit.audit(row, "edited", ", ".join(form.changed_data))
        visit.say("Saved.")
        return visit.redirect("list", row.pk)
    return visit.render("pages/sending/list_edit.html", {"title": f"Edit {row.name}", "row": row, "form": form})


@act(changes=MEMBER)
def pause(visit: Visit, list_id: int) -> HttpResponse:
    if _turn(visit, list_id, State.ACTIVE, State.PAUSED, "paused"):
        visit.say("Paused: nothing is sent from now on. Reports and replies are still taken.")
    return visit.redirect("list", list_id)


@act(changes=MEMBER)
def resume(visit: Visit, list_id: int) -> HttpResponse:
    if _turn(visit, list_id, State.PAUSED, State.ACTIVE, "resumed"):
        visit.say("It sends again.")
    return visit.redirect("list", list_id)


def _turn(visit: Visit, list_id: int, before: State, after: State, verb: str) -> bool:
    """Whether it was as it had to be; else nothing is done."""
    row = one(visit, list_id)
    with transaction.atomic():
        is_done = bool(SendingList.objects.filter(pk=row.pk, status=before).update(status=after))
        if is_done:
            visit.audit(row, verb)
    if not is_done:
        row.refresh_from_db(fields=["status"])
        visit.warn(f"Nothing was done: the list is {row.get_status_display().lower()}.")
    return is_done


@page(sees=OWNER, changes=OWNER)
def delete(visit: Visit, list_id: int) -> HttpResponse:
    row = one(visit, list_id)
    form = DeleteListForm(posted(visit.request))
    if form.is_bound and form.is_valid():
        _delete(visit, row)
        visit.say(f"{row.name} is deleted. Reports and STOP are still taken.")
        return visit.redirect("list", row.pk)
    return visit.render("pages/sending/list_delete.html", {"title": f"Delete {row.name}", "row": row, "form": form})


def _delete(visit: Visit, row: SendingList) -> None:
    with transaction.atomic():
        SendingList.objects.filter(pk=row.pk).update(status=State.DELETED)
        # Its number is taken back at the provider, where it was told one.
        if setup.is_set_up(row.provider_account):
            setup.want(row.provider_account, setup.Task.CONFIGURE, timezone.now())
        visit.audit(row, "deleted")
