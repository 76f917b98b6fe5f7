"""Owns the question whom a provider's request may speak for, asked of the tables and remembered for seconds."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from sendinglists.models import Message, ProviderAccount
from trackly.clients import parse_networks
from trackly.models import Account, AddressRange
from trackly.parties import Party, Recent
from trackly.signing import token_hash
from webhooks.inbound.routes import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the tables know about a route."""

    parties: tuple[Party, ...] = ()
    """The token's one, or the candidates of the account or of the vendor's account id; any of them must still prove itself."""
    account_id: int | None = None
    """Of ?account=; None when none was named, or none is known by it."""
    referenced: tuple[Party, ...] = ()
    """Those whose references the payload names."""


_remembered: Recent[Found] = Recent()


def find(route: Route, vendor_account: str) -> Found:
    """From memory when it was asked within seconds."""
    return _remembered.get((route, vendor_account), lambda: _load(route, vendor_account))


def find_again(route: Route, vendor_account: str, references: tuple[str, ...]) -> Found:
    """Before a refusal: as the tables are now, with the owners of the references the payload names."""
    found = _remembered.again((route, vendor_account), lambda: _load(route, vendor_account))
    return Found(
        parties=found.parties,
        account_id=found.account_id,
        referenced=_referenced(route, references, found.account_id) if references else (),
    )


def forget() -> None:
    """Empty the memory (tests, and commands that change credentials)."""
    _remembered.clear()


def _load(route: Route, vendor_account: str) -> Found:
    account_id = Account.id_of(route.account)
    return Found(parties=_candidates(route, vendor_account, account_id), account_id=account_id)


def _candidates(route: Route, vendor_account: str, account_id: int | None) -> tuple[Party, ...]:
    rows = _accounts().filter(provider=route.slug)
    now = timezone.now()
    if route.token:
        hashed = token_hash(route.token)
        held = Q(callback_token_hash=hashed) | Q(previous_token_hash=hashed, previous_token_until__gt=now)
        return _parties(rows.filter(held), now)
    if route.account:
        return _parties(rows.filter(account_id=account_id), now) if account_id else ()
    return _parties(rows.filter(vendor_account=vendor_account), now) if vendor_account else ()


def _referenced(route: Route, references: Iterable[str], account_id: int | None) -> tuple[Party, ...]:
    messages = Message.objects.filter(reference__in=list(references), provider_account__provider=route.slug)
    if account_id:
        messages = messages.filter(account_id=account_id)
    owners = messages.values_list("provider_account_id", flat=True).distinct()[:50]
    return _parties(_accounts().filter(id__in=list(owners)), timezone.now())


def _accounts() -> QuerySet[ProviderAccount]:
    # The token is found by its hash; fetched, it would be decrypted for nothing.
    return ProviderAccount.objects.defer("callback_token").order_by("id")


def _parties(rows: Iterable[ProviderAccount], now: datetime) -> tuple[Party, ...]:
    found = list(rows)
    ranges = AddressRange.objects.filter(slug__in={row.provider for row in found}) if found else []
    networks = parse_networks(tuple(item.cidr for item in ranges))
    return tuple(
        Party(
            id=row.id,
            account_id=row.account_id,
            configs=valid_configs(row.credentials, now),
            demands_proof=row.demands_authentication,
            address_policy=row.address_policy,
            networks=networks,
        )
        for row in found
    )


def valid_configs(credentials: list[dict[str, Any]], now: datetime) -> tuple[dict[str, str], ...]:
    """The credential sets still valid now."""
    return tuple(
        entry["values"]
        for entry in credentials
        if entry["until"] is None or datetime.fromisoformat(entry["until"]) > now
    )
