"""Tasks beside the requests: what runs again and again, and a close that may not hang."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from gateway.logs import Logger

CANCELS_MAX = 10
CANCEL_AGAIN_S = 0.5

_log = Logger(__name__)


async def closed_within(limit_s: float, close: Callable[[], Awaitable[None]]) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await close()
    except TimeoutError:
        _log.warning("did not close in time", part=getattr(close, "__qualname__", ""))


@contextlib.asynccontextmanager
async def repeated(name: str, act: Callable[[], Awaitable[None]], interval_s: float) -> AsyncIterator[None]:
    """`act` now and every `interval_s` while the block runs; its failures are logged and it goes on."""

    async def run() -> None:
        while True:
            try:
                await act()
            except Exception as error:  # whatever it is: nobody else would begin the task again
                _log.warning(
                    "a background task failed and goes on", task=name, reason=str(error), kind=type(error).__name__
                )
            await asyncio.sleep(interval_s)  # its period; nothing tells that it is time

    task = asyncio.create_task(run(), name=name)
    try:
        yield
    finally:
        for _ in range(CANCELS_MAX):  # one can be lost: see `end_loops` of the worker
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_AGAIN_S)
            if task.done():
                break
