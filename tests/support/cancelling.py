"""A desk at which orders are cancelled, where they stand, and what their ledger says."""

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from compat.status import UpstreamStatus
from gateway.db.engine import Database
from gateway.orders.model import Dispatch, Order, Status
from gateway.orders.triggers import Reported
from tests.support.aftercare import Desk, open_desk
from tests.support.factories import read_order

TWO = Decimal(2)
HELD, RELEASED = ("hold", TWO), ("release", TWO)
CANCELED = Reported("Canceled", UpstreamStatus.CANCELED)
COMPLETED = Reported("Completed", UpstreamStatus.COMPLETED)


@pytest.fixture
async def desk(db: Database) -> AsyncIterator[Desk]:
    async with open_desk(db) as desk:
        yield desk


async def standing(desk: Desk, order: Order) -> tuple[Dispatch, Status]:
    now = await read_order(desk.db, order.number)
    return now.dispatch, now.status
