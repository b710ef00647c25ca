"""Reads by index: what is set for them is set for them alone."""

import asyncpg
import pytest

from gateway.db.engine import Database, Transaction, reading_by_index

USUAL = ("on", "on", "auto")
BY_INDEX = ("off", "off", "force_generic_plan")


async def settings(connection: Transaction) -> tuple[str, ...]:
    names = ("enable_seqscan", "enable_sort", "plan_cache_mode")
    return tuple([await connection.fetchval("SELECT current_setting($1)", name) for name in names])


async def test_what_is_set_ends_with_the_read(db: Database) -> None:
    async with db.connection() as connection:
        async with reading_by_index(connection):
            assert await settings(connection) == BY_INDEX
        assert not connection.is_in_transaction()
        assert await settings(connection) == USUAL


async def test_a_read_that_fails_leaves_nothing_behind(db: Database) -> None:
    async with db.connection() as connection:
        with pytest.raises(asyncpg.DivisionByZeroError):
            async with reading_by_index(connection):
                await connection.fetchval("SELECT 1 / 0")
        assert not connection.is_in_transaction()
        assert await settings(connection) == USUAL


async def test_nothing_is_written_in_it(db: Database) -> None:
    async with db.connection() as connection:
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            async with reading_by_index(connection):
                await connection.execute("UPDATE users SET email = email")


async def test_within_a_transaction_it_is_a_part_of_that(db: Database) -> None:
    async with db.connection() as connection:
        async with connection.transaction():
            async with reading_by_index(connection):
                assert await settings(connection) == BY_INDEX
            assert connection.is_in_transaction()
        assert await settings(connection) == USUAL
