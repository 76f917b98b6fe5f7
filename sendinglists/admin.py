"""Owns the admin pages of credentials, lists, contacts, messages and links."""

from datetime import timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import NON_FIELD_ERRORS
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from sendinglists import numbers, setup, subscriptions
from sendinglists.admin_forms import WRITTEN, ProviderAccountForm, SendingListForm, fields_of, form_for
from sendinglists.forms import UNCHECKED, initial_for
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
from sendinglists.suppressing import SuppressionForm
from trackly.showing import Shown, counted
from trackly.stories import Story, parties, people, provider_accounts
from trackly.stories import messages as message_stories
from trackly.support import columns
from trackly.support.confirming import ask, is_unsure
from trackly.support.pages import CannotDo, EvidencePage, SetUpPage, audit
from webhooks.orders import CannotUse, Checked

# Long enough to change the URL at a provider by hand.
OVERLAP = timedelta(hours=24)


@admin.register(ProviderAccount)
class ProviderAccountAdmin(SetUpPage):
    """Credentials: first account and provider, then, on the next page, the provider's own fields."""

    form = ProviderAccountForm
    list_display = [
        "name",
        "account",
        "provider",
        columns.state("webhook_state", "Webhooks"),
        columns.of("Proof", lambda row: "demanded" if row.demands_authentication else "waived"),
        columns.of("Addresses", lambda row: row.get_address_policy_display()),
    ]
    list_select_related = ["account"]
    list_filter = [("account", AutocompleteSelectFilter), "provider", "webhook_state"]
    autocomplete_fields = ["account"]
    search_fields = ["name", "=vendor_account"]
    ordering = ["-id"]
    source = "webhook"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ProviderAccount]:
        return super().get_queryset(request).select_related("account")

    def story(self, request: HttpRequest, row: ProviderAccount, *, is_revealed: bool) -> Story:
        return provider_accounts.provider_story(row, is_revealed=is_revealed)

    def get_form(
        self, request: HttpRequest, obj: ProviderAccount | None = None, change: bool = False, **kwargs: Any
    ) -> type[ModelForm]:
        built = form_for(obj)
        if obj is not None:
            for name, value in initial_for(obj).items():
                built.base_fields[name].initial = value
        return super().get_form(request, obj, change=change, **(kwargs | {"form": built}))

    def get_fields(self, request: HttpRequest, obj: ProviderAccount | None = None) -> Any:
        shared = ["account", "provider", "name", "demands_authentication", "address_policy"]
        return shared if obj is None else [*shared, *fields_of(obj)]

    def get_readonly_fields(self, request: HttpRequest, obj: ProviderAccount | None = None) -> list[str]:
        return ["account", "provider"] if obj else []

    def render_change_form(self, request: HttpRequest, context: dict[str, Any], **kwargs: Any) -> HttpResponse:
        page = context["adminform"]
        if not getattr(page.form, "offers_unchecked", False):
            page.fieldsets = [
                (name, options | {"fields": [field for field in options["fields"] if field != UNCHECKED]})
                for name, options in page.fieldsets
            ]
        if page.form.errors:
            # The form stands below the story, out of sight; what is said up here is not said there again.
            said = " ".join(page.form.errors.pop(NON_FIELD_ERRORS, ()))
            messages.error(request, said or "Nothing was saved: the fields below say why.")
            if not page.form.errors:
                context["errors"] = None
        return super().render_change_form(request, context, **kwargs)

    def save_model(self, request: HttpRequest, obj: ProviderAccount, form: Any, change: bool) -> None:
        if not change:
            obj.save()
            return
        obj.save(update_fields=WRITTEN)
        now = timezone.now()
        if form.checked is not None:
            _say(request, form.checked)
        if n := numbers.add(obj, form.new_numbers(), now):
            messages.success(request, f"{counted(n, 'sending list')} made.")
        is_new = obj.webhook_state == ProviderAccount.WebhookState.UNSET
        if (form.has_new_settings or is_new) and setup.is_set_up(obj):
            setup.want(obj, setup.Task.CONFIGURE, now)

    def response_change(self, request: HttpRequest, obj: ProviderAccount) -> HttpResponse:
        # Back to its page, not to the list: there the steps are seen.
        onward = request.POST.copy()
        onward["_continue"] = "1"
        request.POST = onward  # type: ignore[assignment]
        return super().response_change(request, obj)

    def do_configure(self, request: HttpRequest, row: ProviderAccount, word: str) -> str:
        self._demand(request, row, "Configuring webhooks")
        if row.removed_at:
            raise CannotDo("It is retired. Make a new provider account with the same credentials.")
        if lacking := setup.missing(row):
            raise CannotDo(f"Enter the credentials first: {', '.join(lacking)}. The form is on this page.")
        setup.want(row, setup.Task.CONFIGURE, timezone.now())
        audit(request, row, "configured the webhooks of")
        if row.webhook_state in (ProviderAccount.WebhookState.FAILED, ProviderAccount.WebhookState.UNSET):
            raise CannotDo(row.webhook_state_cause)
        return f"{row.get_webhook_state_display()}: the steps stand below, and their outcome as it comes."

    def do_remove(self, request: HttpRequest, row: ProviderAccount, word: str) -> str:
        self._demand(request, row, "Retiring")
        if word != provider_accounts.SURE:
            raise CannotDo("Nothing was done: choose that you are sure.")
        setup.remove(row, timezone.now())
        audit(request, row, "retired")
        return (
            "It is retired: its lists are closed, nothing is sent with it any more, and the provider is told to forget us. What "
            "still arrives is still taken."
        )

    def do_check(self, request: HttpRequest, row: ProviderAccount, word: str) -> str:
        self._demand(request, row, "Asking the provider")
        audit(request, row, "checked the credentials of")
        try:
            checked = setup.check_again(row, timezone.now())
        except CannotUse as error:
            raise CannotDo(str(error)) from error
        _warn(request, checked)
        return checked.said

    def do_rotate(self, request: HttpRequest, row: ProviderAccount, word: str) -> str:
        self._demand(request, row, "Rotating a token")
        if row.previous_token_until and row.previous_token_until > timezone.now():
            raise CannotDo(
                f"The former token is still valid until {row.previous_token_until:%Y-%m-%d %H:%M} UTC, and only one can be: "
                "rotating now would cut off whoever calls it. Rotate again after that."
            )
        setup.rotate(row, timezone.now() + OVERLAP, timezone.now())
        audit(request, row, "rotated the token of")
        return (
            "The callback URL has a new token; the old one stays valid for 24 hours. What can be configured at the provider is "
            "configured with it by itself; what was registered by hand must be changed by hand."
        )

    def _demand(self, request: HttpRequest, row: ProviderAccount, what: str) -> None:
        if not self.has_change_permission(request, row):
            raise CannotDo(f"{what} needs the permission to change provider accounts.")


