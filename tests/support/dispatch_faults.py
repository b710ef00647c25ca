"""A shop whose provider is a numbering panel, and how its orders stand with the dispatcher."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from gateway.db.engine import Database
from gateway.orders.model import Dispatch, Order
from tests.support.factories import Shop, add_shop, place_order, read_order
from tests.support.faults import NumberingPanel, lead_to, open_numbering_panel

DAY_S = 86_400


@pytest.fixture
async def panel() -> AsyncIterator[NumberingPanel]:
    async with open_numbering_panel() as panel:
        yield panel


@pytest.fixture
async def shop(db: Database, panel: NumberingPanel) -> Shop:
    shop = await add_shop(db, funds="1000")
    await lead_to(db, shop.provider_id, panel)
    return shop


@pytest.fixture
async def order(db: Database, shop: Shop) -> Order:
    return await place_order(db, shop)


async def attempts(db: Database, order: Order) -> list[tuple[str, str | None, Decimal | None, str | None]]:
    """State, reason, cost and upstream's id of each, the oldest first."""
    async with db.connection() as connection:
        rows = await connection.fetch(
            "SELECT state, reason, cost, upstream_id FROM dispatch_attempts WHERE order_id = $1 ORDER BY id", order.id
        )
    return [tuple(row) for row in rows]


async def dispatch_of(db: Database, *orders: Order) -> list[Dispatch]:
    return [(await read_order(db, order.number)).dispatch for order in orders]
