"""An order with an attempt, and where both stand."""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from compat.wire import Unknown
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.orders.model import Dispatch, Order, Status
from tests.support.factories import (
    Shop,
    add_shop,
    begin_attempt,
    place_order,
    read_order,
)

FIRST_CHECK = timedelta(seconds=5)
TWO = Decimal(2)
HELD, RELEASED = ("hold", TWO), ("release", TWO)


@pytest.fixture
async def shop(db: Database) -> Shop:
    return await add_shop(db)


@pytest.fixture
async def order(db: Database, shop: Shop) -> Order:
    """Queued, at a price of 2."""
    return await place_order(db, shop)


@pytest.fixture
async def attempt(db: Database, shop: Shop, order: Order) -> UUID:
    """The order is `sending`."""
    return await begin_attempt(db, shop, order)


async def attempt_row(db: Database, attempt_id: UUID) -> Mapping[str, Any]:
    async with db.connection() as connection:
        row = await connection.fetchrow("SELECT * FROM dispatch_attempts WHERE id = $1", attempt_id)
    assert row is not None
    return dict(row)


async def order_row(db: Database, order: Order) -> Mapping[str, Any]:
    async with db.connection() as connection:
        row = await connection.fetchrow(
            "SELECT o.*, o.next_attempt_at > now() AS rests, c.provider_id AS asked_at, c.next_check_at FROM orders o "
            "LEFT JOIN order_checks c ON c.order_id = o.id WHERE o.id = $1",
            order.id,
        )
    assert row is not None
    return dict(row)


async def run_sql(db: Database, query: str, *arguments: object) -> None:
    async with db.transaction() as tx:
        await tx.execute(query, *arguments)


async def standing(db: Database, order: Order) -> tuple[Dispatch, Status]:
    now = await read_order(db, order.number)
    return now.dispatch, now.status


QUEUED = (Dispatch.QUEUED, Status.PENDING)
SENDING = (Dispatch.SENDING, Status.PENDING)
ACCEPTED = (Dispatch.ACCEPTED, Status.PROCESSING)
FAILED = (Dispatch.REFUSED, Status.FAILED)
UNKNOWN = (Dispatch.UNKNOWN, Status.PENDING)
WRITTEN_OFF = (Dispatch.WRITTEN_OFF, Status.CANCELLED)


@pytest.fixture
async def unknown(db: Database, order: Order, attempt: UUID) -> UUID:
    await record(db, attempt, Unknown("timed out"), FIRST_CHECK)
    return attempt
