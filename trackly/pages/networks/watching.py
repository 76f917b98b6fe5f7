"""Owns what the page waits for: the click that a test link makes, and the verdict of a hit that was fired."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from postbacks.models import Click, Conversion, NetworkConnection
from sendinglists.domains import short_url
from sendinglists.models import Link
from trackly.pages.networks.tail import standing
from trackly.pages.visits import Visit
from trackly.showing import Shown, To, decoded
from trackly.signing import new_code
from trackly.stories.conversions import conversion_story
from trackly.stories.rows import link as to
from webhooks.inbound.models import InboundRequest, Source, State

WAITS_FOR = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A test link, and who opened it."""

    link: Link
    url: str
    clicks: list[Click]
    click: Click | None
    """The newest opening by a person."""
    again: str
    """What to ask for next; '' when nothing is waited for."""
    is_leading_here: bool
    """It leads to no offer: no network hears of the click."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fired:
    """A hit that was fired here, and what became of it."""

    status: int
    answer: str
    state: Shown
    headline: str
    why: tuple[str, ...]
    leads: To | None
    again: str


def link(visit: Visit, row: NetworkConnection) -> Watched | None:
    """The test link the address names; None when it names none."""
    code = visit.request.GET.get("link", "")
    links = visit.rows(Link).select_related("offer", "message__sending_list").filter(is_test=True)
    found = links.filter(code=code[:64]).first() if code and "\0" not in code else None
    if found is None:
        return None
    clicks = list(Click.objects.filter(link=found).order_by("-id")[:5])
    click = next((item for item in clicks if not item.bot), None)
    waits = click is None and visit.now - found.created_at < WAITS_FOR
    return Watched(
        link=found,
        url=short_url(found),
        clicks=clicks,
        click=click,
        again=visit.url("connection", row.pk, show="click", link=found.code) if waits else "",
        is_leading_here=found.offer_id is None,
    )


def to_fire(visit: Visit, watched: Watched | None) -> dict[str, Any]:
    """What the tester begins with: the click of the test link, and an amount."""
    asked = visit.request.GET.get("click", "")[:64]
    click_id = asked or (watched.click.click_id if watched and watched.click else "")
    return {"click": click_id, "payout": "12.50", "transaction": f"test-{new_code(6).lower()}"}


def fired(visit: Visit, row: NetworkConnection) -> Fired | None:
    """The hit whose request the address names; None when it names none of this account."""
    try:
        uid = UUID(visit.request.GET.get("fired", ""))
        item = visit.rows(InboundRequest).by_uid(uid, Source.POSTBACK).first()  # type: ignore[attr-defined]
    except (ValueError, OverflowError):
        return None
    if item is None or item.party_id != row.pk:
        return None
    related = ("account", "connection", "click", "message", "sending_list", "offer", "original")
    judged = Conversion.objects.filter(request_uid=uid, item=0).select_related(*related).first()
    waits = judged is None and item.state == State.WAITING and visit.now - item.received_at < WAITS_FOR
    story = conversion_story(judged, may_change=False, is_revealed=visit.may_change, now=visit.now) if judged else None
    return Fired(
        status=item.answer_status,
        answer=decoded(item.answer),
        state=standing(item, judged),
        headline=story.headline if story else "It has arrived and is being judged." if waits else item.outcome,
        why=story.why if story else (),
        leads=to(judged, "Everything about this conversion") if judged else None,
        again=visit.url("connection", row.pk, show="verdict", fired=uid) if waits else "",
    )
