"""SQL of the queue: deliveries are claimed, recorded, and let go of.

A plan may be made while the queue is empty. So what the loops do reads it by index, and its rows are asked for by an
array of their ids: a join that was planned for no rows looks at every pair.

`next_attempt_at` is NULL while an earlier delivery of the same object to the same endpoint waits: what is not in
its turn lies outside what a claim reads. Whoever takes one out calls `_release` for the next.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from uuid import UUID

import msgspec

from gateway.db.engine import Transaction, read_by_index
from gateway.webhooks.model import FAILING_S_MAX, Answer, Due

DROPPED_AT_ONCE = 10_000
FAILING_IN_FLIGHT = 2
"""Calls at once to an endpoint that took nothing since it last failed."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What is written of one call: `wait` until the next, None where there is none, `taken` or given up."""

    delivery_id: UUID
    webhook_id: UUID
    attempt: int
    answer: Answer
    wait: timedelta | None = None


async def claim(tx: Transaction, most: int, each: int, in_flight: Mapping[UUID, int], lease: timedelta) -> list[Due]:
    """What is due, at most `each` an endpoint less what is in flight there, put off by the lease.

    Endpoints share what there is to be had, the one whose delivery has waited longest first. Of the deliveries of
    one object to one endpoint only the first that has not ended is taken.
    """
    await read_by_index(tx)
    rows = await tx.fetch(
        """
        WITH RECURSIVE waiting AS (
          (SELECT webhook_id FROM webhook_queue ORDER BY webhook_id LIMIT 1)
          UNION ALL
          SELECT (SELECT q.webhook_id FROM webhook_queue q WHERE q.webhook_id > waiting.webhook_id
                   ORDER BY q.webhook_id LIMIT 1)
            FROM waiting WHERE waiting.webhook_id IS NOT NULL
        ), turns AS (
          SELECT w.id, c.free, o.next_attempt_at AS oldest
            FROM waiting JOIN webhooks w ON w.id = waiting.webhook_id AND w.is_active
            LEFT JOIN unnest($3::uuid[], $4::int[]) AS f(webhook_id, calls) ON f.webhook_id = w.id
           CROSS JOIN LATERAL (SELECT CASE WHEN w.failing_since IS NULL THEN $2::int ELSE least($2::int, $6::int) END
                                      - coalesce(f.calls, 0) AS free) c
           CROSS JOIN LATERAL (SELECT q.next_attempt_at FROM webhook_queue q
                                WHERE q.webhook_id = w.id AND q.next_attempt_at <= now() AND q.leased_until <= now()
                                ORDER BY q.next_attempt_at LIMIT 1) o
           WHERE c.free > 0 ORDER BY o.next_attempt_at LIMIT $1
        ), shares AS (
          SELECT id, oldest, least(free, ceil($1::numeric / count(*) OVER ())::int) AS share FROM turns
        ), due AS (
          SELECT d.delivery_id FROM (SELECT * FROM shares ORDER BY oldest) s
           CROSS JOIN LATERAL (
             SELECT q.delivery_id FROM webhook_queue q
              WHERE q.webhook_id = s.id AND q.next_attempt_at <= now() AND q.leased_until <= now()
                AND q.sequence = (SELECT e.sequence FROM webhook_queue e WHERE e.webhook_id = q.webhook_id
                                     AND e.object_id = q.object_id ORDER BY e.sequence LIMIT 1)
              ORDER BY q.next_attempt_at LIMIT s.share
                FOR NO KEY UPDATE SKIP LOCKED) d
           LIMIT $1
        ), claimed AS (
          UPDATE webhook_queue q SET attempts = q.attempts + 1, leased_until = now() + $5
           WHERE q.delivery_id = ANY(ARRAY(SELECT delivery_id FROM due))
          RETURNING q.delivery_id, q.webhook_id, q.event_id, q.attempts
        )
        SELECT c.delivery_id, c.webhook_id, w.url, w.secret,
               CASE WHEN w.previous_expires_at > now() THEN w.previous_secret END AS previous_secret,
               c.attempts AS attempt, e.id AS event_id, e.type AS event_type, e.object_type, e.object_id,
               coalesce(e.sequence, 0) AS sequence, e.data, e.created_at
          FROM claimed c JOIN webhooks w ON w.id = c.webhook_id JOIN events e ON e.id = c.event_id
        """,
        most,
        each,
        list(in_flight),
        list(in_flight.values()),
        lease,
        FAILING_IN_FLIGHT,
    )
    return [Due(**row) for row in rows]


