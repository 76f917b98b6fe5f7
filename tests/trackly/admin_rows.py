"""A row of every table in the admin, all of one story, and the addresses of its pages."""

from itertools import count
from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Permission
from django.urls import reverse

from tests import factories
from webhooks.inbound.models import FailedWebhook, InboundRequest

OURS = [
    model
    for model in admin.site._registry
    if model._meta.app_label in {"trackly", "sendinglists", "webhooks", "postbacks"}
]
PHONE = "+14155550177"
_numbers = count()


def person(*codenames: str, **fields: Any) -> Any:
    """Somebody of the staff with these permissions; without a password, because hashing one takes longer than a page."""
    user = get_user_model().objects.create(username=f"staff{next(_numbers)}", is_staff=True, **fields)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    return user


def page(model: Any, name: str, *args: Any) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_{name}", args=args)


def sale_and_stop() -> list[Any]:
    """A message that was reported, opened, sold and answered with STOP, and everything it needs; one row a model."""
    account = factories.AccountFactory()
    party = factories.ProviderAccountFactory(account=account)
    sending_list = factories.SendingListFactory(provider_account=party, brand="brand")
    contact = factories.ContactFactory(account=account, phone=PHONE)
    subscription = factories.SubscriptionFactory(sending_list=sending_list, contact=contact, state="opted_out")
    message = factories.MessageFactory(sending_list=sending_list, to=PHONE, provider_message_id="p-1", status="sent")
    webhook = factories.InboundRequestFactory(
        account=account, party_id=party.pk, state="done", refusal="unreadable", ids=[message.reference, PHONE]
    )
    connection = factories.NetworkConnectionFactory(account=account)
    offer = factories.OfferFactory(connection=connection)
    link = factories.LinkFactory(offer=offer, message=message)
    click = factories.ClickFactory(link=link, sending_list=sending_list, is_counted=True)
    postback = factories.InboundRequestFactory(
        source="postback", slug="tune", account=account, party_id=connection.pk, state="done"
    )
    named = {"account": account, "request_uid": webhook.uid}
    return [
        account, party, sending_list, contact, subscription, message, webhook, connection, offer, link, click,
        postback,
        factories.MembershipFactory(account=account, user=person()),
        factories.ApiKeyFactory(account=account),
        factories.InvitationFactory(account=account),
        factories.ExchangeRateFactory(account=account),
        factories.LinkDomainFactory(account=account),
        factories.HourlyTotalFactory(account=account),
        factories.AddressRangeFactory(),
        factories.WorkerRunFactory(),
        factories.PulseFactory(),
        factories.RefusalTallyFactory(),
        factories.RequestTotalFactory(account_id=account.pk, party_id=party.pk),
        factories.SubscriptionChangeFactory(subscription=subscription, is_proven=False, request_uid=webhook.uid),
        factories.SuppressionFactory(phone=PHONE, **named),
        factories.DeliveryEventFactory(message=message, request_uid=webhook.uid),
        factories.ParkedReportFactory(message_key=message.reference, party_id=party.pk, **named),
        factories.ReplyFactory(
            provider_account=party, sending_list=sending_list, message=message, sender=PHONE, request_uid=webhook.uid
        ),
        factories.ConversionFactory(
            account=account, connection=connection, click=click, offer=offer, message=message,
            sending_list=sending_list, request_uid=postback.uid,
        ),
        factories.AuditEntryFactory(
            account=account, user=get_user_model().objects.first(), target=f"request {webhook.uid}"
        ),
    ]  # fmt: skip


def pages_of(rows: list[Any]) -> list[str]:
    """The lists and the own pages of these rows."""
    found = [page(model, "changelist") for model in OURS]
    for row in rows:
        found.append(page(type(row), "change", row.pk))
        if isinstance(row, InboundRequest):
            found += [page(FailedWebhook, "change", row.pk), page(InboundRequest, "download", row.pk)]
    return found
