"""A server that goes away says so before it closes: what is asked in between meets a connection that is lost."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from gateway.db.engine import Database
from gateway.db.listener import Listener
from gateway.errors import Unavailable
from tests.support.proxy import Wire, wire_to

HEARD_WITHIN_S = 10.0


@pytest.fixture
async def wire(database_url: str) -> AsyncIterator[tuple[Wire, str]]:
    """A wire whose end at the server may be closed while ours is open."""
    async with wire_to(database_url) as (wire, url):
        wire.outlives_the_server = True
        yield wire, url


async def say_good_bye(database_url: str, application: str, wire: Wire) -> None:
    """As a server does that is stopped, to whom is connected by that name; heard before this returns."""
    admin = await asyncpg.connect(database_url)
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE application_name = $1 AND datname = current_database()",
        application,
    )
    await asyncio.wait_for(wire.server_left.wait(), HEARD_WITHIN_S)
    await admin.fetchval("SELECT 1")
    await admin.close()


async def test_a_transaction_whose_server_left_is_unavailable_as_any_lost_one(
    database_url: str, wire: tuple[Wire, str]
) -> None:
    through, url = wire
    far = await Database.open(url, size=1, application="left")

    async def be_left() -> None:
        async with far.transaction() as tx:
            await tx.execute("SELECT 1")
            await say_good_bye(database_url, "left", through)

    with pytest.raises(Unavailable):
        await be_left()
    await far.close()


async def test_a_listener_whose_server_left_listens_anew(database_url: str, wire: tuple[Wire, str]) -> None:
    through, url = wire
    listener = Listener(url)
    connected = asyncio.Semaphore(0)
    listener.on_reconnect(connected.release)
    await listener.start()
    await connected.acquire()
    await say_good_bye(database_url, "listener", through)
    await asyncio.wait_for(connected.acquire(), HEARD_WITHIN_S)
    await listener.stop()
