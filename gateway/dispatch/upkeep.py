"""What time does to orders: leases that run out, unknowns and queued orders that grow too old."""

from datetime import timedelta

from compat.wire import Unknown
from gateway.db.engine import Database
from gateway.dispatch import store
from gateway.dispatch.outcomes import AttemptMoved, give_up, record
from gateway.orders.model import QueuedTooLong
from gateway.orders.settlement import Change, settle

AT_ONCE = 100


async def expire_leases(db: Database) -> int:
    """Row 6: a worker died between attempt and answer; what it sent is unknown, never queued."""
    async with db.connection() as connection:
        attempts = await store.expired_leases(connection, AT_ONCE)
    for attempt_id in attempts:
        await record(db, attempt_id, Unknown("the worker ended before the answer came"), timedelta())
    return len(attempts)


async def give_up_unknown(db: Database, max_age_s: float) -> int:
    """Row 9: unknown for too long; the customer's hold is released, the attempt is never sent again."""
    async with db.connection() as connection:
        attempts = await store.old_unknown(connection, timedelta(seconds=max_age_s), AT_ONCE)
    for attempt_id in attempts:
        try:
            async with db.transaction() as tx:
                attempt = await store.find(tx, attempt_id)
                if attempt is not None and attempt.state == "unknown":
                    await give_up(tx, attempt, {"age": f"older than {max_age_s:.0f} s"})
        except AttemptMoved:
            continue  # it was resolved meanwhile
    return len(attempts)


async def fail_queued(db: Database, max_age_s: float) -> int:
    """Row 5a: no route could take it all that time."""
    async with db.transaction() as tx:
        orders = await store.queued_longer_than(tx, timedelta(seconds=max_age_s), AT_ONCE)
        await settle(tx, [Change(order_id, QueuedTooLong()) for order_id in orders])
    return len(orders)
