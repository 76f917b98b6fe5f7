"""Owns what every admin page shares, and the pages of the kernel's own tables."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db import models
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from trackly.models import Account, AddressRange, AuditEntry, HourlyTotal, Membership, WorkerRun

admin.site.site_header = "Trackly support"
admin.site.site_title = "Trackly support"
admin.site.index_title = "Webhooks and postbacks"


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that are evidence: shown, searched, never added, changed or deleted here. Newest first."""

    show_full_result_count = False
    list_per_page = 50
    actions_on_bottom = True
    # Another order would have to sort the whole table.
    sortable_by: ClassVar[tuple[str, ...]] = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AuditedAdmin(admin.ModelAdmin):
    """Rows people set up: every change leaves an audit entry. Deleting is not offered, because evidence refers to them."""

    show_full_result_count = False
    list_per_page = 50

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        _audit(request, obj, "added", "")
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        fields = [
            name for part in message if isinstance(part, dict) for name in part.get("changed", {}).get("fields", [])
        ]
        _audit(request, obj, "changed", ", ".join(fields))
        return super().log_change(request, obj, message)


def _audit(request: HttpRequest, obj: models.Model, verb: str, detail: str) -> None:
    account = obj if isinstance(obj, Account) else getattr(obj, "account", None)
    AuditEntry.objects.create(
        user_id=request.user.pk, account=account, verb=verb, target=f"{obj._meta.verbose_name} {obj.pk}", detail=detail
    )


def pretty(raw: bytes | memoryview | str | None) -> SafeString:
    """Bytes of a stranger as text in a box; escaped, so that nothing in them comes alive."""
    text = raw if isinstance(raw, str) else bytes(raw or b"").decode("utf-8", "replace")
    return format_html(
        '<pre style="white-space: pre-wrap; overflow-wrap: anywhere; margin: 0">{}</pre>', text[:100_000]
    )


@admin.register(Account)
class AccountAdmin(AuditedAdmin):
    list_display = ["name", "public_id", "status", "currency", "time_zone", "created_at"]
    list_filter = ["status"]
    search_fields = ["name", "public_id"]
    readonly_fields = ["public_id", "created_at"]
    ordering = ["-id"]


@admin.register(Membership)
class MembershipAdmin(AuditedAdmin):
    list_display = ["user", "account", "role", "created_at"]
    list_select_related = ["user", "account"]
    raw_id_fields = ["account", "user"]
    ordering = ["-id"]


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ["at", "user", "account", "verb", "target", "detail"]
    list_select_related = ["user", "account"]
    search_fields = ["=target"]
    ordering = ["-id"]


@admin.register(HourlyTotal)
class HourlyTotalAdmin(ReadOnlyAdmin):
    list_display = ["hour", "account", "kind", "n", "money"]
    list_select_related = ["account"]
    list_filter = ["account", "kind"]
    ordering = ["-id"]

    @admin.display(description="Amount")
    def money(self, row: HourlyTotal) -> str:
        return f"{row.amount.normalize():f} {row.currency}" if row.amount else ""


@admin.register(AddressRange)
class AddressRangeAdmin(admin.ModelAdmin):
    list_display = ["slug", "cidr", "note"]
    list_filter = ["slug"]
    ordering = ["slug", "cidr"]


@admin.register(WorkerRun)
class WorkerRunAdmin(ReadOnlyAdmin):
    list_display = ["started_at", "host", "pid", "version", "beat_at", "ended_at", "ended_cleanly"]
    ordering = ["-id"]
