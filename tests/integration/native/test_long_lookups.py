"""Numbers of orders looked up among many months: where it likely is, elsewhere only where it is not there."""

import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import asyncpg

from gateway.db.partitions import NumberMap, close_months, id_at, load_number_map
from gateway.orders.lists import store as orders
from gateway.orders.reading import OrderReader
from gateway.orders.store import find_by_numbers
from tests.support.long_past import MONTHS, STRAY, Past, rolled_back
from tests.support.months import FEW, MANY
from tests.support.reads import Measured

PAGES_OF_A_NUMBER_MAX = 25


async def test_numbers_of_a_user_with_many_orders_are_found_by_number(past: Past, shared_database_url: str) -> None:
    """Beside thousands of users with few orders, by whom the planner would take a user's orders of a month for one."""
    admin = await asyncpg.connect(shared_database_url)
    async with past.db.transaction() as tx:
        await close_months(tx)
    async with rolled_back(admin):
        for statement in _CROWD:
            await admin.execute(statement, past.months[MONTHS // 2])
        await admin.execute("ANALYZE orders")
        numbers = await load_number_map(admin)
        rows = await admin.fetch(
            "SELECT number FROM orders WHERE user_id = $1 AND id >= month_floor($2) ORDER BY id LIMIT 60",
            MANY,
            past.months[MONTHS // 2],
        )
        asked = [row["number"] for row in rows]
        for generic in (False, True):
            measured: Any = Measured(admin, generic=generic)
            found = await find_by_numbers(
                measured, [(MANY, number, *span) for number in asked for span in numbers.ranges(number)]
            )
            assert {number for _, number in found} == set(asked)
            assert await orders.ids_of_numbers(measured, MANY, asked[0], numbers.ranges(asked[0]))
            assert measured.pages < PAGES_OF_A_NUMBER_MAX * (len(asked) + 1)
    await admin.close()


async def test_a_number_is_looked_up_by_a_plan_that_was_made_once(past: Past) -> None:
    """Few at a time too: to plan for every month takes ten times as long as the look-up."""
    async with past.db.connection() as connection:
        [row] = await connection.fetch("SELECT user_id, number FROM orders LIMIT 1")
        for span in NumberMap().ranges(row["number"]) * 12:
            await find_by_numbers(connection, [(row["user_id"], row["number"], *span)])
        planned = await connection.fetchrow(
            "SELECT custom_plans, generic_plans FROM pg_prepared_statements WHERE statement LIKE '%w(user_id, number%'"
        )
    assert planned is not None
    assert planned["generic_plans"] > planned["custom_plans"]


async def test_a_number_is_looked_for_elsewhere_only_where_it_likely_is_not(
    past: Past, shared_database_url: str
) -> None:
    """As one of a month that nobody made, among numbers of a month that is closed."""
    async with past.db.transaction() as tx:
        await close_months(tx)
    admin = await asyncpg.connect(shared_database_url)
    async with rolled_back(admin):
        stray = id_at(datetime.combine(past.months[0] - timedelta(days=70), time(), UTC))
        await admin.execute(STRAY, stray)
        numbers = [
            row["number"]
            for row in await admin.fetch(
                "SELECT number FROM orders WHERE user_id = $1 AND id >= month_floor($2) ORDER BY id LIMIT 20",
                FEW,
                past.months[MONTHS // 2],
            )
        ]
        await admin.execute("UPDATE orders SET number = $2 WHERE id = $1", stray, numbers[0] + 1)
        through = Through(admin)
        reader = OrderReader(through)  # type: ignore[arg-type]
        await reader.refresh()
        assert set(await reader.find(FEW, numbers)) == set(numbers)
        month = f"orders_{past.months[MONTHS // 2]:%Y_%m}"
        assert {name for name in through.measured.tables if name.startswith("orders_2")} == {month}
        [found] = (await reader.find(FEW, [numbers[0] + 1])).values()
        assert found.id == stray
    await admin.close()


class Through:
    """A database of one connection, which notes what is read."""

    def __init__(self, connection: Any) -> None:
        self.measured = Measured(connection, generic=True)

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Measured]:
        yield self.measured


_CROWD = (
    "INSERT INTO users (id, email, password_hash) SELECT gen_random_uuid(), 'crowd' || n || '@example.com', 'x' "
    "FROM generate_series(1, 5000) n WHERE $1::date IS NOT NULL",
    "INSERT INTO orders (id, user_id, service_id, link, quantity, price, status, dispatch) "
    "SELECT (left(month_floor($1)::text, 13) || '-7000-8001-' || lpad(to_hex(row_number() OVER ()), 12, '0'))::uuid, "
    "id, (SELECT id FROM services LIMIT 1), 'https://example.com/crowd', 100, 0.1, 'completed', 'accepted' "
    "FROM users WHERE email LIKE 'crowd%'",
)
"""One order each in the month."""
