"""SQL of the dispatch queue and its attempts."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from compat.kinds import Kind, parse_kind
from gateway.db.engine import Transaction
from gateway.dispatch.model import Attempt, Record
from gateway.dispatch.routing import Past, Verdict
from gateway.orders.families.model import POSTS_AHEAD
from gateway.orders.model import Order
from gateway.orders.store import COLUMNS_OF_O, to_order

Claim = tuple[Order, Kind]


class AttemptRow(msgspec.Struct, frozen=True):
    """An attempt as it stands in the database."""

    id: UUID
    order_id: UUID
    provider_id: UUID
    route_id: UUID | None
    state: str
    resends: int = 0
    upstream_id: str | None = None


BAD_REQUESTS_MAX = 3
_ATTEMPT = "id, order_id, provider_id, route_id, state, resends, upstream_id"


async def claim_queued(tx: Transaction, slots: Mapping[UUID, int]) -> list[Claim]:
    """Queued orders that are due, at most as many a provider as it has free slots, locked.

    Orders that another dispatcher holds are passed over, and those that the customer wants cancelled.
    """
    rows = await tx.fetch(
        f"""
        SELECT {COLUMNS_OF_O}, s.kind FROM unnest($1::uuid[], $2::int[]) AS p(id, free)
         CROSS JOIN LATERAL (
           SELECT * FROM orders
            WHERE provider_id = p.id AND dispatch = 'queued' AND next_attempt_at <= now() AND NOT cancel_wanted
            ORDER BY next_attempt_at LIMIT p.free FOR UPDATE SKIP LOCKED) o
          JOIN services s ON s.id = o.service_id
        """,
        list(slots),
        list(slots.values()),
    )
    return [(to_order(row), parse_kind(row["kind"]) or Kind.DEFAULT) for row in rows]


async def claim_stranded(tx: Transaction, ready: Sequence[UUID], broken: Sequence[UUID], most: int) -> list[Claim]:
    """Due orders whose provider takes none now, locked, so that they may be planned anew.

    What is queued for a `broken` provider, which only this process may find so, is left to others
    unless another route leads to a ready one.
    """
    rows = await tx.fetch(
        f"""
        SELECT {COLUMNS_OF_O}, s.kind FROM (
           SELECT * FROM orders q WHERE dispatch = 'queued' AND next_attempt_at <= now() AND NOT cancel_wanted
              AND (provider_id IS NULL OR provider_id <> ALL($1::uuid[]))
              AND (provider_id <> ALL($2::uuid[]) OR provider_id IS NULL OR EXISTS (
                     SELECT FROM service_routes r WHERE r.service_id = q.service_id AND r.is_active
                        AND r.provider_id = ANY($1::uuid[])))
            ORDER BY next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED) o
          JOIN services s ON s.id = o.service_id
        """,
        ready,
        broken,
        most,
    )
    return [(to_order(row), parse_kind(row["kind"]) or Kind.DEFAULT) for row in rows]


async def past_of(tx: Transaction, order_ids: Sequence[UUID]) -> dict[UUID, Past]:
    """What earlier attempts came to.

    A refusal for the provider's fault does not bar the route, but for an order that the upstream
    cannot read `BAD_REQUESTS_MAX` times: no other order has to rest for that one again.
    """
    rows = await tx.fetch(
        """
        SELECT order_id, array_agg(route_id) FILTER (WHERE state = 'not_sent') AS not_sent,
               array_agg(route_id) FILTER (WHERE state IN ('refused', 'not_placed') AND evidence ->> 'fault' = 'order')
                 AS refused,
               array_agg(route_id) FILTER (WHERE state = 'refused' AND evidence ? 'bad_request') AS unread
          FROM dispatch_attempts WHERE order_id = ANY($1) AND route_id IS NOT NULL GROUP BY order_id
        """,
        order_ids,
    )
    return {
        row["order_id"]: Past(
            frozenset(row["refused"] or ())
            | {route for route, times in _count(row["unread"] or ()).items() if times >= BAD_REQUESTS_MAX},
            _count(row["not_sent"] or ()),
        )
        for row in rows
    }


def _count(routes: Sequence[UUID]) -> dict[UUID, int]:
    return {route: routes.count(route) for route in set(routes)}


async def insert_attempts(tx: Transaction, attempts: Sequence[Attempt], lease: timedelta) -> set[UUID]:
    """Write the rows that must be committed before any socket opens, and mark their orders `sending`.

    Returns the attempts that were written; one whose order has an attempt that is open, accepted,
    unknown or written off is refused by the index `uq_dispatch_attempts_open`. The orders are found by
    their ids: were the index of what is queued of use for it, the whole queue might be read.
    """
    rows = await tx.fetch(
        """
        WITH begun AS (
          INSERT INTO dispatch_attempts (id, order_id, provider_id, route_id, provider_service_id, cost, lease_until,
            replayable, considered)
          SELECT a.id, a.order_id, a.provider_id, a.route_id, a.provider_service_id, a.cost, now() + $7,
                 p.honours_extension, a.considered::jsonb
            FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::numeric[], $8::text[])
                 AS a(id, order_id, provider_id, route_id, provider_service_id, cost, considered)
            JOIN providers p ON p.id = a.provider_id
          ON CONFLICT DO NOTHING RETURNING id, order_id
        )
        UPDATE orders o SET dispatch = 'sending' FROM begun
         WHERE o.id = begun.order_id AND o.id = ANY($2) AND coalesce(o.dispatch, '') = 'queued'
        RETURNING begun.id
        """,
        [attempt.id for attempt in attempts],
        [attempt.order.id for attempt in attempts],
        [attempt.route.provider_id for attempt in attempts],
        [attempt.route.id for attempt in attempts],
        [attempt.route.provider_service_id for attempt in attempts],
        [attempt.cost for attempt in attempts],
        lease,
        [_as_json(attempt.considered) for attempt in attempts],
    )
    return {row["id"] for row in rows}


def _as_json(considered: list[Verdict] | None) -> str | None:
    """As one text: a list among an array's values would be taken for a dimension of it."""
    return None if considered is None else msgspec.json.encode(considered).decode()


