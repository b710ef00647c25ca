"""Counts what ended since the last time; run by every worker, done by one at a time."""

import time
from datetime import timedelta

import structlog

from gateway.catalog.quality import store
from gateway.db.engine import Database

log = structlog.get_logger(__name__)

INTERVAL_S = 60.0
REST_S = 50.0
"""From the end of one run, whichever worker's, to the next."""
SHARE_MAX = 0.05
"""Of the time that is spent counting: where a day has so many orders that it takes long, it is done less often."""
OVERLAP = timedelta(minutes=15)
"""Far longer than a transaction can be open: the pool ends statements after 30 seconds and idle ones after 15."""


async def measure(db: Database, *, rest_s: float = REST_S, share_max: float = SHARE_MAX) -> int:
    """How many days were counted anew: those in which orders ended since the last run, 31 at most.

    Each day is counted in a transaction of its own, from the orders themselves, so that a run may end
    anywhere and the next begins where the last whole one did. Where another process is at it,
    or not long ago was, nothing is done.

    Raises:
        Unavailable: the database does not answer.
    """
    began = time.monotonic()
    async with db.transaction() as tx:
        claim = await store.claim(tx)
        if claim is None:
            return 0
        days = await store.days_touched(tx, claim, OVERLAP)
    for day in days:
        async with db.transaction() as tx:
            if not await store.lock(tx):
                return 0
            await store.count_day(tx, day)
    async with db.transaction() as tx:
        if claim.measured_at is None or claim.measured_at.date() != claim.began_at.date():
            await store.forget(tx, claim.today)
        took_s = time.monotonic() - began
        await store.finish(tx, claim, timedelta(seconds=max(rest_s, took_s * (1 / share_max - 1))))
    log.debug("quality measured", days=len(days), took_s=round(took_s, 3))
    return len(days)
