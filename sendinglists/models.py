"""Owns credentials at providers, sending lists, contacts and their subscriptions, messages and short links."""

import re
from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q

from sendinglists.destinations import validate_click_parameter, validate_destination
from trackly.encryption import EncryptedField
from trackly.models import Account, AddressPolicy
from trackly.redaction import mask_phone
from trackly.signing import new_code, new_token, token_hash
from webhooks import providers
from webhooks.orders import StepState
from webhooks.statuses import Decision, Reason, Status


def _message_code() -> str:
    return new_code(8)


_CODE = re.compile(r"[A-Za-z0-9_-]+")


def _link_code() -> str:
    return new_code(7)


class ProviderAccount(models.Model):
    """One credential set at one provider, and the callback token its webhooks carry."""

    class WebhookState(models.TextChoices):
        UNSET = "unset", "Not configured"
        WORKING = "working", "Being configured"
        BY_HAND = "by_hand", "Waiting for the first callback"
        CONFIGURED = "configured", "Configured"
        FAILED = "failed", "Configuration failed"
        REMOVED = "removed", "Taken back at the provider"

    class SetupTask(models.TextChoices):
        NONE = "", "Nothing"
        CONFIGURE = "configure", "Configure"
        REMOVE = "remove", "Take back"

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    provider = models.CharField(max_length=30, choices=providers.choices)
    name = models.CharField(max_length=100)
    credentials = EncryptedField(
        default=list, help_text='[{"values": {...}, "until": ISO time or null}], newest first; several while rotating.'
    )
    vendor_account = models.CharField(
        max_length=100, blank=True, help_text="The provider's own account id, by which the bare URL finds this row."
    )
    callback_token = EncryptedField(default=new_token)
    callback_token_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    previous_token_hash = models.BinaryField(max_length=32, null=True, unique=True, editable=False)
    previous_token_until = models.DateTimeField(null=True, blank=True)
    demands_authentication = models.BooleanField(
        default=True, help_text="Off: opt-outs and reports are believed from anybody who knows the account id."
    )
    address_policy = models.CharField(max_length=10, choices=AddressPolicy, default=AddressPolicy.OFF)
    webhook_state = models.CharField(max_length=12, choices=WebhookState, default=WebhookState.UNSET)
    webhook_state_at = models.DateTimeField(null=True, blank=True)
    webhook_state_cause = models.CharField(max_length=500, blank=True)
    configured_url = EncryptedField(default=str, help_text="What the provider was told; it may hold a token.")
    numbers = models.JSONField(
        default=list, blank=True, help_text="Those the provider listed last: {number, name, can_receive}."
    )
    checked_at = models.DateTimeField(null=True, blank=True, help_text="When the provider last took the credentials.")
    check_cause = models.CharField(max_length=500, blank=True, help_text="What was wrong with them; empty: nothing.")
    # The queue of configuration: what is to be done, when, and until when somebody is at it.
    setup_task = models.CharField(max_length=10, choices=SetupTask, default=SetupTask.NONE, blank=True)
    setup_due_at = models.DateTimeField(null=True, blank=True)
    setup_tries = models.PositiveSmallIntegerField(default=0)
    setup_leased_until = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(
        null=True, blank=True, help_text="Since then nothing is sent with it; what still arrives is still taken."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            # The bare URL: which accounts is the one named in the payload?
            models.Index(fields=["provider", "vendor_account"], name="provideraccount_vendor"),
            # What is to be configured now?
            models.Index(fields=["setup_due_at"], condition=~Q(setup_task=""), name="provideraccount_setup"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.provider})"

    @classmethod
    def with_settings(cls, *, settings: dict[str, str], **fields: Any) -> "ProviderAccount":
        """An unsaved account with one credential set, and what follows from it."""
        row = cls(**fields)
        row.credentials = [{"values": settings, "until": None}]
        adapter = providers.get(row.provider)
        row.vendor_account = adapter.known_as(settings) if adapter else ""
        row.callback_token_hash = token_hash(row.callback_token)
        return row

    @property
    def settings(self) -> dict[str, str]:
        """The newest credential set; empty when there is none."""
        return dict(self.credentials[0]["values"]) if self.credentials else {}

    def rotate_token(self, *, until: datetime) -> None:
        """A new callback token; the old one stays valid until then. Does not save."""
        self.previous_token_hash = self.callback_token_hash
        self.previous_token_until = until
        self.callback_token = new_token()
        self.callback_token_hash = token_hash(self.callback_token)


