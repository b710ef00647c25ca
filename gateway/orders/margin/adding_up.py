"""Adds up the days that are over; run by every worker, done by one at a time."""

from gateway.db.engine import Database
from gateway.errors import Unavailable
from gateway.logs import Logger
from gateway.orders.margin import store

log = Logger(__name__)

REST_S = 3600.0
"""From the end of a day on: far longer than a transaction can be open that ended an order in it."""
DAYS_AT_ONCE = 1000


async def add_up_days(db: Database) -> int:
    """How many days were added up, the latest first, each in a transaction of its own.

    Raises:
        Unavailable: the database does not answer; the rest waits for the next turn.
    """
    async with db.connection() as connection:
        days = await store.list_open(connection, REST_S, DAYS_AT_ONCE)
    done = 0
    for day in days:
        try:
            async with db.transaction() as tx:
                if not await store.lock(tx):
                    return done
                done += await store.add_up(tx, day)
        except Unavailable:
            raise
        except Exception:  # one day must not keep the others from being added up
            log.exception("a day could not be added up", day=str(day))
    return done
