"""SQL of what is due to be asked about."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from gateway.db.engine import Transaction
from gateway.orders.families.model import POSTS_AHEAD
from gateway.orders.model import Order
from gateway.orders.store import COLUMNS_OF_O, to_order

BATCH_MAX = 100
"""Ids in one `status` call (protocol §1)."""


async def providers_due(tx: Transaction) -> list[UUID]:
    """Providers that have an order due. One is looked for at each: all of them may be many."""
    rows = await tx.fetch(
        """
        SELECT p.id FROM providers p
         CROSS JOIN LATERAL (SELECT FROM orders o WHERE o.provider_id = p.id AND o.dispatch = 'accepted'
                                AND o.next_check_at <= now() LIMIT 1) due
        """
    )
    return [row["id"] for row in rows]


async def claim_due(tx: Transaction, provider_id: UUID, shortest: timedelta, longest: timedelta) -> dict[str, Order]:
    """Orders due at a provider by its ids for them, each put off to its next check.

    An open order is asked about at a tenth of its age, within the two bounds; an ended one at
    twice the time since its end, from ten minutes on, for three days.
    """
    rows = await tx.fetch(
        f"""
        UPDATE orders o
           SET next_check_at = CASE
                 WHEN o.completed_at IS NULL THEN now() + least($3, greatest($2, (now() - o.created_at) / 10))
                 WHEN o.completed_at > now() - interval '3 days'
                   THEN now() + greatest(interval '10 minutes', now() - o.completed_at) END
          FROM (SELECT id FROM orders WHERE provider_id = $1 AND dispatch = 'accepted' AND next_check_at <= now()
                 ORDER BY next_check_at LIMIT $4 FOR UPDATE SKIP LOCKED) due
         WHERE o.id = due.id
        RETURNING {COLUMNS_OF_O}
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
