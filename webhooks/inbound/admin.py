"""Owns the admin pages of the inbox, of the failed-webhook log with replay and discard, and of what requests said."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.safestring import SafeString

from trackly.admin import ReadOnlyAdmin, pretty
from webhooks.inbound import replaying
from webhooks.inbound.models import (
    FAILED,
    DeliveryEvent,
    FailedWebhook,
    InboundRequest,
    ParkedReport,
    RefusalTally,
    Reply,
    State,
)


@admin.action(description="Replay the selected requests", permissions=["replay"])
def replay(page: "InboundRequestAdmin", request: HttpRequest, queryset: QuerySet[InboundRequest]) -> None:
    n = replaying.replay(queryset, user=request.user, now=timezone.now())
    page.message_user(
        request, f"{n} request(s) are due again; the worker takes them within a second.", messages.SUCCESS
    )


@admin.action(description="Discard the selected requests, with a reason", permissions=["replay"])
def discard(
    page: "InboundRequestAdmin", request: HttpRequest, queryset: QuerySet[InboundRequest]
) -> HttpResponse | None:
    reason = request.POST.get("reason", "").strip()
    if not reason:
        context = {
            **admin.site.each_context(request),
            "title": "Discard requests",
            "selected": request.POST.getlist("_selected_action"),
            "select_across": request.POST.get("select_across", "0"),
            "is_missing": "reason" in request.POST,
        }
        return render(request, "admin/discard.html", context)
    n = replaying.discard(queryset, user=request.user, reason=reason)
    page.message_user(request, f"{n} request(s) were discarded.", messages.SUCCESS)
    return None


@admin.register(InboundRequest)
class InboundRequestAdmin(ReadOnlyAdmin):
    """Every request as it came."""

    list_display = [
        "received_at",
        "account",
        "source",
        "slug",
        "state",
        "cause",
        "items",
        "attempts",
        "next_try",
        "version",
    ]
    list_select_related = ["account"]
    list_filter = ["source", "slug", "state", "refusal"]
    search_fields = ["ids"]
    search_help_text = "A message id, provider message id, click id, transaction id or phone, exactly as it was sent."
    ordering = ["-received_at", "-uid"]
    actions = [replay, discard]
    fields = [
        "received_at", "account", "source", "slug", "party_id", "proof", "state", "refusal", "cause", "attempts", "next_try",
        "processed_at", "version", "error", "ids", "peer", "is_secure", "method", "shown_path", "shown_query",
        "shown_headers", "shown_body", "answer_status", "shown_answer", "uid",
    ]  # fmt: skip

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("webhooks.change_inboundrequest")

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> InboundRequest | None:
        try:
            uid = UUID(object_id)
            return self.get_queryset(request).by_uid(uid).first()  # type: ignore[attr-defined]
        except (ValueError, OverflowError, OSError, ValidationError):
            return None

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[InboundRequest], search_term: str
    ) -> tuple[QuerySet[InboundRequest], bool]:
        term = search_term.strip().replace("\x00", "")
        return (queryset.filter(ids__contains=[term[:200]]) if term else queryset), False

    @admin.display(description="Cause, or what came of it")
    def cause(self, row: InboundRequest) -> str:
        error = _last_line(row.last_error) if row.state in (State.WAITING, State.FAILED) else ""
        return error or row.outcome or (row.get_refusal_display() if row.refusal else "")

    @admin.display(description="Next try")
    def next_try(self, row: InboundRequest) -> Any:
        return row.due_at if row.state == State.WAITING else None

    @admin.display(description="Traceback")
    def error(self, row: InboundRequest) -> SafeString:
        return pretty(row.last_error)

    @admin.display(description="Path")
    def shown_path(self, row: InboundRequest) -> SafeString:
        return pretty(row.path)

    @admin.display(description="Query")
    def shown_query(self, row: InboundRequest) -> SafeString:
        return pretty(row.query)

    @admin.display(description="Headers")
    def shown_headers(self, row: InboundRequest) -> SafeString:
        return pretty(row.headers)

    @admin.display(description="Body")
    def shown_body(self, row: InboundRequest) -> SafeString:
        return pretty(row.body)

    @admin.display(description="What we answered")
    def shown_answer(self, row: InboundRequest) -> SafeString:
        return pretty(row.answer)


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2][:200]


@admin.register(FailedWebhook)
class FailedWebhookAdmin(InboundRequestAdmin):
    """Refused, not readable, failed, or waiting for another try."""

    def get_queryset(self, request: HttpRequest) -> QuerySet[FailedWebhook]:
        return super().get_queryset(request).filter(FAILED)


@admin.register(RefusalTally)
class RefusalTallyAdmin(ReadOnlyAdmin):
    list_display = ["bucket", "source", "slug", "party_id", "n"]
    ordering = ["-id"]


@admin.register(DeliveryEvent)
class DeliveryEventAdmin(ReadOnlyAdmin):
    list_display = [
        "received_at",
        "account",
        "message",
        "status",
        "vendor_status",
        "reason",
        "error_code",
        "error_text",
        "at",
    ]
    list_select_related = ["account", "message"]
    list_filter = ["status", "reason"]
    search_fields = ["=message__public_id", "=message__reference", "=message__provider_message_id", "=message__to"]
    ordering = ["-id"]


@admin.register(ParkedReport)
class ParkedReportAdmin(ReadOnlyAdmin):
    list_display = ["received_at", "account", "provider", "party_id", "message_key", "status"]
    list_select_related = ["account"]
    list_filter = ["provider"]
    search_fields = ["=message_key"]
    ordering = ["-id"]
    fields = [
        "received_at",
        "account",
        "provider",
        "party_id",
        "message_key",
        "status",
        "error",
        "shown_report",
        "request_uid",
    ]

    @admin.display(description="Report")
    def shown_report(self, row: ParkedReport) -> SafeString:
        return pretty(row.report)


@admin.register(Reply)
class ReplyAdmin(ReadOnlyAdmin):
    list_display = ["received_at", "account", "sending_list", "sender", "decision", "text", "at"]
    list_select_related = ["account", "sending_list"]
    list_filter = ["decision"]
    search_fields = ["=sender", "=key"]
    ordering = ["-id"]