def _say(request: HttpRequest, checked: Checked) -> None:
    messages.success(request, checked.said)
    _warn(request, checked)


def _warn(request: HttpRequest, checked: Checked) -> None:
    for warning in checked.warnings:
        messages.warning(request, warning)


@admin.register(SendingList)
class SendingListAdmin(SetUpPage):
    form = SendingListForm
    list_display = [
        "name",
        "account",
        columns.number("number", "Number"),
        "brand",
        columns.of("Provider account", lambda row: provider_accounts.named(row.provider_account)),
        columns.state("status", "Status"),
        columns.of("STOP closes", lambda row: row.get_opt_out_scope_display()),
    ]
    list_select_related = ["account", "provider_account"]
    list_filter = [("account", AutocompleteSelectFilter), "status"]
    autocomplete_fields = ["account", "provider_account"]
    search_fields = ["name", "=number"]
    ordering = ["-id"]

    def story(self, request: HttpRequest, row: SendingList, *, is_revealed: bool) -> Story:
        return parties.list_story(row, is_revealed=is_revealed)

    def get_readonly_fields(self, request: HttpRequest, obj: SendingList | None = None) -> list[str]:
        # What is configured at the provider goes by them: another number is another list.
        return ["account", "provider_account", "number"] if obj else []

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "provider_account":
            kwargs["queryset"] = ProviderAccount.objects.filter(removed_at=None)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: SendingList, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        party = obj.provider_account
        if (not change or "status" in form.changed_data) and setup.is_set_up(party):
            setup.want(party, setup.Task.CONFIGURE, timezone.now())


@admin.register(Contact)
class ContactAdmin(EvidencePage):
    list_display = [columns.number("phone", "Phone"), "account", columns.when("created_at", "Known since")]
    list_select_related = ["account"]
    list_filter = [("account", AutocompleteSelectFilter)]
    search_fields = ["=phone"]
    search_help_text = "A phone as +14155550101."
    ordering = ["-id"]

    def story(self, request: HttpRequest, row: Contact, *, is_revealed: bool) -> Story:
        return people.contact_story(row, is_revealed=is_revealed)


@admin.register(Subscription)
class SubscriptionAdmin(EvidencePage):
    list_display = [
        "contact",
        "sending_list",
        columns.state("state", "State"),
        columns.when("decided_at", "Decided"),
        "account",
    ]
    list_select_related = ["contact", "sending_list", "account"]
    list_filter = [("account", AutocompleteSelectFilter), "state"]
    search_fields = ["=contact__phone"]
    search_help_text = "A phone as +14155550101."
    ordering = ["-id"]

    def story(self, request: HttpRequest, row: Subscription, *, is_revealed: bool) -> Story:
        return people.subscription_story(row, is_revealed=is_revealed)


@admin.action(description="Undo the opt-outs that came without proof", permissions=["undo"])
def undo(
    page: "SubscriptionChangeAdmin", request: HttpRequest, queryset: QuerySet[SubscriptionChange]
) -> HttpResponse | None:
    if is_unsure(request):
        return ask(page, request, queryset, label="Undo opt-outs", example=_example)
    n = subscriptions.undo(queryset, user=request.user, now=timezone.now())
    said = f"{counted(n, 'opt-out')} {'was' if n == 1 else 'were'} undone; those with proof were left alone."
    page.message_user(request, said, messages.SUCCESS)
    return None


