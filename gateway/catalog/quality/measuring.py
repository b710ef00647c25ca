"""Counts what ended since the last time; run by every worker, done by one at a time."""

import time
from datetime import date, datetime, timedelta

from gateway.catalog.quality import store
from gateway.db.engine import Database
from gateway.logs import Logger

log = Logger(__name__)

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
    anywhere and the next begins where the last whole one did; after one that failed there is a rest
    too. Where another process is at it, or not long ago was, nothing is done.

    Raises:
        Unavailable: the database does not answer.
    """
    began = time.monotonic()

    async def rest(measured_at: datetime) -> None:
        took_s = time.monotonic() - began
        async with db.transaction() as tx:
            await store.finish(tx, measured_at, timedelta(seconds=max(rest_s, took_s * (1 / share_max - 1))))

    async with db.transaction() as tx:
        claim = await store.claim(tx)
        if claim is None:
            return 0
        days = await store.days_touched(tx, claim, OVERLAP)
    try:
        counted = await _count(db, days)
        if counted and (claim.measured_at is None or claim.measured_at.date() != claim.began_at.date()):
            async with db.transaction() as tx:
                await store.forget(tx, claim.today)
    except Exception:  # raised again: whatever it was, the claim is given back
        await rest(claim.measured_at or claim.began_at - timedelta(days=store.DAYS_BACK))
        raise
    if not counted:
        return 0
    await rest(claim.began_at)
    log.debug("quality measured", days=len(days), took_s=round(time.monotonic() - began, 3))
    return len(days)


async def _count(db: Database, days: list[date]) -> bool:
    """False where another process began to count meanwhile; it does the rest."""
    for day in days:
        async with db.transaction() as tx:
            if not await store.lock(tx):
                return False
            await store.count_day(tx, day)
    return True