async def record(tx: Transaction, outcomes: Sequence[Outcome]) -> None:
    """Write what came of calls. Of a delivery that another process was given meanwhile, only that it was called."""
    await read_by_index(tx)
    ended = await tx.fetch(
        """
        WITH called AS (
          SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::text[], $6::text[], $7::int[],
                               $8::boolean[], $9::interval[])
            AS n(delivery_id, webhook_id, attempt, status, error, response, duration_ms, taken, wait)
        ), logged AS (
          INSERT INTO webhook_attempts (delivery_id, webhook_id, number, status, error, response, duration_ms)
          SELECT delivery_id, webhook_id, attempt, status, error, response, duration_ms FROM called
        ), n AS (
          SELECT DISTINCT ON (delivery_id) * FROM called ORDER BY delivery_id, taken DESC, attempt DESC
        ), again AS (
          UPDATE webhook_queue q SET next_attempt_at = now() + n.wait, leased_until = now() FROM n
           WHERE q.delivery_id = n.delivery_id AND q.delivery_id = ANY($1) AND q.attempts = n.attempt
             AND NOT n.taken AND n.wait IS NOT NULL
        ), ended AS (
          DELETE FROM webhook_queue q USING n
           WHERE q.delivery_id = n.delivery_id AND q.delivery_id = ANY($1)
             AND (n.taken OR (n.wait IS NULL AND q.attempts = n.attempt))
          RETURNING q.delivery_id, q.webhook_id, q.object_id
        ), told AS (
          UPDATE webhook_deliveries d
             SET attempts = greatest(d.attempts, n.attempt), last_status = n.status, last_error = n.error,
                 state = CASE WHEN n.taken THEN 'delivered'
                              WHEN d.id IN (SELECT delivery_id FROM ended) THEN 'failed' ELSE d.state END,
                 ended_at = CASE WHEN n.taken OR d.id IN (SELECT delivery_id FROM ended) THEN now()
                                 ELSE d.ended_at END
            FROM n
           WHERE d.id = n.delivery_id AND d.state <> 'delivered' AND d.id BETWEEN $10 AND $11
        )
        SELECT webhook_id, object_id FROM ended
        """,
        [outcome.delivery_id for outcome in outcomes],
        [outcome.webhook_id for outcome in outcomes],
        [outcome.attempt for outcome in outcomes],
        [outcome.answer.status for outcome in outcomes],
        [outcome.answer.error for outcome in outcomes],
        [outcome.answer.response for outcome in outcomes],
        [outcome.answer.duration_ms for outcome in outcomes],
        [outcome.answer.is_taken for outcome in outcomes],
        [outcome.wait for outcome in outcomes],
        min(outcome.delivery_id for outcome in outcomes),
        max(outcome.delivery_id for outcome in outcomes),
    )
    await _release(tx, [(row["webhook_id"], row["object_id"]) for row in ended])


async def _release(tx: Transaction, ended: Sequence[tuple[UUID, UUID]]) -> None:
    """Make due what waits for deliveries that are out: the first of each endpoint and object.

    A statement of its own, which sees what was put in behind them until they were gone.
    """
    if not ended:
        return
    await tx.execute(
        """
        UPDATE webhook_queue q SET next_attempt_at = now()
         WHERE q.delivery_id = ANY(ARRAY(
                 SELECT (SELECT f.delivery_id FROM webhook_queue f
                          WHERE f.webhook_id = o.webhook_id AND f.object_id = o.object_id
                            AND f.next_attempt_at IS NULL ORDER BY f.sequence LIMIT 1)
                   FROM unnest($1::uuid[], $2::uuid[]) AS o(webhook_id, object_id)))
           AND q.next_attempt_at IS NULL
        """,
        [webhook_id for webhook_id, _ in ended],
        [object_id for _, object_id in ended],
    )


