"""Owns the tables every part shares: accounts, people in them, rates, the audit trail, hourly totals, address lists."""

from datetime import timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.db import models

from trackly.clients import WIDEST, parse_networks
from trackly.currencies import demand
from trackly.signing import new_token, token_hash


class Account(models.Model):
    """One tenant."""

    class Status(models.TextChoices):
        ACTIVE = "active", "Active"
        SUSPENDED = "suspended", "Suspended"
        DELETED = "deleted", "Deleted"

    public_id = models.CharField(
        max_length=26, unique=True, default=new_token, help_text="Random; it routes a request and proves nothing."
    )
    name = models.CharField(max_length=100)
    status = models.CharField(max_length=10, choices=Status, default=Status.ACTIVE)
    currency = models.CharField(max_length=3, default="USD", help_text="Of money that names no currency of its own.")
    time_zone = models.CharField(max_length=50, default="UTC", help_text="Sets where a day begins.")
    fallback_url = models.CharField(
        max_length=2000,
        blank=True,
        validators=[URLValidator(schemes=["http", "https"])],
        help_text="Where expired short links lead.",
    )
    payout_ceiling = models.DecimalField(
        max_digits=18, decimal_places=6, default=10_000, help_text="A larger payout is taken for an error."
    )
    opt_out_words = models.JSONField(
        default=list, blank=True, help_text="Words and phrases that opt out here, beside the known ones."
    )
    harmless_words = models.JSONField(
        default=list, blank=True, help_text="Words and phrases that do not opt out here, although they are known."
    )
    junk_opts_out = models.BooleanField(
        "'spam' opts out", default=False, help_text="On: a reply that only calls it spam, scam or junk opts out, too."
    )
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        permissions = [("reveal", "Can see phone numbers and tokens in full; each look is audited")]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        demand(currency=self.currency, time_zone=self.time_zone)
        if self.payout_ceiling is not None and self.payout_ceiling <= 0:
            raise ValidationError({"payout_ceiling": "Every conversion would be over it: it must be above 0."})

    @classmethod
    def id_of(cls, public_id: str) -> int | None:
        """The account a URL names; None for '', for an id nobody has, and for a deleted account's."""
        if not public_id:
            return None
        known = cls.objects.filter(public_id=public_id).exclude(status=cls.Status.DELETED)
        return known.values_list("id", flat=True).first()


class Membership(models.Model):
    """A person's role in an account."""

    class Role(models.TextChoices):
        OWNER = "owner", "Owner"
        MEMBER = "member", "Member"
        VIEWER = "viewer", "Viewer"

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE)
    role = models.CharField(max_length=10, choices=Role)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["account", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} of {self.account}"


class Invitation(models.Model):
    """A way into an account for whoever has its link, once and for seven days. Only the link's hash is kept."""

    LASTS = timedelta(days=7)

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    email = models.EmailField(help_text="Whom it was meant for, and mailed to where mail is set up.")
    role = models.CharField(max_length=10, choices=Membership.Role, default=Membership.Role.MEMBER)
    token_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    invited_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    accepted_at = models.DateTimeField(null=True, blank=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"{self.email} to {self.account} as {self.role}"


class ExchangeRate(models.Model):
    """What one unit of a currency is worth in the account's own, from a day on, as its owner entered it.

    Money is kept in the currency it came in; sums are converted when they are shown, each hour by the rate of its day, so
    that a new rate changes nothing that was shown before.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    currency = models.CharField(max_length=3)
    rate = models.DecimalField(max_digits=18, decimal_places=8, help_text="In the account's currency.")
    valid_from = models.DateField(help_text="In the account's time zone.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account", "currency", "valid_from"], name="exchangerate_once"),
            models.CheckConstraint(condition=models.Q(rate__gt=0), name="exchangerate_positive"),
        ]

    def __str__(self) -> str:
        return f"1 {self.currency} = {self.rate} since {self.valid_from}"


class ApiKey(models.Model):
    """A key of an account for the API. Only its hash is kept: it is shown once, when it is made."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE)
    name = models.CharField(max_length=100, help_text="What uses it.")
    key_hash = models.BinaryField(max_length=32, unique=True, editable=False)
    beginning = models.CharField(max_length=8, editable=False, help_text="To recognise it by.")
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, editable=False, help_text="Empty: never.")
    revoked_at = models.DateTimeField(null=True, editable=False, help_text="Empty: it is valid.")

    class Meta:
        verbose_name = "API key"

    def __str__(self) -> str:
        return f"{self.name} ({self.beginning}…)"

    def mint(self) -> str:
        """A new key for this row, to be shown once; does not save."""
        key = f"trk_{new_token()}"
        self.key_hash, self.beginning = token_hash(key), key[:8]
        return key


