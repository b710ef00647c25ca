"""SQL of parents and children."""

from collections.abc import Iterable, Sequence
from uuid import UUID

import asyncpg

from gateway.db.engine import Transaction
from gateway.orders.families.model import Children, Family, Mode, State

_FAMILY = "order_id, mode, runs, run_quantity, run_price, interval_minutes, held, started, delivered_rest, state"


def _to_family(row: asyncpg.Record) -> Family:
    return Family(
        order_id=row["order_id"],
        mode=Mode(row["mode"]),
        runs=row["runs"],
        run_quantity=row["run_quantity"],
        run_price=row["run_price"],
        interval_minutes=row["interval_minutes"],
        held=row["held"],
        started=row["started"],
        delivered_rest=row["delivered_rest"],
        state=State(row["state"]),
    )


async def insert(tx: Transaction, families: Sequence[Family]) -> None:
    """The families of orders placed in this transaction; runs of our own begin at once."""
    if not families:
        return
    await tx.execute(
        """
        INSERT INTO order_parents (order_id, mode, runs, run_quantity, run_price, interval_minutes, held, next_run_at)
        SELECT n.*, CASE WHEN n.mode = 'own' THEN now() END
          FROM unnest($1::uuid[], $2::text[], $3::int[], $4::int[], $5::numeric[], $6::int[], $7::int[])
               AS n(order_id, mode, runs, run_quantity, run_price, interval_minutes, held)
        """,
        [family.order_id for family in families],
        [family.mode.value for family in families],
        [family.runs for family in families],
        [family.run_quantity for family in families],
        [family.run_price for family in families],
        [family.interval_minutes for family in families],
        [family.held for family in families],
    )


async def load(tx: Transaction, parent_ids: Iterable[UUID]) -> dict[UUID, Family]:
    """The families by their parents' ids. To change one, the parent's order row must be locked."""
    rows = await tx.fetch(f"SELECT {_FAMILY} FROM order_parents WHERE order_id = ANY($1)", list(parent_ids))
    return {row["order_id"]: _to_family(row) for row in rows}


async def add_up(tx: Transaction, parent_ids: Iterable[UUID]) -> dict[UUID, Children]:
    """All children of each parent that has any, added up as they stand in this transaction."""
    rows = await tx.fetch(
        """
        SELECT parent_id, count(*)::int, count(*) FILTER (WHERE status IN ('pending', 'processing'))::int,
               count(*) FILTER (WHERE external_order_id IS NOT NULL)::int, sum(quantity)::bigint,
               sum(CASE WHEN status = 'completed' THEN quantity
                        WHEN status IN ('partial', 'refunded') THEN quantity - coalesce(remains, 0) ELSE 0 END)::bigint,
               sum(charge)
          FROM orders WHERE parent_id = ANY($1) GROUP BY parent_id
        """,
        list(parent_ids),
    )
    return {row[0]: Children(*tuple(row)[1:]) for row in rows}


async def update(tx: Transaction, family: Family) -> None:
    await tx.execute(
        """
        UPDATE order_parents SET held = $2, started = $3, delivered_rest = $4, state = $5::varchar,
               next_run_at = CASE WHEN $5::varchar = 'active' THEN next_run_at END
         WHERE order_id = $1
        """,
        family.order_id,
        family.held,
        family.started,
        family.delivered_rest,
        family.state.value,
    )


async def begin_run(tx: Transaction, family: Family, child_id: UUID) -> None:
    """Write that the family's next run is this order; the next one is due an interval later."""
    await tx.execute(
        "INSERT INTO order_children (parent_id, run, order_id) VALUES ($1, $2, $3)",
        family.order_id,
        family.started + 1,
        child_id,
    )
    await tx.execute(
        """
        UPDATE order_parents
           SET started = started + 1, next_run_at = now() + make_interval(mins => interval_minutes),
               state = CASE WHEN mode = 'own' AND started + 1 = runs THEN 'completed' ELSE state END
         WHERE order_id = $1
        """,
        family.order_id,
    )


