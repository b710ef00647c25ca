"""NOTIFY of what is committed already."""

import asyncio

import asyncpg

from gateway.db.engine import Database
from gateway.errors import Unavailable
from gateway.logs import Logger

log = Logger(__name__)


class Notifier:
    """Wakes whoever listens on a channel, once for all that asks for it meanwhile.

    PostgreSQL lets transactions that notify commit one after the other, each with its own sync of the disk. So the
    news of a transaction that is one of many goes out behind it. It may be lost: who listens also looks by himself.
    """

    def __init__(self, db: Database, channel: str) -> None:
        self._db = db
        self._channel = channel
        self._wanted = False
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """To be called when there is something to see."""
        self._wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"notify {self._channel}")

    async def close(self) -> None:
        """Wait until all that was asked for has gone out."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._wanted:
            self._wanted = False
            try:
                async with self._db.connection() as connection:
                    await connection.execute(f"NOTIFY {self._channel}")
            except (Unavailable, asyncpg.PostgresError) as error:  # as when the queue of news is full
                log.warning("nobody was woken", channel=self._channel, reason=str(error))
