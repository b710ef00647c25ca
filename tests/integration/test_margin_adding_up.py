"""Which days are added up, when and by whom."""

import asyncio
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import asyncpg

from gateway.db.engine import Database
from gateway.orders.margin import store
from gateway.orders.margin.adding_up import REST_S, add_up_days
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import RefundGiven
from tests.integration.test_margin import COMPLETED, ended
from tests.integration.test_margin_days import DAY, LONG_AGO, move, noted, open_days, shop, whole
from tests.support.factories import Shop
from tests.support.faults import eventually
from tests.support.processes import Installation, running_processes

__all__ = ["shop"]


async def test_what_ended_today_is_neither_noted_nor_added_up(db: Database, shop: Shop) -> None:
    order = await ended(db, shop, "a", COMPLETED)
    async with db.transaction() as tx:
        await settle(tx, [Change(order.id, RefundGiven(Decimal(1), "r"))])
        is_of_today = await tx.fetchval(
            "SELECT completed_at >= date_trunc('day', statement_timestamp(), 'UTC') FROM orders"
        )
    assert bool(await noted(db)) is not is_of_today  # noted where midnight passed meanwhile
    assert await add_up_days(db) == 0
    assert (await whole(db)).turnover == 1


async def test_a_day_rests_before_it_is_added_up(db: Database, shop: Shop) -> None:
    await move(db, await ended(db, shop, "a", COMPLETED), LONG_AGO)
    async with db.snapshot() as tx:
        now = await tx.fetchval("SELECT now() AT TIME ZONE 'UTC'")
        since_midnight = now - datetime(now.year, now.month, now.day)
        for rest, last in (
            (since_midnight - DAY / 1440, now.date() - DAY),
            (since_midnight + DAY / 1440, now.date() - 2 * DAY),
        ):
            assert await store.list_open(tx, rest.total_seconds(), 1) == [last]
    assert REST_S >= 3600


async def test_two_workers_do_not_add_up_the_same_days(db: Database, shop: Shop) -> None:
    await move(db, await ended(db, shop, "a", COMPLETED), LONG_AGO)
    async with db.transaction() as tx:
        assert await store.lock(tx)
        assert await add_up_days(db) == 0
    days = len(await open_days(db))
    done = await asyncio.gather(*(add_up_days(db) for _ in range(4)))
    assert days <= sum(done) + await add_up_days(db) <= days + 2
    assert await open_days(db) == []
    assert (await whole(db)).orders == 1


async def test_days_that_are_forgotten_by_hand_are_read_from_their_orders(
    db: Database, shop: Shop, owner: asyncpg.Connection
) -> None:
    await move(db, await ended(db, shop, "a", COMPLETED), LONG_AGO)
    await add_up_days(db)
    await owner.execute("DELETE FROM margin_days")
    assert (await whole(db)).orders == 1
    assert await add_up_days(db) > 3
    assert (await whole(db)).orders == 1


async def test_a_day_that_cannot_be_added_up_keeps_no_other_from_it(
    db: Database, shop: Shop, owner: asyncpg.Connection
) -> None:
    later = LONG_AGO + 2 * DAY
    for name, day in (("a", LONG_AGO), ("b", later)):
        await move(db, await ended(db, shop, name, COMPLETED), day)
    await owner.execute(f"ALTER TABLE margin_sums ADD CONSTRAINT refused CHECK (day <> '{later}')")
    assert await add_up_days(db) > 2
    assert await open_days(db) == [later]
    assert (await whole(db)).orders == 2


async def test_a_gateway_without_orders_has_nothing_to_add_up(db: Database) -> None:
    assert await add_up_days(db) == 0


async def test_a_worker_adds_up_the_days_before(
    db: Database, shop: Shop, database_url: str, redis_url: str, tmp_path: Path
) -> None:
    await move(db, await ended(db, shop, "a", COMPLETED), LONG_AGO)

    async def is_done() -> bool:
        return not await open_days(db)

    assert not await is_done()
    with running_processes(tmp_path) as processes:
        Installation(processes, database_url, redis_url).work()
        await eventually(is_done)
    assert (await whole(db)).orders == 1
