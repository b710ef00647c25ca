"""SQL of many attempts whose orders were taken."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from uuid import UUID

import msgspec

from gateway.db.engine import Transaction


class Sending(msgspec.Struct, frozen=True):
    """An attempt that is under way. `cost` is what it will cost, in our currency by the exchange rate of now."""

    id: UUID
    order_id: UUID
    provider_id: UUID
    cost: Decimal | None


async def find_sending(tx: Transaction, attempt_ids: Sequence[UUID]) -> list[Sending]:
    """Those of the attempts that are under way and were sent once."""
    rows = await tx.fetch(
        """
        SELECT a.id, a.order_id, a.provider_id, CASE WHEN round(a.cost * p.exchange_rate, 8) < 1e12
               THEN round(a.cost * p.exchange_rate, 8) END AS cost
          FROM dispatch_attempts a JOIN providers p ON p.id = a.provider_id
         WHERE a.id = ANY($1) AND a.state = 'sending' AND a.resends = 0
        """,
        attempt_ids,
    )
    return [Sending(*row) for row in rows]


async def bind_all(tx: Transaction, ids: Mapping[UUID, tuple[UUID, str, UUID]]) -> set[UUID]:
    """Tie the `(provider, upstream's id, order)` of attempts; those of them whose id is theirs alone.

    One that was bound before is left to `bind` in `gateway/dispatch/store.py`.
    The order of the rows keeps two batches from locking each other out.
    """
    wanted = sorted((provider_id, upstream_id, order_id) for provider_id, upstream_id, order_id in ids.values())
    rows = await tx.fetch(
        """
        INSERT INTO upstream_orders (provider_id, upstream_id, order_id)
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::uuid[]) ON CONFLICT DO NOTHING
        RETURNING provider_id, upstream_id, order_id
        """,
        [provider_id for provider_id, _, _ in wanted],
        [upstream_id for _, upstream_id, _ in wanted],
        [order_id for _, _, order_id in wanted],
    )
    bound = {tuple(row) for row in rows}
    return {attempt_id for attempt_id, row in ids.items() if row in bound}


async def finish_accepted(tx: Transaction, upstream_ids: Mapping[UUID, str]) -> int:
    """Write that those attempts were taken; how many of them were still being sent, for the first time."""
    done = await tx.execute(
        """
        UPDATE dispatch_attempts a
           SET state = 'accepted', reason = NULL, evidence = coalesce(a.evidence, '{}'::jsonb),
               upstream_id = n.upstream_id, finished_at = now()
          FROM unnest($1::uuid[], $2::text[]) AS n(id, upstream_id)
         WHERE a.id = n.id AND a.state = 'sending' AND a.resends = 0
        """,
        list(upstream_ids),
        list(upstream_ids.values()),
    )
    return int(done.rpartition(" ")[2])
