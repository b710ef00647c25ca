"""LISTEN on a connection of its own, with a heartbeat that tells when news may be missing."""

import asyncio
import contextlib
import time
from collections.abc import Callable

import asyncpg

from gateway.db.engine import CONNECTION_ERRORS
from gateway.logs import Logger

log = Logger(__name__)

HEARTBEAT_S = 0.3
ANSWER_S_MAX = 0.5
SILENCE_S_MAX = 0.9
"""Since a heartbeat that was answered was sent: with the next one, it is the oldest news that is trusted."""
RETRY_S = 0.5


class Listener:
    """Calls back for each NOTIFY; `healthy` is False while one may have been missed.

    Callbacks run on the event loop and must not block. After each (re)connect the reconnect
    callbacks run before `healthy` turns True again, so that caches start from nothing.
    """

    def __init__(self, url: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._clock = clock
        self._callbacks: dict[str, list[Callable[[str], None]]] = {}
        self._on_reconnect: list[Callable[[], None]] = []
        self._heard_at: float | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def healthy(self) -> bool:
        return self._heard_at is not None and self._clock() - self._heard_at < SILENCE_S_MAX

    def on(self, channel: str, callback: Callable[[str], None]) -> None:
        """Register before `start`."""
        self._callbacks.setdefault(channel, []).append(callback)

    def on_reconnect(self, callback: Callable[[], None]) -> None:
        self._on_reconnect.append(callback)

    async def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="listener")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while True:
            try:
                await self._listen()
            except CONNECTION_ERRORS as error:
                self._lost(error)
            except asyncpg.PostgresError as error:
                self._lost(error)
            await asyncio.sleep(RETRY_S)  # before it connects again to a server that is away

    def _lost(self, error: BaseException) -> None:
        if self._heard_at is not None:
            log.warning("listener lost", error=str(error))
        self._heard_at = None

    async def _listen(self) -> None:
        connection = await asyncpg.connect(self._url, timeout=5, server_settings={"application_name": "listener"})
        try:
            for channel in self._callbacks:
                await connection.add_listener(channel, self._dispatch)
            for reconnected in self._on_reconnect:
                reconnected()
            while True:
                sent_at = self._clock()
                await connection.fetchval("SELECT 1", timeout=ANSWER_S_MAX)
                self._heard_at = sent_at
                await asyncio.sleep(HEARTBEAT_S)
        finally:
            connection.terminate()

    def _dispatch(self, connection: object, pid: int, channel: str, payload: object) -> None:
        for callback in self._callbacks[channel]:
            callback(str(payload))
