"""Owns the page of one request as it came: its story, the exchange, its text to download, replay and discard."""

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

from django import forms
from django.http import Http404, HttpResponse
from django.utils import timezone

from trackly.pages.forms import Form
from trackly.pages.telling import secrets_in, without_secret_words, without_secrets
from trackly.pages.visits import MEMBER, Visit, act, page
from trackly.showing import decoded, without_phones
from trackly.stories import Story, without_numbers
from trackly.stories.requests import exchange_of, request_story
from webhooks.inbound import replaying
from webhooks.inbound.models import InboundRequest, State, time_of

_MOST_PRETTY = 100_000
# The traceback is for the staff; owners read the error's last line.
_FOR_STAFF = "The last error"


class ReasonForm(Form):
    reason = forms.CharField(
        label="Why", max_length=200, help_text="It stays with the request and in the audit trail: 'a test of ours'."
    )


@page()
def show(visit: Visit, uid: UUID) -> HttpResponse:
    return _page(visit, _request(visit, uid))


@page(sees=MEMBER)
def text(visit: Visit, uid: UUID) -> HttpResponse:
    """The exchange as plain text; secrets were taken out before it was stored."""
    row = _request(visit, uid)
    exchange = exchange_of(row, is_revealed=visit.may_change, is_whole=True)
    answer = HttpResponse(
        f"{exchange.request}\n\n--- what we answered\n{exchange.answer}\n", content_type="text/plain; charset=utf-8"
    )
    answer["Content-Disposition"] = f'attachment; filename="request-{row.pk}.txt"'
    answer["X-Content-Type-Options"] = "nosniff"
    return answer


@act(changes=MEMBER)
def replay(visit: Visit, uid: UUID) -> HttpResponse:
    row = _request(visit, uid)
    if replaying.replay(_named(visit, row), user=visit.request.user, now=timezone.now()):
        visit.say("It is due again, and verified again with today's credentials. What counted counts no second time.")
    else:
        visit.warn("It cannot be replayed: it was only a probe, and says nothing to work off.")
    return visit.redirect("request", row.uid)


@act(changes=MEMBER)
def discard(visit: Visit, uid: UUID) -> HttpResponse:
    row = _request(visit, uid)
    form = ReasonForm(visit.request.POST)
    if not form.is_valid():
        return _page(visit, row, form)
    if replaying.discard(_named(visit, row), user=visit.request.user, reason=form.cleaned_data["reason"]):
        visit.say("It is discarded: it stands among the failed webhooks no more.")
    else:
        visit.warn("It is no failed webhook any more: it counted, or waits to be worked off.")
    return visit.redirect("request", row.uid)


def _request(visit: Visit, uid: UUID) -> InboundRequest:
    try:
        at = time_of(uid)
    except (ValueError, OverflowError, OSError) as error:
        raise Http404("There is no such request.") from error
    return visit.one(InboundRequest.objects.select_related("account"), uid=uid, received_at=at)


def _named(visit: Visit, row: InboundRequest) -> Any:
    return visit.rows(InboundRequest).filter(uid=row.uid, received_at=row.received_at, source=row.source)


def _page(visit: Visit, row: InboundRequest, form: ReasonForm | None = None) -> HttpResponse:
    # A replayed one is taken within a second, so that is watched; the next try of a failed one may be hours away.
    is_watched = row.state == State.WAITING and not row.attempts
    secrets = secrets_in(visit, row)
    context = {
        "story": without_secrets(_story(visit, row), secrets),
        "again": visit.url("request", row.uid) if is_watched else "",
    }
    if visit.wants_part:
        return visit.render("pages/_live_story.html", context)
    is_failed = row.state in (State.FAILED, State.REFUSED) or bool(row.refusal) or bool(row.attempts)
    more = {
        "title": "Webhook as it came",
        "row": row,
        "read": without_secret_words(_read(visit, row), secrets),
        "form": form or ReasonForm(),
        "may_discard": is_failed and row.state != State.DISCARDED,
        "is_probe": row.method == "HEAD",
    }
    return visit.render("pages/requests/request.html", context | more)


def _story(visit: Visit, row: InboundRequest) -> Story:
    told = request_story(row, may_replay=False, may_allow=False, is_revealed=visit.may_change)
    told = replace(told, tables=tuple(table for table in told.tables if table.title != _FOR_STAFF))
    return without_numbers(told)


def _read(visit: Visit, row: InboundRequest) -> str:
    """The body laid out to be read; '' where it is neither JSON nor a form, or reads as it is."""
    body = decoded(bytes(row.body)[:_MOST_PRETTY])
    said = _as_json(body) or _as_form(body or decoded(row.query))
    if said and not visit.may_change:
        said = without_phones(said, [value for value in row.ids if value.startswith("+")])
    return said


def _as_json(body: str) -> str:
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return ""


def _as_form(text: str) -> str:
    if "=" not in text or "\n" in text.strip():
        return ""
    try:
        pairs = parse_qsl(text, keep_blank_values=True, max_num_fields=1_000)
    except ValueError:
        return ""
    return "\n".join(f"{name}: {value}" for name, value in pairs)
