"""Quality measured from real orders: what the worker counts, and when."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import pytest

from compat.status import UpstreamStatus
from gateway.catalog.quality import store
from gateway.catalog.quality.measuring import measure
from gateway.db.engine import Database
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import Reported
from tests.support.factories import Shop, add_route, place_order
from tests.support.measured import NOON, count, count_all, ended, rows, shop, taken_order, tell, times_of

__all__ = ["shop"]


async def test_an_order_started_when_its_upstream_first_said_in_progress(db: Database, shop: Shop) -> None:
    order = await taken_order(db, shop)
    await tell(db, order, UpstreamStatus.PENDING)
    assert await times_of(db, order) == (None, None)
    await tell(db, order, UpstreamStatus.IN_PROGRESS)
    started, _ = await times_of(db, order)
    assert started is not None
    await tell(db, order, UpstreamStatus.PROCESSING, 500)
    await tell(db, order, UpstreamStatus.IN_PROGRESS, 100)
    await tell(db, order, UpstreamStatus.COMPLETED)
    again, completed = await times_of(db, order)
    assert again == started
    assert completed is not None
    assert completed > started


@pytest.mark.parametrize(
    ("status", "remains", "started"),
    [
        (UpstreamStatus.COMPLETED, None, True),
        (UpstreamStatus.PARTIAL, 400, True),
        (UpstreamStatus.CANCELED, None, False),
        (UpstreamStatus.PARTIAL, 1000, False),
    ],
)
async def test_an_order_that_ended_started_only_if_something_was_delivered(
    db: Database, shop: Shop, status: UpstreamStatus, remains: int | None, started: bool
) -> None:
    order = await taken_order(db, shop)
    await tell(db, order, status, remains)
    begun, completed = await times_of(db, order)
    assert completed is not None
    assert (begun == completed) is started


async def test_orders_are_counted_by_route_day_and_outcome(db: Database, shop: Shop) -> None:
    for status in (UpstreamStatus.COMPLETED, UpstreamStatus.COMPLETED, UpstreamStatus.PARTIAL, UpstreamStatus.CANCELED):
        await ended(db, shop, status)
    other = await add_route(db, shop.service.id, shop.provider_id, provider_service_id="2")
    await ended(db, Shop(shop.account, shop.service, shop.provider_id, other), at=NOON - timedelta(days=3))
    await place_order(db, shop)
    await taken_order(db, shop)
    await count(db)
    assert await rows(db) == {
        (shop.route.id, str(NOON.date())): (2, 1, 1, 0),
        (other.id, str((NOON - timedelta(days=3)).date())): (1, 0, 0, 0),
    }


async def test_a_day_is_that_of_utc_whatever_the_session_says(db: Database, shop: Shop) -> None:
    midnight = NOON.replace(hour=0)
    await ended(db, shop, at=midnight)
    await ended(db, shop, at=midnight - timedelta(microseconds=1))
    async with db.transaction() as tx:
        await tx.execute("SET LOCAL TimeZone = 'Pacific/Kiritimati'")
        claim = await store.claim(tx)
        assert claim is not None
        for day in await store.days_touched(tx, claim, timedelta()):
            await store.count_day(tx, day)
    assert sorted(day for _, day in await rows(db)) == [
        str((midnight - timedelta(days=1)).date()),
        str(midnight.date()),
    ]


async def test_counting_again_changes_nothing(db: Database, shop: Shop) -> None:
    await ended(db, shop)
    await count(db)
    before = await everything(db)
    assert await count(db) == 0, "no order ended since"
    assert await count_all(db) == store.DAYS_BACK
    assert await everything(db) == before


async def everything(db: Database) -> list[dict[str, Any]]:
    async with db.connection() as connection:
        return [dict(row) for row in await connection.fetch("SELECT * FROM quality_days ORDER BY route_id, day")]


async def test_only_days_with_news_are_counted_again(db: Database, shop: Shop) -> None:
    await ended(db, shop, at=NOON - timedelta(days=5))
    await count(db)
    async with db.transaction() as tx:
        await tx.execute("UPDATE quality_days SET completed = 77")
    order = await taken_order(db, shop)
    await tell(db, order, UpstreamStatus.COMPLETED)
    _, completed = await times_of(db, order)
    assert completed is not None
    assert await count(db) == 1
    assert (await rows(db))[shop.route.id, str((NOON - timedelta(days=5)).date())] == (77, 0, 0, 0)
    assert (await rows(db))[shop.route.id, str(completed.date())] == (1, 0, 0, 0)


async def test_an_order_whose_transaction_outlived_a_run_is_counted_by_the_next(
    db: Database, shop: Shop, database_url: str
) -> None:
    order = await taken_order(db, shop)
    async with db.transaction() as tx:
        await settle(tx, [Change(order.id, Reported(word="Completed", status=UpstreamStatus.COMPLETED))])
        await count(db)
        assert await rows(db) == {}
    await count(db)
    assert list((await rows(db)).values()) == [(1, 0, 0, 0)]


async def test_what_was_taken_back_and_refilled_later_changes_the_day_on_which_it_ended(
    db: Database, shop: Shop
) -> None:
    first, second = await ended(db, shop), await ended(db, shop)
    await count(db)
    assert list((await rows(db)).values()) == [(2, 0, 0, 0)]
    await tell(db, first, UpstreamStatus.PARTIAL, 300)
    await count(db)
    assert list((await rows(db)).values()) == [(1, 1, 0, 0)]
    await tell(db, first, UpstreamStatus.CANCELED)
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO refills (order_id, user_id, provider_id, external_order_id) VALUES ($1, $2, $3, '7')",
            second.id,
            second.user_id,
            shop.provider_id,
        )
    await count(db)
    assert list((await rows(db)).values()) == [(1, 0, 1, 1)]


async def test_two_workers_at_once_count_every_order_once(db: Database, shop: Shop) -> None:
    for _ in range(5):
        await ended(db, shop)
    await asyncio.gather(*(count(db) for _ in range(6)))
    await count(db)
    assert list((await rows(db)).values()) == [(5, 0, 0, 0)]


async def test_a_worker_leaves_a_run_under_way_to_the_other(db: Database, shop: Shop) -> None:
    await ended(db, shop)
    async with db.transaction() as other:
        assert await store.lock(other)
        assert await count(db) == 0
    assert await rows(db) == {}
    assert await measure(db) == store.DAYS_BACK
    assert await measure(db) == 0, "not due yet"


async def test_a_run_that_failed_in_the_middle_is_made_good_by_the_next(
    db: Database, shop: Shop, database_url: str
) -> None:
    await ended(db, shop, at=NOON - timedelta(days=2))
    await ended(db, shop, at=NOON)
    root = await asyncpg.connect(database_url)
    await root.execute(f"ALTER TABLE quality_days ADD CONSTRAINT broken CHECK (day < DATE '{NOON.date()}') NOT VALID")
    with pytest.raises(asyncpg.CheckViolationError):
        await count(db)
    assert len(await rows(db)) == 1
    await root.execute("ALTER TABLE quality_days DROP CONSTRAINT broken")
    await root.close()
    assert await measured_at(db) < NOON - timedelta(days=2)
    await count(db)
    assert len(await rows(db)) == 2


async def measured_at(db: Database) -> datetime:
    async with db.connection() as connection:
        moment: datetime = await connection.fetchval("SELECT measured_at FROM quality_progress")
    return moment


async def test_a_run_that_failed_is_not_tried_again_without_a_rest(db: Database, shop: Shop, database_url: str) -> None:
    await ended(db, shop)
    root = await asyncpg.connect(database_url)
    await root.execute("ALTER TABLE quality_days ADD CONSTRAINT broken CHECK (completed = 0) NOT VALID")
    with pytest.raises(asyncpg.CheckViolationError):
        await measure(db)
    assert await measure(db) == 0
    await root.execute("UPDATE quality_progress SET due_at = now()")
    with pytest.raises(asyncpg.CheckViolationError):
        await measure(db)
    await root.close()
