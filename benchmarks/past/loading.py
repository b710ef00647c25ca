"""Loads the past with COPY, month by month, while the next months are written."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from benchmarks.past import people, tables
from benchmarks.past.lines import TABLES
from benchmarks.past.model import Past
from benchmarks.past.story import FIRST_NUMBER
from benchmarks.past.writing import End, writing
from gateway.db.partitions import close_months
from gateway.keyring import Keyring

BY_MONTH = ("orders", "ledger")
BY_DAY = ("webhook_deliveries", "webhook_attempts")
DERIVED = {
    "ledger_references": """
        INSERT INTO ledger_references (wallet_id, wallet_seq, reference_type, reference_id, type)
        SELECT wallet_id, wallet_seq, reference_type, reference_id, type FROM {ledger} WHERE type <> 'refund'
    """,
    "dispatch_attempts": """
        INSERT INTO dispatch_attempts (id, order_id, provider_id, route_id, provider_service_id, state, reason,
          upstream_id, cost, started_at, lease_until, finished_at)
        SELECT overlay(o.id::text PLACING 'b' FROM 20)::uuid, o.id, o.provider_id, r.id, r.provider_service_id,
               o.dispatch, CASE o.dispatch WHEN 'refused' THEN 'incorrect link' WHEN 'unknown' THEN 'no answer' END,
               o.external_order_id, round(r.cost_per_1000 * o.quantity / 1000, 8), o.created_at + interval '0.2 s',
               o.created_at + interval '60.2 s', o.created_at + interval '0.8 s'
          FROM {orders} o JOIN service_routes r ON r.service_id = o.service_id AND r.is_source
         WHERE o.dispatch <> 'queued'
    """,
    "upstream_orders": """
        INSERT INTO upstream_orders (provider_id, upstream_id, order_id, created_at)
        SELECT provider_id, external_order_id, id, created_at + interval '0.8 s' FROM {orders}
         WHERE external_order_id IS NOT NULL
    """,
    "order_checks": """
        INSERT INTO order_checks (order_id, provider_id, next_check_at)
        SELECT id, provider_id, created_at + interval '10 min' FROM {orders}
         WHERE dispatch = 'accepted' AND completed_at IS NULL
    """,
}
"""What each row of a month says once more elsewhere; refunds have references with a part, which COPY brings."""
FLAT = (*DERIVED, *(name for name in TABLES if name not in (*DERIVED, *BY_MONTH, *BY_DAY)))
BUILDERS = 2
"""Connections that build indexes."""
MAX_WAL = "8GB"
"""While loading: a checkpoint each gigabyte would write every page over and over. Any bulk load is told to do so."""


class Loaded(msgspec.Struct):
    """`keys` are those of the wallets, in their order; `seconds` by part of the work."""

    keys: list[str]
    admin_key: str
    seconds: dict[str, float]


async def load(url: str, keyring: Keyring, past: Past, folder: Path) -> Loaded:
    """Into a migrated database without rows.

    Raises:
        AssertionError: an index, a constraint or a trigger is not as it was before.
    """
    started = time.monotonic()
    async with _pool(url) as pool:
        async with pool.acquire() as connection:
            before = await tables.describe(connection)
            usual = await connection.fetchval("SHOW max_wal_size")
            await connection.execute(f"ALTER SYSTEM SET max_wal_size = '{MAX_WAL}'")
            await connection.execute("SELECT pg_reload_conf()")
            keys, admin_key = await people.add(connection, keyring, past)
            await people.make_days(connection, past)
            stripped = [await tables.strip(connection, name) for name in FLAT]
        end = await _copy_all(pool, past, folder)
        copied = time.monotonic()
        await _build(pool, stripped)
        async with pool.acquire() as connection:
            await _close(connection, past, end)
            after = await tables.describe(connection)
        changed = {name: (text, after.get(name)) for name, text in before.items() if after.get(name) != text}
        assert not changed, f"not as before: {changed}"
        built = time.monotonic()
        async with pool.acquire() as connection:
            await connection.execute("VACUUM ANALYZE")
            await connection.execute(f"ALTER SYSTEM SET max_wal_size = '{usual}'")
            await connection.execute("SELECT pg_reload_conf()")
            await connection.execute("CHECKPOINT")
    done = time.monotonic()
    seconds = {"copy": copied - started, "indexes": built - copied, "vacuum": done - built, "all": done - started}
    return Loaded(keys, admin_key, {name: round(value, 1) for name, value in seconds.items()})


@asynccontextmanager
async def _pool(url: str) -> AsyncIterator[asyncpg.Pool]:
    settings = {"maintenance_work_mem": "512MB"}
    async with asyncpg.create_pool(url, min_size=0, max_size=8, command_timeout=None, server_settings=settings) as pool:
        yield pool


async def _copy_all(pool: asyncpg.Pool, past: Past, folder: Path) -> End:
    """Every month is copied, then indexed while the next is copied, then attached, one after the other."""
    attaching, indexing = asyncio.Lock(), asyncio.Semaphore(BUILDERS)

    async def finish(place: int, parent: str) -> None:
        month = tables.month_of(parent, past.months[place])
        async with indexing, pool.acquire() as connection:
            await tables.index_like(connection, parent, month[3])
            async with attaching:
                await tables.attach(connection, *month)

    with writing(past, folder / "months") as writer:
        async with asyncio.TaskGroup() as finishing:
            async for place, files in writer.months():
                await asyncio.gather(
                    *(_copy_month(pool, files, parent, past, place) for parent in BY_MONTH),
                    _copy_rest(pool, files),
                )
                await asyncio.gather(*(_derive(pool, statement, past, place) for statement in DERIVED.values()))
                for parent in BY_MONTH:
                    finishing.create_task(finish(place, parent))
        assert writer.end is not None, "the months end with how it all stands"
        return writer.end


async def _copy_month(pool: asyncpg.Pool, files: Path, parent: str, past: Past, place: int) -> None:
    """Made and filled in one transaction, so that its rows are as good as vacuumed."""
    *_, name = tables.month_of(parent, past.months[place])
    async with pool.acquire() as connection, connection.transaction():
        await tables.make_month(connection, parent, name)
        await _copy(connection, files / parent, name, parent, freeze=True)


async def _copy_rest(pool: asyncpg.Pool, files: Path) -> None:
    async with pool.acquire() as connection:
        for name in TABLES:
            if name not in BY_MONTH:
                await _copy(connection, files / name, name, name)


async def _derive(pool: asyncpg.Pool, statement: str, past: Past, place: int) -> None:
    parts = {parent: tables.month_of(parent, past.months[place])[3] for parent in BY_MONTH}
    async with pool.acquire() as connection:
        await connection.execute(statement.format(**parts))


async def _copy(connection: asyncpg.Connection, file: Path, into: str, table: str, **options: Any) -> None:
    columns = [column.strip() for column in TABLES[table].split(",")]
    await connection.copy_to_table(into, source=file, columns=columns, **options)


async def _build(pool: asyncpg.Pool, stripped: Sequence[tables.Stripped]) -> None:
    """Indexes of all tables first, then keys and references, which need those of others."""
    await _run(pool, [statement for each in stripped for statement in each.indexes])
    await _run(
        pool, [statement for each in stripped for statement in each.constraints if "FOREIGN KEY" not in statement]
    )
    await _run(pool, [statement for each in stripped for statement in each.constraints if "FOREIGN KEY" in statement])


async def _run(pool: asyncpg.Pool, statements: list[str]) -> None:
    """By as many as build. Those of one table that lock it wait for each other in the server."""
    left = statements[::-1]

    async def work() -> None:
        async with pool.acquire() as connection:
            while left:
                await connection.execute(left.pop())

    await asyncio.gather(*(work() for _ in range(BUILDERS)))


async def _close(connection: asyncpg.Connection, past: Past, end: End) -> None:
    """Wallets as their last rows leave them, sequences behind what was given out, months with their numbers."""
    async with connection.transaction():
        await connection.execute(
            """
            UPDATE wallets w SET balance = n.balance * 0.00000001, hold_amount = n.hold * 0.00000001, last_seq = n.seq
              FROM unnest($1::uuid[], $2::numeric[], $3::numeric[], $4::bigint[]) AS n(id, balance, hold, seq)
             WHERE w.id = n.id AND n.seq > 0
            """,
            [UUID(wallet_id) for wallet_id, _, _, _ in end.wallets],
            [balance for _, balance, _, _ in end.wallets],
            [hold for _, _, hold, _ in end.wallets],
            [seq for _, _, _, seq in end.wallets],
        )
    given = {
        "orders_number_seq": FIRST_NUMBER + end.placed,
        "refills_number_seq": end.refilled + 1,
        "services_number_seq": past.size.services + 1,
    }
    for name, value in given.items():
        await connection.execute(f"SELECT setval('{name}', {value}, false)")
    await close_months(connection)
