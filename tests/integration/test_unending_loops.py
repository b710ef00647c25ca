"""What runs without end in a worker goes on whatever the database answers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from gateway.db.engine import Database
from gateway.dispatch.sender import Dispatcher
from gateway.egress import open_session
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from gateway.tracking.poller import Poller
from gateway.webhooks.calling import Caller
from gateway.webhooks.sending import Deliverer
from tests.support.faults import KEYRING, eventually

LOOPS = ("dispatcher", "poller", "webhooks")


class Asked(Database):
    """Counts how often it was asked for a connection."""

    count = 0

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.pool.PoolConnectionProxy]:
        self.count += 1
        async with super().connection() as connection:
            yield connection


@asynccontextmanager
async def looping(db: Database, name: str) -> AsyncIterator[asyncio.Task[None]]:
    async with open_session(allow_private=True, limit=10) as session:
        upstreams = Upstreams(db, KEYRING, session, Settings())
        dispatcher = Dispatcher(db, upstreams, lease_s=60, first_check_s=5)
        poller = Poller(db, upstreams, check_interval_min_s=5, check_interval_max_s=900)
        deliverer = Deliverer(db, Caller(session, KEYRING), each=1, delays_s=())
        loop = {"dispatcher": dispatcher, "poller": poller, "webhooks": deliverer}[name]
        task = asyncio.create_task(loop.run())
        try:
            yield task
        finally:
            await asyncio.gather(dispatcher.stop(5), poller.stop(), deliverer.stop(5))
            await asyncio.wait([task])


@pytest.mark.parametrize("name", LOOPS)
async def test_a_loop_goes_on_once_its_tables_are_there_again(database_url: str, name: str) -> None:
    root = await asyncpg.connect(database_url)
    db = await Asked.open(database_url)
    async with looping(db, name) as loop:
        for schema in ("public", "away"):
            asked = db.count
            await eventually(lambda asked=asked: asyncio.sleep(0, loop.done() or db.count > asked + 2))
            assert not loop.done(), loop.exception()
            await root.execute(f"ALTER SCHEMA {schema} RENAME TO {'away' if schema == 'public' else 'public'}")
    assert loop.exception() is None
    await db.close()
    await root.close()
