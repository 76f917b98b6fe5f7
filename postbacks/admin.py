"""Owns the admin pages of network connections, offers, clicks and conversions, and what may be done about a judged hit."""

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from unfold.contrib.filters.admin import AutocompleteSelectFilter

from postbacks import bots, correcting, networks
from postbacks.correcting import CannotCorrect
from postbacks.models import Click, Conversion, NetworkConnection, Offer
from trackly.showing import Badge, Shown, counted, money, short
from trackly.signing import token_hash
from trackly.stories import Story, parties
from trackly.stories import conversions as stories
from trackly.support import columns
from trackly.support.confirming import ask, is_unsure
from trackly.support.filters import known
from trackly.support.pages import CannotDo, EvidencePage, SetUpPage


@admin.register(NetworkConnection)
class NetworkConnectionAdmin(SetUpPage):
    list_display = [
        "name",
        "account",
        "network",
        columns.of("Repeated hits", lambda row: row.get_duplicate_rule_display()),
        columns.of("Without the token", lambda row: "does not count" if row.token_only else "counts as unverified"),
        columns.of("Addresses", lambda row: row.get_address_policy_display()),
    ]
    list_select_related = ["account"]
    list_filter = [("account", AutocompleteSelectFilter), "network"]
    autocomplete_fields = ["account"]
    search_fields = ["name"]
    exclude = ["previous_token_until", "postback_token"]
    ordering = ["-id"]
    source = "postback"

    def story(self, request: HttpRequest, row: NetworkConnection, *, is_revealed: bool) -> Story:
        return parties.connection_story(row, is_revealed=is_revealed)

    def get_readonly_fields(self, request: HttpRequest, obj: NetworkConnection | None = None) -> Any:
        # Its URL names the network, its hits the account.
        return ["account", "network"] if obj else []

    def save_model(self, request: HttpRequest, obj: NetworkConnection, form: Any, change: bool) -> None:
        obj.postback_token_hash = token_hash(obj.postback_token)
        super().save_model(request, obj, form, change)


@admin.register(Offer)
class OfferAdmin(SetUpPage):
    list_display = [
        "name",
        "account",
        "connection",
        columns.of("Default payout", lambda row: money(row.default_payout, "")),
        columns.of("Ceiling", lambda row: money(row.ceiling, "")),
        columns.state("status", "Status"),
    ]
    list_select_related = ["account", "connection"]
    list_filter = [("account", AutocompleteSelectFilter), "status"]
    autocomplete_fields = ["account", "connection"]
    search_fields = ["name"]
    ordering = ["-id"]

    def story(self, request: HttpRequest, row: Offer, *, is_revealed: bool) -> Story:
        return parties.offer_story(row)


@admin.register(Click)
class ClickAdmin(EvidencePage):
    list_display = [
        columns.when("at", "When"),
        "account",
        columns.text("click_id", "Click id", 30),
        "link",
        "offer",
        columns.of("Who", lambda row: Badge(f"Machine: {row.bot}", "note") if row.bot else Badge("Person", "good")),
        columns.mark("is_counted", "Counted", "counted"),
        columns.mark("is_test", "Test", "test"),
    ]
    list_select_related = ["account", "link", "offer"]
    list_filter = [("account", AutocompleteSelectFilter), ("bot", known(bots.choices)), "is_test"]
    search_fields = ["=click_id", "=link__code"]
    search_help_text = "A click id, or the code of a short link."
    ordering = ["-id"]

    def story(self, request: HttpRequest, row: Click, *, is_revealed: bool) -> Story:
        return stories.click_story(row, is_revealed=is_revealed)


class UnroutedFilter(admin.SimpleListFilter):
    """Hits that belong to nobody yet, with their money."""

    title = "routing"
    parameter_name = "routed"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("no", "Unrouted: names no account")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Conversion]) -> QuerySet[Conversion]:
        return queryset.filter(account__isnull=True) if self.value() == "no" else queryset


@admin.action(description="Accept: let held and refused hits count", permissions=["correct"])
def accept(page: "ConversionAdmin", request: HttpRequest, queryset: QuerySet[Conversion]) -> HttpResponse | None:
    if is_unsure(request):
        return ask(page, request, queryset, label="Accept", example=_example)
    n = len(correcting.accept(queryset, user=request.user, now=timezone.now()))
    said = f"{counted(n, 'held or refused hit')} {'was' if n == 1 else 'were'} accepted and judged again."
    page.message_user(request, said, messages.SUCCESS if n else messages.WARNING)
    return None


@admin.action(description="Mark as test: count in no total", permissions=["correct"])
def mark_as_test(page: "ConversionAdmin", request: HttpRequest, queryset: QuerySet[Conversion]) -> HttpResponse | None:
    if is_unsure(request):
        return ask(page, request, queryset, label="Mark as test", example=_example)
    n = correcting.mark_as_test(queryset, user=request.user, now=timezone.now())
    said = f"{counted(n, 'hit')} {'is a test' if n == 1 else 'are tests'} now and in no total."
    page.message_user(request, said, messages.SUCCESS if n else messages.WARNING)
    return None


