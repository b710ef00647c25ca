"""Adds up the days that are over; run by every worker, done by one at a time."""

from gateway.db.engine import Database
from gateway.orders.margin import store

REST_S = 3600.0
"""From the end of a day on: far longer than a transaction can be open that ended an order in it."""
DAYS_AT_ONCE = 1000


async def add_up_days(db: Database) -> int:
    """How many days were added up, the latest first, each in a transaction of its own; the rest has the next turn.

    Raises:
        Unavailable: the database does not answer.
    """
    for done in range(DAYS_AT_ONCE):
        async with db.transaction() as tx:
            if not await store.lock(tx) or (day := await store.next_day(tx, REST_S)) is None:
                return done
            await store.add_up(tx, day)
    return DAYS_AT_ONCE
