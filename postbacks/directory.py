"""Owns the question whom a postback may speak for, asked of the tables and remembered for seconds."""

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Q
from django.utils import timezone

from postbacks import judging
from postbacks.models import Click, Conversion, NetworkConnection
from trackly.clients import parse_networks
from trackly.models import Account, AddressRange
from trackly.parties import Party, Recent
from trackly.signing import token_hash
from webhooks.inbound.models import InboundRequest, Proof, Source
from webhooks.inbound.routes import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the tables know about a route."""

    party: Party | None = None
    """The connection whose token the URL carries."""
    account_id: int | None = None
    """Of ?account=."""
    click_account_id: int | None = None
    """Of the click the hit names; looked up only when the URL names no connection."""
    is_crowded: bool = False
    """That click has had as many hits without the token as any sale could explain."""


_remembered: Recent[Found] = Recent()


def find(route: Route) -> Found:
    """From memory when it was asked within seconds."""
    return _remembered.get(route, lambda: _load(route))


def find_again(route: Route, click_ids: tuple[str, ...]) -> Found:
    """Before a refusal, and for a URL without a token: as the tables are now, with the account of the click it names."""
    found = _remembered.again(route, lambda: _load(route))
    click = Click.objects.filter(click_id__in=click_ids).first() if click_ids else None
    return Found(
        party=found.party,
        account_id=found.account_id,
        click_account_id=click.account_id if click else None,
        is_crowded=click is not None and _is_crowded(click),
    )


def forget() -> None:
    """Empty the memory (tests, and commands that change tokens)."""
    _remembered.clear()


def _is_crowded(click: Click) -> bool:
    """Counted in the inbox, where a flood stands before it is judged, and among what was judged on earlier days."""
    limit = judging.UNVERIFIED_PER_CLICK
    since = timezone.now() - timedelta(days=1)
    sent = InboundRequest.objects.filter(
        source=Source.POSTBACK, ids__contains=[click.click_id], received_at__gte=since, proof=Proof.NONE
    )
    judged = Conversion.objects.filter(click=click, is_verified=False)
    return any(hits[:limit].count() == limit for hits in (sent, judged))


def _load(route: Route) -> Found:
    account_id = Account.id_of(route.account)
    return Found(party=_party(route) if route.token else None, account_id=account_id)


def _party(route: Route) -> Party | None:
    hashed = token_hash(route.token)
    held = Q(postback_token_hash=hashed) | Q(previous_token_hash=hashed, previous_token_until__gt=timezone.now())
    row = NetworkConnection.objects.filter(held, network=route.slug).first()
    if row is None:
        return None
    ranges = AddressRange.objects.filter(slug=row.network).values_list("cidr", flat=True)
    return Party(
        id=row.id,
        account_id=row.account_id,
        address_policy=row.address_policy,
        networks=parse_networks((*ranges, *row.addresses.split())),
    )
