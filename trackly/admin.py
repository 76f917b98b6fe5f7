"""Owns the admin pages of the kernel's tables: accounts, people, keys, the audit trail, totals, the service itself."""

from typing import Any

from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin as DjangoGroupAdmin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group, User
from django.forms import ChoiceField
from django.http import HttpRequest
from django.utils import timezone
from unfold.admin import ModelAdmin
from unfold.contrib.filters.admin import AutocompleteSelectFilter
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectWidget

from postbacks import networks
from sendinglists.models import LinkDomain
from trackly.models import (
    Account,
    AddressRange,
    ApiKey,
    AuditEntry,
    ExchangeRate,
    HourlyTotal,
    Invitation,
    Membership,
    Pulse,
    WorkerRun,
)
from trackly.showing import money
from trackly.stories import Story, accounts
from trackly.stories.rows import who_did
from trackly.support import columns
from trackly.support.pages import Audited, CannotDo, EvidencePage, SetUpPage, audit
from trackly.support.words import AccountForm
from webhooks import providers

admin.site.unregister(User)
admin.site.unregister(Group)
# Second factors are nobody's to look at; docs/operations.md tells how a lost one is taken away.
admin.site.unregister(Authenticator)


@admin.register(User)
class UserAdmin(Audited, DjangoUserAdmin, ModelAdmin):
    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        # Who may change users must not make themselves more than they are.
        return () if request.user.is_superuser else ("is_superuser", "is_staff", "groups", "user_permissions")


@admin.register(Group)
class GroupAdmin(Audited, DjangoGroupAdmin, ModelAdmin):
    pass


@admin.register(Account)
class AccountAdmin(SetUpPage):
    form = AccountForm
    list_display = [
        "name",
        "public_id",
        columns.state("status", "Status"),
        "currency",
        "time_zone",
        columns.when("created_at", "Made"),
    ]
    list_filter = ["status"]
    search_fields = ["name", "public_id"]
    readonly_fields = ["public_id", "created_at"]
    ordering = ["-id"]

    def story(self, request: HttpRequest, row: Account, *, is_revealed: bool) -> Story:
        return accounts.account_story(row)


@admin.register(Membership)
class MembershipAdmin(SetUpPage):
    list_display = ["user", "account", columns.state("role", "Role"), columns.when("created_at", "Since")]
    list_select_related = ["user", "account"]
    list_filter = [("account", AutocompleteSelectFilter), "role"]
    autocomplete_fields = ["account"]
    raw_id_fields = ["user"]
    ordering = ["-id"]


@admin.register(Invitation)
class InvitationAdmin(EvidencePage):
    """Made by owners on their own page; the link itself is kept nowhere."""

    list_display = [
        columns.when("created_at", "Made"),
        "account",
        columns.text("email", "For"),
        columns.of("As", lambda row: row.get_role_display()),
        columns.of("By", lambda row: str(row.invited_by or "")),
        columns.when("expires_at", "Good until"),
        columns.when("accepted_at", "Used"),
        columns.when("withdrawn_at", "Withdrawn"),
    ]
    list_select_related = ["account", "invited_by"]
    list_filter = [("account", AutocompleteSelectFilter)]
    search_fields = ["=email"]
    ordering = ["-id"]
    is_big = False


@admin.register(ExchangeRate)
class ExchangeRateAdmin(EvidencePage):
    list_display = ["account", "currency", "rate", "valid_from"]
    list_select_related = ["account"]
    list_filter = [("account", AutocompleteSelectFilter)]
    search_fields = ["=currency"]
    ordering = ["-id"]
    is_big = False


@admin.register(LinkDomain)
class LinkDomainAdmin(EvidencePage):
    list_display = [
        "host",
        "account",
        "brand",
        columns.when("checked_at", "Last seen to reach us"),
        columns.when("removed_at", "Removed"),
    ]
    list_select_related = ["account"]
    list_filter = [("account", AutocompleteSelectFilter)]
    search_fields = ["=host"]
    ordering = ["-id"]
    is_big = False


