"""One minimal valid factory per model. Sequences, not random data: a failing test fails again."""

from datetime import UTC, datetime

import factory
from django.contrib.auth import get_user_model
from factory.django import DjangoModelFactory

from postbacks.models import Click, Conversion, NetworkConnection, Offer
from sendinglists.models import (
    Contact,
    Link,
    LinkDomain,
    Message,
    ProviderAccount,
    SendingList,
    Subscription,
    SubscriptionChange,
    Suppression,
)
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
from trackly.signing import new_uid, token_hash
from webhooks.inbound.models import (
    DeliveryEvent,
    InboundRequest,
    ParkedReport,
    RefusalTally,
    Reply,
    RequestTotal,
    time_of,
)
from webhooks.statuses import Status, fingerprint


def now() -> datetime:
    return datetime.now(UTC)


class UserFactory(DjangoModelFactory):
    class Meta:
        model = get_user_model()

    username = factory.Sequence(lambda n: f"person{n}")
    password = factory.django.Password("correct horse")


class StaffFactory(UserFactory):
    is_staff = True
    is_superuser = True


class AccountFactory(DjangoModelFactory):
    class Meta:
        model = Account

    name = factory.Sequence(lambda n: f"Account {n}")


class MembershipFactory(DjangoModelFactory):
    class Meta:
        model = Membership

    account = factory.SubFactory(AccountFactory)
    user = factory.SubFactory(UserFactory)
    role = Membership.Role.OWNER


class InvitationFactory(DjangoModelFactory):
    class Meta:
        model = Invitation

    account = factory.SubFactory(AccountFactory)
    email = factory.Sequence(lambda n: f"invited{n}@example.com")
    token_hash = factory.Sequence(lambda n: token_hash(f"invitation{n}"))
    expires_at = factory.LazyFunction(lambda: now() + Invitation.LASTS)


class ExchangeRateFactory(DjangoModelFactory):
    class Meta:
        model = ExchangeRate

    account = factory.SubFactory(AccountFactory)
    currency = "EUR"
    rate = 2
    valid_from = factory.LazyFunction(lambda: now().date())


class ApiKeyFactory(DjangoModelFactory):
    class Meta:
        model = ApiKey

    account = factory.SubFactory(AccountFactory)
    name = "Reports"
    key_hash = factory.Sequence(lambda n: token_hash(f"trk_{n}"))
    beginning = "trk_abcd"


class PulseFactory(DjangoModelFactory):
    class Meta:
        model = Pulse

    host = factory.Sequence(lambda n: f"host{n}")
    at = factory.LazyFunction(now)


class AuditEntryFactory(DjangoModelFactory):
    class Meta:
        model = AuditEntry

    verb = "replayed"
    target = factory.Sequence(lambda n: f"request {n}")


class HourlyTotalFactory(DjangoModelFactory):
    class Meta:
        model = HourlyTotal

    account = factory.SubFactory(AccountFactory)
    hour = factory.LazyFunction(lambda: now().replace(minute=0, second=0, microsecond=0))
    kind = "report"


class AddressRangeFactory(DjangoModelFactory):
    class Meta:
        model = AddressRange

    slug = "sandbox"
    cidr = factory.Sequence(lambda n: f"203.0.113.{n % 250}")


class WorkerRunFactory(DjangoModelFactory):
    class Meta:
        model = WorkerRun

    host = "host"
    pid = factory.Sequence(lambda n: 100_000 + n)
    started_at = factory.LazyFunction(now)
    beat_at = factory.LazyFunction(now)


class ProviderAccountFactory(DjangoModelFactory):
    """`settings` is its one credential set."""

    class Meta:
        model = ProviderAccount

    class Params:
        settings: dict[str, str] = {}

    account = factory.SubFactory(AccountFactory)
    provider = "sandbox"
    name = factory.Sequence(lambda n: f"Credentials {n}")
    credentials = factory.LazyAttribute(lambda row: [{"values": row.settings, "until": None}])
    callback_token = factory.Sequence(lambda n: f"callbacktoken{n:013d}")
    callback_token_hash = factory.LazyAttribute(lambda row: token_hash(row.callback_token))
    vendor_account = factory.LazyAttribute(lambda row: row.settings.get("account_sid", ""))


class SendingListFactory(DjangoModelFactory):
    class Meta:
        model = SendingList

    provider_account = factory.SubFactory(ProviderAccountFactory)
    account = factory.SelfAttribute("provider_account.account")
    name = factory.Sequence(lambda n: f"List {n}")
    number = factory.Sequence(lambda n: f"+1800555{n + 1000:04d}")


class ContactFactory(DjangoModelFactory):
    class Meta:
        model = Contact

    account = factory.SubFactory(AccountFactory)
    phone = factory.Sequence(lambda n: f"+1415555{n + 1000:04d}")


class SubscriptionFactory(DjangoModelFactory):
    class Meta:
        model = Subscription

    sending_list = factory.SubFactory(SendingListFactory)
    account = factory.SelfAttribute("sending_list.account")
    contact = factory.SubFactory(ContactFactory, account=factory.SelfAttribute("..account"))


class SubscriptionChangeFactory(DjangoModelFactory):
    class Meta:
        model = SubscriptionChange

    subscription = factory.SubFactory(SubscriptionFactory)
    account = factory.SelfAttribute("subscription.account")
    decision = "opt_out"
    at = factory.LazyFunction(now)
    origin = SubscriptionChange.Origin.REPLY
    fingerprint = factory.Sequence(lambda n: fingerprint((str(n),)))


