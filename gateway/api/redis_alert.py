"""The alert that is open while limits are not shared, for want of Redis."""

from gateway.alerts import store
from gateway.alerts.store import Alert
from gateway.db.engine import Database

KIND, SUBJECT = "redis_down", "redis"
_MESSAGE = "Redis does not answer: each process keeps the rate limits by itself"


class RedisAlert:
    """What the limiter last said, written when the database can be had."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._healthy: bool | None = None
        self._written: bool | None = None

    def tell(self, healthy: bool) -> None:
        """Never waits; the next `write` writes it."""
        self._healthy = healthy

    async def write(self) -> None:
        """Open or clear the alert where that is news; after a failure the next call tries again.

        Raises:
            Unavailable: the database cannot be had.
        """
        healthy = self._healthy
        if healthy is None or healthy == self._written:
            return
        async with self._db.transaction() as tx:
            if healthy:
                await store.clear(tx, KIND, SUBJECT)
            else:
                await store.raise_(tx, [Alert(KIND, SUBJECT, _MESSAGE)])
        self._written = healthy
