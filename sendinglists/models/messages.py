"""Owns messages, the callbacks that this machine makes about them, short links and the hosts they are told under."""

import re

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from sendinglists.destinations import validate_click_parameter, validate_destination
from sendinglists.models.credentials import ProviderAccount
from sendinglists.models.lists import SendingList
from trackly.models import Account
from trackly.signing import new_code, new_token
from webhooks.statuses import Reason, Status


def _message_code() -> str:
    return new_code(8)


_CODE = re.compile(r"[A-Za-z0-9_-]+")


def _link_code() -> str:
    return new_code(7)


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
    # Their defaults stand in the database too: workers of the version before this one insert rows while it is rolled out.
    external_id = models.CharField(
        max_length=100, blank=True, default="", db_default="", help_text="The customer's own id of an imported one."
    )
    idempotency_key = models.CharField(
        max_length=100, blank=True, default="", db_default="", help_text="Under which the customer asked for it."
    )
    idempotency_mark = models.BinaryField(max_length=32, default=b"", db_default=b"", editable=False)
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True, help_text="When the provider accepted it.")
    # The queue of sending. Handed over without an answer (leased_until is over), it is never sent again: it may have gone.
    due_at = models.DateTimeField(null=True, blank=True, help_text="When to hand it over; empty: done, or never.")
    tries = models.PositiveSmallIntegerField(default=0, db_default=0)
    handed_at = models.DateTimeField(null=True, blank=True, help_text="When the last try began.")
    leased_until = models.DateTimeField(null=True, blank=True, help_text="Until when its answer is awaited.")
    # The queue of questions: what has no final status after a while is asked for.
    ask_at = models.DateTimeField(null=True, blank=True, help_text="When to ask the provider; empty: not any more.")
    asked = models.PositiveSmallIntegerField(default=0, db_default=0)
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


class LinkDomain(models.Model):
    """A host name of the customer's own under which short links are told: of one brand, or of the whole account.

    Nothing but short links is answered under it. New texts name it once it was seen to reach this service.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    host = models.CharField(max_length=253, unique=True, help_text="Such as go.example.com; lower case.")
    brand = models.CharField(max_length=100, blank=True, help_text="Empty: every brand without one of its own.")
    token = models.CharField(
        max_length=26, default=new_token, help_text="What the host must answer when it is checked."
    )
    checked_at = models.DateTimeField(null=True, blank=True, help_text="When it was last seen to reach this service.")
    check_cause = models.CharField(max_length=500, blank=True, help_text="Why it did not, when it was last tried.")
    created_at = models.DateTimeField(auto_now_add=True)
    removed_at = models.DateTimeField(
        null=True,
        blank=True,
        help_text="Since then nothing is answered under it; its account holds it for 30 days more.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["account", "brand"], condition=models.Q(removed_at__isnull=True), name="linkdomain_brand_once"
            )
        ]

    def __str__(self) -> str:
        return self.host
