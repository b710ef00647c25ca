"""Days of our account at a simulated panel: moved back in time, and what is known of each."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import asyncpg
import pytest

from compat.status import UpstreamStatus
from gateway.db.engine import Database
from gateway.orders.model import Order
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import Reported
from gateway.providers.money.days import store
from gateway.providers.money.model import Charge, Day
from tests.support.upstream import Trade, open_trade

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
async def trade(db: Database) -> AsyncIterator[Trade]:
    async with open_trade(db) as trade:
        await trade.sql("UPDATE providers SET created_at = now() - interval '40 days'")
        yield trade


async def move_back(trade: Trade, root: asyncpg.Connection) -> date:
    """As if all that was done from the first to the last reading had been the day before yesterday."""
    await root.execute(
        """
        CREATE TABLE moved AS
        SELECT min(read_at) - (date_trunc('day', now(), 'UTC') - interval '2 days 1 s') AS by, max(read_at) AS last,
               date_trunc('day', now(), 'UTC') - interval '1 day 1 s' AS closing FROM balance_readings;
        UPDATE dispatch_attempts SET finished_at = finished_at - moved.by FROM moved;
        UPDATE orders SET completed_at = completed_at - moved.by FROM moved;
        UPDATE ledger SET created_at = created_at - moved.by FROM moved;
        UPDATE provider_deposits SET created_at = created_at - moved.by FROM moved;
        UPDATE balance_readings b SET read_at = CASE WHEN b.read_at = moved.last THEN moved.closing
                                                ELSE b.read_at - moved.by END FROM moved;
        DROP TABLE moved
        """
    )
    return midnight(2).date()


async def reckoned(trade: Trade) -> dict[date, Day]:
    """Every day that is there; not those that are missing."""
    async with trade.db.connection() as connection:
        days = await store.list_days(connection, trade.provider_id, LONG_AGO.date(), 366)
    return {day.day: day for day in days if day.missing is None}


async def missing(trade: Trade) -> dict[date, str]:
    async with trade.db.connection() as connection:
        days = await store.list_days(connection, trade.provider_id, LONG_AGO.date(), 366)
    return {day.day: day.missing for day in days if day.missing is not None}


async def charges(trade: Trade) -> list[Charge]:
    async with trade.db.connection() as connection:
        return await store.list_overcharges(connection, trade.provider_id, LONG_AGO, 100)


def midnight(days_ago: int) -> datetime:
    return datetime.combine(datetime.now(UTC).date() - timedelta(days=days_ago), datetime.min.time(), UTC)


async def report(trade: Trade, order: Order, word: UpstreamStatus, remains: int, charge: str) -> None:
    async with trade.db.transaction() as tx:
        said = Reported(word.value, word, remains=remains, charge=Decimal(charge))
        await settle(tx, [Change(order.id, said)])
