"""SQL of wishes to cancel."""

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from gateway.db.engine import Transaction
from gateway.orders.cancels.model import Orphan, State, Wish
from gateway.orders.model import Dispatch, Status


async def cancellable(tx: Transaction, service_ids: Sequence[UUID]) -> set[UUID]:
    """The services whose orders may be cancelled."""
    rows = await tx.fetch("SELECT id FROM services WHERE id = ANY($1) AND cancel", service_ids)
    return {row["id"] for row in rows}


async def states_of(tx: Transaction, order_ids: Sequence[UUID]) -> dict[UUID, State]:
    """Where the wishes that exist stand."""
    rows = await tx.fetch("SELECT order_id, state FROM cancellations WHERE order_id = ANY($1)", order_ids)
    return {row["order_id"]: State(row["state"]) for row in rows}


async def keep(tx: Transaction, wishes: dict[UUID, State]) -> set[UUID]:
    """Write wishes, `wanted` or done already; the orders where that was news.

    A wish that was refused, void or failed is wanted anew. Of `wanted` ones the orders are kept from
    being claimed. The orders' rows must be locked.
    """
    rows = await tx.fetch(
        """
        WITH kept AS (
          INSERT INTO cancellations AS c (order_id, state)
          SELECT * FROM unnest($1::uuid[], $2::text[])
          ON CONFLICT (order_id) DO UPDATE
             SET state = excluded.state, reason = NULL, tries = 0, next_try_at = now(), updated_at = now()
           WHERE c.state IN ('refused', 'void', 'failed')
          RETURNING order_id, state
        ), marked AS (
          UPDATE orders o SET cancel_wanted = true FROM kept WHERE o.id = kept.order_id AND kept.state = 'wanted'
        )
        SELECT order_id FROM kept
        """,
        sorted(wishes),
        [wishes[order_id].value for order_id in sorted(wishes)],
    )
    return {row["order_id"] for row in rows}


async def claim(tx: Transaction, most: int, lease: timedelta, busy: Sequence[UUID] = ()) -> list[Wish]:
    """Wishes due, the longest waiting first, each put off by the lease; those that others claim are passed over.

    So are those for which a `busy` provider would have to be asked.
    """
    rows = await tx.fetch(
        """
        WITH due AS (
          SELECT w.order_id FROM cancellations w
           CROSS JOIN LATERAL (SELECT dispatch, provider_id FROM orders WHERE id = w.order_id OFFSET 0) o
           WHERE w.state = 'wanted' AND w.next_try_at <= now()
             AND (o.dispatch NOT IN ('accepted', 'written_off') OR o.provider_id IS NULL
                  OR o.provider_id <> ALL($3::uuid[]))
           ORDER BY w.next_try_at LIMIT $1 FOR UPDATE OF w SKIP LOCKED
        ), claimed AS (
          UPDATE cancellations c SET next_try_at = now() + $2, updated_at = now() FROM due
           WHERE c.order_id = due.order_id RETURNING c.order_id, c.tries
        )
        SELECT c.order_id, c.tries, o.number, o.dispatch, o.status, o.provider_id, o.external_order_id,
               orphan.provider_id AS orphan_at, orphan.upstream_id AS orphan
          FROM claimed c JOIN orders o ON o.id = c.order_id
          LEFT JOIN LATERAL (
            SELECT provider_id, upstream_id FROM dispatch_attempts
              JOIN upstream_orders USING (provider_id, upstream_id, order_id)
             WHERE order_id = o.id AND state = 'written_off' LIMIT 1) orphan ON true
        """,
        most,
        lease,
        list(busy),
    )
    return [
        Wish(
            order_id=row["order_id"],
            number=row["number"],
            dispatch=Dispatch(row["dispatch"]),
            status=Status(row["status"]),
            provider_id=row["provider_id"],
            external_order_id=row["external_order_id"],
            orphan=Orphan(row["orphan_at"], row["orphan"]) if row["orphan"] else None,
            tries=row["tries"],
        )
        for row in rows
    ]


async def wait(tx: Transaction, order_id: UUID) -> None:
    """Look again after a quarter of the wish's age, between one second and half a minute."""
    await tx.execute(
        """
        UPDATE cancellations SET updated_at = now(),
               next_try_at = now() + least(interval '30 s', greatest(interval '1 s', (now() - created_at) / 4))
         WHERE order_id = $1 AND state = 'wanted'
        """,
        order_id,
    )


async def try_again(tx: Transaction, order_id: UUID, reason: str, wait: timedelta) -> None:
    """Count a call that was not answered; the next one is due after `wait`."""
    await tx.execute(
        """
        UPDATE cancellations SET tries = tries + 1, reason = $2, next_try_at = now() + $3, updated_at = now()
         WHERE order_id = $1 AND state = 'wanted'
        """,
        order_id,
        reason,
        wait,
    )


async def finish(tx: Transaction, order_id: UUID, state: State, reason: str | None = None) -> bool:
    """End a wish; False where it has ended already."""
    row = await tx.fetchrow(
        """
        UPDATE cancellations SET state = $2, reason = $3, updated_at = now()
         WHERE order_id = $1 AND state = 'wanted' RETURNING order_id
        """,
        order_id,
        state.value,
        reason,
    )
    return row is not None
