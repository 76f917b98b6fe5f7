"""Owns the admin pages of the inbox, of the failed-webhook log with replay and discard, and of what requests said."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import F, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from postbacks import networks
from sendinglists.models import ProviderAccount
from trackly.addresses import CannotAllow, allow_address
from trackly.showing import Phone, Shown, counted, short, without_phones
from trackly.stories import Exchange, Story
from trackly.stories import messages as stories
from trackly.stories.requests import exchange_of, request_story, standing_of
from trackly.support import columns
from trackly.support.confirming import ask, is_unsure
from trackly.support.filters import TimeFilter, known
from trackly.support.pages import CannotDo, EvidencePage
from webhooks import providers
from webhooks.inbound import replaying
from webhooks.inbound.models import (
    FAILED,
    DeliveryEvent,
    FailedWebhook,
    InboundRequest,
    ParkedReport,
    RefusalTally,
    Reply,
    RequestTotal,
    Source,
    State,
    time_of,
)

# A search leads to so many requests, the newest that name it.
FOLLOWED = 500


@admin.action(description="Replay", permissions=["replay"])
def replay(
    page: "InboundRequestAdmin", request: HttpRequest, queryset: QuerySet[InboundRequest]
) -> HttpResponse | None:
    if is_unsure(request):
        return ask(page, request, queryset, label="Replay", example=_example)
    n = replaying.replay(queryset, user=request.user, now=timezone.now())
    said = f"{counted(n, 'request')} {'is' if n == 1 else 'are'} due again; the worker comes to it within a second."
    page.message_user(request, said, messages.SUCCESS)
    return None


@admin.action(description="Discard, with a reason", permissions=["replay"])
def discard(
    page: "InboundRequestAdmin", request: HttpRequest, queryset: QuerySet[InboundRequest]
) -> HttpResponse | None:
    reason = request.POST.get("reason", "").strip()
    if not reason:
        return ask(page, request, queryset, label="Discard", example=_example, wants_reason=True)
    n = replaying.discard(queryset, user=request.user, reason=reason)
    page.message_user(request, f"{counted(n, 'request')} {'was' if n == 1 else 'were'} discarded.", messages.SUCCESS)
    return None


def _example(row: InboundRequest) -> tuple[Shown, ...]:
    return row.received_at, row.slug, short(row.outcome or row.last_error, 120)


def senders() -> list[tuple[str, str]]:
    """(slug, name) of every SMS provider and network."""
    return [*providers.choices(), *networks.choices()]


@admin.register(InboundRequest)
class InboundRequestAdmin(EvidencePage):
    """Every request as it came."""

    list_display = [
        columns.when("received_at", "Received"),
        columns.of("Account", lambda row: row.account or "unrouted"),
        columns.text("slug", "From"),
        columns.of("State", standing_of),
        columns.of("Cause, or what came of it", lambda row: _cause(row)),
        "items",
        "attempts",
        columns.of("Next try", lambda row: row.due_at if row.state == State.WAITING else None),
        "answer_status",
    ]
    list_select_related = ["account"]
    list_filter = [
        ("received_at", TimeFilter),
        ("account", AutocompleteSelectFilter),
        "source",
        ("slug", known(senders)),
        "state",
        "refusal",
    ]
    search_fields = ["ids"]
    search_help_text = (
        "A message id, click id, transaction id or phone, exactly as it was sent; or the id of the request."
    )
    ordering = ["-received_at", "-uid"]
    actions = [replay, discard]
    indexed = ("account", "received_at", "q")
    newest_by = "received_at"

    def story(self, request: HttpRequest, row: InboundRequest, *, is_revealed: bool) -> Story:
        return request_story(
            row,
            may_replay=self.has_replay_permission(request),
            may_allow=request.user.has_perm("trackly.add_addressrange"),
            is_revealed=is_revealed,
        )

    def exchange(self, row: InboundRequest, *, is_revealed: bool) -> Exchange:
        return exchange_of(row, is_revealed=is_revealed, is_whole=True)

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("webhooks.change_inboundrequest")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        chosen = request.POST.getlist("_selected_action")
        if not chosen or request.POST.get("select_across") == "1":
            return rows
        # By uid alone every partition would be searched; a uid carries its receive time.
        return rows.filter(received_at__in=[time_of(uid) for uid in map(_uid, chosen) if uid])

    def narrowed(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        field = self.opts.get_field("received_at")
        asked = TimeFilter(field, request, dict(request.GET.lists()), self.model, self, "received_at")
        return asked.queryset(request, super().narrowed(request, rows))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> InboundRequest | None:
        uid = _uid(object_id)
        return self.model._default_manager.by_uid(uid).select_related("account").first() if uid else None

    def found(self, term: str) -> Q:
        uid = _uid(term)
        # In an order that no index has: else the planner goes back in time and looks whether each one has it.
        named = InboundRequest.objects.filter(ids__contains=[term[:200]]).order_by(
            (F("received_at") + timedelta(0)).desc()
        )
        keys = list(named.values_list("uid", "received_at")[:FOLLOWED])
        keys += [(uid, time_of(uid))] if uid else []
        # The whole primary key, so that each is looked for in its own partition.
        return Q(uid__in=[key[0] for key in keys], received_at__in=[key[1] for key in keys], source__in=Source.values)

    # --- what may be done about one

    def do_replay(self, request: HttpRequest, row: InboundRequest, word: str) -> str:
        self._demand(request)
        n = replaying.replay(InboundRequest.objects.by_uid(row.uid), user=request.user, now=timezone.now())
        return (
            "It is due again; the worker takes it within a second: reload to see what came of it."
            if n
            else "It is gone."
        )

    def do_discard(self, request: HttpRequest, row: InboundRequest, word: str) -> str:
        self._demand(request)
        if not word:
            raise CannotDo("Say why it is discarded; the reason stays with the request.")
        if not replaying.discard(InboundRequest.objects.by_uid(row.uid), user=request.user, reason=word):
            raise CannotDo("It is in the log of failures no more: it counted, or waits to be worked off.")
        return "It is discarded: it stands in the log of failures no more."

    def do_allow(self, request: HttpRequest, row: InboundRequest, word: str) -> str:
        if not request.user.has_perm("trackly.add_addressrange"):
            raise CannotDo("Adding an address needs the permission to add address ranges.")
        try:
            allow_address(row.slug, row.peer, user=request.user, note=f"From request {row.uid}")
        except CannotAllow as error:
            raise CannotDo(str(error)) from error
        return f"{row.peer} may call as {row.slug} from now on. Replay the request to let it count."

    def _demand(self, request: HttpRequest) -> None:
        if not self.has_replay_permission(request):
            raise CannotDo("Replaying and discarding need the permission to change raw requests.")


def _uid(text: str) -> UUID | None:
    """A request's id; None for what is none of ours."""
    try:
        uid = UUID(text)
        time_of(uid)
    except (ValueError, OverflowError, OSError):
        return None
    return uid