def _example(row: Conversion) -> tuple[Shown, ...]:
    return row.received_at, row.get_verdict_display(), money(row.payout, row.currency), short(row.transaction_id)


@admin.register(Conversion)
class ConversionAdmin(EvidencePage):
    list_display = [
        columns.when("received_at", "Received"),
        columns.of("Account", lambda row: row.account or "unrouted"),
        columns.of("Connection", lambda row: row.connection or row.network),
        columns.state("verdict", "Verdict"),
        columns.amount("payout", "currency", "Payout"),
        columns.state("status", "Status"),
        columns.of("Proof", lambda row: "token" if row.is_verified else "accepted" if row.is_accepted else "none"),
        columns.text("click_text", "Click id", 26),
        columns.text("transaction_id", "Transaction", 30),
    ]
    list_select_related = ["account", "connection"]
    list_filter = [
        UnroutedFilter,
        ("account", AutocompleteSelectFilter),
        ("connection", AutocompleteSelectFilter),
        "verdict",
        ("network", known(networks.choices)),
        "status",
        "is_verified",
        "is_late",
        "is_test",
    ]
    search_fields = ["=click_ref", "=transaction_id"]
    search_help_text = "A click id or a transaction id, exactly."
    ordering = ["-id"]
    actions = [accept, mark_as_test]
    # Each has an index of its own.
    indexed = ("account", "connection", "routed", "q")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # No list shows the token, and decrypting it takes longer than reading the row.
        return super().get_queryset(request).defer("connection__postback_token")

    def found(self, term: str) -> Q:
        word = term.lower()
        ours = list(Click.objects.filter(click_id=word).values_list("pk", flat=True))
        return Q(click__in=ours) | Q(click__isnull=True, click_ref=word) | Q(transaction_id=term)

    def story(self, request: HttpRequest, row: Conversion, *, is_revealed: bool) -> Story:
        return stories.conversion_story(row, may_change=self.has_correct_permission(request), is_revealed=is_revealed)

    def has_correct_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("postbacks.change_conversion")

    # --- what may be done about one

    def do_accept(self, request: HttpRequest, row: Conversion, word: str) -> str:
        self._demand(request)
        if not correcting.accept(Conversion.objects.filter(pk=row.pk), user=request.user, now=timezone.now()):
            raise CannotDo("Only held and refused hits can be accepted.")
        row.refresh_from_db()
        return f"Accepted and judged again: {row.get_verdict_display().lower()}."

    def do_assign(self, request: HttpRequest, row: Conversion, word: str) -> str:
        self._demand(request)
        connection = NetworkConnection.objects.filter(pk=word).first() if word.isascii() and word.isdigit() else None
        if connection is None:
            raise CannotDo("Choose the connection it belongs to.")
        verdict = _corrected(correcting.assign, row, connection, user=request.user, now=timezone.now())
        return f"Assigned to {connection.name} and judged: {verdict.label.lower()}."

    def do_match(self, request: HttpRequest, row: Conversion, word: str) -> str:
        self._demand(request)
        click = Click.objects.filter(click_id=word.lower()).first()
        if click is None:
            raise CannotDo(
                f"There is no click '{word[:64]}'. Its id stands on the click's page and in the tracking link."
            )
        verdict = _corrected(correcting.match, row, click, user=request.user, now=timezone.now())
        return f"Matched with the click and judged: {verdict.label.lower()}."

    def do_reject(self, request: HttpRequest, row: Conversion, word: str) -> str:
        self._demand(request)
        _corrected(correcting.reject, row, user=request.user, now=timezone.now(), reason=word)
        return "Rejected: it earns nothing, and no later word of the network changes that."

    def do_approve(self, request: HttpRequest, row: Conversion, word: str) -> str:
        self._demand(request)
        _corrected(correcting.approve, row, user=request.user, now=timezone.now())
        row.refresh_from_db()
        return f"The rejection is taken back: {row.get_verdict_display().lower()}, {row.get_status_display().lower()}."

    def do_promote(self, request: HttpRequest, row: Conversion, word: str) -> str:
        self._demand(request)
        _corrected(correcting.promote, row, user=request.user, now=timezone.now())
        return "It counts as a further sale now."

    def do_test(self, request: HttpRequest, row: Conversion, word: str) -> str:
        self._demand(request)
        if not word:
            raise CannotDo("Say why it is a test: it cannot be undone, and the reason stays with it.")
        chosen = Conversion.objects.filter(pk=row.pk)
        if not correcting.mark_as_test(chosen, user=request.user, now=timezone.now(), reason=word):
            raise CannotDo("It is a test already.")
        return "It is a test now and counts in no total."

    def _demand(self, request: HttpRequest) -> None:
        if not self.has_correct_permission(request):
            raise CannotDo("Changing what a hit counts as needs the permission to change conversions.")


def _corrected(verb: Any, *args: Any, **kwargs: Any) -> Any:
    try:
        return verb(*args, **kwargs)
    except CannotCorrect as error:
        raise CannotDo(str(error)) from error
