"""SQL of what is due to be asked about."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from gateway.db.engine import Transaction, read_by_index
from gateway.orders.families.model import POSTS_AHEAD
from gateway.orders.model import Order
from gateway.orders.store import COLUMNS_OF_O, to_order

BATCH_MAX = 100
"""Ids in one `status` call (protocol §1)."""


async def providers_due(tx: Transaction) -> list[UUID]:
    """Providers that have an order due. One is looked for at each: all of them may be many."""
    await read_by_index(tx)
    rows = await tx.fetch(
        """
        SELECT p.id FROM providers p
         CROSS JOIN LATERAL (SELECT FROM order_checks WHERE provider_id = p.id AND next_check_at <= now() LIMIT 1) due
        """
    )
    return [row["id"] for row in rows]


async def claim_due(tx: Transaction, provider_id: UUID, shortest: timedelta, longest: timedelta) -> dict[str, Order]:
    """Orders due at a provider by its ids for them, each put off to its next check.

    An open order is asked about at a tenth of its age, within the two bounds; an ended one at
    twice the time since its end, from ten minutes on, for three days. Only the narrow rows of what is due are locked
    and written; of the orders, which are read as they stand, each one by its id, no row is.
    """
    await read_by_index(tx)
    rows = await tx.fetch(
        f"""
        WITH due AS (
          SELECT order_id, provider_id FROM order_checks WHERE provider_id = $1 AND next_check_at <= now()
           ORDER BY next_check_at LIMIT $4 FOR UPDATE SKIP LOCKED
        ), found AS (
          SELECT due.order_id, due.provider_id AS asked_at, o.*, CASE
                   WHEN o.id IS NULL THEN NULL
                   WHEN o.completed_at IS NULL THEN least($3, greatest($2, (now() - o.created_at) / 10))
                   WHEN o.completed_at > now() - interval '3 days'
                     THEN greatest(interval '10 minutes', now() - o.completed_at) END AS wait
            FROM due LEFT JOIN LATERAL (
              SELECT * FROM orders WHERE id >= due.order_id AND id <= due.order_id ORDER BY id LIMIT 1) o ON true
        ), put_off AS (
          INSERT INTO order_checks (order_id, provider_id, next_check_at)
          SELECT order_id, asked_at, now() + wait FROM found WHERE wait IS NOT NULL
          ON CONFLICT (order_id) DO UPDATE SET next_check_at = excluded.next_check_at
        ), ended AS (
          DELETE FROM order_checks WHERE order_id = ANY(ARRAY(SELECT order_id FROM found WHERE wait IS NULL))
        )
        SELECT {COLUMNS_OF_O} FROM found o WHERE id IS NOT NULL
        """,
        provider_id,
        shortest,
        longest,
        BATCH_MAX,
    )
    return {row["external_order_id"]: to_order(row) for row in rows}


async def cost_of_run(tx: Transaction, parent_id: UUID) -> Decimal | None:
    """What the upstream charges for one whole run of a parent, by its price when it took it.

    The attempt's cost is that of the runs of that moment; an open subscription has grown since.
    """
    cost: Decimal | None = await tx.fetchval(
        """
        SELECT a.cost / coalesce(p.runs, $2) FROM dispatch_attempts a JOIN order_parents p ON p.order_id = a.order_id
         WHERE a.order_id = $1 AND a.state = 'accepted'
        """,
        parent_id,
        POSTS_AHEAD,
    )
    return cost
