"""The alert that is open while limits are not shared, for want of Redis."""

import time

from gateway.alerts import store
from gateway.alerts.store import Alert
from gateway.db.engine import Database

KIND, SUBJECT = "redis_down", "redis"
AGAIN_S = 15.0
_MESSAGE = "Redis does not answer: each process keeps the rate limits by itself"


class RedisAlert:
    """What the limiter last said, written when the database can be had."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._healthy = True
        self._due_at = 0.0

    def tell(self, healthy: bool) -> None:
        """Never waits; the next `write` writes it."""
        self._healthy = healthy

    async def write(self) -> None:
        """Open the alert, or count it, every `AGAIN_S` while Redis is down for this process.

        The sweep clears it once no process has counted it for a minute: neither does one that
        recovers end the alert of another, nor does one that died leave its own behind.

        Raises:
            Unavailable: the database cannot be had; the next call tries again.
        """
        if self._healthy or time.monotonic() < self._due_at:
            return
        async with self._db.transaction() as tx:
            await store.raise_(tx, [Alert(KIND, SUBJECT, _MESSAGE)])
        self._due_at = time.monotonic() + AGAIN_S
