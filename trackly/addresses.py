"""Owns allow_address(): an address or range joins the list of a provider or network, audited."""

from ipaddress import IPv6Network, ip_network
from typing import Any

from django.db import transaction

from trackly.clients import WIDEST, Network, parse_networks
from trackly.models import AddressRange, AuditEntry


class CannotAllow(Exception):
    """Why an address does not join the list, in a sentence for the person who tried."""


@transaction.atomic
def allow_address(slug: str, address: str, *, user: Any, note: str) -> AddressRange:
    """The new row of the list of this provider or network. Raises CannotAllow; also when the list holds the address already.

    A range of one address is kept as that address, any other by its first address.
    """
    network = _read(address)
    listed = AddressRange.objects.filter(slug=slug).values_list("cidr", flat=True)
    if any(_holds(range_, network) for range_ in parse_networks(tuple(listed))):
        raise CannotAllow(f"{_text(network)} is on the list of {slug} already.")
    row, is_new = AddressRange.objects.get_or_create(slug=slug, cidr=_text(network), defaults={"note": note[:200]})
    if not is_new:
        raise CannotAllow(f"{row.cidr} is on the list of {slug} already.")
    detail = f"{slug} {row.cidr}" + (f": {row.note}" if row.note else "")
    AuditEntry.objects.create(user=user, verb="allowed", target=f"address range {row.pk}", detail=detail)
    return row


def _read(address: str) -> Network:
    try:
        network = ip_network(address.strip(), strict=False)
    except ValueError as error:
        raise CannotAllow(f"'{address[:50]}' is neither an address nor a range such as 203.0.113.0/24.") from error
    if "%" in address:
        raise CannotAllow("Leave out the zone, from the percent sign on.")
    if isinstance(network, IPv6Network) and network.network_address.ipv4_mapped:
        raise CannotAllow("Write it as the IPv4 address it stands for.")
    if network.prefixlen < WIDEST[network.version]:
        raise CannotAllow(f"{network} is too wide: at most /{WIDEST[network.version]} is allowed here.")
    return network


def _holds(wide: Network, narrow: Network) -> bool:
    return wide.version == narrow.version and narrow.subnet_of(wide)  # type: ignore[arg-type]


def _text(network: Network) -> str:
    return str(network.network_address) if network.num_addresses == 1 else str(network)
