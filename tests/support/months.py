"""Months of the past, with many orders in them."""

from datetime import date
from uuid import UUID

import asyncpg

MANY, FEW = UUID(int=1), UUID(int=2)
"""A user with two thirds of the orders, and one with the rest."""
HOT, RARE = "https://example.com/hot", "https://example.com/rare"
RARE_SERVICE = 50
OPEN = 700


async def add_past_months(connection: asyncpg.Connection, count: int) -> list[date]:
    """Partitions of the months before this one; their first days, the oldest first."""
    months: list[date] = [
        row["month"]
        for row in await connection.fetch(
            "SELECT (date_trunc('month', now() AT TIME ZONE 'UTC') - make_interval(months => i))::date AS month "
            "FROM generate_series($1, 1, -1) i",
            count,
        )
    ]
    for month in months:
        for parent in ("orders", "ledger"):
            await connection.execute(
                f"CREATE TABLE {parent}_{month:%Y_%m} PARTITION OF {parent} FOR VALUES FROM "
                f"(month_floor('{month}')) TO (month_floor(('{month}'::date + interval '1 month')::date))"
            )
    return months


async def fill(connection: asyncpg.Connection, months: int, orders: int) -> None:
    """So many orders, evenly over the last months up to now, each held and paid in the ledger.

    One in 16 has a completed refill. A quarter of them has the link `HOT`, one in 50 is partial. Of those of
    `MANY` two each have the link `RARE`, the service `RARE_SERVICE` and the status failed, and two lines of
    its ledger are deposits. The last `OPEN` orders are processing. The services are numbered 1 to 50.
    """
    await connection.execute("SET session_replication_role = replica")
    for statement in _FILL:
        await connection.execute(
            statement.format(months=months, orders=orders, late=orders - 2, first_open=orders - OPEN)
        )
    await connection.execute("SET session_replication_role = DEFAULT")
    await connection.execute("ANALYZE")


_ID = (
    "(lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '-7000-8000-'"
    " || lpad(to_hex({n}), 12, '0'))::uuid"
)
_UUID = "lpad(to_hex({n}), 32, '0')::uuid"
_FILL = (
    "INSERT INTO users (id, email, password_hash, role) "
    f"SELECT {_UUID.format(n='n')}, 'many' || n || '@example.com', 'x', 'reseller' FROM generate_series(1, 2) n",
    "INSERT INTO services (id, number, name, platform, type, category, price_per_1000, min_quantity, max_quantity) "
    f"SELECT {_UUID.format(n='n')}, n, 'Service', 'p', 't', 'c', 1, 1, 1000 FROM generate_series(1, 50) n",
    "INSERT INTO orders (id, user_id, service_id, link, quantity, price, status, dispatch, created_at) "
    f"SELECT {_ID.format(n='n')}, {_UUID.format(n='CASE WHEN n % 3 < 2 THEN 1 ELSE 2 END')}, "
    f"{_UUID.format(n='CASE WHEN n IN (30, {late}) THEN 50 ELSE n % 40 + 1 END')}, "
    "CASE WHEN n IN (31, {late}) THEN 'https://example.com/rare' WHEN n % 4 = 0 THEN 'https://example.com/hot' "
    "ELSE 'https://example.com/p/' || n END, 100, 0.1, CASE WHEN n IN (33, 34) THEN 'failed' "
    "WHEN n >= {first_open} THEN 'processing' WHEN n % 50 = 0 THEN 'partial' ELSE 'completed' END, 'accepted', at "
    "FROM (SELECT n, now() - make_interval(months => {months}) * (1 - n::float / {orders}) AS at "
    "FROM generate_series(1, {orders} - 1) n) g",
    "INSERT INTO wallets (id, user_id) SELECT id, id FROM users",
    "INSERT INTO ledger (id, user_id, wallet_id, wallet_seq, type, amount, balance_before, balance_after, "
    "hold_before, hold_after, reference_type, reference_id, created_at) "
    f"SELECT {_ID.format(n='seq')}, user_id, user_id, seq, "
    "CASE WHEN seq IN (20, 21) THEN 'deposit' WHEN seq % 2 = 0 THEN 'hold' ELSE 'withdraw' END, 0.1, "
    "1, 1 + CASE WHEN seq IN (20, 21) THEN 0.1 WHEN seq % 2 = 0 THEN 0 ELSE -0.1 END, 0.2, "
    "0.2 + CASE WHEN seq IN (20, 21) THEN 0 WHEN seq % 2 = 0 THEN 0.1 ELSE -0.1 END, 'order', order_id, at "
    "FROM (SELECT row_number() OVER (PARTITION BY user_id ORDER BY id, part) AS seq, id AS order_id, user_id, "
    "created_at AS at FROM orders CROSS JOIN generate_series(1, 2) part) g",
    "INSERT INTO refills (id, order_id, user_id, provider_id, external_order_id, state) "
    f"SELECT id, id, user_id, {_UUID.format(n='1')}, '7', 'completed' FROM orders WHERE id::text LIKE '%0'",
    "UPDATE wallets w SET balance = 1, hold_amount = 0.2, "
    "last_seq = (SELECT max(wallet_seq) FROM ledger WHERE wallet_id = w.id)",
)
