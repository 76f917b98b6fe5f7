"""Owns the admin pages of network connections, offers, clicks and conversions."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString

from postbacks import conversions, networks
from postbacks.models import Click, Conversion, NetworkConnection, Offer
from trackly.admin import AuditedAdmin, ReadOnlyAdmin, pretty
from trackly.signing import token_hash


@admin.register(NetworkConnection)
class NetworkConnectionAdmin(AuditedAdmin):
    list_display = ["name", "account", "network", "duplicate_rule", "token_only", "address_policy"]
    list_select_related = ["account"]
    list_filter = ["network"]
    raw_id_fields = ["account"]
    readonly_fields = ["postback_url"]
    exclude = ["previous_token_until"]
    ordering = ["-id"]

    def get_exclude(self, request: HttpRequest, obj: NetworkConnection | None = None) -> Any:
        # Before it is saved there is no URL that would work.
        return ["previous_token_until"] if obj else ["previous_token_until", "postback_url"]

    def get_readonly_fields(self, request: HttpRequest, obj: NetworkConnection | None = None) -> Any:
        return ["postback_url"] if obj else []

    def save_model(self, request: HttpRequest, obj: NetworkConnection, form: Any, change: bool) -> None:
        obj.postback_token_hash = token_hash(obj.postback_token)
        super().save_model(request, obj, form, change)

    @admin.display(description="Postback URL")
    def postback_url(self, row: NetworkConnection) -> str:
        adapter = networks.get(row.network)
        query = adapter.template if adapter else ""
        return f"{settings.PUBLIC_BASE_URL}/api/postbacks/{row.network}/{row.postback_token}?{query}"


@admin.register(Offer)
class OfferAdmin(AuditedAdmin):
    list_display = ["name", "account", "connection", "default_payout", "ceiling", "status"]
    list_select_related = ["account", "connection"]
    raw_id_fields = ["account", "connection"]
    ordering = ["-id"]


@admin.register(Click)
class ClickAdmin(ReadOnlyAdmin):
    list_display = ["at", "account", "click_id", "link", "offer", "bot", "is_counted", "is_test"]
    list_select_related = ["account", "link", "offer"]
    list_filter = ["bot", "is_test"]
    search_fields = ["=click_id", "=link__code"]
    ordering = ["-id"]


@admin.action(description="Accept the selected hits: let them count", permissions=["accept"])
def accept(page: "ConversionAdmin", request: HttpRequest, queryset: QuerySet[Conversion]) -> None:
    n = len(conversions.accept(queryset, user=request.user, now=timezone.now()))
    page.message_user(request, f"{n} held or refused hit(s) were judged again.", messages.SUCCESS)


class UnroutedFilter(admin.SimpleListFilter):
    """Hits that belong to nobody yet, with their money."""

    title = "routing"
    parameter_name = "routed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "Unrouted: names no account")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Conversion]) -> QuerySet[Conversion]:
        return queryset.filter(account__isnull=True) if self.value() == "no" else queryset


@admin.register(Conversion)
class ConversionAdmin(ReadOnlyAdmin):
    list_display = [
        "received_at",
        "account",
        "connection",
        "verdict",
        "money",
        "status",
        "is_verified",
        "click_text",
        "transaction_id",
    ]
    list_select_related = ["account", "connection"]
    list_filter = [UnroutedFilter, "verdict", "network", "status", "is_verified", "is_late", "is_test"]
    search_fields = ["=click_ref", "=transaction_id"]
    ordering = ["-id"]
    actions = [accept]
    exclude = ["query", "key"]
    readonly_fields = ["fix", "shown_query"]

    def has_accept_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("postbacks.change_conversion")

    @admin.display(description="Payout")
    def money(self, row: Conversion) -> str:
        return f"{row.payout.normalize():f} {row.currency}" if row.payout is not None else ""

    @admin.display(description="As it came")
    def shown_query(self, row: Conversion) -> SafeString:
        return pretty(row.query)