def _cause(row: InboundRequest) -> str:
    error = row.error_line if row.state in (State.WAITING, State.FAILED) else ""
    said = error or row.outcome or (row.get_refusal_display() if row.refusal else "")
    return short(without_phones(said, columns.numbers_of(row)), 160)


@admin.register(FailedWebhook)
class FailedWebhookAdmin(InboundRequestAdmin):
    """Refused, not readable, failed, or waiting for another try. The whole log has an index of its own."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[FailedWebhook]:
        return super().get_queryset(request).filter(FAILED)

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> InboundRequest | None:
        """A row that is in the log, or was: to who may see requests it stays open after a replay."""
        row = super().get_object(request, object_id, from_field)
        if row is None or request.user.has_perm("webhooks.view_inboundrequest"):
            return row
        return row if self.model._default_manager.by_uid(row.uid).filter(FAILED).exists() else None

    def newest(self, rows: QuerySet[Any], n: int) -> QuerySet[Any]:
        return super().newest(rows.filter(FAILED), n)


@admin.register(RefusalTally)
class RefusalTallyAdmin(EvidencePage):
    list_display = [columns.when("bucket", "Day or minute"), "source", "slug", "party_id", "n"]
    ordering = ["-id"]


@admin.register(RequestTotal)
class RequestTotalAdmin(EvidencePage):
    list_display = [
        columns.when("hour", "Hour from"),
        "source",
        "slug",
        "account_id",
        "party_id",
        columns.state("standing", "Standing"),
        "n",
        columns.when("last_at", "Last"),
    ]
    list_filter = ["source", ("slug", known(senders)), "standing"]
    ordering = ["-id"]


@admin.register(DeliveryEvent)
class DeliveryEventAdmin(EvidencePage):
    list_display = [
        columns.when("received_at", "Received"),
        "account",
        "message",
        columns.of("To", lambda row: Phone(row.message.to)),
        columns.state("status", "Status"),
        columns.text("vendor_status", "Provider's word", 30),
        columns.text("error_code", "Code", 20),
        columns.text("error_text", "Error", 80),
        columns.when("at", "Provider's time"),
    ]
    list_select_related = ["account", "message"]
    list_filter = [("account", AutocompleteSelectFilter), "status", "reason"]
    search_fields = ["=message__public_id", "=message__reference", "=message__provider_message_id", "=message__to"]
    search_help_text = "A message id, reference, provider's id or phone, exactly."
    ordering = ["-id"]

    def story(self, request: HttpRequest, row: DeliveryEvent, *, is_revealed: bool) -> Story:
        return stories.event_story(row, is_revealed=is_revealed)


@admin.register(ParkedReport)
class ParkedReportAdmin(EvidencePage):
    list_display = [
        columns.when("received_at", "Received"),
        "account",
        "provider",
        columns.text("message_key", "Names"),
        columns.state("status", "Says"),
        columns.text("error", "Set aside because"),
    ]
    list_select_related = ["account"]
    list_filter = [("account", AutocompleteSelectFilter), "provider"]
    search_fields = ["=message_key"]
    search_help_text = "The id the report names, exactly."
    ordering = ["-id"]
    # Of an account only among the newest: an index of its own would cost every report that is parked.
    indexed = ("q",)

    def story(self, request: HttpRequest, row: ParkedReport, *, is_revealed: bool) -> Story:
        return stories.parked_story(row, is_revealed=is_revealed)


@admin.register(Reply)
class ReplyAdmin(EvidencePage):
    list_display = [
        columns.when("received_at", "Received"),
        "account",
        "sending_list",
        columns.number("sender", "From"),
        columns.state("decision", "Decides"),
        columns.text("text", "Text", 80),
        columns.when("at", "Provider's time"),
    ]
    list_select_related = ["account", "sending_list"]
    list_filter = [("account", AutocompleteSelectFilter), "decision"]
    search_fields = ["=sender", "=key"]
    search_help_text = "A phone as +14155550101, or the provider's id of the reply."
    ordering = ["-id"]

    def found(self, term: str) -> Q:
        # The provider's id of a reply is one within its provider account: one lookup for each of them.
        return Q(sender=term) | Q(
            key=term, provider_account__in=list(ProviderAccount.objects.values_list("pk", flat=True))
        )

    def story(self, request: HttpRequest, row: Reply, *, is_revealed: bool) -> Story:
        return stories.reply_story(row, is_revealed=is_revealed)
