"""Owns the admin pages of credentials, lists, contacts, messages and links."""

from typing import Any

from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest
from django.utils import timezone

from sendinglists import subscriptions
from sendinglists.forms import PREFIX, ProviderAccountForm, form_for, initial_for, old_credentials
from sendinglists.models import (
    Contact,
    Link,
    Message,
    ProviderAccount,
    SendingList,
    Subscription,
    SubscriptionChange,
    Suppression,
)
from trackly.admin import AuditedAdmin, ReadOnlyAdmin
from webhooks import providers


@admin.register(ProviderAccount)
class ProviderAccountAdmin(AuditedAdmin):
    """Credentials: first account and provider, then, on the next page, the provider's own fields."""

    form = ProviderAccountForm
    list_display = ["name", "account", "provider", "demands_authentication", "address_policy", "webhook_state"]
    list_select_related = ["account"]
    list_filter = ["provider"]
    raw_id_fields = ["account"]
    readonly_fields = ["old_valid_until", "callback_url", "account_url", "vendor_account", "webhook_state"]
    search_fields = ["name", "=vendor_account"]
    ordering = ["-id"]

    def get_form(
        self, request: HttpRequest, obj: ProviderAccount | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm]:
        built = form_for(obj.provider if obj else None)
        if obj is not None:
            for name, value in initial_for(obj).items():
                built.base_fields[name].initial = value
        return super().get_form(request, obj, change=change, **(kwargs | {"form": built}))

    def get_fields(self, request: HttpRequest, obj: ProviderAccount | None = None) -> Any:
        shared = ["account", "provider", "name", "demands_authentication", "address_policy"]
        if obj is None:
            return shared
        adapter = providers.get(obj.provider)
        own = [PREFIX + item.name for item in (adapter.config if adapter else ())]
        return [
            *shared,
            *own,
            "keep_old_until",
            "withdraw_old",
            "old_valid_until",
            "callback_url",
            "account_url",
            "vendor_account",
            "webhook_state",
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: ProviderAccount | None = None) -> list[str]:
        return [*self.readonly_fields, "account", "provider"] if obj else list(self.readonly_fields)

    def response_add(self, request: HttpRequest, obj: ProviderAccount, post_url_continue: str | None = None) -> Any:
        # The provider is known now: go on to its fields instead of back to the list.
        onward = request.POST.copy()
        onward["_continue"] = "1"
        request.POST = onward  # type: ignore[assignment]
        return super().response_add(request, obj, post_url_continue)

    @admin.display(description="Old credentials valid until")
    def old_valid_until(self, row: ProviderAccount) -> str:
        return ", ".join(entry["until"] for entry in old_credentials(row)) or "None are valid."

    @admin.display(description="The same without the token")
    def account_url(self, row: ProviderAccount) -> str:
        return f"{settings.PUBLIC_BASE_URL}/api/webhook-feedbacks/{row.provider}?account={row.account.public_id}"

    @admin.display(description="Callback URL")
    def callback_url(self, row: ProviderAccount) -> str:
        return f"{settings.PUBLIC_BASE_URL}/api/webhook-feedbacks/{row.provider}/{row.callback_token}"


@admin.register(SendingList)
class SendingListAdmin(AuditedAdmin):
    list_display = ["name", "account", "number", "brand", "provider_account", "status", "opt_out_scope"]
    list_select_related = ["account", "provider_account"]
    list_filter = ["status"]
    raw_id_fields = ["account", "provider_account"]
    search_fields = ["name", "=number"]
    ordering = ["-id"]


@admin.register(Contact)
class ContactAdmin(ReadOnlyAdmin):
    list_display = ["phone", "account", "created_at"]
    list_select_related = ["account"]
    search_fields = ["=phone"]
    ordering = ["-id"]


@admin.register(Subscription)
class SubscriptionAdmin(ReadOnlyAdmin):
    list_display = ["contact", "sending_list", "state", "decided_at", "account"]
    list_select_related = ["contact", "sending_list", "account"]
    list_filter = ["state"]
    search_fields = ["=contact__phone"]
    ordering = ["-id"]


@admin.action(description="Undo the selected opt-outs that came without proof", permissions=["undo"])
def undo(page: "SubscriptionChangeAdmin", request: HttpRequest, queryset: QuerySet[SubscriptionChange]) -> None:
    n = subscriptions.undo(queryset, user=request.user, now=timezone.now())
    page.message_user(request, f"{n} opt-out(s) were undone; those with proof were left alone.", messages.SUCCESS)


@admin.register(SubscriptionChange)
class SubscriptionChangeAdmin(ReadOnlyAdmin):
    actions = [undo]
    list_display = ["at", "subscription", "decision", "origin", "is_proven", "request_uid"]
    list_select_related = ["subscription__contact", "subscription__sending_list"]
    list_filter = ["decision", "origin", "is_proven"]
    search_fields = ["=subscription__contact__phone"]
    ordering = ["-id"]

    def has_undo_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sendinglists.change_subscriptionchange")


@admin.register(Suppression)
class SuppressionAdmin(AuditedAdmin):
    list_display = ["phone", "account", "brand", "is_active", "decided_at", "cause"]
    list_select_related = ["account"]
    raw_id_fields = ["account"]
    search_fields = ["=phone"]
    ordering = ["-id"]


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    list_display = [
        "created_at",
        "public_id",
        "account",
        "sending_list",
        "to",
        "status",
        "status_detail",
        "reason",
        "error_code",
    ]
    list_select_related = ["account", "sending_list"]
    list_filter = ["status", "is_test"]
    search_fields = ["=public_id", "=reference", "=provider_message_id", "=to"]
    ordering = ["-id"]


@admin.register(Link)
class LinkAdmin(AuditedAdmin):
    list_display = ["code", "account", "offer", "destination", "message", "campaign", "is_test", "expires_at"]
    list_select_related = ["account", "offer", "message"]
    raw_id_fields = ["account", "offer", "message"]
    search_fields = ["=code"]
    ordering = ["-id"]
