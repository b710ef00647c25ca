"""Orders that were delivered so or so, counted, and what was counted of them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from compat.status import UpstreamStatus
from compat.wire import Accepted
from gateway.catalog.quality.measuring import measure
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.orders.model import Order
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import Reported
from tests.support.factories import Shop, add_shop, begin_attempt, place_order, read_order

Row = tuple[int, int, int, int]
NOW = datetime.now(UTC)
NOON = NOW.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
"""Of yesterday, so that no test crosses midnight."""


@pytest.fixture
async def shop(db: Database) -> Shop:
    return await add_shop(db, funds="10000")


async def count(db: Database) -> int:
    """One run without a rest after it."""
    return await measure(db, rest_s=0, share_max=1)


async def count_all(db: Database) -> int:
    """As `count`, as if never before: the times of `ended` lie before the last run."""
    async with db.transaction() as tx:
        await tx.execute("DELETE FROM quality_progress")
    return await count(db)


async def taken_order(db: Database, shop: Shop) -> Order:
    order = await place_order(db, shop)
    attempt = await begin_attempt(db, shop, order)
    await record(db, attempt, Accepted(f"up-{order.number}"), timedelta())
    return await read_order(db, order.number)


async def tell(db: Database, order: Order, status: UpstreamStatus, remains: int | None = None) -> None:
    async with db.transaction() as tx:
        await settle(tx, [Change(order.id, Reported(word=status.value, status=status, remains=remains))])


async def ended(
    db: Database,
    shop: Shop,
    status: UpstreamStatus = UpstreamStatus.COMPLETED,
    *,
    took_s: float = 600,
    started_s: float = 60,
    at: datetime = NOON,
) -> Order:
    """An order that was settled, with its times put to where the test wants them."""
    order = await taken_order(db, shop)
    await tell(db, order, UpstreamStatus.IN_PROGRESS)
    await tell(db, order, status, 400 if status is UpstreamStatus.PARTIAL else None)
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE dispatch_attempts SET finished_at = $2 WHERE order_id = $1",
            order.id,
            at - timedelta(seconds=took_s),
        )
        await tx.execute(
            "UPDATE orders SET completed_at = $2, started_at = $3 WHERE id = $1",
            order.id,
            at,
            at - timedelta(seconds=took_s - started_s),
        )
    return order


async def rows(db: Database) -> dict[tuple[UUID, str], Row]:
    async with db.connection() as connection:
        found = await connection.fetch("SELECT * FROM quality_days")
    return {
        (row["route_id"], str(row["day"])): (row["completed"], row["partial"], row["cancelled"], row["refills"])
        for row in found
    }


async def times_of(db: Database, order: Order) -> tuple[datetime | None, datetime | None]:
    async with db.connection() as connection:
        row = await connection.fetchrow("SELECT started_at, completed_at FROM orders WHERE id = $1", order.id)
    assert row is not None
    return row["started_at"], row["completed_at"]
