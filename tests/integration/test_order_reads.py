"""A user finds the user's own orders by number, and nobody else's."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from compat.wire import Accepted
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.errors import NotFound
from gateway.orders.history import history
from gateway.orders.reading import OrderReader
from tests.support.factories import Shop, add_shop, begin_attempt, place_order


@pytest.fixture
async def shop(db: Database) -> Shop:
    return await add_shop(db)


@pytest.fixture
def reader(db: Database) -> OrderReader:
    return OrderReader(db)


async def test_an_order_is_found_as_it_was_placed(db: Database, shop: Shop, reader: OrderReader) -> None:
    order = await place_order(db, shop)
    assert await reader.find(shop.account.user_id, [order.number]) == {order.number: order}


async def test_others_orders_and_unknown_numbers_are_left_out(db: Database, shop: Shop, reader: OrderReader) -> None:
    mine, theirs = await place_order(db, shop), await place_order(db, await add_shop(db))
    wanted = [mine.number, theirs.number, theirs.number + 1]
    assert list(await reader.find(shop.account.user_id, wanted)) == [mine.number]
    assert await reader.find(uuid4(), wanted) == {}


@pytest.mark.parametrize("number", [0, -1, 2**31, 2**63, 10**30])
async def test_a_number_that_no_order_can_have_finds_nothing(
    db: Database, shop: Shop, reader: OrderReader, number: int
) -> None:
    order = await place_order(db, shop)
    assert list(await reader.find(shop.account.user_id, [number, order.number])) == [order.number]


async def test_the_same_number_twice_is_found_once(db: Database, shop: Shop, reader: OrderReader) -> None:
    order = await place_order(db, shop)
    assert list(await reader.find(shop.account.user_id, [order.number] * 3)) == [order.number]
    assert await reader.find(shop.account.user_id, []) == {}


async def test_readers_at_once_each_get_their_own(db: Database, shop: Shop, reader: OrderReader) -> None:
    others = await add_shop(db)
    mine, theirs = await place_order(db, shop), await place_order(db, others)
    both = [mine.number, theirs.number]
    found = await asyncio.gather(
        *(reader.find(owner.account.user_id, both) for owner in (shop, others) for _ in range(20))
    )
    assert [list(orders) for orders in found] == [[mine.number]] * 20 + [[theirs.number]] * 20


async def test_orders_are_found_when_their_month_is_closed(db: Database, shop: Shop, reader: OrderReader) -> None:
    order = await place_order(db, shop)
    async with db.transaction() as tx:
        await tx.execute("INSERT INTO order_months VALUES (date_trunc('month', now()), $1, $1)", order.number)
    await reader.refresh()
    assert list(await reader.find(shop.account.user_id, [order.number])) == [order.number]


async def test_the_history_of_an_order_tells_all_that_happened(db: Database, shop: Shop) -> None:
    order = await place_order(db, shop)
    await record(db, await begin_attempt(db, shop, order), Accepted("77"), timedelta())
    told = await history(db, order.number)
    assert told["order"]["external_order_id"] == "77"
    assert [attempt["state"] for attempt in told["attempts"]] == ["accepted"]
    assert [event["kind"] for event in told["events"]] == ["WasAccepted"]
    assert [row["type"] for row in told["ledger"]] == ["hold"]
    with pytest.raises(NotFound):
        await history(db, order.number + 1)
