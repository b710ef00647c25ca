"""The one way out: HTTP sessions that connect to public addresses only, whatever a name resolves to."""

import errno
import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver

_KEEPALIVE_S = 1.0
"""An idle connection older than this may be half-closed by the peer and is not used again."""

_NEVER_V4 = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "100.64.0.0/10")))
_NEVER_V6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # Teredo, ORCHID, benchmarking and other special purposes
            "2001:db8::/32",
            "2002::/16",  # 6to4
            "3fff::/20",
        ),
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
"""All that is routed today; 64:ff9b::/96, fec0::/10, mapped and link-local ones lie outside."""
_PRIVATE_V4 = tuple(map(IPv4Network, ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")))
_PRIVATE_V6 = tuple(map(IPv6Network, ("::1/128", "fc00::/7")))
_METADATA = frozenset(map(ip_address, ("100.100.100.200", "fd00:ec2::254", "fd20:ce::254")))
"""Where clouds tell a machine its secrets from inside a private range; the others' is link-local."""


class RefusedAddress(OSError):
    """The address is not one that we connect to; no socket was made."""

    def __init__(self, address: str) -> None:
        super().__init__(errno.EACCES, f"refused address {address}")
        self.address = address


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """True for a unicast address of the public internet; a mapped IPv4 address is judged as what it maps."""
    address = _unwrap(address)
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NEVER_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _NEVER_V6)


def is_private(address: IPv4Address | IPv6Address) -> bool:
    """True for loopback and the ranges of private networks, without link-local and other cloud metadata addresses."""
    address = _unwrap(address)
    if address in _METADATA:
        return False
    if isinstance(address, IPv4Address):
        return any(address in network for network in _PRIVATE_V4)
    return any(address in network for network in _PRIVATE_V6)


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped if mapped is not None else address


def open_session(
    *, allow_private: bool, limit: int, keepalive_s: float = _KEEPALIVE_S, decompress: bool = True,
    resolver: AbstractResolver | None = None,
) -> aiohttp.ClientSession:  # fmt: skip
    """A session for calls to addresses that others gave us, with at most `limit` connections.

    Each address is judged when its socket is made, so that a name which resolves differently the
    second time gains nothing. A refused one raises `RefusedAddress` inside aiohttp's
    `ClientConnectorError`. No cookies, no proxies from the environment. Names are looked up by c-ares unless
    another `resolver` is given: the system's own holds a thread for each, and has few.
    """

    def make_socket(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, target = info
        host = str(target[0])
        if not _allowed(host, allow_private):
            raise RefusedAddress(host)
        return socket.socket(family, kind, protocol)

    connector = aiohttp.TCPConnector(
        limit=limit,
        resolver=resolver,
        use_dns_cache=False,
        keepalive_timeout=keepalive_s,
        socket_factory=make_socket,
    )
    return aiohttp.ClientSession(
        connector=connector, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False, auto_decompress=decompress
    )


def _allowed(host: str, allow_private: bool) -> bool:
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return is_public(address) or (allow_private and is_private(address))
