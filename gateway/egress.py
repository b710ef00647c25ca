"""The one way out: HTTP sessions that connect to public addresses only, whatever a name resolves to."""

import errno
import socket
from ipaddress import ip_address
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver

from gateway.reachable import is_private, is_public

_KEEPALIVE_S = 1.0
"""An idle connection older than this may be half-closed by the peer and is not used again."""


class RefusedAddress(OSError):
    """The address is not one that we connect to; no socket was made."""

    def __init__(self, address: str) -> None:
        super().__init__(errno.EACCES, f"refused address {address}")
        self.address = address


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
