"""Places for calls that go on at once."""

import asyncio
from collections import deque


class Slots:
    """A number of places that may change while some are taken; who waits is served in order."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def free(self) -> int:
        return max(0, self.limit - self._taken - len(self._waiting))

    def take(self) -> bool:
        """Whether there was a place for who need not wait."""
        is_free = self._taken < self.limit and not self._waiting
        self._taken += is_free
        return is_free

    async def acquire(self) -> None:
        if not self.take():
            await self._wait()

    def release(self) -> None:
        self._taken -= 1
        self.wake()

    def wake(self) -> None:
        """Hand out what is free; to be called after `limit` was raised."""
        while self._waiting and self._taken < self.limit:
            future = self._waiting.popleft()
            if not future.done():
                self._taken += 1
                future.set_result(None)

    async def _wait(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._taken -= 1
            elif future in self._waiting:
                self._waiting.remove(future)
            self.wake()
            raise
