"""Owns sending lists, contacts, and who may be written to: subscriptions, their changes, suppressions."""

from django.core.validators import MinValueValidator
from django.db import models

from sendinglists.models.credentials import ProviderAccount
from trackly.models import Account
from trackly.redaction import mask_phone
from webhooks.statuses import Decision


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
        PERSON = "person", "A person"

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
