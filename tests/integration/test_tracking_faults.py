"""A poller among faults: an order or a provider at fault stops no other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from compat.wire import Accepted
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.egress import open_session
from gateway.orders.model import Order, Status
from gateway.providers.upstream import Upstreams
from gateway.settings import Settings
from gateway.tracking.poller import LANES, Poller
from gateway.tracking.store import BATCH_MAX
from tests.support.factories import Shop, add_shop, begin_attempt, place_order, read_order
from tests.support.faults import (
    IN_PROGRESS,
    KEYRING,
    NumberingPanel,
    eventually,
    lead_to,
    open_numbering_panel,
    refuse_writes,
)


@pytest.fixture
async def panel() -> AsyncIterator[NumberingPanel]:
    async with open_numbering_panel() as panel:
        yield panel


@pytest.fixture
async def shop(db: Database, panel: NumberingPanel) -> Shop:
    shop = await add_shop(db)
    await lead_to(db, shop.provider_id, panel)
    return shop


async def accepted_order(db: Database, shop: Shop, upstream_id: str) -> Order:
    order = await place_order(db, shop)
    await record(db, await begin_attempt(db, shop, order), Accepted(upstream_id), timedelta())
    return order


@asynccontextmanager
async def polling(db: Database, interval_s: float = 60) -> AsyncIterator[None]:
    async with open_session(allow_private=True, limit=10) as session:
        upstreams = Upstreams(db, KEYRING, session, Settings())
        await upstreams.refresh()
        poller = Poller(db, upstreams, check_interval_min_s=interval_s, check_interval_max_s=900)
        running = asyncio.create_task(poller.run())
        try:
            yield
        finally:
            await poller.stop()
            await running


async def statuses(db: Database, orders: list[Order]) -> list[Status]:
    return [(await read_order(db, order.number)).status for order in orders]


@pytest.mark.parametrize("words", ["Incorrect order ID", "order 17 is in the archive"])
async def test_an_id_for_which_the_panel_refuses_the_list_does_not_stop_its_neighbours(
    db: Database, shop: Shop, panel: NumberingPanel, words: str
) -> None:
    panel.unknown_words = words
    orders = [await accepted_order(db, shop, upstream_id) for upstream_id in ("a1", "gone", "c3", "d4", "e5")]
    panel.unknown = {"gone"}
    gone = orders.pop(1)

    async def noted() -> bool:
        return (await read_order(db, gone.number)).check_failures == 1

    async with polling(db):
        await eventually(noted)
    assert await statuses(db, orders) == [Status.COMPLETED] * 4
    assert await statuses(db, [gone]) == [Status.PROCESSING]
    assert ["gone"] in panel.asked


async def test_an_order_that_cannot_be_settled_does_not_stop_its_batch(
    db: Database, shop: Shop, panel: NumberingPanel, database_url: str
) -> None:
    orders = [await accepted_order(db, shop, upstream_id) for upstream_id in ("a1", "b2", "c3", "d4", "e5")]
    bad = orders.pop(1)
    owner = await asyncpg.connect(database_url)
    await refuse_writes(owner, "UPDATE", "orders", f"NEW.id = '{bad.id}' AND NEW.status <> OLD.status")
    await owner.close()

    async def settled() -> bool:
        return await statuses(db, orders) == [Status.COMPLETED] * 4

    async with polling(db):
        await eventually(settled)
    assert await statuses(db, [bad]) == [Status.PROCESSING]
    assert len(panel.asked) == 1


async def test_a_provider_that_does_not_answer_is_asked_less_often_than_one_that_does(
    db: Database, shop: Shop, panel: NumberingPanel
) -> None:
    panel.report = IN_PROGRESS
    await accepted_order(db, shop, "a1")
    async with open_numbering_panel() as silent:
        silent.status = 500
        down = await add_shop(db)
        await lead_to(db, down.provider_id, silent)
        await accepted_order(db, down, "a1")

        async def asked_often() -> bool:
            return len(panel.asked) >= 6

        async with polling(db, interval_s=0.1):
            await eventually(asked_often)
        assert 1 <= len(silent.asked) < len(panel.asked) - 1


async def test_batches_of_one_provider_are_asked_about_one_at_a_time_and_each_order_once(
    db: Database, shop: Shop, panel: NumberingPanel
) -> None:
    panel.report = IN_PROGRESS
    count = BATCH_MAX * LANES + 50
    await add_copies(db, await accepted_order(db, shop, "1"), count)
    panel.gate.clear()

    async def is_held() -> bool:
        return panel.waiting > 0 and await count_due(db) == count - BATCH_MAX * LANES

    async def all_seen() -> bool:
        return await count_orders(db, "upstream_status = 'In progress'") == count

    async with polling(db):
        await eventually(is_held)
        assert panel.waiting == 1, "the next batch is claimed, not asked about"
        panel.gate.set()
        await eventually(all_seen)
    assert sorted(int(upstream_id) for asked in panel.asked for upstream_id in asked) == list(range(1, count + 1))


async def add_copies(db: Database, order: Order, count: int) -> None:
    """As many orders as the upstream then has, of which the one is the first."""
    async with db.transaction() as tx:
        await tx.execute(
            "WITH added AS (INSERT INTO orders (user_id, service_id, provider_id, external_order_id, link, quantity, "
            "price, dispatch, status) SELECT user_id, service_id, provider_id, n::text, link, quantity, price, "
            "dispatch, status FROM orders, generate_series(2, $2::int) AS n WHERE id = $1 RETURNING id, provider_id) "
            "INSERT INTO order_checks SELECT id, provider_id, now() FROM added",
            order.id,
            count,
        )


async def count_due(db: Database) -> int:
    async with db.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM order_checks WHERE next_check_at <= now()")
    return count


async def count_orders(db: Database, condition: str) -> int:
    async with db.connection() as connection:
        count: int = await connection.fetchval(f"SELECT count(*) FROM orders WHERE {condition}")
    return count


async def test_a_report_without_news_locks_and_writes_nothing(
    db: Database, shop: Shop, panel: NumberingPanel, database_url: str
) -> None:
    panel.report = IN_PROGRESS
    order = await accepted_order(db, shop, "a1")

    async def seen() -> bool:
        return (await read_order(db, order.number)).upstream_status == "In progress"

    async def asked_again() -> bool:
        return len(panel.asked) >= asked + 3

    async with polling(db, interval_s=0.1):
        await eventually(seen)
        owner = await asyncpg.connect(database_url)
        await refuse_writes(owner, "UPDATE", "orders", "true")
        await owner.close()
        asked = len(panel.asked)
        await eventually(asked_again)
    now = await read_order(db, order.number)
    assert (now.status, now.check_failures) == (Status.PROCESSING, 0)