async def plan(tx: Transaction, order_id: UUID, provider_id: UUID | None, wait: timedelta) -> None:
    """Put a queued order into a provider's queue (None leaves it where it is), due after `wait`."""
    await tx.execute(
        """
        UPDATE orders SET provider_id = coalesce($2, provider_id), next_attempt_at = now() + $3
         WHERE id = $1 AND dispatch = 'queued'
        """,
        order_id,
        provider_id,
        wait,
    )


async def queue_anew(tx: Transaction, order_id: UUID) -> None:
    """Its time in the queue begins again, and it is due at once."""
    await tx.execute("UPDATE orders SET queued_at = now(), next_attempt_at = now() WHERE id = $1", order_id)


async def count_not_sent(tx: Transaction, order_id: UUID) -> int:
    tries: int = await tx.fetchval(
        "UPDATE orders SET not_sent_tries = not_sent_tries + 1 WHERE id = $1 RETURNING not_sent_tries", order_id
    )
    return tries


async def find(tx: Transaction, attempt_id: UUID) -> AttemptRow | None:
    row = await tx.fetchrow(f"SELECT {_ATTEMPT} FROM dispatch_attempts WHERE id = $1", attempt_id)
    return AttemptRow(*row) if row else None


async def find_unknown(tx: Transaction, order_id: UUID) -> AttemptRow | None:
    row = await tx.fetchrow(
        f"SELECT {_ATTEMPT} FROM dispatch_attempts WHERE order_id = $1 AND state = 'unknown'", order_id
    )
    return AttemptRow(*row) if row else None


async def finish(tx: Transaction, attempt: AttemptRow, record: Record) -> bool:
    """Write an outcome; False where the attempt has moved on since it was read. A loss is in our currency."""
    row = await tx.fetchrow(
        """
        UPDATE dispatch_attempts
           SET state = $3::varchar, reason = $4,
               evidence = coalesce(evidence, '{}'::jsonb) || coalesce($5::jsonb, '{}'::jsonb),
               upstream_id = coalesce($6, upstream_id), finished_at = now(),
               loss = CASE WHEN $3::varchar = 'written_off' THEN least(999999999999.99999999, round(coalesce(cost, 0)
                        * (SELECT p.exchange_rate FROM providers p WHERE p.id = provider_id), 8)) END
         WHERE id = $1 AND state = $2 AND resends = $7 RETURNING id
        """,
        attempt.id,
        attempt.state,
        record.state,
        record.reason,
        record.evidence,
        record.upstream_id,
        attempt.resends,
    )
    return row is not None


async def bind(tx: Transaction, provider_id: UUID, upstream_id: str, order_id: UUID) -> bool:
    """Tie an upstream's id to an order; False where it is another order's already."""
    bound: UUID = await tx.fetchval(
        """
        WITH tied AS (
          INSERT INTO upstream_orders (provider_id, upstream_id, order_id) VALUES ($1, $2, $3)
          ON CONFLICT DO NOTHING RETURNING order_id)
        SELECT order_id FROM tied
        UNION ALL SELECT order_id FROM upstream_orders WHERE provider_id = $1 AND upstream_id = $2 LIMIT 1
        """,
        provider_id,
        upstream_id,
        order_id,
    )
    return bound == order_id


async def start_tracking(tx: Transaction, order_id: UUID, wait: timedelta) -> None:
    """Due to be asked about after `wait`. Its cost is kept in our currency, by the provider's exchange rate of now.

    A run that the upstream began by itself has no attempt: it costs its share of what its parent was sent for.
    """
    await tx.execute(
        """
        WITH taken AS (
          UPDATE orders o SET cost = (
                 SELECT CASE WHEN round(e.cost, 8) < 1e12 THEN round(e.cost, 8) END
                   FROM (SELECT p.exchange_rate * CASE WHEN a.order_id = o.id THEN a.cost
                                ELSE a.cost * o.quantity / (f.run_quantity * coalesce(f.runs, $3)) END AS cost
                           FROM dispatch_attempts a JOIN providers p ON p.id = a.provider_id
                           LEFT JOIN order_parents f ON f.order_id = a.order_id
                          WHERE a.order_id IN (o.id, o.parent_id) AND a.state = 'accepted') e)
           WHERE o.id = $1 RETURNING o.id, o.provider_id
        )
        INSERT INTO order_checks (order_id, provider_id, next_check_at) SELECT id, provider_id, now() + $2 FROM taken
        ON CONFLICT (order_id) DO UPDATE SET next_check_at = excluded.next_check_at
        """,
        order_id,
        wait,
        POSTS_AHEAD,
    )


async def get_order(tx: Transaction, order_id: UUID) -> Claim:
    [row] = await tx.fetch(
        f"SELECT {COLUMNS_OF_O}, s.kind FROM orders o JOIN services s ON s.id = o.service_id WHERE o.id = $1", order_id
    )
    return to_order(row), parse_kind(row["kind"]) or Kind.DEFAULT
