"""Owns the page of one postback: its story, and what members may do about it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django import forms
from django.http import Http404, HttpResponse
from django.utils import timezone

from postbacks import correcting
from postbacks.cases import REJECTED, STANDING
from postbacks.correcting import ACCEPTABLE, PROMOTABLE, CannotCorrect
from postbacks.judging import NAMES_NO_CLICK, is_settled
from postbacks.models import Conversion, NetworkConnection
from postbacks.verdicts import BY_REQUEST, Verdict
from trackly.pages.forms import Form
from trackly.pages.telling import tokens_of, without_secret_words, without_secrets
from trackly.pages.visits import MEMBER, Visit, act, page
from trackly.stories.conversions import conversion_story
from webhooks.inbound.models import Source

Kind = Conversion.Kind


class WhyForm(Form):
    reason = forms.CharField(
        label="Why is it a test?", max_length=300, help_text="It cannot be undone; the reason stays with it."
    )


class RejectForm(Form):
    reason = forms.CharField(label="Why? (if you want to say)", max_length=300, required=False)


class AssignForm(Form):
    connection = forms.ChoiceField(label="To which connection?")

    def __init__(self, data: Any = None, *, visit: Visit, row: Conversion) -> None:
        rows = visit.rows(NetworkConnection).filter(network=row.network).order_by("name", "pk")
        super().__init__(data, offers={"connection": [(str(pk), name) for pk, name in rows.values_list("pk", "name")]})


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """One thing that may be done now; with a form where a word from the person is needed."""

    verb: str
    label: str
    explain: str
    form: Form | None = None
    sure: str = ""
    tone: str = ""


def found(visit: Visit, conversion: str) -> Conversion:
    """By the id of the request it came in and its place there; 404 for another account's."""
    uid, _, item = conversion.rpartition("-")
    try:
        key, place = UUID(uid), int(item)
    except ValueError as error:
        raise Http404("There is no such postback.") from error
    if not item.isascii() or place > 32_767:
        raise Http404("There is no such postback.")
    rows = Conversion.objects.select_related(
        "account", "connection", "click", "message", "sending_list", "offer", "original"
    )
    return visit.one(rows.defer("connection__postback_token"), request_uid=key, item=place)


def name_of(row: Conversion) -> str:
    return f"{row.request_uid}-{row.item}"


@page()
def show(visit: Visit, conversion: str) -> HttpResponse:
    return _page(visit, found(visit, conversion))


def _page(visit: Visit, row: Conversion, form: Form | None = None) -> HttpResponse:
    story = conversion_story(row, may_change=False, is_revealed=visit.may_change, now=visit.now)
    tokens = tokens_of(visit, Source.POSTBACK, row.network)
    named = without_secret_words(row.transaction_id, tokens)[:60]
    story = without_secrets(story, tokens)
    context = {
        "title": f"Postback {named}" if named else "Postback",
        "story": story,
        "row": row,
        "name": name_of(row),
        "is_rejected": REJECTED in row.flags,
        "buttons": _buttons(visit, row, form) if visit.may_change else [],
        "is_matchable": visit.may_change and row.verdict in NAMES_NO_CLICK and row.click_id is None,
    }
    return visit.render("pages/money/conversion.html", context)


def _buttons(visit: Visit, row: Conversion, bound: Form | None) -> list[Button]:
    def form(kind: type[Form], *args: object) -> Form:
        return bound if isinstance(bound, kind) else kind(*args)

    buttons = []
    if row.verdict in ACCEPTABLE:
        buttons.append(
            Button(
                verb="accept", label="Accept", tone="btn-primary", explain="It counts as if it had come with the token."
            )
        )
    if REJECTED in row.flags and not row.is_test:
        explain = "It stands again as the network says."
        buttons.append(Button(verb="approve", label="Take the rejection back", tone="btn-primary", explain=explain))
    elif _is_rejectable(row):
        explain = "It earns nothing, whatever the network says later. You can take that back."
        buttons.append(Button(verb="reject", label="Reject", form=form(RejectForm), explain=explain))
    if row.verdict in PROMOTABLE and row.status in STANDING and (row.payout or 0) >= 0 and row.click_id:
        explain = "This was no repetition but a second sale: count it, too."
        buttons.append(Button(verb="promote", label="Count as a further sale", explain=explain))
    if row.verdict == Verdict.BAD_SECRET:
        assign = bound if isinstance(bound, AssignForm) else AssignForm(visit=visit, row=row)
        explain = "It came with a wrong token but belongs to one of your connections."
        buttons.append(Button(verb="assign", label="Assign to this connection", form=assign, explain=explain))
    if row.verdict != Verdict.TEST and (row.kind or row.verdict not in BY_REQUEST):
        sure = "It will count in no total, and that cannot be undone. Mark it as a test?"
        explain = "It counts in no total any more."
        buttons.append(Button(verb="test", label="Mark as a test", form=form(WhyForm), explain=explain, sure=sure))
    return buttons


