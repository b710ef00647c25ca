"""News behind a commit: what cannot be told is logged, and the next is told all the same."""

import asyncio

import asyncpg
import pytest

from gateway.db.engine import Database
from gateway.db.notifier import Notifier

WITHIN_S = 10


async def test_what_is_asked_for_together_is_told_at_least_once(db: Database, owner: asyncpg.Connection) -> None:
    heard = asyncio.Event()
    await owner.add_listener("news", lambda *_: heard.set())
    notifier = Notifier(db, "news")
    for _ in range(50):
        notifier.wake()
    await notifier.close()
    async with asyncio.timeout(WITHIN_S):
        await heard.wait()


async def test_what_the_database_refuses_ends_nothing(db: Database, capsys: pytest.CaptureFixture[str]) -> None:
    notifier = Notifier(db, "no channel")
    for _ in range(2):
        notifier.wake()
        await notifier.close()
    assert capsys.readouterr().out.count("nobody was woken") == 2
