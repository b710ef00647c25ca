"""What must hold, whatever happened: of when orders are asked about next, and of what is held for them."""

from decimal import Decimal

from gateway.db.engine import Database
from tests.support.factories import Shop, read_wallet

_NOT_SO = """
    SELECT o.number, o.dispatch, o.status, o.provider_id, c.provider_id AS asked_at, c.next_check_at
      FROM orders o FULL JOIN order_checks c ON c.order_id = o.id
     WHERE CASE WHEN c.order_id IS NULL
                THEN o.dispatch = 'accepted' AND coalesce(o.completed_at > now() - interval '3 days', true)
                ELSE coalesce(o.dispatch <> 'accepted' OR o.provider_id <> c.provider_id
                              OR o.external_order_id IS NULL, true) END
"""


async def assert_followed(db: Database) -> None:
    """Every order that an upstream took is asked about there, until three days after its end, and no other one is."""
    async with db.connection() as connection:
        assert [dict(row) for row in await connection.fetch(_NOT_SO)] == []


async def count_orders(db: Database) -> int:
    async with db.connection() as connection:
        orders: int = await connection.fetchval("SELECT count(*) FROM orders")
    return orders


async def assert_each_order_is_held_once(db: Database, shop: Shop, orders: int) -> None:
    """Of a shop that had 100 and sells at 2."""
    wallet = await read_wallet(db, shop.account.wallet_id)
    assert (wallet.balance, wallet.hold_amount) == (Decimal(100), 2 * Decimal(orders))
    assert wallet.last_seq == 1 + orders
    async with db.connection() as connection:
        rows = await connection.fetch(
            "SELECT wallet_seq, hold_before, hold_after FROM ledger WHERE type = 'hold' ORDER BY wallet_seq"
        )
        created: int = await connection.fetchval("SELECT count(*) FROM events WHERE type = 'order.created'")
    assert [row["wallet_seq"] for row in rows] == list(range(2, orders + 2))
    assert [row["hold_after"] for row in rows] == [2 * Decimal(n) for n in range(1, orders + 1)]
    assert created == orders == await count_orders(db)
