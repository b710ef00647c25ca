"""A database with many orders in each of 24 months, and whether a read of it looks at more than it should."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import asyncpg

from gateway.db.engine import Database
from gateway.db.partitions import next_month
from gateway.orders.lists import store as orders
from gateway.orders.lists.model import Wanted
from tests.support.months import add_past_months, fill
from tests.support.reads import Measured

MONTHS = 24
ORDERS = 36_000
PAGES_MAX = 400
"""A few of each month's index and a page's rows; the orders alone are some 900."""
PAGES_OF_NOTHING_MAX = 200
"""Two or three of an index of each month, besides a page's rows."""
LIMIT = 26


@dataclass(frozen=True)
class Past:
    """A database with the months before this one, by their first days."""

    db: Database
    months: list[date]

    def partitions(self, table: str, since: datetime | None = None, until: datetime | None = None) -> set[str]:
        """Those that may be read, with a margin for clocks that are apart."""
        margin = timedelta(minutes=10)
        months = [*self.months]
        for _ in range(4):
            months.append(next_month(months[-1]))
        first = (since - margin).astimezone(UTC).date().replace(day=1) if since else months[0]
        last = (until + margin).astimezone(UTC).date() if until else months[-1]
        return {f"{table}_{month:%Y_%m}" for month in months if first <= month <= last} | {f"{table}_default"}

    def times(self) -> list[dict[str, datetime]]:
        """Whenever, the last days, within one month of long ago, since it began, before it."""
        now, day = datetime.now(UTC), timedelta(days=1)
        long_ago = datetime.combine(self.months[MONTHS // 2], time(), UTC)
        return [
            {},
            {"since": now - 3 * day},
            {"since": long_ago + 2 * day, "until": long_ago + 20 * day},
            {"since": long_ago},
            {"until": long_ago},
        ]


@contextlib.asynccontextmanager
async def open_past(url: str) -> AsyncIterator[Past]:
    """Of a database without rows."""
    admin = await asyncpg.connect(url)
    months = await add_past_months(admin, MONTHS)
    await fill(admin, MONTHS, ORDERS)
    await admin.close()
    db = await Database.open(url)
    yield Past(db, months)
    await db.close()


async def too_much(
    past: Past,
    table: str,
    read: Callable[[Any], Awaitable[Any]],
    when: dict[str, datetime] | None = None,
    pages_max: int = PAGES_MAX,
) -> list[str]:
    """What of a read is beyond its bounds, by either kind of plan."""
    allowed = past.partitions(table, **(when or {}))
    found = []
    for generic in (False, True):
        async with past.db.connection() as connection:
            measured = Measured(connection, generic=generic)
            await read(measured)
        if measured.pages > pages_max:
            found.append(f"{measured.pages} pages, {generic=}")
        if strange := {name for name in measured.tables if name.startswith(f"{table}_")} - allowed:
            found.append(f"{sorted(strange)}, {generic=}")
    return found


@contextlib.asynccontextmanager
async def rolled_back(connection: asyncpg.Connection) -> AsyncIterator[None]:
    transaction = connection.transaction()
    await transaction.start()
    try:
        yield
    finally:
        await transaction.rollback()


async def list_orders(wanted: Wanted, tx: Any) -> Any:
    return await orders.list_orders(tx, wanted)


STRAY = """
INSERT INTO orders (id, user_id, service_id, link, quantity, price, created_at)
SELECT $1, user_id, service_id, link, quantity, price, created_at FROM orders WHERE user_id = (SELECT id FROM users
 WHERE email = 'many2@example.com') LIMIT 1
"""
"""An order of the user `FEW` with that id."""
