"""Owns the demo account: made once, found again, and put back to what the traffic relies on."""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any, TypeVar

from django.contrib.auth import get_user_model
from django.db import models, transaction
from django.utils import timezone

from postbacks import networks
from postbacks.models import NetworkConnection, Offer
from sendinglists import setup
from sendinglists.models import ProviderAccount, SendingList
from trackly.models import Account, AddressPolicy, Membership

NAME = "Demo account"
CEILING = Decimal("150.00")
Rule = NetworkConnection.DuplicateRule
Scope = SendingList.Scope
Row = TypeVar("Row", bound=models.Model)

# Name, brand, number, what STOP closes, and whether its provider account signs.
_LISTS = (
    ("Autumn offers", "Fig & Fern", "+18005550151", Scope.LIST, False),
    ("Flash sales", "Fig & Fern", "+18005550152", Scope.BRAND, False),
    ("Loyal customers", "Harbour Tea", "+18005550153", Scope.ACCOUNT, True),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the traffic of a run is about."""

    account: Account
    plain: ProviderAccount
    """Proves itself by the token in its callback URL."""
    signing: ProviderAccount
    """Signs, and calls the URL that names the account."""
    lists: list[SendingList]
    offers: list[Offer]


@transaction.atomic
def set_up() -> Stage:
    """The stage, made where it is missing."""
    account = _found(Account.objects.filter(name=NAME)) or Account(name=NAME)
    account = _restore(account, status=Account.Status.ACTIVE, currency="USD", payout_ceiling=Decimal(10_000),
                       fallback_url="https://www.example.com/expired")  # fmt: skip
    _let_in(account)
    plain, signing = (_party(account, name) for name in ("Sandbox, by token", "Sandbox, signed"))
    lists = [_list(account, signing if signs else plain, *entry) for *entry, signs in _LISTS]
    for party in (plain, signing):
        if party.webhook_state == ProviderAccount.WebhookState.UNSET:
            setup.want(party, setup.Task.CONFIGURE, timezone.now())
    offers = [offer for connection in _connections(account) for offer in _offers(connection)]
    return Stage(account=account, plain=plain, signing=signing, lists=lists, offers=offers)


def signing_key(party: ProviderAccount) -> str:
    return str(party.credentials[0]["values"]["signing_key"])


def _let_in(account: Account) -> None:
    """The person of the first start, so that the demo can be looked at."""
    person = get_user_model().objects.filter(username="owner").first()
    if person is not None:
        Membership.objects.get_or_create(account=account, user=person, defaults={"role": Membership.Role.OWNER})


def _party(account: Account, name: str) -> ProviderAccount:
    key = {"signing_key": secrets.token_urlsafe(24)}
    made = ProviderAccount.with_settings(account=account, provider="sandbox", name=name, settings=key)
    known = _found(ProviderAccount.objects.filter(account=account, provider="sandbox", name=name))
    return _restore(known or made, demands_authentication=True, address_policy=AddressPolicy.OFF)


def _list(account: Account, party: ProviderAccount, name: str, brand: str, number: str, scope: str) -> SendingList:
    known = _found(SendingList.objects.filter(provider_account=party, number=number))
    row = known or SendingList(account=account, provider_account=party, number=number)
    return _restore(row, name=name, brand=brand, opt_out_scope=scope)


def _connections(account: Account) -> list[NetworkConnection]:
    """Two at each network there is: one that ignores a second amount, one in euros that adds it."""
    made = []
    for slug, network in networks.all_networks().items():
        for name, currency, rule in ((network.name, "USD", Rule.IGNORE), (f"{network.name} Europe", "EUR", Rule.ADD)):
            fresh = NetworkConnection.with_token(account=account, network=slug, name=name)
            known = _found(NetworkConnection.objects.filter(account=account, network=slug, name=name))
            made.append(
                _restore(
                    known or fresh, currency=currency, duplicate_rule=rule, duplicate_window=timedelta(minutes=10),
                    click_parameter="", status_words={}, token_only=False, address_policy=AddressPolicy.OFF,
                )
            )  # fmt: skip
    return made


def _offers(connection: NetworkConnection) -> list[Offer]:
    """One that says what a sale is worth and what may count unverified; one that says neither."""
    made = []
    for name, default in ((f"Trial, {connection.name}", Decimal("18.00")), (f"Subscription, {connection.name}", None)):
        row = _found(Offer.objects.filter(connection=connection, name=name))
        made.append(
            _restore(
                row or Offer(account=connection.account, connection=connection, name=name),
                destination=f"https://offers.example.com/{connection.network}?offer={connection.pk}",
                default_payout=default,
                ceiling=CEILING if default else None,
            )
        )
    return made


def _found(rows: models.QuerySet[Row]) -> Row | None:
    return rows.order_by("pk").first()


def _restore(row: Row, **fields: Any) -> Row:
    """The row with these values, saved where it is new or somebody changed them."""
    changed = {name: value for name, value in fields.items() if getattr(row, name) != value}
    for name, value in changed.items():
        setattr(row, name, value)
    if changed or row.pk is None:
        row.save()
    return row
