"""Owns which addresses are not the public internet's: a person's webhook or provider must not make us call our own network.

From the IANA special-purpose registries, with what RFC 6890 and later took back left in. Python's is_private and is_global
let several of these through: NAT64, 6to4, IPv4-compatible, multicast.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

_NAT64 = IPv6Network("64:ff9b::/96")

BARRED = tuple(
    (ip_network(network), kind)
    for network, kind in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "a private network"),
        ("100.64.0.0/10", "a carrier's inner network"),
        ("127.0.0.0/8", "this machine"),
        ("169.254.0.0/16", "link-local, where clouds keep credentials"),
        ("172.16.0.0/12", "a private network"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "a private network"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        # ::, ::1, IPv4 mapped and compatible; and NAT64, whose embedded address is judged first.
        ("::/8", "this machine, or IPv4 in disguise"),
        ("64:ff9b:1::/48", "a local NAT64"),
        ("100::/64", "discarded"),
        ("2001::/23", "reserved for protocols, such as Teredo"),
        ("2001:db8::/32", "for documentation"),
        ("2002::/16", "6to4, which is IPv4 in disguise"),
        ("3fff::/20", "for documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "a private network"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "a private network"),
        ("ff00::/8", "multicast"),
    )
)


def why_barred(address: str) -> str | None:
    """What kind of network this address is in, where it is not the public internet; None where it is."""
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return "not an address"
    if isinstance(parsed, IPv6Address) and parsed in _NAT64:
        return _kind(IPv4Address(int(parsed) & 0xFFFFFFFF))
    return _kind(parsed)


def _kind(address: IPv4Address | IPv6Address) -> str | None:
    return next((kind for network, kind in BARRED if network.version == address.version and address in network), None)
