"""Owns contracts with affiliate networks, offers, clicks and conversions."""

import re
from datetime import datetime, timedelta

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from postbacks import networks
from postbacks.verdicts import FIX, ConversionStatus, Verdict
from sendinglists.destinations import validate_click_parameter, validate_destination
from sendinglists.models import Link, Message, SendingList
from trackly.clients import parse_networks
from trackly.currencies import demand
from trackly.encryption import EncryptedField
from trackly.models import Account, AddressPolicy
from trackly.signing import new_token, token_hash

_PARAMETER = re.compile(r"[A-Za-z0-9_.-]+")


# Every process reads them again and again, between two webhooks.
MOST_ADDRESSES = 500


class NetworkConnection(models.Model):
    """One account's contract with one affiliate network, and the token its postback URL carries."""

    class DuplicateRule(models.TextChoices):
        IGNORE = "ignore", "Ignore"
        UPDATE = "update", "Update the amount"
        ADD = "add", "Add as an upsell"

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    network = models.CharField(max_length=30, choices=networks.choices)
    name = models.CharField(max_length=100)
    postback_token = EncryptedField(default=new_token)
    postback_token_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    previous_token_hash = models.BinaryField(max_length=32, null=True, unique=True, editable=False)
    previous_token_until = models.DateTimeField(null=True, blank=True)
    click_parameter = models.CharField(
        max_length=50, blank=True, help_text="Of the tracking link; empty: the network's recommended one."
    )
    currency = models.CharField(max_length=3, blank=True, help_text="Empty: the account's.")
    time_zone = models.CharField(max_length=50, blank=True, help_text="Empty: the account's.")
    status_words = models.JSONField(
        default=dict, blank=True, help_text='Words of this network: {"hold": "pending"}; overrides the built-in ones.'
    )
    duplicate_rule = models.CharField(max_length=10, choices=DuplicateRule, default=DuplicateRule.IGNORE)
    duplicate_window = models.DurationField(
        default=timedelta(minutes=10),
        help_text="Two hits without a transaction id and with one payout are one within this time.",
    )
    attribution_window = models.DurationField(default=timedelta(days=90))
    excludes_late = models.BooleanField(default=False, help_text="On: conversions after the window do not count.")
    token_only = models.BooleanField(default=False, help_text="On: only the URL with the token counts.")
    address_policy = models.CharField(max_length=10, choices=AddressPolicy, default=AddressPolicy.OFF)
    addresses = models.TextField(blank=True, help_text="One address or range a line, besides those kept by staff.")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes = [
            # The bare URL: the connections of a click's account at this network.
            models.Index(fields=["account", "network"], name="connection_network"),
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def with_token(cls, **fields: object) -> "NetworkConnection":
        """An unsaved connection with its token's hash."""
        row = cls(**fields)
        row.postback_token_hash = token_hash(row.postback_token)
        return row

    def clean(self) -> None:
        words = self.status_words
        if not isinstance(words, dict) or any(value not in ConversionStatus.values for value in words.values()):
            allowed = ", ".join(ConversionStatus.values)
            raise ValidationError({"status_words": f"Map each word to one of {allowed}."})
        demand(currency=self.currency, time_zone=self.time_zone)
        for name in ("duplicate_window", "attribution_window"):
            if getattr(self, name) is not None and getattr(self, name) < timedelta(0):
                raise ValidationError({name: "A time cannot be negative."})
        if self.click_parameter and not _PARAMETER.fullmatch(self.click_parameter):
            raise ValidationError({"click_parameter": "Letters, digits, '_', '-' and '.', as the name of a parameter."})
        # A postback's word is compared in lower case.
        self.status_words = {word.strip().lower(): value for word, value in words.items()}
        addresses = tuple(self.addresses.split())
        if len(addresses) > MOST_ADDRESSES:
            said = f"At most {MOST_ADDRESSES} addresses or ranges; write a range instead of its addresses."
            raise ValidationError({"addresses": said})
        try:
            parse_networks(addresses)
        except ValueError as error:
            raise ValidationError({"addresses": str(error)}) from error

    def rotate_token(self, *, until: datetime) -> None:
        """A new postback token; the old one stays valid until then, and one before it no more. Does not save."""
        self.previous_token_hash = self.postback_token_hash
        self.previous_token_until = until
        self.postback_token = new_token()
        self.postback_token_hash = token_hash(self.postback_token)

    @property
    def click_parameters(self) -> tuple[str, ...]:
        """Under which names the tracking link carries our click id, best first."""
        if self.click_parameter:
            return (self.click_parameter,)
        adapter = networks.get(self.network)
        return tuple(adapter.click_parameters) if adapter else ()


class Offer(models.Model):
    """What a link leads to, and what a conversion of it is worth when the postback does not say."""

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        PAUSED = "paused", "Paused"
        ARCHIVED = "archived", "Archived"

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    connection = models.ForeignKey(NetworkConnection, null=True, blank=True, on_delete=models.PROTECT)
    name = models.CharField(max_length=255)
    destination = models.CharField(max_length=2000, validators=[validate_destination])
    default_payout = models.DecimalField(max_digits=18, decimal_places=6, null=True, blank=True)
    ceiling = models.DecimalField(
        max_digits=18, decimal_places=6, null=True, blank=True,
        help_text="The most an unverified postback may count by itself; empty: the account's ceiling.",
    )  # fmt: skip
    attribution_window = models.DurationField(null=True, blank=True, help_text="Empty: the connection's.")
    status = models.CharField(max_length=10, choices=State, default=State.ACTIVE)
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        validate_click_parameter(self.destination, self.connection.click_parameters if self.connection else ())


class Click(models.Model):
    """One opening of a short link, with a click id of its own.

    Not partitioned: judging a postback locks this row, a conversion refers to it, and on-hold conversions arrive months
    late. What dedupe needs never sits in a table that expires.
    """

    click_id = models.CharField(max_length=64, unique=True, default=new_token)
    account = models.ForeignKey(Account, on_delete=models.CASCADE, db_index=False)
    link = models.ForeignKey(Link, on_delete=models.PROTECT, db_index=False)
    offer = models.ForeignKey(Offer, null=True, on_delete=models.PROTECT)
    message = models.ForeignKey(Message, null=True, on_delete=models.PROTECT)
    sending_list = models.ForeignKey(SendingList, null=True, on_delete=models.PROTECT)
    at = models.DateTimeField()
    address = models.CharField(max_length=45, blank=True)
    user_agent = models.CharField(max_length=500, blank=True)
    bot = models.CharField(max_length=30, blank=True, help_text="Why it is taken for a machine; empty: a person.")
    is_test = models.BooleanField(default=False)
    is_counted = models.BooleanField(default=False, help_text="The first opening of its message by a person.")
    is_tallied = models.BooleanField(default=False, help_text="It stands in the hourly totals.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["message"], condition=Q(is_counted=True, message__isnull=False), name="click_counted_once"
            )
        ]
        indexes = [
            # The newest clicks of an account.
            models.Index(fields=["account", "-id"], name="click_account"),
            # The newest clicks of a link.
            models.Index(fields=["link", "-id"], name="click_link"),
            # The worker's tally of clicks not yet in the totals.
            models.Index(fields=["id"], condition=Q(is_tallied=False), name="click_untallied"),
        ]

    def __str__(self) -> str:
        return self.click_id


