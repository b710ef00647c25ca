"""Our account at a simulated panel, with 2 USD on it."""

from collections.abc import AsyncIterator

import pytest

from gateway.db.engine import Database
from tests.support.upstream import Trade, open_trade


@pytest.fixture
async def trade(db: Database) -> AsyncIterator[Trade]:
    async with open_trade(db, balance="2") as trade:
        yield trade
