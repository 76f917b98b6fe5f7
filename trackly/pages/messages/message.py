"""Owns the page of one message: its story, live until it is over; its links and conversions; closing its number."""

from collections import Counter
from datetime import timedelta

from django import forms
from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone

from postbacks.models import Click, Conversion
from sendinglists import subscriptions
from sendinglists.models import Contact, Link, Message, SendingList, SubscriptionChange
from trackly.pages.forms import Form
from trackly.pages.telling import story_of_message
from trackly.pages.visits import MEMBER, Visit, act, page
from trackly.showing import Shown, money
from trackly.stories import Table
from trackly.stories.rows import MOST, link, state_of
from webhooks.statuses import FINAL

# Later a carrier's word is not waited for any more; a reload shows it.
LIVE_FOR = timedelta(days=1)
# So many clicks of a message are told apart by their links; the newest.
_MOST_CLICKS = 5_000


class OptOutForm(Form):
    where = forms.ChoiceField(label="Opt this number out of")


def _places(sending_list: SendingList | None) -> dict[str, list[tuple[str, str]]]:
    here = [("list", f"{sending_list.name} and whatever its STOP closes")] if sending_list else []
    return {"where": [*here, ("account", "the whole account")]}


@page()
def show(visit: Visit, message: str) -> HttpResponse:
    return _page(visit, _message(visit, message))


@act(changes=MEMBER)
def opt_out(visit: Visit, message: str) -> HttpResponse:
    row = _message(visit, message)
    form = OptOutForm(visit.request.POST, offers=_places(row.sending_list))
    if not form.is_valid():
        return _page(visit, row, form)
    is_list = form.cleaned_data["where"] == "list"
    where = str(row.sending_list) if is_list else "the whole account"
    with transaction.atomic():
        n = subscriptions.opt_out(
            visit.account.pk,
            [row.to],
            list_id=row.sending_list_id if is_list else None,
            origin=SubscriptionChange.Origin.PERSON,
            at=timezone.now(),
        )
        visit.audit(visit.one(Contact, phone=row.to), "opted out", f"of {where}, from message {row.public_id}")
    visit.say(f"Nothing is sent to this number any more: {where}." if n else f"It was opted out of {where} already.")
    return visit.redirect("message", row.public_id)


def _message(visit: Visit, public_id: str) -> Message:
    rows = Message.objects.select_related("account", "provider_account", "sending_list")
    return visit.one(rows, public_id=public_id)


def _page(visit: Visit, row: Message, form: OptOutForm | None = None) -> HttpResponse:
    is_open = row.status not in FINAL and visit.now - row.created_at < LIVE_FOR
    context = {
        "story": story_of_message(visit, row),
        "again": visit.url("message", row.public_id) if is_open else "",
    }
    if visit.wants_part:
        return visit.render("pages/_live_story.html", context)
    more = {
        "title": f"Message {row.public_id}",
        "row": row,
        "tables": [_links(visit, row), _conversions(visit, row)],
        "form": form or OptOutForm(offers=_places(row.sending_list)),
    }
    return visit.render("pages/messages/message.html", context | more)


def _links(visit: Visit, row: Message) -> Table:
    made = list(visit.rows(Link).filter(message=row).select_related("offer").order_by("id")[:MOST])
    clicks: Counter[tuple[int, bool]] = Counter()
    for link_id, bot in visit.rows(Click).filter(message=row).values_list("link_id", "bot")[:_MOST_CLICKS]:
        clicks[link_id, bool(bot)] += 1
    rows: list[tuple[Shown, ...]] = [
        (
            link(item),
            item.offer.name if item.offer else item.destination,
            clicks[item.pk, False],
            clicks[item.pk, True],
        )
        for item in made
    ]
    return Table(
        title="Its links",
        columns=("Link", "Leads to", "Opened by people", "Opened by machines"),
        rows=rows,
        empty="It holds no short link of ours.",
    )


def _conversions(visit: Visit, row: Message) -> Table:
    hits = visit.rows(Conversion).filter(message=row).select_related("offer").order_by("-id")[:MOST]
    rows: list[tuple[Shown, ...]] = [
        (
            link(hit, f"{hit.received_at:%Y-%m-%d} conversion"),
            state_of(hit, "verdict"),
            money(hit.payout, hit.currency),
            hit.offer.name if hit.offer else "",
        )
        for hit in hits
    ]
    return Table(
        title=f"Its newest {MOST} conversions" if len(rows) == MOST else "Its conversions",
        columns=("Conversion", "Verdict", "Payout", "Offer"),
        rows=rows,
        empty="No postback was credited to it.",
    )
