"""Owns credentials at providers, and what is configured there with them."""

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Q

from trackly.encryption import EncryptedField
from trackly.models import Account, AddressPolicy
from trackly.signing import new_token, token_hash
from webhooks import providers
from webhooks.orders import StepState


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
        return f"{self.name} ({self.get_provider_display()})"

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
