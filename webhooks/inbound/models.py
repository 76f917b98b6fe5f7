"""Owns the inbox (one row an HTTP request, as it came) and what its webhooks said: events, parked reports, replies."""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from uuid import UUID

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q

from sendinglists.models import Message, ProviderAccount, SendingList
from trackly.models import Account
from trackly.redaction import mask_phone
from webhooks import providers
from webhooks.statuses import Decision, Origin, Reason, Status


class Source(models.TextChoices):
    WEBHOOK = "webhook", "SMS provider"
    POSTBACK = "postback", "Affiliate network"


class State(models.TextChoices):
    """Where a request stands. Refused covers unreadable: nothing of it had an effect."""

    WAITING = "waiting", "Waiting"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    REFUSED = "refused", "Refused"
    DISCARDED = "discarded", "Discarded"


class Cause(models.TextChoices):
    """Why a request was refused; the postback ones are also verdicts."""

    NONE = "", "Not refused"
    BAD_TOKEN = "bad_secret", "Wrong or withdrawn token in the URL"
    BAD_SIGNATURE = "bad_signature", "Signature or credentials do not match"
    UNPROVEN = "unproven", "Nothing proves who sent it"
    ADDRESS = "ip_not_allowed", "Address not on the list"
    PLAIN_HTTP = "plain_http", "Sent over plain http"
    UNREADABLE = "unreadable", "Body not readable"
    UNKNOWN_ACCOUNT = "unknown_account", "No such account"
    WRONG_ACCOUNT = "wrong_account", "Token and account do not belong together"


class Proof(models.TextChoices):
    """What showed that a request may speak for its provider account or connection."""

    NONE = "", "Nothing"
    TOKEN = "token", "Token in the URL"
    SIGNATURE = "signature", "Signature or credentials"
    REFERENCE = "reference", "It names our secret reference"
    WAIVED = "waived", "The owner demands no proof"


class Standing(models.TextChoices):
    """How a judged request stands in the totals, where that is not the cause of its refusal."""

    ACCEPTED = "accepted", "Accepted"
    FAILED = "failed", "Failed"
    DISCARDED = "discarded", "Discarded"
    PROBE = "probe", "Probe"
    OVER_QUOTA = "over_quota", "Not kept, over the quota"


# The log of failures. Done and yet refused: a postback judged and not counted, or a batch with items that made no sense.
FAILED = Q(state__in=["failed", "refused"]) | Q(state="done") & ~Q(refusal="") | Q(state="waiting", attempts__gt=0)


class InboundRequestQuerySet(models.QuerySet["InboundRequest"]):
    def by_uid(self, uid: UUID, source: str = "") -> "InboundRequestQuerySet":
        """The row of this uid, found in its one partition: a uid carries its receive time. Without `source`, one of each."""
        found = self.filter(uid=uid, received_at=time_of(uid))
        return found.filter(source=source) if source else found


