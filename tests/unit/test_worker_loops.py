"""Loops end when they are told to."""

import asyncio
import contextlib

from gateway.api.background import repeated
from gateway.worker import end_loops


async def loses_its_first_cancel(begun: asyncio.Event) -> None:
    """As `asyncio.wait_for` of Python 3.11 may."""
    with contextlib.suppress(asyncio.CancelledError):
        begun.set()
        await asyncio.Event().wait()
    await asyncio.Event().wait()


async def test_loops_end_although_one_loses_a_cancel() -> None:
    begun = asyncio.Event()
    loops = [
        asyncio.create_task(loses_its_first_cancel(begun)),
        asyncio.create_task(asyncio.sleep(3600)),
    ]
    await begun.wait()
    async with asyncio.timeout(5):
        await end_loops(loops)
    assert all(task.cancelled() for task in loops)


async def test_what_is_repeated_ends_although_it_loses_a_cancel() -> None:
    begun = asyncio.Event()
    async with asyncio.timeout(5):
        async with repeated("a task", lambda: loses_its_first_cancel(begun), 1.0):
            await begun.wait()
