"""What no one will take any more goes out of the queue, a bounded number of rows a transaction."""

from datetime import timedelta

from gateway.clock import utc_now
from gateway.db.engine import Database
from gateway.db.partitions import DAYS_KEPT, month_floor
from gateway.webhooks.deliveries import store

BATCHES_MAX = 200
"""Of one turn, so that a long queue does not keep the loop from other work."""


async def drop_unwanted(db: Database) -> int:
    """Drop what waits for endpoints that are off or removed; how much.

    Raises:
        Unavailable: the database does not answer; what is left goes another time.
    """
    dropped = 0
    for _ in range(BATCHES_MAX):
        async with db.transaction() as tx:
            webhook_id = await store.find_unwanted(tx)
            if webhook_id is None:
                break
            dropped += await store.drop_queue(tx, webhook_id)
    return dropped


async def drop_outdated(db: Database) -> int:
    """Drop what still waits of days whose deliveries are kept no longer; how much. Done before the days are dropped."""
    oldest = month_floor(utc_now().date() - timedelta(days=DAYS_KEPT))
    dropped, count = 0, store.DROPPED_AT_ONCE
    while count == store.DROPPED_AT_ONCE:
        async with db.transaction() as tx:
            count = await store.drop_older(tx, oldest, store.DROPPED_AT_ONCE)
        dropped += count
    return dropped