class SuppressionFactory(DjangoModelFactory):
    class Meta:
        model = Suppression

    account = factory.SubFactory(AccountFactory)
    phone = factory.Sequence(lambda n: f"+1415556{n + 1000:04d}")
    decided_at = factory.LazyFunction(now)
    cause = "Opt-out by reply"


class MessageFactory(DjangoModelFactory):
    class Meta:
        model = Message

    sending_list = factory.SubFactory(SendingListFactory)
    provider_account = factory.LazyAttribute(lambda row: row.sending_list.provider_account)
    account = factory.LazyAttribute(lambda row: row.provider_account.account)
    to = factory.Sequence(lambda n: f"+1415557{n + 1000:04d}")
    created_at = factory.LazyFunction(now)


class NetworkConnectionFactory(DjangoModelFactory):
    class Meta:
        model = NetworkConnection

    account = factory.SubFactory(AccountFactory)
    network = "tune"
    name = factory.Sequence(lambda n: f"Connection {n}")
    postback_token = factory.Sequence(lambda n: f"postbacktoken{n:013d}")
    postback_token_hash = factory.LazyAttribute(lambda row: token_hash(row.postback_token))


class OfferFactory(DjangoModelFactory):
    class Meta:
        model = Offer

    connection = factory.SubFactory(NetworkConnectionFactory)
    account = factory.SelfAttribute("connection.account")
    name = factory.Sequence(lambda n: f"Offer {n}")
    destination = "https://network.example.com/aff_c?offer_id=1&aff_id=2"


class LinkDomainFactory(DjangoModelFactory):
    class Meta:
        model = LinkDomain

    account = factory.SubFactory(AccountFactory)
    host = factory.Sequence(lambda n: f"go{n}.example.com")


class LinkFactory(DjangoModelFactory):
    class Meta:
        model = Link

    offer = factory.SubFactory(OfferFactory)
    account = factory.SelfAttribute("offer.account")


class ClickFactory(DjangoModelFactory):
    class Meta:
        model = Click

    link = factory.SubFactory(LinkFactory)
    account = factory.SelfAttribute("link.account")
    offer = factory.SelfAttribute("link.offer")
    message = factory.SelfAttribute("link.message")
    at = factory.LazyFunction(now)


class ConversionFactory(DjangoModelFactory):
    class Meta:
        model = Conversion

    request_uid = factory.LazyFunction(lambda: new_uid(int(now().timestamp() * 1000)))
    received_at = factory.LazyFunction(now)
    network = "tune"
    account = factory.SubFactory(AccountFactory)
    query = b"click_id=k"


class InboundRequestFactory(DjangoModelFactory):
    class Meta:
        model = InboundRequest

    uid = factory.LazyFunction(lambda: new_uid(int(now().timestamp() * 1000)))
    received_at = factory.LazyAttribute(lambda row: time_of(row.uid))
    due_at = factory.SelfAttribute("received_at")
    source = "webhook"
    slug = "sandbox"
    method = "POST"
    host = b"hooks.example.com"
    path = b"/api/webhook-feedbacks/sandbox/~"
    query = b""
    headers = b""
    body = b'{"events":[]}'
    answer_status = 200
    answer = b""
    ids = factory.LazyFunction(list)
    state = "waiting"


class RefusalTallyFactory(DjangoModelFactory):
    class Meta:
        model = RefusalTally

    bucket = factory.LazyFunction(now)
    source = "webhook"
    slug = "sandbox"


class RequestTotalFactory(DjangoModelFactory):
    class Meta:
        model = RequestTotal

    hour = factory.LazyAttribute(lambda row: row.last_at.replace(minute=0, second=0, microsecond=0))
    source = "webhook"
    slug = "sandbox"
    party_id = factory.Sequence(lambda n: n + 1)
    standing = "accepted"
    n = 1
    last_at = factory.LazyFunction(now)


class DeliveryEventFactory(DjangoModelFactory):
    class Meta:
        model = DeliveryEvent

    message = factory.SubFactory(MessageFactory)
    account = factory.SelfAttribute("message.account")
    fingerprint = factory.Sequence(lambda n: fingerprint((str(n),)))
    status = Status.SENT
    received_at = factory.LazyFunction(now)
    request_uid = factory.LazyFunction(lambda: new_uid(int(now().timestamp() * 1000)))


class ParkedReportFactory(DjangoModelFactory):
    class Meta:
        model = ParkedReport

    provider = "sandbox"
    message_key = factory.Sequence(lambda n: f"message-{n}")
    fingerprint = factory.Sequence(lambda n: fingerprint((str(n),)))
    status = Status.SENT
    report = b"{}"
    received_at = factory.LazyFunction(now)
    request_uid = factory.LazyFunction(lambda: new_uid(int(now().timestamp() * 1000)))


class ReplyFactory(DjangoModelFactory):
    class Meta:
        model = Reply

    provider_account = factory.SubFactory(ProviderAccountFactory)
    account = factory.SelfAttribute("provider_account.account")
    key = factory.Sequence(lambda n: f"reply-{n}")
    sender = "+14155550101"
    recipient = "+18005550142"
    text = "hello"
    decision = "reply"
    received_at = factory.LazyFunction(now)
    request_uid = factory.LazyFunction(lambda: new_uid(int(now().timestamp() * 1000)))
