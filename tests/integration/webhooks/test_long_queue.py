"""A queue of which most belongs to one slow endpoint: a claim and a relay read what they take, by index."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from gateway.db.engine import Database
from gateway.webhooks.deliveries import store as deliveries
from gateway.webhooks.deliveries.entering import store as entering
from tests.support.hooks import add_endpoint, add_owner
from tests.support.reads import Measured

OBJECTS = 50_000
EACH = 4
"""Events of each object: its first has failed and is due in an hour, the others wait behind it."""
ENDPOINTS = 40
PAGES_MAX = 4000
"""Some pages for each endpoint and each delivery that is taken; the queue and its indexes have some 8000."""


@pytest.fixture
async def root(database_url: str, db: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def fill(root: asyncpg.Connection, webhook_id: UUID, objects: int, due_in: timedelta) -> None:
    await root.execute(
        """
        INSERT INTO webhook_queue (delivery_id, webhook_id, object_id, sequence, next_attempt_at)
        SELECT uuid7(), $1, o.id, s, CASE WHEN s = 1 THEN now() + $4 END
          FROM (SELECT uuid7() AS id FROM generate_series(1, $2)) o, generate_series(1, $3) s
        """,
        webhook_id,
        objects,
        EACH,
        due_in,
    )


@pytest.mark.parametrize("generic", [False, True])
async def test_a_claim_reads_what_it_takes(db: Database, root: asyncpg.Connection, generic: bool) -> None:
    slow, _ = await add_endpoint(db, await add_owner(db), "https://example.com/")
    await fill(root, slow.id, OBJECTS, timedelta(hours=1))
    for _ in range(ENDPOINTS):
        endpoint, _ = await add_endpoint(db, await add_owner(db), "https://example.com/")
        await fill(root, endpoint.id, 10, timedelta(0))
    await root.execute("VACUUM ANALYZE webhook_queue")
    async with db.transaction() as tx:
        measured = Measured(tx, generic=generic)
        await deliveries.claim(measured, 250, 32, {slow.id: 1}, timedelta(seconds=60))  # type: ignore[arg-type]
        taken = await tx.fetch("SELECT webhook_id, count(*) AS n FROM webhook_queue WHERE attempts > 0 GROUP BY 1")
    assert measured.pages < PAGES_MAX
    assert len(taken) == ENDPOINTS


async def test_a_relay_reads_what_it_takes(db: Database, root: asyncpg.Connection) -> None:
    owner = await add_owner(db)
    endpoint, _ = await add_endpoint(db, owner, "https://example.com/")
    await fill(root, endpoint.id, OBJECTS, timedelta(hours=1))
    await root.execute(
        """
        INSERT INTO events (type, user_id, object_type, object_id, data, sequence)
        SELECT 'order.completed', $1, 'order', object_id, '{}', $2
          FROM webhook_queue WHERE sequence = 1
        """,
        owner,
        EACH + 1,
    )
    await root.execute("VACUUM ANALYZE webhook_queue, events")
    async with db.transaction() as tx:
        measured = Measured(tx)
        assert await entering.relay(measured) == entering.RELAYED_AT_ONCE  # type: ignore[arg-type]
    assert measured.pages < 40 * entering.RELAYED_AT_ONCE
