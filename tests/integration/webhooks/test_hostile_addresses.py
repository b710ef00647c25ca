"""No address that is not public is ever connected to, whatever it is called."""

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from uuid_utils.compat import uuid7

from gateway.db.engine import Database
from gateway.egress import open_session
from gateway.errors import Invalid
from gateway.webhooks import store
from gateway.webhooks.model import checked_url
from gateway.webhooks.relay import relay_events
from tests.support.faults import eventually
from tests.support.hooks import add_endpoint, add_owner, delivering, receiving, tell
from tests.support.names import naming

HOSTS = [
    "127.0.0.1", "127.1", "0.0.0.0", "0", "2130706433", "0x7f000001", "017700000001", "127.000.000.001",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:0:0:1]", "[::127.0.0.1]",
    "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254", "[fe80::1]", "[fe80::1%25lo]",
    "[fc00::1]", "[fd00:ec2::254]", "100.100.100.200", "192.0.0.8", "192.0.2.1", "198.18.0.1", "224.0.0.1",
    "240.0.0.1", "255.255.255.255", "[ff02::1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[2001:0:7f00:1::]",
    "[2001:db8::1]", "[fec0::1]", "localhost", "LOCALHOST", "a.localhost", "metadata.google.internal",
    "printer.local", "localtest.example",
]  # fmt: skip


class Sentinel(asyncio.Protocol):
    """Counts who comes."""

    connections = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Sentinel.connections += 1
        transport.close()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    Sentinel.connections = 0
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Sentinel, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    others = [await loop.create_server(Sentinel, host, port) for host in ("::1",) if socket.has_ipv6]
    yield port
    for each in (server, *others):
        each.close()
        await each.wait_closed()


async def test_forty_hostile_addresses_are_never_connected_to(db: Database, port: int) -> None:
    assert len(HOSTS) >= 40
    owner = await add_owner(db)
    endpoint, _ = await add_endpoint(db, owner, "https://example.com/")
    for host in HOSTS:
        async with db.transaction() as tx:  # as if the name had been public when it was checked
            await store.change(tx, endpoint.id, {"url": f"http://{host}:{port}/"})
        await tell(db, owner, uuid7(), "order.created")
        await relay_events(db)
        async with delivering(db, delays_s=(), allow_private=False, timeout_s=2.0):
            await eventually(lambda: _none_waits(db))
    assert Sentinel.connections == 0
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM webhook_attempts WHERE status IS NOT NULL") == 0
        assert await connection.fetchval("SELECT count(*) FROM webhook_attempts") == len(HOSTS)


async def _none_waits(db: Database) -> bool:
    async with db.connection() as connection:
        return bool(await connection.fetchval("SELECT NOT EXISTS (SELECT FROM webhook_queue)"))


async def test_a_name_that_changes_its_answer_gains_nothing(db: Database, port: int) -> None:
    owner, asked = await add_owner(db), list[str]()

    def lie(name: str) -> str:
        asked.append(name)
        return "93.184.216.34" if len(asked) == 1 else "127.0.0.1"

    async with naming(lie) as resolver:
        assert (await resolver.resolve("localtest.example"))[0]["host"] == "93.184.216.34"
        await add_endpoint(db, owner, f"http://localtest.example:{port}/")
        await tell(db, owner, uuid7(), "order.created")
        await relay_events(db)
        async with delivering(db, delays_s=(0.0, 0.0), allow_private=False, resolver=resolver):
            await eventually(lambda: _none_waits(db))
    assert len(asked) == 4
    assert Sentinel.connections == 0
    async with db.connection() as connection:
        errors = await connection.fetch("SELECT DISTINCT error FROM webhook_attempts")
    assert [row["error"] for row in errors] == ["its address is not public"]


async def test_names_that_are_never_answered_hold_up_no_other(db: Database) -> None:
    slow, quick = await add_owner(db), await add_owner(db)
    async with receiving() as receiver, naming(lambda name: None if "slow" in name else "127.0.0.1") as resolver:
        for number in range(10):
            await add_endpoint(db, slow, f"http://{number}.slow.example/")
        await add_endpoint(db, quick, receiver.url.replace("127.0.0.1", "quick.example"))
        for _ in range(8):
            await tell(db, slow, uuid7(), "order.created")
        await relay_events(db)
        async with delivering(db, delays_s=(), timeout_s=10.0, resolver=resolver) as deliverer:
            await eventually(lambda: asyncio.sleep(0, len(deliverer._calls) == 80))
            await tell(db, quick, uuid7(), "order.created")
            await relay_events(db)
            await eventually(lambda: asyncio.sleep(0, len(receiver.calls) == 1))
            assert len(deliverer._calls) >= 80
            for task in list(deliverer._calls):
                task.cancel()


async def test_names_are_looked_up_without_threads() -> None:
    async with open_session(allow_private=True, limit=1) as session:
        connector = session.connector
        assert isinstance(connector, aiohttp.TCPConnector)
        assert isinstance(connector._resolver, aiohttp.AsyncResolver)
        assert {each["host"] for each in await connector._resolver.resolve("localhost")} <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/", "example.com", "", "http://", "https://user@example.com/", "https://a:b@example.com/",
        "https://example.com:0/", "https://example.com:99999/", "https://exa mple.com/", "https://example.com/\n",
        "http://[::1", "http://127.0.0.1/", "http://[::ffff:10.0.0.1]/", "http://169.254.169.254/latest/meta-data",
        "http://localhost/", "http://printer.local/", "http://metadata.google.internal/", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_what_can_be_told_from_the_text_is_refused_at_once(url: str) -> None:
    with pytest.raises(Invalid):
        checked_url(url, allow_private=False)


def test_public_addresses_are_taken() -> None:
    for url in ("https://example.com/hook?x=1", "http://93.184.216.34:8080/", "https://[2606:4700::1111]/"):
        assert checked_url(url, allow_private=False) == url