def _example(row: SubscriptionChange) -> tuple[Shown, ...]:
    return row.at, str(row.subscription), row.get_decision_display(), "proven" if row.is_proven else "without proof"


@admin.register(SubscriptionChange)
class SubscriptionChangeAdmin(EvidencePage):
    actions = [undo]
    list_display = [
        columns.when("at", "Counts from"),
        columns.of("Phone", lambda row: str(row.subscription.contact)),
        columns.of("List", lambda row: row.subscription.sending_list.name),
        columns.state("decision", "Decision"),
        columns.of("By", lambda row: row.get_origin_display()),
        columns.of("Proof", lambda row: "" if row.is_proven else "none"),
    ]
    list_select_related = ["subscription__contact", "subscription__sending_list"]
    list_filter = [("account", AutocompleteSelectFilter), "decision", "origin", "is_proven"]
    search_fields = ["=subscription__contact__phone"]
    search_help_text = "A phone as +14155550101."
    ordering = ["-id"]

    def story(self, request: HttpRequest, row: SubscriptionChange, *, is_revealed: bool) -> Story:
        return people.change_story(row, may_undo=self.has_undo_permission(request), is_revealed=is_revealed)

    def has_undo_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("sendinglists.change_subscriptionchange")

    def do_undo(self, request: HttpRequest, row: SubscriptionChange, word: str) -> str:
        if not self.has_undo_permission(request):
            raise CannotDo("Undoing an opt-out needs the permission to change subscription changes.")
        if not subscriptions.undo(SubscriptionChange.objects.filter(pk=row.pk), user=request.user, now=timezone.now()):
            raise CannotDo("Only opt-outs without proof can be undone.")
        return "The opt-out is undone; the subscription is open again."


@admin.register(Suppression)
class SuppressionAdmin(SetUpPage):
    form = SuppressionForm
    list_display = [
        columns.number("phone", "Phone"),
        "account",
        columns.of("Closed for", lambda row: row.brand or "the whole account"),
        columns.of("In force", lambda row: "yes" if row.is_active else "no longer"),
        columns.when("decided_at", "Since"),
        columns.text("cause", "Because of"),
    ]
    list_select_related = ["account"]
    list_filter = [("account", AutocompleteSelectFilter), "is_active"]
    autocomplete_fields = ["account"]
    search_fields = ["=phone"]
    search_help_text = "A phone as +14155550101."
    exclude = ["request_uid"]
    ordering = ["-id"]
    is_big = True

    def get_exclude(self, request: HttpRequest, obj: Suppression | None = None) -> list[str]:
        # Shown, masked, in the story.
        return ["request_uid", "phone"] if obj else ["request_uid"]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return {"decided_at": timezone.now(), **super().get_changeform_initial_data(request)}

    def save_model(self, request: HttpRequest, obj: Suppression, form: Any, change: bool) -> None:
        # A message that is about to go waits, and sees it.
        subscriptions.lock_contacts([(obj.account_id, obj.phone)])
        super().save_model(request, obj, form, change)

    def story(self, request: HttpRequest, row: Suppression, *, is_revealed: bool) -> Story:
        return people.suppression_story(row, is_revealed=is_revealed)


@admin.register(Message)
class MessageAdmin(EvidencePage):
    list_display = [
        columns.when("created_at", "Created"),
        "public_id",
        "account",
        "sending_list",
        columns.number("to", "To"),
        columns.state("status", "Status"),
        columns.text("status_detail", "Provider's word", 30),
        columns.of("Reason", lambda row: row.get_reason_display()),
        columns.text("error_code", "Code", 20),
        columns.mark("is_test", "Test", "test"),
    ]
    list_select_related = ["account", "sending_list"]
    list_filter = [("account", AutocompleteSelectFilter), "status", "is_test"]
    search_fields = ["=public_id", "=reference", "=provider_message_id", "=to"]
    search_help_text = "A message id, reference, provider's id or phone, exactly."
    ordering = ["-id"]

    def story(self, request: HttpRequest, row: Message, *, is_revealed: bool) -> Story:
        return message_stories.message_story(row, is_revealed=is_revealed)


@admin.register(Link)
class LinkAdmin(SetUpPage):
    list_display = [
        "code",
        "account",
        "offer",
        columns.text("destination", "Own destination"),
        "message",
        "campaign",
        columns.mark("is_test", "Test", "test"),
        columns.when("expires_at", "Expires"),
    ]
    list_select_related = ["account", "offer", "message"]
    list_filter = [("account", AutocompleteSelectFilter)]
    autocomplete_fields = ["account", "offer"]
    raw_id_fields = ["message"]
    search_fields = ["=code"]
    ordering = ["-id"]
    is_big = True

    def story(self, request: HttpRequest, row: Link, *, is_revealed: bool) -> Story:
        return parties.link_story(row)
