"""Late answers and upkeep among faults: what is known is kept, and a row that cannot be written stops no other."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import asyncpg

from compat.wire import Accepted, Unknown
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.dispatch.resolve import NotPlaced, resolve
from gateway.dispatch.upkeep import expire_leases, fail_queued, give_up_unknown
from gateway.orders.model import Dispatch, Order
from tests.support.dispatch_faults import DAY_S, attempts, dispatch_of, order, panel, shop
from tests.support.factories import Shop, begin_attempt, open_alerts, place_order
from tests.support.faults import refuse_writes

__all__ = ["order", "panel", "shop"]

FIRST_CHECK = timedelta(seconds=5)


async def unknown_attempt(db: Database, shop: Shop, order: Order) -> UUID:
    attempt = await begin_attempt(db, shop, order)
    await record(db, attempt, Unknown("timed out"), FIRST_CHECK)
    return attempt


async def test_an_id_for_an_order_held_for_not_placed_is_kept_and_somebody_is_told(
    db: Database, shop: Shop, order: Order
) -> None:
    attempt = await unknown_attempt(db, shop, order)
    await resolve(db, order.number, NotPlaced(), "ops")
    await record(db, attempt, Accepted("77"), FIRST_CHECK)
    assert [(state, upstream_id) for state, _, _, upstream_id in await attempts(db, order)] == [("not_placed", "77")]
    async with db.connection() as connection:
        bound = await connection.fetchval("SELECT order_id FROM upstream_orders WHERE upstream_id = '77'")
    assert bound == order.id
    assert await dispatch_of(db, order) == [Dispatch.QUEUED]
    assert await open_alerts(db) == ["orphaned_upstream_order"]


async def test_what_is_written_off_is_a_loss_in_our_currency(
    db: Database, shop: Shop, order: Order, owner: asyncpg.Connection
) -> None:
    await unknown_attempt(db, shop, order)
    await owner.execute("UPDATE providers SET exchange_rate = 1.25")
    assert await give_up_unknown(db, -1) == 1
    assert await owner.fetchval("SELECT loss FROM dispatch_attempts") == Decimal("1.25")
    assert await dispatch_of(db, order) == [Dispatch.WRITTEN_OFF]


async def test_an_old_order_that_was_not_placed_is_queued_anew(
    db: Database, shop: Shop, order: Order, owner: asyncpg.Connection
) -> None:
    await unknown_attempt(db, shop, order)
    await owner.execute("UPDATE orders SET created_at = now() - interval '25 h', queued_at = now() - interval '25 h'")
    await resolve(db, order.number, NotPlaced(), "ops")
    assert await fail_queued(db, DAY_S) == 0
    assert await dispatch_of(db, order) == [Dispatch.QUEUED]


async def test_an_attempt_that_cannot_be_written_stops_no_other(
    db: Database, shop: Shop, owner: asyncpg.Connection
) -> None:
    bad, *others = orders = [await place_order(db, shop) for _ in range(3)]
    leases = [await begin_attempt(db, shop, order, lease_s=number - 100) for number, order in enumerate(orders)]
    await refuse_writes(owner, "UPDATE", "dispatch_attempts", f"NEW.id = '{leases[0]}'")
    assert await expire_leases(db) == 2
    assert await dispatch_of(db, bad, *others) == [Dispatch.SENDING, Dispatch.UNKNOWN, Dispatch.UNKNOWN]
    assert await give_up_unknown(db, -1) == 2
    assert await dispatch_of(db, *others) == [Dispatch.WRITTEN_OFF, Dispatch.WRITTEN_OFF]


async def test_an_order_that_cannot_be_failed_stops_no_other(
    db: Database, shop: Shop, owner: asyncpg.Connection
) -> None:
    bad, *others = [await place_order(db, shop) for _ in range(3)]
    await refuse_writes(owner, "UPDATE", "orders", f"NEW.id = '{bad.id}'")
    assert await fail_queued(db, -1) == 2
    assert await dispatch_of(db, bad, *others) == [Dispatch.QUEUED, Dispatch.REFUSED, Dispatch.REFUSED]
