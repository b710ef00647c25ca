"""What is on sale is true in the rows, whoever takes a route away at the same moment."""

import asyncio
from uuid import UUID

from gateway.catalog import store
from gateway.db.engine import Database
from tests.support.factories import add_provider, add_route, add_service
from tests.support.faults import eventually


async def take_away(db: Database, route_id: UUID, provider_id: UUID, begun: asyncio.Event, end: asyncio.Event) -> None:
    async with db.transaction() as tx:
        await tx.execute("UPDATE service_routes SET is_listed = false WHERE id = $1", route_id)
        begun.set()
        await store.refresh_sale(tx, provider_id=provider_id)
        await end.wait()


async def test_two_who_each_take_one_of_two_routes_leave_the_service_off(db: Database) -> None:
    north, south = await add_provider(db), await add_provider(db)
    service = await add_service(db, provider_id=north)
    second = await add_route(db, service.id, south)
    async with db.connection() as connection:
        first, *_ = await store.routes_of(connection, [service.id])
        first_id = first.id if first.provider_id == north else second.id
    begun, ends = [asyncio.Event(), asyncio.Event()], [asyncio.Event(), asyncio.Event()]
    one = asyncio.create_task(take_away(db, first_id, north, begun[0], ends[0]))
    await begun[0].wait()

    async def first_has_refreshed() -> bool:
        return await is_locked(db, service.id)

    await eventually(first_has_refreshed)
    other = asyncio.create_task(take_away(db, second.id, south, begun[1], ends[1]))
    await begun[1].wait()
    ends[1].set()
    ends[0].set()
    await asyncio.gather(one, other)
    async with db.connection() as connection:
        assert not await connection.fetchval("SELECT is_active FROM services WHERE id = $1", service.id)


async def is_locked(db: Database, service_id: UUID) -> bool:
    async with db.transaction() as tx:
        return not await tx.fetch("SELECT FROM services WHERE id = $1 FOR NO KEY UPDATE SKIP LOCKED", service_id)
