"""Calls to addresses that others gave us reach the public internet and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_address

import pytest

from compat.client import PanelClient
from compat.failures import NotReached
from compat.wire import NotSent, Unknown
from gateway.egress import open_session
from gateway.reachable import is_private, is_public

HOSTILE = (
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254",
    "172.16.0.1", "172.31.255.254", "192.0.0.1", "192.0.0.9", "192.0.0.170", "192.0.2.1", "192.88.99.1",
    "192.168.1.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "100::1", "2001::7f00:1", "2001:10::1", "2001:db8::1",
    "2002:7f00:1::", "2002:a00:1::1", "3fff::1", "4000::1", "5f00::1", "fc00::1", "fd12:3456::1",
    "fe80::1", "fec0::1", "ff02::1",
)  # fmt: skip
METADATA = ("100.100.100.200", "::ffff:100.100.100.200", "fd00:ec2::254", "fd20:ce::254")
PUBLIC = ("1.1.1.1", "8.8.8.8", "172.32.0.1", "192.0.1.1", "::ffff:8.8.8.8", "2606:4700::1111", "2a00:1450::8a")
SPELLINGS = (
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1", "0177.0.0.1", "017700000001",
    "0.0.0.0", "0", "localhost", "LOCALHOST", "localhost.", "[::1]", "[::]", "[::ffff:127.0.0.1]",
    "[0:0:0:0:0:ffff:7f00:1]", "[::127.0.0.1]", "127.0.0.1.", "127。0。0。1", "①②⑦.0.0.1",
)  # fmt: skip


class Sentinel:
    """A listener on loopback that counts who connects."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    async def greet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def sentinel() -> AsyncIterator[Sentinel]:
    sentinel = Sentinel()
    server = await asyncio.start_server(sentinel.greet, "127.0.0.1", 0)
    sentinel.port = server.sockets[0].getsockname()[1]
    yield sentinel
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("address", HOSTILE)
def test_a_hostile_address_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public_and_not_private(address: str) -> None:
    assert is_public(ip_address(address))
    assert not is_private(ip_address(address))


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "192.168.0.1", "172.20.0.1", "::1", "fd00::1"])
def test_a_private_address_can_be_allowed(address: str) -> None:
    assert is_private(ip_address(address))


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "fec0::1", *METADATA])
def test_metadata_and_multicast_are_never_allowed(address: str) -> None:
    assert not is_private(ip_address(address))


@pytest.mark.parametrize("host", [f"[{address}]" if ":" in address else address for address in HOSTILE])
async def test_no_socket_is_made_for_a_hostile_address(host: str) -> None:
    async with open_session(allow_private=False, limit=4) as session:
        outcome = await PanelClient(f"http://{host}/api/v2", "k", session=session, timeout_s=5).add("1", {})
    assert isinstance(outcome, NotSent)
    assert "refused address" in outcome.reason


@pytest.mark.parametrize("host", SPELLINGS)
async def test_loopback_is_not_reached_however_it_is_spelt(host: str, sentinel: Sentinel) -> None:
    async with open_session(allow_private=False, limit=4) as session:
        try:
            panel = PanelClient(f"http://{host}:{sentinel.port}/", "k", session=session, timeout_s=5)
        except ValueError:
            return
        assert isinstance(await panel.add("1", {}), NotSent)
        with pytest.raises(NotReached):
            await panel.balance()
    assert sentinel.connections == 0


async def test_loopback_is_reached_where_private_addresses_are_allowed(sentinel: Sentinel) -> None:
    async with open_session(allow_private=True, limit=4) as session:
        for host in ("127.0.0.1", "localhost"):
            panel = PanelClient(f"http://{host}:{sentinel.port}/", "k", session=session, timeout_s=5)
            assert isinstance(await panel.add("1", {}), Unknown)
    assert sentinel.connections == 2


async def test_the_metadata_address_is_refused_even_then() -> None:
    async with open_session(allow_private=True, limit=4) as session:
        outcome = await PanelClient("http://169.254.169.254/", "k", session=session, timeout_s=5).add("1", {})
    assert isinstance(outcome, NotSent)
    assert "refused address" in outcome.reason


async def test_the_environments_proxy_is_not_asked(sentinel: Sentinel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{sentinel.port}")
    async with open_session(allow_private=True, limit=4) as session:
        await PanelClient("http://panel.invalid/", "k", session=session, timeout_s=5).add("1", {})
    assert sentinel.connections == 0


@pytest.mark.parametrize("host", [f"[{address}]" if ":" in address else address for address in METADATA])
async def test_no_socket_is_made_for_metadata_even_where_private_addresses_are_allowed(host: str) -> None:
    async with (
        open_session(allow_private=True, limit=1) as session,
        PanelClient(f"http://{host}/api/v2", "a-key-of-ours", session=session, timeout_s=2) as panel,
    ):
        outcome = await panel.add("1", {})
    assert isinstance(outcome, NotSent)
    assert "refused address" in outcome.reason