class InboundRequest(models.Model):
    """One HTTP request as it came. A queue, a log and the evidence in one table; partitioned by source and time.

    The primary key in SQL is (received_at, uid, source), so that it also reads the newest first, of both sources as of one;
    uid alone is unique by construction and the key in Django's eyes. Sources are partitions of their own because they are
    kept for different times.
    """

    uid = models.UUIDField(primary_key=True)
    received_at = models.DateTimeField(help_text="To the millisecond, the one inside uid.")
    source = models.CharField(max_length=10, choices=Source)
    slug = models.CharField("provider", max_length=30)
    account = models.ForeignKey(
        Account,
        null=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        help_text="Empty: unrouted.",
    )
    party_id = models.BigIntegerField(null=True, help_text="The provider account or network connection it speaks for.")
    proof = models.CharField(max_length=10, choices=Proof, blank=True)
    method = models.CharField(max_length=10)
    host = models.BinaryField()
    path = models.BinaryField(help_text="A token in it is replaced by the id of what it opened.")
    query = models.BinaryField()
    headers = models.BinaryField(help_text="As lines; secret values are replaced.")
    body = models.BinaryField()
    sealed = models.BinaryField(null=True, help_text="What a refused request needs to be verified again, encrypted.")
    peer = models.CharField(max_length=45, blank=True)
    is_secure = models.BooleanField(default=False)
    refusal = models.CharField(max_length=20, choices=Cause, blank=True)
    answer_status = models.PositiveSmallIntegerField()
    answer = models.BinaryField()
    ids = ArrayField(
        models.CharField(max_length=200), help_text="Message, click, transaction ids and phones found in it."
    )
    items = models.PositiveIntegerField(default=1, help_text="How many things it says.")
    state = models.CharField(max_length=10, choices=State)
    attempts = models.PositiveSmallIntegerField(default=0)
    due_at = models.DateTimeField()
    outcome = models.CharField(
        max_length=300, blank=True, help_text="What came of it, or why it was refused, in words."
    )
    last_error = models.TextField(blank=True)
    version = models.CharField(max_length=20, blank=True, help_text="Of the code that worked it off last.")
    processed_at = models.DateTimeField(null=True)
    # No column: what its items came to in this working off, in the words of the outcome line, to be counted.
    results: Mapping[str, int] = MappingProxyType({})

    objects = InboundRequestQuerySet.as_manager()

    class Meta:
        verbose_name = "raw request"
        indexes = [
            # The worker's claim: what is due.
            models.Index(fields=["due_at"], condition=Q(state="waiting"), name="inbound_due"),
            # The failed-webhook log, newest first.
            models.Index(fields=["received_at", "uid"], condition=FAILED, name="inbound_failed"),
            # The newest requests of an account.
            models.Index(fields=["account", "received_at"], name="inbound_account"),
            # The request that names this message, click, transaction or phone.
            GinIndex(fields=["ids"], name="inbound_ids"),
        ]

    def __str__(self) -> str:
        return f"{self.slug} {self.uid}"

    @property
    def error_line(self) -> str:
        """What the traceback ends with; '' without one."""
        return self.last_error.strip().rpartition("\n")[2]


class FailedWebhook(InboundRequest):
    """The failed-webhook log: the same rows, those that were refused or failed or wait for another try."""

    class Meta:
        proxy = True
        verbose_name = "failed webhook"


class RefusalTally(models.Model):
    """How many refused requests came, of which only the first are kept whole: a flood cannot grow a table."""

    bucket = models.DateTimeField(help_text="Beginning of the day, or of the minute when nothing known was named.")
    source = models.CharField(max_length=10, choices=Source)
    slug = models.CharField("provider", max_length=30)
    party_id = models.BigIntegerField(default=0, help_text="0: it named nothing known.")
    n = models.BigIntegerField(default=0)

    class Meta:
        verbose_name_plural = "refusal tallies"
        constraints = [
            models.UniqueConstraint(fields=["bucket", "source", "slug", "party_id"], name="refusaltally_once")
        ]

    def __str__(self) -> str:
        return f"{self.n} refused from {self.slug}"