async def mark(tx: Transaction, taken: Mapping[UUID, bool]) -> list[UUID]:
    """Put down at the endpoints whether they take what is sent; those that have failed for too long by now.

    Called before their deliveries are touched: endpoints are locked first, in the order of their ids.
    """
    rows = await tx.fetch(
        """
        UPDATE webhooks w
           SET last_triggered_at = now(),
               failing_since = CASE WHEN n.taken THEN NULL ELSE coalesce(w.failing_since, now()) END
          FROM (SELECT w.id, n.taken FROM webhooks w
                  JOIN unnest($1::uuid[], $2::boolean[]) AS n(id, taken) ON n.id = w.id
                 WHERE NOT n.taken OR w.failing_since IS NOT NULL OR w.last_triggered_at IS NULL
                    OR w.last_triggered_at < now() - interval '1 s'
                 ORDER BY w.id FOR NO KEY UPDATE OF w) n
         WHERE w.id = n.id
        RETURNING w.id, NOT n.taken AND w.failing_since < now() - make_interval(secs => $3) AS is_lost
        """,
        list(taken),
        list(taken.values()),
        FAILING_S_MAX,
    )
    return [row["id"] for row in rows if row["is_lost"]]


async def count_waiting(tx: Transaction, webhook_id: UUID) -> int:
    """How many deliveries have not ended, a hundred thousand at most."""
    number: int = await tx.fetchval(
        "SELECT count(*) FROM (SELECT FROM webhook_queue WHERE webhook_id = $1 LIMIT 100000) q", webhook_id
    )
    return number


async def drop_queue(tx: Transaction, webhook_id: UUID) -> int:
    """Let go of what waits for an endpoint, `DROPPED_AT_ONCE` of it at most; how much."""
    dropped: int = await tx.fetchval(
        """
        WITH gone AS (
          DELETE FROM webhook_queue WHERE delivery_id IN (
            SELECT delivery_id FROM webhook_queue WHERE webhook_id = $1 LIMIT $2)
          RETURNING delivery_id
        ), told AS (
          UPDATE webhook_deliveries d SET state = 'dropped', ended_at = now() FROM gone
           WHERE d.id = gone.delivery_id AND d.state = 'pending')
        SELECT count(*) FROM gone
        """,
        webhook_id,
        DROPPED_AT_ONCE,
    )
    return dropped


async def find_unwanted(tx: Transaction) -> UUID | None:
    """An endpoint that is off or removed, and for which something waits."""
    await read_by_index(tx)
    found: UUID | None = await tx.fetchval(
        """
        WITH RECURSIVE waiting AS (
          (SELECT webhook_id FROM webhook_queue ORDER BY webhook_id LIMIT 1)
          UNION ALL
          SELECT (SELECT q.webhook_id FROM webhook_queue q WHERE q.webhook_id > waiting.webhook_id
                   ORDER BY q.webhook_id LIMIT 1)
            FROM waiting WHERE waiting.webhook_id IS NOT NULL
        )
        SELECT webhook_id FROM waiting
         WHERE webhook_id IS NOT NULL AND NOT EXISTS (SELECT FROM webhooks w WHERE w.id = webhook_id AND w.is_active)
         LIMIT 1
        """
    )
    return found


async def drop_older(tx: Transaction, oldest: UUID, most: int) -> int:
    """Let go of deliveries with ids below `oldest`, whose days are about to be dropped; how many."""
    await read_by_index(tx)
    gone = await tx.fetch(
        """
        DELETE FROM webhook_queue WHERE delivery_id IN (
          SELECT delivery_id FROM webhook_queue WHERE delivery_id < $1 ORDER BY delivery_id LIMIT $2)
        RETURNING webhook_id, object_id
        """,
        oldest,
        most,
    )
    await _release(tx, [(row["webhook_id"], row["object_id"]) for row in gone])
    return len(gone)
