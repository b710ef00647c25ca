"""A desk at which orders are cancelled, where they stand, and what their ledger says."""

from decimal import Decimal

from compat.status import UpstreamStatus
from gateway.orders.model import Dispatch, Order, Status
from gateway.orders.triggers import Reported
from tests.support.aftercare import Desk
from tests.support.factories import read_order

TWO = Decimal(2)
HELD, RELEASED = ("hold", TWO), ("release", TWO)
CANCELED = Reported("Canceled", UpstreamStatus.CANCELED)
COMPLETED = Reported("Completed", UpstreamStatus.COMPLETED)


async def standing(desk: Desk, order: Order) -> tuple[Dispatch, Status]:
    now = await read_order(desk.db, order.number)
    return now.dispatch, now.status
