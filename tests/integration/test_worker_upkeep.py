"""What a worker keeps in order by the hour and by the day."""

from typing import Any

import asyncpg

from gateway.db.engine import Database
from gateway.db.partitions import month_floor
from gateway.ledger.verify import claim_verifying
from gateway.worker import keep_partitions, verify_books
from tests.support.factories import add_account, add_shop, place_order


async def alerts_of(db: Database) -> list[tuple[Any, ...]]:
    async with db.connection() as connection:
        return [tuple(row) for row in await connection.fetch("SELECT kind, subject FROM alerts ORDER BY kind, subject")]


async def test_rows_that_keep_a_month_from_being_made_are_told_of_and_the_other_months_are_made(
    db: Database, root: asyncpg.Connection
) -> None:
    order = await place_order(db, await add_shop(db))
    third = await root.fetchval("SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') + interval '3 months')::date")
    part = f"{third:%Y_%m}"
    await root.execute(f"DROP TABLE orders_{part}")
    await root.execute(f"DROP TABLE ledger_{part}")
    await root.execute(
        "INSERT INTO orders (id, user_id, service_id, link, quantity, price) "
        "SELECT $2, user_id, service_id, link, quantity, price FROM orders WHERE id = $1",
        order.id,
        month_floor(third),
    )
    await keep_partitions(db)
    assert await alerts_of(db) == [("default_partition", "orders")]
    assert await root.fetchval("SELECT to_regclass($1)", f"orders_{part}") is None
    assert await root.fetchval("SELECT to_regclass($1)", f"ledger_{part}") is not None


async def test_books_that_are_right_raise_no_alert(db: Database) -> None:
    await add_account(db)
    await verify_books(db)
    assert await alerts_of(db) == []


async def test_wrong_books_raise_an_alert_from_one_process_at_a_time(db: Database, root: asyncpg.Connection) -> None:
    await add_account(db)
    await root.execute("UPDATE wallets SET balance = balance + 1")
    async with db.transaction() as other:
        assert await claim_verifying(other)
        await verify_books(db)
        assert await alerts_of(db) == []
    await verify_books(db)
    assert await alerts_of(db) == [("ledger", "ledger")]