def _is_rejectable(row: Conversion) -> bool:
    if row.kind:
        return row.kind != Kind.ADJUSTMENT and row.status in STANDING
    return row.verdict != Verdict.TEST and not is_settled(row)


# --- what is done


@act(changes=MEMBER)
def do(visit: Visit, conversion: str, verb: str) -> HttpResponse:
    row = found(visit, conversion)
    done = _VERBS.get(verb)
    if done is None:
        raise Http404("There is nothing of this name to be done about a postback.")
    try:
        said = done(visit, row)
    except CannotCorrect as error:
        visit.warn(str(error))
        return visit.redirect("conversion", name_of(row))
    if isinstance(said, Form):
        return _page(visit, row, said)
    visit.say(said)
    return visit.redirect("conversion", name_of(row))


def _accept(visit: Visit, row: Conversion) -> str:
    chosen = visit.rows(Conversion).filter(pk=row.pk)
    if not correcting.accept(chosen, user=visit.request.user, now=timezone.now()):
        raise CannotCorrect("Only held and refused postbacks can be accepted, and somebody may have done so meanwhile.")
    return f"Accepted and judged again: {_verdict(row)}."


def _reject(visit: Visit, row: Conversion) -> str | Form:
    form = RejectForm(visit.request.POST)
    if not form.is_valid():
        return form
    correcting.reject(row, user=visit.request.user, now=timezone.now(), reason=form.cleaned_data["reason"])
    return "Rejected. It earns nothing, and no later word of the network changes that."


def _approve(visit: Visit, row: Conversion) -> str:
    correcting.approve(row, user=visit.request.user, now=timezone.now())
    row.refresh_from_db()
    if row.kind:
        return f"The rejection is taken back. The network says: {row.get_status_display().lower()}."
    return f"The rejection is taken back. Judged: {_verdict(row)}."


def _promote(visit: Visit, row: Conversion) -> str:
    correcting.promote(row, user=visit.request.user, now=timezone.now())
    return "It counts as a further sale now."


def _assign(visit: Visit, row: Conversion) -> str | Form:
    form = AssignForm(visit.request.POST, visit=visit, row=row)
    if not form.is_valid():
        return form
    chosen = visit.one(NetworkConnection, pk=form.cleaned_data["connection"])
    verdict = correcting.assign(row, chosen, user=visit.request.user, now=timezone.now())
    return f"Assigned to {chosen.name} and judged: {verdict.label.lower()}."


def _test(visit: Visit, row: Conversion) -> str | Form:
    form = WhyForm(visit.request.POST)
    if not form.is_valid():
        return form
    chosen, reason = visit.rows(Conversion).filter(pk=row.pk), form.cleaned_data["reason"]
    if not correcting.mark_as_test(chosen, user=visit.request.user, now=timezone.now(), reason=reason):
        raise CannotCorrect("It is a test already.")
    return "It is a test now and counts in no total."


def _verdict(row: Conversion) -> str:
    row.refresh_from_db()
    return row.get_verdict_display().lower()


_VERBS: dict[str, Callable[[Visit, Conversion], str | Form]] = {
    "accept": _accept,
    "reject": _reject,
    "approve": _approve,
    "promote": _promote,
    "assign": _assign,
    "test": _test,
}
