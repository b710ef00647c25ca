"""The queue of deliveries: rows in it, taken and recorded as a worker does."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from gateway.db.engine import Database
from gateway.webhooks.deliveries import store as deliveries
from gateway.webhooks.deliveries.store import Outcome
from gateway.webhooks.model import Answer, Due, Endpoint
from gateway.webhooks.relay import relay_events
from tests.support.hooks import add_endpoint, add_owner, tell

LEASE = timedelta(seconds=60)
URL = "http://127.0.0.1:1/"


async def rows(db: Database, query: str, *values: object) -> list[Any]:
    async with db.connection() as connection:
        return [tuple(row) for row in await connection.fetch(query, *values)]


async def claimed(db: Database, most: int = 100, each: int = 32) -> list[Due]:
    async with db.transaction() as tx:
        return await deliveries.claim(tx, most, each, {}, LEASE)


def outcome(due: Due, status: int = 200, wait_s: float | None = None) -> Outcome:
    return Outcome(
        delivery_id=due.delivery_id,
        webhook_id=due.webhook_id,
        attempt=due.attempt,
        answer=Answer(status=status, error=None, response="", duration_ms=1),
        wait=None if wait_s is None else timedelta(seconds=wait_s),
    )


async def record(db: Database, *outcomes: Outcome) -> None:
    async with db.transaction() as tx:
        await deliveries.record(tx, outcomes)


async def queued(db: Database) -> list[tuple[int, bool]]:
    """The number of each event in the queue, and whether it is its turn."""
    return await rows(db, "SELECT sequence, next_attempt_at IS NOT NULL FROM webhook_queue ORDER BY sequence")


async def set_up(db: Database, *types: str) -> tuple[UUID, Endpoint, UUID]:
    """An owner, the endpoint, and an object whose events were relayed."""
    owner, order = await add_owner(db), uuid7()
    endpoint, _ = await add_endpoint(db, owner, URL)
    await tell(db, owner, order, *(types or ("order.created", "order.processing")))
    await relay_events(db)
    return owner, endpoint, order


async def waits_for_a_lock(db: Database) -> bool:
    query = """
        SELECT EXISTS (SELECT FROM pg_locks w JOIN pg_locks h ON h.pid = w.pid JOIN pg_database d ON d.oid = h.database
                        WHERE NOT w.granted AND d.datname = current_database())
    """
    return await rows(db, query) == [(True,)]
