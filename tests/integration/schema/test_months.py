"""Months of partitions, and the numbers each can hold."""

from datetime import date
from uuid import UUID

import asyncpg
import pytest

from gateway.db.engine import Database, Transaction
from gateway.db.partitions import (
    NumberMap,
    close_months,
    ensure,
    load_number_map,
    month_floor,
    next_month,
    rows_in_default,
)
from gateway.orders import store
from tests.support.factories import add_shop, place_order
from tests.support.schema import PARTITIONED, THIS_MONTH, partitions_of


async def months_of(connection: asyncpg.Connection, parent: str) -> list[str]:
    return [name.removeprefix(f"{parent}_") for name in await partitions_of(connection, parent)]


async def expected_months(connection: asyncpg.Connection, ahead: int) -> list[str]:
    month: date = await connection.fetchval(f"SELECT {THIS_MONTH}")
    months = []
    for _ in range(ahead + 1):
        months.append(f"{month:%Y_%m}")
        month = next_month(month)
    return [*months, "default"]


async def test_months_are_made_ahead_once_by_the_serving_role(db: Database, admin: asyncpg.Connection) -> None:
    for parent in PARTITIONED:
        assert await months_of(admin, parent) == await expected_months(admin, 3)
    async with db.transaction() as tx:
        assert await ensure(tx) == 0
        assert await tx.fetchval("SELECT ensure_partitions(14)") == 22
        assert await tx.fetchval("SELECT ensure_partitions(14)") == 0
    for parent in PARTITIONED:
        assert await months_of(admin, parent) == await expected_months(admin, 14)


async def test_a_month_that_cannot_be_made_does_not_keep_the_others_from_it(
    db: Database, admin: asyncpg.Connection
) -> None:
    order = await place_order(db, await add_shop(db))
    fourth: date = await admin.fetchval(f"SELECT ({THIS_MONTH} + interval '4 months')::date")
    await admin.execute(
        "INSERT INTO orders (id, user_id, service_id, link, quantity, price) "
        "SELECT $2, user_id, service_id, link, quantity, price FROM orders WHERE id = $1",
        order.id,
        month_floor(fourth),
    )
    async with db.transaction() as tx:
        assert await tx.fetchval("SELECT ensure_partitions(5)") == 3
    expected = await expected_months(admin, 5)
    assert await months_of(admin, "ledger") == expected
    assert await months_of(admin, "orders") == [month for month in expected if month != f"{fourth:%Y_%m}"]
    assert await admin.fetchval("SELECT to_regclass($1)", f"orders_{fourth:%Y_%m}") is None


@pytest.mark.parametrize("months", [-1, 25, None])
async def test_a_senseless_number_of_months_is_refused(db: Database, months: int | None) -> None:
    with pytest.raises(asyncpg.PostgresError):
        async with db.transaction() as tx:
            await tx.execute("SELECT ensure_partitions($1)", months)


@pytest.mark.parametrize("month", [date(1970, 1, 1), date(2026, 3, 1), date(2026, 12, 1), date(2400, 2, 1)])
async def test_code_and_database_agree_where_a_month_begins(owner: asyncpg.Connection, month: date) -> None:
    await owner.execute("SET TIME ZONE 'Pacific/Auckland'")
    assert await owner.fetchval("SELECT month_floor($1)", month) == month_floor(month)


async def test_rows_outside_every_month_are_noticed(db: Database, admin: asyncpg.Connection) -> None:
    async with db.connection() as connection:
        assert await rows_in_default(connection) == {"orders": False, "ledger": False}
    shop = await add_shop(db)
    order = await place_order(db, shop)
    await admin.execute(
        "INSERT INTO orders (id, user_id, service_id, link, quantity, price) "
        "SELECT $2, user_id, service_id, link, quantity, price FROM orders WHERE id = $1",
        order.id,
        month_floor(date(2100, 1, 1)),
    )
    async with db.connection() as connection:
        assert await rows_in_default(connection) == {"orders": True, "ledger": False}


# Numbers -------------------------------------------------------------------------------------


async def make_past_month(owner: asyncpg.Connection, month: date, first_number: int) -> None:
    """A month that is over, with two orders in it."""
    name = f"orders_{month:%Y_%m}"
    await owner.execute(
        f"CREATE TABLE {name} PARTITION OF orders FOR VALUES "
        f"FROM ('{month_floor(month)}') TO ('{month_floor(next_month(month))}')"
    )
    for n in range(2):
        await owner.execute(
            "INSERT INTO orders (id, number, user_id, service_id, link, quantity, price) "
            "SELECT $1, $2, user_id, service_id, link, quantity, price FROM orders LIMIT 1",
            UUID(int=month_floor(month).int + n),
            first_number + n,
        )


async def test_a_look_up_by_number_visits_only_the_months_that_can_hold_it(
    db: Database, admin: asyncpg.Connection
) -> None:
    order = await place_order(db, await add_shop(db))
    await make_past_month(admin, date(2026, 1, 1), 11)
    await make_past_month(admin, date(2026, 2, 1), 21)
    async with db.transaction() as tx:
        await close_months(tx)
        await close_months(tx)
        numbers = await load_number_map(tx)
    scanned = {
        wanted: set().union(*[await visited(db, wanted, ids) for ids in numbers.ranges(wanted)])
        for wanted in (12, 21, order.number)
    }
    past = {"orders_2026_01", "orders_2026_02"}
    assert {wanted: months & past for wanted, months in scanned.items()} == {
        12: {"orders_2026_01"},
        21: {"orders_2026_02"},
        order.number: set(),
    }
    assert all("orders_default" in months for months in scanned.values())


async def visited(db: Database, number: int, ids: tuple[UUID, UUID]) -> set[str]:
    """The partitions that the look-up of a number really scans."""
    async with db.transaction() as tx:
        before = await scans_of_orders(tx)
        await store.find_by_numbers(tx, [(UUID(int=0), number, *ids)])
        after = await scans_of_orders(tx)
    return {partition for partition, scans in after.items() if scans > before[partition]}


async def scans_of_orders(tx: Transaction) -> dict[str, int]:
    rows = await tx.fetch(
        "SELECT relname, seq_scan + idx_scan AS scans FROM pg_stat_xact_user_tables WHERE relname ~ '^orders_[d0-9]'"
    )
    return {row["relname"]: row["scans"] for row in rows}


async def test_a_month_still_open_is_not_closed(db: Database) -> None:
    await place_order(db, await add_shop(db))
    async with db.transaction() as tx:
        await close_months(tx)
        assert (await load_number_map(tx)).ranges(1) == NumberMap().ranges(1)