async def list_due(tx: Transaction, most: int) -> list[UUID]:
    """Drip-feeds of our own whose next run is due and whose last one has ended."""
    rows = await tx.fetch(
        """
        SELECT p.order_id FROM order_parents p
         WHERE p.mode = 'own' AND p.state = 'active' AND p.next_run_at <= now()
           AND NOT EXISTS (SELECT FROM orders c
                            WHERE c.parent_id = p.order_id AND c.status IN ('pending', 'processing'))
         ORDER BY p.next_run_at LIMIT $1
        """,
        most,
    )
    return [row["order_id"] for row in rows]


async def is_due(tx: Transaction, parent_id: UUID) -> bool:
    """The same of one, asked again under the lock of its order row."""
    due: bool = await tx.fetchval(
        """
        SELECT EXISTS (SELECT FROM order_parents p WHERE p.order_id = $1 AND p.mode = 'own' AND p.state = 'active'
                          AND p.next_run_at <= now())
           AND NOT EXISTS (SELECT FROM orders c WHERE c.parent_id = $1 AND c.status IN ('pending', 'processing'))
        """,
        parent_id,
    )
    return due


async def children_of(tx: Transaction, parent_ids: Sequence[UUID]) -> dict[UUID, list[tuple[UUID, int, str | None]]]:
    """`(id, number, upstream's id)` of each parent's children, in the order of their runs."""
    rows = await tx.fetch(
        """
        SELECT o.parent_id, o.id, o.number, o.external_order_id
          FROM orders o JOIN order_children c ON c.order_id = o.id
         WHERE o.parent_id = ANY($1) ORDER BY o.parent_id, c.run
        """,
        parent_ids,
    )
    found: dict[UUID, list[tuple[UUID, int, str | None]]] = {}
    for row in rows:
        found.setdefault(row["parent_id"], []).append((row["id"], row["number"], row["external_order_id"]))
    return found


async def list_charged(tx: Transaction, parent_id: UUID, most: int) -> list[int]:
    """The numbers of a parent's runs that have ended and are still charged, in the order in which they began."""
    rows = await tx.fetch(
        """
        SELECT number FROM orders
         WHERE parent_id = $1 AND charge > 0 AND status IN ('completed', 'partial', 'refunded') ORDER BY id LIMIT $2
        """,
        parent_id,
        most,
    )
    return [row["number"] for row in rows]


async def owners_of(tx: Transaction, provider_id: UUID, upstream_ids: Sequence[str]) -> dict[str, UUID]:
    """The orders that these ids of an upstream are tied to; those tied to none are left out."""
    rows = await tx.fetch(
        "SELECT upstream_id, order_id FROM upstream_orders WHERE provider_id = $1 AND upstream_id = ANY($2)",
        provider_id,
        upstream_ids,
    )
    return {row["upstream_id"]: row["order_id"] for row in rows}


async def is_child(tx: Transaction, parent_id: UUID, provider_id: UUID, upstream_id: str) -> bool:
    """Whether the upstream's order is bound to a run of this parent."""
    found: bool = await tx.fetchval(
        """
        SELECT EXISTS (SELECT FROM upstream_orders u JOIN order_children c ON c.order_id = u.order_id
                        WHERE u.provider_id = $2 AND u.upstream_id = $3 AND c.parent_id = $1)
        """,
        parent_id,
        provider_id,
        upstream_id,
    )
    return found


async def open_children(tx: Transaction, parent_ids: Sequence[UUID]) -> dict[UUID, UUID]:
    """The runs of these parents that have not ended, each with its parent."""
    if not parent_ids:
        return {}
    rows = await tx.fetch(
        "SELECT id, parent_id FROM orders WHERE parent_id = ANY($1) AND status IN ('pending', 'processing')", parent_ids
    )
    return {row["id"]: row["parent_id"] for row in rows}