@admin.register(ApiKey)
class ApiKeyAdmin(SetUpPage):
    """Keys are made and revoked here; a key itself is shown once."""

    list_display = [
        "name",
        "account",
        "beginning",
        columns.when("created_at", "Made"),
        columns.when("last_used_at", "Last used"),
        columns.when("revoked_at", "Revoked"),
    ]
    list_select_related = ["account"]
    list_filter = [("account", AutocompleteSelectFilter)]
    autocomplete_fields = ["account"]
    fields = ["account", "name"]
    search_fields = ["name", "=beginning"]
    ordering = ["-id"]

    def get_readonly_fields(self, request: HttpRequest, obj: ApiKey | None = None) -> list[str]:
        return ["account"] if obj else []

    def story(self, request: HttpRequest, row: ApiKey, *, is_revealed: bool) -> Story:
        return accounts.key_story(row)

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        key = "" if change else obj.mint()
        super().save_model(request, obj, form, change)
        if key:
            self.message_user(
                request, f"The key is {key} and is shown only now: copy it. Only its hash is kept.", "WARNING"
            )

    def do_revoke(self, request: HttpRequest, row: ApiKey, word: str) -> str:
        if not self.has_change_permission(request, row):
            raise CannotDo("Revoking a key needs the permission to change API keys.")
        if row.revoked_at:
            raise CannotDo("The key was revoked before.")
        row.revoked_at = timezone.now()
        row.save(update_fields=["revoked_at"])
        audit(request, row, "revoked")
        return "The key is revoked: whoever uses it is refused from now on."


@admin.register(AuditEntry)
class AuditEntryAdmin(EvidencePage):
    list_display = [
        columns.when("at", "When"),
        columns.of("Who", who_did),
        "account",
        "verb",
        columns.text("target", "What"),
        columns.text("detail", "Detail"),
    ]
    list_select_related = ["user", "account"]
    list_filter = [("account", AutocompleteSelectFilter), ("user", AutocompleteSelectFilter)]
    search_fields = ["=target"]
    search_help_text = "The kind of thing and its id, such as 'message 42' or 'request 0198c7de-…'."
    ordering = ["-id"]

    def story(self, request: HttpRequest, row: AuditEntry, *, is_revealed: bool) -> Story:
        return accounts.audit_story(row)


@admin.register(HourlyTotal)
class HourlyTotalAdmin(EvidencePage):
    list_display = [
        columns.when("hour", "Hour from"),
        "account",
        columns.of("Kind", lambda row: row.kind.replace("_", " ")),
        columns.of("List", lambda row: row.list_id),
        columns.of("Connection", lambda row: row.connection_id),
        "n",
        columns.of("Amount", lambda row: money(row.amount, row.currency) if row.amount else ""),
    ]
    list_select_related = ["account"]
    list_filter = [("account", AutocompleteSelectFilter)]
    search_fields = ["=kind"]
    ordering = ["-id"]
    # A kind is looked for among the newest hours.
    indexed = ("account",)


@admin.register(AddressRange)
class AddressRangeAdmin(SetUpPage):
    list_display = ["slug", "cidr", "note"]
    search_fields = ["=slug", "=cidr"]
    ordering = ["slug", "cidr"]

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "slug":
            # A name that nobody has would be a rule that never applies.
            return ChoiceField(
                choices=[*providers.choices(), *networks.choices()], label="Provider", widget=UnfoldAdminSelectWidget()
            )
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # Nothing refers to a range; a wrong one must be able to go.
        return ModelAdmin.has_delete_permission(self, request, obj)


@admin.register(WorkerRun)
class WorkerRunAdmin(EvidencePage):
    list_display = [
        columns.when("started_at", "Started"),
        "host",
        "pid",
        "version",
        columns.when("beat_at", "Last sign of life"),
        columns.when("ended_at", "Ended"),
        columns.of("How", lambda row: accounts.run_end(row)),
    ]
    ordering = ["-id"]


@admin.register(Pulse)
class PulseAdmin(EvidencePage):
    list_display = ["host", columns.when("at", "Last commit of /readyz")]
    ordering = ["-id"]
