"""From which addresses a key may be used; pure."""

import ipaddress
from collections.abc import Sequence

from gateway.accounts.model import Network

_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def parse_network(text: str) -> Network:
    """An address, or a network in CIDR form. IPv4 that is mapped into IPv6 is the IPv4 that it stands for.

    Raises:
        ValueError: it is neither, or it has host bits; the message says what was probably meant.
    """
    written = text.strip()
    try:
        loose = ipaddress.ip_network(written, strict=False)
    except ValueError:
        raise ValueError(f"{text!r} is not an address or a network such as 192.0.2.0/24 or 2001:db8::/32") from None
    if "%" in written:
        raise ValueError(f"{text!r} has a zone, which only its own machine knows")
    try:
        network = ipaddress.ip_network(written)
    except ValueError:
        raise ValueError(f"{text!r} has bits beyond its prefix: is {loose} meant?") from None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_MAPPED):
        mapped = network.network_address.ipv4_mapped
        assert mapped is not None
        return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED.prefixlen))
    return network


def is_allowed(address: str, networks: Sequence[Network] | None) -> bool:
    """Whether a caller at this address may use a key with this list; without a list any may.

    An address that cannot be read, as that of a socket file, is in no network.
    """
    if networks is None:
        return True
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        ip = ip.ipv4_mapped or ip
    return any(ip in network for network in networks)


def is_within(inner: Network, outer: Sequence[Network]) -> bool:
    """Whether every address of the network is in one of the others."""
    if isinstance(inner, ipaddress.IPv4Network):
        return any(inner.subnet_of(each) for each in outer if isinstance(each, ipaddress.IPv4Network))
    return any(inner.subnet_of(each) for each in outer if isinstance(each, ipaddress.IPv6Network))
