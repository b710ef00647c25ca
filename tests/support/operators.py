"""What an operator does meanwhile, and what time would do if a test could wait for it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress

from compat.simulator import Panel
from gateway.db.engine import Database
from gateway.dispatch.resolve import NotPlaced, PlacedAs, resolve
from gateway.errors import Conflict
from tests.support.chain import QUICK, Gateway

TURN_S = 0.5


async def end_pauses(db: Database) -> None:
    """As an operator does who topped up at the upstream, or a pause that is over by itself."""
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE service_routes SET paused_until = NULL WHERE id IN "
            "(SELECT id FROM service_routes WHERE paused_until > now() FOR UPDATE SKIP LOCKED)"
        )


async def ask_about_the_ended(db: Database) -> None:
    """As if ten minutes had passed since an order ended, when it is asked about again."""
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE order_checks SET next_check_at = now() WHERE order_id IN ("
            "SELECT c.order_id FROM order_checks c JOIN orders o ON o.id = c.order_id "
            "WHERE o.completed_at IS NOT NULL AND c.next_check_at > now() + interval '1 min' "
            "FOR UPDATE OF c SKIP LOCKED)"
        )


async def resolve_unknown(gateway: Gateway, panel: Panel) -> None:
    """Look each order of unknown fate up at a panel without the extension, once it can no longer be under way."""
    async with gateway.db.connection() as connection:
        rows = await connection.fetch(
            "SELECT a.id, o.number FROM dispatch_attempts a JOIN orders o ON o.id = a.order_id "
            "JOIN alerts ON kind = 'unknown_order' AND subject = 'order ' || o.number AND cleared_at IS NULL "
            "WHERE a.state = 'unknown' AND o.dispatch = 'unknown' "
            "AND a.started_at < now() - 2 * $1 * interval '1 s'",
            float(str(QUICK["send_timeout_s"])),
        )
    placed = {accepted.idempotency_key: str(accepted.order) for accepted in panel.accepted}
    for row in rows:
        found = placed.get(str(row["id"]))
        with suppress(Conflict):  # it moved on meanwhile, as by an answer to a copy: the next turn looks again
            await resolve(gateway.db, row["number"], PlacedAs(found) if found else NotPlaced(), "test")


@asynccontextmanager
async def meanwhile(*jobs: Callable[[], Awaitable[object]]) -> AsyncIterator[None]:
    """Each job again and again while the block lasts; one that fails fails the block."""

    async def repeat(job: Callable[[], Awaitable[object]]) -> None:
        while True:
            await job()
            await asyncio.sleep(TURN_S)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(repeat(job)) for job in jobs]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()


async def at_all(chain: Sequence[Gateway], act: Callable[[Database], Awaitable[None]]) -> None:
    for gateway in chain:
        await act(gateway.db)
