"""Work at upstreams in lanes, one a provider, so that one that hangs holds no other's turn."""

import asyncio
from collections.abc import Coroutine
from typing import Any
from uuid import UUID

from gateway.logs import Logger

log = Logger(__name__)


class Lanes:
    """One kind of work of this process: at each provider one piece at a time, at different ones side by side."""

    def __init__(self) -> None:
        self.stopping = False
        self._tasks: dict[UUID, asyncio.Task[None]] = {}

    def busy(self) -> list[UUID]:
        """The providers at which a piece is in hand; nothing more may be claimed for them."""
        return list(self._tasks)

    def start(self, provider_id: UUID, work: Coroutine[Any, Any, None]) -> None:
        """Begin a piece; at a provider that is busy it is dropped, to be claimed again after its lease."""
        if provider_id in self._tasks:
            log.warning("work was claimed for a busy provider", provider=str(provider_id))
            work.close()
            return
        task = asyncio.create_task(work)
        self._tasks[provider_id] = task
        task.add_done_callback(lambda done: self._done(provider_id, done))

    async def drain(self) -> None:
        """Until nothing is in hand."""
        while self._tasks:
            await asyncio.wait(list(self._tasks.values()))

    async def stop(self, grace_s: float) -> None:
        """Begin nothing more; what does not end within the grace is cancelled, and done again after its lease."""
        self.stopping = True
        if self._tasks:
            await asyncio.wait(list(self._tasks.values()), timeout=grace_s)
        for task in list(self._tasks.values()):
            task.cancel()

    def _done(self, provider_id: UUID, task: asyncio.Task[None]) -> None:
        del self._tasks[provider_id]
        if not task.cancelled() and task.exception() is not None:
            log.error("work at a provider failed", provider=str(provider_id), exc_info=task.exception())