class SetupStep(models.Model):
    """One thing that is configured at the provider so that its callbacks reach us, and how that ended last."""

    provider_account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE, related_name="steps")
    key = models.CharField(max_length=100)
    position = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=200)
    state = models.CharField(max_length=10, choices=StepState, default=StepState.WAITING)
    said = models.CharField(max_length=1000, blank=True)
    fix = models.CharField(max_length=1000, blank=True, help_text="What a person should do; empty: nothing.")
    at = models.DateTimeField(null=True, help_text="When it was last tried.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider_account", "key"], name="setupstep_once")]

    def __str__(self) -> str:
        return f"{self.title}: {self.state}"


class SendingList(models.Model):
    """One sending number at a provider account. Paused and deleted lists still accept reports and STOP."""

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        SUSPENDED = "suspended", "Suspended"
        DELETED = "deleted", "Deleted"

    class Scope(models.TextChoices):
        LIST = "list", "This list"
        BRAND = "brand", "Every list of the brand"
        ACCOUNT = "account", "The whole account"

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    provider_account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT)
    name = models.CharField(max_length=100)
    brand = models.CharField(max_length=100, blank=True)
    number = models.CharField(max_length=32, help_text="E.164, or a short code.")
    status = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    opt_out_scope = models.CharField("STOP closes", max_length=10, choices=Scope, default=Scope.LIST)
    messages_per_minute = models.PositiveIntegerField(
        default=17_000, validators=[MinValueValidator(1)], help_text="How fast it sends at most."
    )
    next_slot_at = models.DateTimeField(
        null=True, editable=False, help_text="When its next message may go, by that speed; empty: now."
    )
    records_external = models.BooleanField(
        "messages from reports",
        default=False,
        help_text="On: a report about a message we did not send, from this number, makes a message marked external.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            # Also serves: to which list was this reply sent?
            models.UniqueConstraint(fields=["provider_account", "number"], name="sendinglist_number_once")
        ]

    def __str__(self) -> str:
        return self.name