class RequestTotal(models.Model):
    """How many requests of one hour stand so; written in the transaction that makes them stand so.

    Every request that reached us counts in exactly one row, kept or not, except while it waits: then in none.
    """

    hour = models.DateTimeField(help_text="Its beginning, UTC; of the time they were received.")
    source = models.CharField(max_length=10, choices=Source)
    slug = models.CharField("provider", max_length=30)
    # Parts of the key: 0 means none, because NULLs do not collide.
    account_id = models.BigIntegerField(default=0)
    party_id = models.BigIntegerField(default=0)
    standing = models.CharField(max_length=20, choices=[*Standing.choices, *Cause.choices[1:]])
    n = models.BigIntegerField(default=0)
    last_at = models.DateTimeField(help_text="The newest that was ever counted here.")

    class Meta:
        constraints = [
            # Also serves: when did this provider account or connection call last?
            models.UniqueConstraint(
                fields=["source", "slug", "party_id", "hour", "account_id", "standing"], name="requesttotal_once"
            )
        ]
        indexes = [
            # The last hours of all of them.
            models.Index(fields=["hour"], name="requesttotal_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.n} {self.standing} from {self.slug} in {self.hour:%Y-%m-%d %H}:00"


class DeliveryEvent(models.Model):
    """One thing a provider said about one known message; together they are its timeline."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, db_index=False)
    message = models.ForeignKey(Message, on_delete=models.CASCADE, db_index=False)
    fingerprint = models.BinaryField(max_length=32, editable=False)
    status = models.CharField(max_length=12, choices=Status)
    vendor_status = models.CharField(max_length=100, blank=True)
    vendor_code = models.CharField(max_length=32, blank=True)
    at = models.DateTimeField(null=True, help_text="The provider's time; empty: it sent none.")
    reason = models.CharField(max_length=16, choices=Reason, blank=True)
    error_code = models.CharField(max_length=32, blank=True)
    error_text = models.CharField(max_length=500, blank=True)
    received_at = models.DateTimeField()
    origin = models.CharField(max_length=10, choices=Origin, default=Origin.CALLBACK, db_default=Origin.CALLBACK.value)
    request_uid = models.UUIDField(null=True, help_text="The inbound request it first came in; empty: it came in none.")

    class Meta:
        constraints = [
            # Idempotency; also serves: the timeline of a message.
            models.UniqueConstraint(fields=["message", "fingerprint"], name="deliveryevent_once")
        ]
        indexes = [
            # The newest events of an account.
            models.Index(fields=["account", "-id"], name="deliveryevent_account"),
        ]

    def __str__(self) -> str:
        return f"{self.status} {self.vendor_status}"


class ParkedReport(models.Model):
    """A report whose message is not known yet; a sweep joins the two for as long as it is kept."""

    provider = models.CharField(max_length=30, choices=providers.choices)
    account = models.ForeignKey(Account, null=True, on_delete=models.CASCADE)
    party_id = models.BigIntegerField(
        default=0, help_text="The provider account it may speak about; 0: by reference only."
    )
    message_key = models.CharField(max_length=200)
    fingerprint = models.BinaryField(max_length=32, editable=False)
    status = models.CharField(max_length=12, choices=Status)
    report = models.BinaryField(help_text="The report, as JSON.")
    error = models.CharField(max_length=200, blank=True, help_text="Why the sweep set it aside; empty: it did not.")
    received_at = models.DateTimeField()
    request_uid = models.UUIDField()

    class Meta:
        constraints = [
            # Idempotency; also serves: was this message spoken of before it was known?
            models.UniqueConstraint(
                fields=["message_key", "provider", "party_id", "fingerprint"], name="parkedreport_once"
            )
        ]
        indexes = [
            # The sweep takes the young ones often; the list shows the old ones as unmatched.
            models.Index(fields=["received_at"], name="parkedreport_age"),
        ]

    def __str__(self) -> str:
        return f"{self.status} of {self.message_key}"


class Reply(models.Model):
    """One inbound SMS."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, db_index=False)
    provider_account = models.ForeignKey(ProviderAccount, on_delete=models.CASCADE)
    sending_list = models.ForeignKey(
        SendingList, null=True, on_delete=models.SET_NULL, help_text="Empty: unknown number."
    )
    message = models.ForeignKey(Message, null=True, on_delete=models.SET_NULL, help_text="What it answers, where told.")
    key = models.CharField(max_length=200)
    sender = models.CharField(max_length=32)
    recipient = models.CharField(max_length=32)
    text = models.TextField()
    decision = models.CharField(max_length=10, choices=Decision)
    at = models.DateTimeField(null=True, help_text="The provider's time; empty: it sent none.")
    received_at = models.DateTimeField()
    request_uid = models.UUIDField()

    class Meta:
        verbose_name_plural = "replies"
        constraints = [models.UniqueConstraint(fields=["provider_account", "key"], name="reply_once")]
        indexes = [
            # The newest replies of an account.
            models.Index(fields=["account", "-id"], name="reply_account"),
            # Everything this phone wrote.
            models.Index(fields=["sender", "-id"], name="reply_sender"),
        ]

    def __str__(self) -> str:
        return f"{self.decision} from {mask_phone(self.sender)}"


def time_of(uid: UUID) -> datetime:
    """The receive time inside a uid (UUID version 7), to the millisecond."""
    return datetime.fromtimestamp((uid.int >> 80) / 1000, UTC)
