"""What time does to orders: leases that run out, unknowns and queued orders that grow too old.

Each row is taken by itself: one that cannot be written is logged and stops no other.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from uuid import UUID

from compat.wire import Unknown
from gateway.db.engine import Database
from gateway.dispatch import store
from gateway.dispatch.outcomes import give_up, record
from gateway.dispatch.overdue import store as overdue
from gateway.errors import Unavailable
from gateway.logs import Logger
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import QueuedTooLong

log = Logger(__name__)

AT_ONCE = 100


async def expire_leases(db: Database) -> int:
    """Row 6: a worker died between attempt and answer; what it sent is unknown, never queued."""
    async with db.connection() as connection:
        attempts = await overdue.expired_leases(connection, AT_ONCE)

    async def expire(attempt_id: UUID) -> None:
        await record(db, attempt_id, Unknown("the worker ended before the answer came"), timedelta())

    return await _each(attempts, expire)


async def give_up_unknown(db: Database, max_age_s: float) -> int:
    """Row 9: unknown for too long; the customer's hold is released, the attempt is never sent again."""
    async with db.connection() as connection:
        attempts = await overdue.old_unknown(connection, timedelta(seconds=max_age_s), AT_ONCE)

    async def give_up_one(attempt_id: UUID) -> None:
        async with db.transaction() as tx:
            attempt = await store.find(tx, attempt_id)
            if attempt is not None and attempt.state == "unknown":
                await give_up(tx, attempt, {"age": f"older than {max_age_s:.0f} s"})

    return await _each(attempts, give_up_one)


async def fail_queued(db: Database, max_age_s: float) -> int:
    """Row 5a: no route could take it all that time."""
    async with db.connection() as connection:
        orders = await overdue.queued_longer_than(connection, timedelta(seconds=max_age_s), AT_ONCE)

    async def fail(order_id: UUID) -> None:
        async with db.transaction() as tx:
            await settle(tx, [Change(order_id, QueuedTooLong())])

    return await _each(orders, fail)


async def _each(ids: Sequence[UUID], act: Callable[[UUID], Awaitable[None]]) -> int:
    """How many were dealt with.

    Raises:
        Unavailable: the database does not answer; the rest waits for the next turn.
    """
    done = 0
    for row_id in ids:
        try:
            await act(row_id)
            done += 1
        except Unavailable:
            raise
        except Exception:  # one row must not keep the others from theirs
            log.exception("a row of upkeep failed", row=str(row_id))
    return done
