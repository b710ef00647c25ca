"""Cancels, claims and refills of two processes at once, each with a pool of its own."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from compat.kinds import Kind
from compat.status import UpstreamStatus
from gateway.db.engine import Database
from gateway.dispatch import store as dispatch
from gateway.dispatch.model import Attempt
from gateway.orders.cancels.wishing import cancel_orders
from gateway.orders.model import Dispatch
from gateway.orders.reading import OrderReader
from gateway.orders.refills.asking import ask_for_refills
from gateway.orders.triggers import Reported
from tests.support.aftercare import DAY_S, Desk, desk
from tests.support.factories import add_account, place_order, read_order

__all__ = ["desk"]


@pytest.fixture
async def second(database_url: str) -> AsyncIterator[Database]:
    second = await Database.open(database_url)
    yield second
    await second.close()


async def test_fifty_who_ask_two_processes_for_a_refill_get_one_number(desk: Desk, second: Database) -> None:
    order = await desk.ended(Reported("Completed", UpstreamStatus.COMPLETED))
    ways = [(desk.db, desk.reader), (second, OrderReader(second))]
    user_id = desk.shop.account.user_id
    answers = await asyncio.gather(
        *(ask_for_refills(*ways[turn % 2], user_id, [order.number], DAY_S) for turn in range(50))
    )
    assert answers == [{order.number: 1}] * 50
    assert await desk.row("SELECT count(*) AS rows FROM refills") == {"rows": 1}


async def test_what_one_process_claims_and_another_cancels_is_sent_or_withdrawn(desk: Desk, second: Database) -> None:
    orders = [await place_order(desk.db, desk.shop, quantity=100) for _ in range(40)]
    numbers, reader = [order.number for order in orders], OrderReader(second)
    stranger = await add_account(desk.db)
    sent: set[UUID] = set()

    async def claim() -> None:
        async with desk.db.transaction() as tx:
            found = await dispatch.claim_queued(tx, {desk.shop.provider_id: 5})
            attempts = [Attempt(uuid7(), one, Kind.DEFAULT, desk.shop.route) for one, _ in found]
            written = await dispatch.insert_attempts(tx, attempts, timedelta(seconds=60))
            await asyncio.sleep(0.01)
        sent.update(attempt.order.id for attempt in attempts if attempt.id in written)

    async def cancel(some: list[int]) -> None:
        answers = await cancel_orders(second, reader, desk.shop.account.user_id, [*some, 1, 2])
        assert answers == dict.fromkeys(some)

    async def meddle() -> None:
        assert await cancel_orders(second, reader, stranger.user_id, numbers) == {}

    eighths = [numbers[start : start + 8] for start in range(0, 40, 5)]
    await asyncio.gather(*(work for some in eighths for work in (claim(), cancel(some), meddle())))
    withdrawn = {
        order.id for order in orders if (await read_order(desk.db, order.number)).dispatch is Dispatch.WITHDRAWN
    }
    assert not sent & withdrawn
    assert sent | withdrawn == {order.id for order in orders}
    await desk.assert_books_are_clean()