class Conversion(models.Model):
    """One postback, judged. Those that do not count stand here too, with their verdict and their money."""

    class Kind(models.TextChoices):
        NONE = "", "Does not count"
        CONVERSION = "conversion", "Conversion"
        UPSELL = "upsell", "Upsell"
        ADJUSTMENT = "adjustment", "Adjustment"

    request_uid = models.UUIDField(help_text="The inbound request it came in.")
    item = models.PositiveSmallIntegerField(default=0, help_text="Its place in that request.")
    received_at = models.DateTimeField()
    judged_at = models.DateTimeField(null=True)
    network = models.CharField(max_length=30)
    account = models.ForeignKey(
        Account, null=True, on_delete=models.CASCADE, db_index=False, help_text="Empty: unrouted."
    )
    bound_account = models.ForeignKey(
        Account, null=True, on_delete=models.CASCADE, related_name="+", help_text="The account its URL named, if any."
    )
    connection = models.ForeignKey(NetworkConnection, null=True, on_delete=models.PROTECT, db_index=False)
    click = models.ForeignKey(Click, null=True, on_delete=models.PROTECT)
    offer = models.ForeignKey(Offer, null=True, on_delete=models.PROTECT)
    message = models.ForeignKey(Message, null=True, on_delete=models.PROTECT)
    sending_list = models.ForeignKey(SendingList, null=True, on_delete=models.PROTECT)
    original = models.ForeignKey("self", null=True, on_delete=models.PROTECT, help_text="What it repeats or changes.")
    click_ref = models.CharField("click id", max_length=64, blank=True, help_text="As reported, in lower case.")
    click_text = models.CharField(max_length=200, blank=True)
    transaction_id = models.CharField(max_length=255, blank=True)
    event = models.CharField(max_length=100, blank=True, help_text="Event or goal id; empty: the base conversion.")
    event_name = models.CharField(max_length=200, blank=True)
    offer_ref = models.CharField(max_length=100, blank=True)
    status_word = models.CharField(max_length=64, blank=True, help_text="The network's word.")
    status = models.CharField(max_length=10, choices=ConversionStatus, default=ConversionStatus.APPROVED)
    reported_payout = models.DecimalField(max_digits=18, decimal_places=6, null=True, help_text="Empty: none was sent.")
    payout = models.DecimalField(max_digits=18, decimal_places=6, null=True, help_text="What counts.")
    payout_text = models.CharField(max_length=64, blank=True)
    currency = models.CharField(max_length=3, blank=True)
    stated_currency = models.CharField(
        max_length=3, blank=True, help_text="Its own; an update may have given what counts another one."
    )
    flags = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    verdict = models.CharField(max_length=24, choices=Verdict, default=Verdict.WAITING)
    detail = models.CharField(max_length=300, blank=True)
    refusal = models.CharField(
        max_length=24, blank=True, help_text="The verdict its secret, address or scheme earned; empty: none."
    )
    kind = models.CharField(max_length=12, choices=Kind, default=Kind.NONE, blank=True)
    ordinal = models.PositiveIntegerField(default=0)
    key = models.BinaryField(max_length=32, null=True, editable=False)
    is_verified = models.BooleanField(default=False, help_text="It came with the connection's token.")
    is_accepted = models.BooleanField(default=False, help_text="The owner let it count.")
    is_test = models.BooleanField(default=False)
    is_late = models.BooleanField(default=False)
    query = models.BinaryField(help_text="The query, and a POST's body, as they came.")
    reply = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["request_uid", "item"], name="conversion_hit_once"),
            # The backstop of judging under a lock: what counts, counts once.
            models.UniqueConstraint(fields=["key", "kind", "ordinal"], name="conversion_counted_once"),
            models.CheckConstraint(condition=Q(kind="") | Q(key__isnull=False), name="conversion_counted_has_key"),
        ]
        indexes = [
            # The newest conversions of an account.
            models.Index(fields=["account", "-id"], name="conversion_account"),
            # The newest conversions of a connection.
            models.Index(fields=["connection", "-id"], name="conversion_connection"),
            # Support: the hits that named this click id, when it is none of ours.
            models.Index(
                fields=["click_ref"], condition=Q(click__isnull=True) & ~Q(click_ref=""), name="conversion_stranger"
            ),
            # What an account earned in a span of time, by offer, connection and list, from the index alone.
            models.Index(
                fields=["account", "received_at"],
                include=["offer", "connection", "sending_list", "click", "status", "currency", "payout", "is_verified"],
                condition=~Q(kind="") & Q(is_test=False),
                name="conversion_earned",
            ),
            # Every earlier hit of this click, judged against each other.
            models.Index(fields=["click", "id"], name="conversion_click"),
            # The sweep: hits whose click was not known, oldest first.
            models.Index(
                fields=["received_at", "id"],
                condition=Q(verdict=Verdict.UNKNOWN_CLICK),
                name="conversion_unmatched",
            ),
            # The sweep: hits whose status word is not mapped, oldest first.
            models.Index(
                fields=["received_at", "id"],
                condition=Q(verdict=Verdict.STATUS_UNMAPPED),
                name="conversion_unmapped",
            ),
            # "The network says transaction X fired."
            models.Index(fields=["transaction_id"], condition=~Q(transaction_id=""), name="conversion_transaction"),
        ]

    def __str__(self) -> str:
        return f"{self.verdict} {self.click_text or self.pk}"

    @property
    def fix(self) -> str:
        """What to do about the verdict, in words; '' when there is nothing to do."""
        return self.detail or FIX.get(Verdict(self.verdict), "")
