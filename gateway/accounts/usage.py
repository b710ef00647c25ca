"""When each key was last used: remembered here at once, written in batches by a loop."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

import asyncpg

from gateway.accounts import store
from gateway.clock import utc_now
from gateway.db.engine import Database
from gateway.errors import Unavailable
from gateway.logs import Logger

_KEYS_MAX = 20_000
_KEYS_PER_WRITE_MAX = 1_000

_log = Logger(__name__)


class UsageMarks:
    """At most one mark a key; past the bound a key not marked yet has to wait for the next flush."""

    def __init__(self, clock: Callable[[], datetime] = utc_now, keys_max: int = _KEYS_MAX) -> None:
        self._clock = clock
        self._keys_max = keys_max
        self._marks: dict[UUID, datetime] = {}

    def __len__(self) -> int:
        return len(self._marks)

    def mark(self, key_id: UUID) -> None:
        if len(self._marks) < self._keys_max or key_id in self._marks:
            self._marks[key_id] = self._clock()

    async def flush(self, db: Database) -> None:
        """Write what is marked now; what could not be written stays for the next time."""
        marked = list(self._marks.items())
        for start in range(0, len(marked), _KEYS_PER_WRITE_MAX):
            batch = dict(marked[start : start + _KEYS_PER_WRITE_MAX])
            try:
                async with db.transaction() as tx:
                    await store.mark_used(tx, batch)
            except (Unavailable, asyncpg.PostgresError) as error:
                _log.warning("the last use of keys is not written yet", reason=str(error), keys=len(self))
                return
            self._forget(batch)

    def _forget(self, written: dict[UUID, datetime]) -> None:
        """A mark made while its older one was being written stays."""
        for key_id, used_at in written.items():
            if self._marks.get(key_id) == used_at:
                del self._marks[key_id]