class Contact(models.Model):
    """A phone number an account knows."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, db_index=False)
    phone = models.CharField(max_length=32, help_text="E.164.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "phone"], name="contact_once")]
        indexes = [
            # The newest contacts of an account.
            models.Index(fields=["account", "-id"], name="contact_account"),
            # Support: who has this phone, in any account?
            models.Index(fields=["phone"], name="contact_phone"),
        ]

    def __str__(self) -> str:
        return mask_phone(self.phone)


class Subscription(models.Model):
    """A contact on one list. Its state is the latest of its changes by the provider's time; ties opt out."""

    class State(models.TextChoices):
        SUBSCRIBED = "subscribed", "Subscribed"
        OPTED_OUT = "opted_out", "Opted out"

    account = models.ForeignKey(Account, on_delete=models.CASCADE, db_index=False)
    contact = models.ForeignKey(Contact, on_delete=models.CASCADE)
    sending_list = models.ForeignKey(SendingList, on_delete=models.CASCADE)
    state = models.CharField(max_length=10, choices=State, default=State.SUBSCRIBED)
    decided_at = models.DateTimeField(null=True, blank=True, help_text="Empty: nobody decided anything yet.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["contact", "sending_list"], name="subscription_once")]
        indexes = [
            # The newest subscriptions of an account.
            models.Index(fields=["account", "-id"], name="subscription_account"),
        ]

    def __str__(self) -> str:
        return f"{self.contact} on {self.sending_list}: {self.state}"


class SubscriptionChange(models.Model):
    """One decision about a subscription, kept for ever: who asks why gets an answer."""

    class Origin(models.TextChoices):
        REPLY = "reply", "Reply"
        API = "api", "API"
        FILE = "file", "Imported file"
        BLOCK_LIST = "block_list", "Block list of the provider"
        VENDOR_CODE = "vendor_code", "Error code of the provider"
        STAFF = "staff", "Undone by staff"

    account = models.ForeignKey(Account, on_delete=models.CASCADE, db_index=False)
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE)
    decision = models.CharField(max_length=10, choices=Decision)
    at = models.DateTimeField(help_text="The provider's time, else when we received it.")
    origin = models.CharField(max_length=12, choices=Origin)
    is_proven = models.BooleanField(default=True, help_text="False: it came without authentication.")
    fingerprint = models.BinaryField(max_length=32, editable=False)
    request_uid = models.UUIDField(null=True, help_text="The inbound request it came in.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["subscription", "fingerprint"], name="subscriptionchange_once")]
        indexes = [
            # The newest opt-outs and opt-ins of an account.
            models.Index(fields=["account", "-id"], name="subscriptionchange_account"),
        ]

    def __str__(self) -> str:
        return f"{self.decision} by {self.origin}"


class Suppression(models.Model):
    """A number closed for a brand, or for the whole account; asked before every send."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, db_index=False)
    brand = models.CharField(max_length=100, blank=True, help_text="Empty: the whole account.")
    phone = models.CharField(max_length=32)
    is_active = models.BooleanField(default=True)
    decided_at = models.DateTimeField()
    cause = models.CharField(max_length=200)
    request_uid = models.UUIDField(null=True)

    class Meta:
        constraints = [
            # Also serves: may this number get a message?
            models.UniqueConstraint(fields=["account", "phone", "brand"], name="suppression_once")
        ]
        indexes = [
            # The newest suppressions of an account.
            models.Index(fields=["account", "-id"], name="suppression_account"),
            # Support: where is this phone closed?
            models.Index(fields=["phone"], name="suppression_phone"),
        ]

    def __str__(self) -> str:
        return f"{mask_phone(self.phone)} in {self.brand or 'the whole account'}"


class Message(models.Model):
    """One SMS. Its status is the greatest of its delivery events (webhooks/statuses.py), kept here as a copy."""

    public_id = models.CharField(max_length=8, unique=True, default=_message_code, help_text="For people.")
    reference = models.CharField(
        max_length=64, unique=True, default=new_token, help_text="For the provider; known to nobody else."
    )
    account = models.ForeignKey(Account, on_delete=models.CASCADE, db_index=False)
    provider_account = models.ForeignKey(ProviderAccount, on_delete=models.PROTECT)
    sending_list = models.ForeignKey(SendingList, null=True, blank=True, on_delete=models.PROTECT)
    campaign = models.CharField(max_length=100, blank=True)
    to = models.CharField(max_length=32, help_text="E.164.")
    body = models.TextField(blank=True)
    provider_message_id = models.CharField(max_length=200, blank=True)
    segments = models.PositiveSmallIntegerField(null=True, blank=True)
    cost = models.DecimalField(max_digits=18, decimal_places=6, null=True, blank=True)
    cost_currency = models.CharField(max_length=3, blank=True)
    is_test = models.BooleanField(default=False)
    is_external = models.BooleanField(default=False, help_text="Sent from elsewhere; we only know its reports.")
    external_id = models.CharField(max_length=100, blank=True, help_text="The customer's own id of an imported one.")
    idempotency_key = models.CharField(max_length=100, blank=True, help_text="Under which the customer asked for it.")
    idempotency_mark = models.BinaryField(max_length=32, default=b"", editable=False)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When the provider accepted it.")
    # The queue of sending. Handed over without an answer (leased_until is over), it is never sent again: it may have gone.
    due_at = models.DateTimeField(null=True, blank=True, help_text="When to hand it over; empty: done, or never.")
    tries = models.PositiveSmallIntegerField(default=0)
    handed_at = models.DateTimeField(null=True, blank=True, help_text="When the last try began.")
    leased_until = models.DateTimeField(null=True, blank=True, help_text="Until when its answer is awaited.")
    # The queue of questions: what has no final status after a while is asked for.
    ask_at = models.DateTimeField(null=True, blank=True, help_text="When to ask the provider; empty: not any more.")
    asked = models.PositiveSmallIntegerField(default=0)
    status = models.CharField(max_length=12, choices=Status, default=Status.QUEUED)
    status_detail = models.CharField(max_length=100, blank=True, help_text="The provider's own word.")
    status_at = models.DateTimeField(null=True, blank=True, help_text="The provider's time; empty: it sent none.")
    status_code = models.CharField(max_length=32, blank=True)
    status_mark = models.BinaryField(max_length=32, default=b"", editable=False)
    # The greatest report that names an error: 'delivered' later does not erase why it first failed.
    error_status = models.CharField(max_length=12, choices=Status, blank=True)
    error_at = models.DateTimeField(null=True, blank=True)
    error_mark = models.BinaryField(max_length=32, default=b"", editable=False)
    error_vendor_code = models.CharField(max_length=32, blank=True)
    error_code = models.CharField(max_length=32, blank=True)
    error_text = models.CharField(max_length=500, blank=True)
    reason = models.CharField(max_length=16, choices=Reason, blank=True)

    class Meta:
        constraints = [
            # Also serves: which message does this report speak of?
            models.UniqueConstraint(
                fields=["provider_account", "provider_message_id"],
                condition=~Q(provider_message_id=""),
                name="message_provider_id_once",
            ),
            models.UniqueConstraint(
                fields=["account", "external_id"], condition=~Q(external_id=""), name="message_external_id_once"
            ),
            models.UniqueConstraint(
                fields=["account", "idempotency_key"], condition=~Q(idempotency_key=""), name="message_idempotency_once"
            ),
        ]
        indexes = [
            # What may a list send now?
            models.Index(fields=["sending_list", "due_at"], condition=Q(due_at__isnull=False), name="message_due"),
            # Whose answer never came?
            models.Index(fields=["leased_until"], condition=Q(leased_until__isnull=False), name="message_leased"),
            # What is to be asked for now?
            models.Index(fields=["ask_at"], condition=Q(ask_at__isnull=False), name="message_ask"),
            # The newest messages of an account.
            models.Index(fields=["account", "-id"], name="message_account"),
            # Every message to this phone.
            models.Index(fields=["to", "-id"], name="message_to"),
            # Support: a provider's message id from a ticket names no provider account.
            models.Index(
                fields=["provider_message_id"], condition=~Q(provider_message_id=""), name="message_provider_id"
            ),
        ]

    def __str__(self) -> str:
        return self.public_id


class Echo(models.Model):
    """A callback to come from a provider that lives on this machine; gone when it was made."""

    message = models.ForeignKey(Message, on_delete=models.CASCADE, db_index=False)
    body = models.BinaryField()
    due_at = models.DateTimeField()
    tries = models.PositiveSmallIntegerField(default=0)
    leased_until = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "echoes"
        indexes = [
            # What is to be called back now?
            models.Index(fields=["due_at"], name="echo_due"),
        ]

    def __str__(self) -> str:
        return f"callback about {self.message}"


class Link(models.Model):
    """A short code that leads to an offer or to a destination of its own."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, db_index=False)
    code = models.CharField(max_length=32, unique=True, default=_link_code)
    offer = models.ForeignKey("postbacks.Offer", null=True, blank=True, on_delete=models.PROTECT)
    destination = models.CharField(
        max_length=2000, blank=True, validators=[validate_destination], help_text="When there is no offer."
    )
    message = models.ForeignKey(Message, null=True, blank=True, on_delete=models.CASCADE)
    campaign = models.CharField(max_length=100, blank=True)
    is_test = models.BooleanField(default=False)
    expires_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            # The newest links of an account.
            models.Index(fields=["account", "-id"], name="link_account"),
        ]
        constraints = [
            models.CheckConstraint(
                condition=Q(offer__isnull=False, destination="") | Q(offer__isnull=True) & ~Q(destination=""),
                name="link_leads_to_one_place",
            )
        ]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        if not _CODE.fullmatch(self.code):
            raise ValidationError({"code": "Letters, digits, '_' and '-' only: it stands in an address."})
        # An offer's own address is looked at with its network's parameter when the offer is saved.
        if self.destination:
            validate_click_parameter(self.destination, ())