class AuditEntry(models.Model):
    """Who replayed, discarded, revealed, matched or changed what, and why."""

    at = models.DateTimeField(auto_now_add=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, help_text="Empty: the system."
    )
    account = models.ForeignKey(Account, null=True, on_delete=models.SET_NULL, db_index=False)
    verb = models.CharField(max_length=50)
    target = models.CharField(max_length=100, help_text="The kind of row and its id.")
    detail = models.TextField(blank=True)

    class Meta:
        verbose_name_plural = "audit entries"
        indexes = [
            # The newest entries of an account.
            models.Index(fields=["account", "-id"], name="audit_account"),
            # What happened to this row?
            models.Index(fields=["target", "-id"], name="audit_target"),
        ]

    def __str__(self) -> str:
        return f"{self.verb} {self.target}"


class HourlyTotal(models.Model):
    """How many of one kind in one hour; written in the transaction of the rows it counts, read by every overview."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, db_index=False)
    hour = models.DateTimeField(help_text="Its beginning, UTC.")
    kind = models.CharField(max_length=30)
    # Parts of the key: 0 and '' mean none, because NULLs do not collide.
    list_id = models.BigIntegerField(default=0)
    connection_id = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3, default="", blank=True)
    n = models.BigIntegerField(default=0)
    amount = models.DecimalField(max_digits=24, decimal_places=6, default=0)

    class Meta:
        constraints = [
            # Also serves: the hours of one account, newest first.
            models.UniqueConstraint(
                fields=["account", "hour", "kind", "list_id", "connection_id", "currency"], name="hourly_total_once"
            )
        ]
        indexes = [
            # The newest totals of an account.
            models.Index(fields=["account", "-id"], name="hourly_total_account"),
            # The last hours of every account.
            models.Index(fields=["hour"], name="hourly_total_hour"),
        ]

    def __str__(self) -> str:
        return f"{self.n} {self.kind} in {self.hour:%Y-%m-%d %H}:00"


class AddressPolicy(models.TextChoices):
    """What a party does with the address list of its provider or network."""

    OFF = "off", "Off"
    LOG = "log", "Log calls from elsewhere"
    ENFORCE = "enforce", "Refuse calls from elsewhere"


class AddressRange(models.Model):
    """An address or range one provider calls from; kept by staff, because no provider publishes one."""

    slug = models.CharField("provider", max_length=30)
    cidr = models.CharField("address or range", max_length=43, help_text="203.0.113.7 or 203.0.113.0/24")
    note = models.CharField(max_length=200, blank=True, help_text="Who said so, and when.")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["slug", "cidr"], name="address_range_once")]

    def __str__(self) -> str:
        return f"{self.slug} {self.cidr}"

    def clean(self) -> None:
        try:
            (network,) = parse_networks((self.cidr,))
        except ValueError as error:
            raise ValidationError(
                {"cidr": "Not an address or range, such as 203.0.113.7 or 203.0.113.0/24."}
            ) from error
        if network.prefixlen < WIDEST[network.version]:
            raise ValidationError({"cidr": f"Too wide: at most /{WIDEST[network.version]} is allowed here."})


class WorkerRun(models.Model):
    """One run of a worker process. A run without an end whose process is gone died in the middle of a batch."""

    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    version = models.CharField(max_length=20)
    started_at = models.DateTimeField()
    beat_at = models.DateTimeField(help_text="When it last said that it lives.")
    ended_at = models.DateTimeField(null=True)
    ended_cleanly = models.BooleanField(null=True)

    class Meta:
        indexes = [
            # Who is alive, and who died?
            models.Index(fields=["host"], condition=models.Q(ended_at__isnull=True), name="workerrun_open"),
        ]

    def __str__(self) -> str:
        return f"{self.host} {self.pid}"


class Pulse(models.Model):
    """The last commit of /readyz, one row a host: that a change can be made durable is shown by making one."""

    host = models.CharField(max_length=255, unique=True)
    at = models.DateTimeField()

    def __str__(self) -> str:
        return self.host
