"""Owns the question who called: the client's address and scheme behind configured proxies, and address lists."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network
# The widest range one sender has a use for, by version; a wider one would let in half a country.
WIDEST = {4: 16, 6: 32}


@lru_cache(maxsize=256)
def parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Addresses or CIDR ranges as networks; raises ValueError on anything else."""
    return tuple(ip_network(text.strip(), strict=False) for text in texts)


def within(address: str, networks: Iterable[Network]) -> bool:
    """True when the address lies in one of the networks; an unreadable address lies in none."""
    try:
        parsed = ip_address(plain(address))
    except ValueError:
        return False
    return any(parsed.version == network.version and parsed in network for network in networks)


def plain(address: str) -> str:
    """One spelling of an address: no zone, and IPv4 where it was mapped into IPv6; raises ValueError."""
    # A zone is any text of any length, and means nothing beyond the host that wrote it.
    parsed = ip_address(address.partition("%")[0])
    return str(parsed.ipv4_mapped or parsed) if isinstance(parsed, IPv6Address) else str(parsed)


def client_address(peer: str, forwarded_for: str, proxies: Sequence[Network]) -> str:
    """Walk X-Forwarded-For from the right past our proxies: the first address that is not one of them.

    An empty peer is a UNIX socket, which only a local proxy can reach. An unreadable entry ends the walk: what stands
    left of it was written by a stranger.
    """
    try:
        client = plain(peer)
    except ValueError:
        client = ""
    if not proxies or (peer and not within(peer, proxies)):
        return client
    for hop in reversed([part.strip() for part in forwarded_for.split(",") if part.strip()]):
        try:
            client = plain(hop)
        except ValueError:
            return client
        if not within(client, proxies):
            return client
    return client


def is_secure(scheme: str, peer: str, forwarded_proto: str, proxies: Sequence[Network]) -> bool:
    """True for https, told by the connection itself or by a trusted proxy."""
    if proxies and (not peer or within(peer, proxies)) and forwarded_proto:
        return forwarded_proto.rpartition(",")[2].strip().lower() == "https"
    return scheme == "https"
