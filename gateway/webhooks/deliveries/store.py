"""SQL of the queue of deliveries, their log, and the calls made for each."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from gateway.db.engine import Transaction
from gateway.webhooks.model import FAILING_S_MAX, Answer, Due

RELAYED_AT_ONCE = 500
FAILING_IN_FLIGHT = 2
"""Calls at once to an endpoint that took nothing since it last failed."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What is written of one call: `wait` until the next, None where there is none, `taken` or given up."""

    delivery_id: UUID
    webhook_id: UUID
    attempt: int
    answer: Answer
    wait: timedelta | None = None


async def relay(tx: Transaction) -> int | None:
    """Make deliveries of the oldest events that have none yet; how many events, None where another is at it.

    One relay at a time goes by position: an event of an object is never relayed before an earlier one.
    """
    if not await tx.fetchval("SELECT pg_try_advisory_xact_lock(hashtext('relay_events'))"):
        return None
    count: int = await tx.fetchval(
        """
        WITH batch AS (
          SELECT id, position, type, user_id, object_id, sequence FROM events
           WHERE NOT relayed ORDER BY position LIMIT $1
        ), marked AS (
          UPDATE events e SET relayed = true FROM batch WHERE e.id = batch.id
        ), wanted AS (
          SELECT uuid7() AS id, w.id AS webhook_id, b.id AS event_id, b.type, b.object_id, b.sequence
            FROM batch b JOIN webhooks w ON w.is_active AND (b.user_id IS NULL OR w.user_id = b.user_id)
             AND w.events && ARRAY['*', b.type, split_part(b.type, '.', 1) || '.*']::text[]
           ORDER BY b.position
        ), logged AS (
          INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type)
          SELECT id, webhook_id, event_id, type FROM wanted
        ), queued AS (
          INSERT INTO webhook_queue (delivery_id, webhook_id, object_id, sequence)
          SELECT id, webhook_id, object_id, coalesce(sequence, 0) FROM wanted
        )
        SELECT count(*) FROM batch
        """,
        RELAYED_AT_ONCE,
    )
    return count


async def enqueue(tx: Transaction, webhook_id: UUID, event_id: UUID) -> UUID:
    """Make a delivery of one event; its id."""
    delivery_id: UUID = await tx.fetchval(
        """
        WITH logged AS (
          INSERT INTO webhook_deliveries (webhook_id, event_id, event_type)
          SELECT $1, id, type FROM events WHERE id = $2 RETURNING id
        ), queued AS (
          INSERT INTO webhook_queue (delivery_id, webhook_id, object_id, sequence)
          SELECT logged.id, $1, e.object_id, coalesce(e.sequence, 0) FROM logged, events e WHERE e.id = $2
        )
        SELECT id FROM logged
        """,
        webhook_id,
        event_id,
    )
    return delivery_id


async def claim(tx: Transaction, most: int, each: int, in_flight: Mapping[UUID, int], lease: timedelta) -> list[Due]:
    """What is due, at most `each` an endpoint less what is in flight there, put off by the lease.

    Of the deliveries of one object to one endpoint only the first that has not ended is taken.
    """
    rows = await tx.fetch(
        """
        WITH due AS (
          SELECT d.delivery_id FROM webhooks w
            LEFT JOIN unnest($3::uuid[], $4::int[]) AS f(webhook_id, calls) ON f.webhook_id = w.id
           CROSS JOIN LATERAL (
             SELECT q.delivery_id, q.next_attempt_at FROM webhook_queue q
              WHERE q.webhook_id = w.id AND q.next_attempt_at <= now()
                AND NOT EXISTS (SELECT FROM webhook_queue e WHERE e.webhook_id = q.webhook_id
                                   AND e.object_id = q.object_id AND e.sequence < q.sequence)
              ORDER BY q.next_attempt_at
              LIMIT greatest(CASE WHEN w.failing_since IS NULL THEN $2::int ELSE $6::int END - coalesce(f.calls, 0), 0)
                FOR UPDATE SKIP LOCKED) d
           WHERE w.is_active
           ORDER BY d.next_attempt_at LIMIT $1
        ), claimed AS (
          UPDATE webhook_queue q SET attempts = q.attempts + 1, next_attempt_at = now() + $5
            FROM due WHERE q.delivery_id = due.delivery_id
          RETURNING q.delivery_id, q.webhook_id, q.attempts
        )
        SELECT c.delivery_id, c.webhook_id, w.url, w.secret,
               CASE WHEN w.previous_expires_at > now() THEN w.previous_secret END AS previous_secret,
               c.attempts AS attempt, e.id AS event_id, e.type AS event_type, e.object_type, e.object_id,
               coalesce(e.sequence, 0) AS sequence, e.data, e.created_at
          FROM claimed c JOIN webhooks w ON w.id = c.webhook_id
          JOIN webhook_deliveries d ON d.id = c.delivery_id JOIN events e ON e.id = d.event_id
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
    await tx.execute(
        """
        WITH n AS (
          SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::int[], $4::int[], $5::text[], $6::text[], $7::int[],
                               $8::boolean[], $9::interval[])
            AS n(delivery_id, webhook_id, attempt, status, error, response, duration_ms, taken, wait)
        ), called AS (
          INSERT INTO webhook_attempts (delivery_id, webhook_id, number, status, error, response, duration_ms)
          SELECT delivery_id, webhook_id, attempt, status, error, response, duration_ms FROM n
        ), again AS (
          UPDATE webhook_queue q SET next_attempt_at = now() + n.wait FROM n
           WHERE q.delivery_id = n.delivery_id AND q.attempts = n.attempt AND NOT n.taken AND n.wait IS NOT NULL
        ), ended AS (
          DELETE FROM webhook_queue q USING n
           WHERE q.delivery_id = n.delivery_id AND (n.taken OR (n.wait IS NULL AND q.attempts = n.attempt))
        )
        UPDATE webhook_deliveries d
           SET attempts = greatest(d.attempts, n.attempt), last_status = n.status, last_error = n.error,
               state = CASE WHEN n.taken THEN 'delivered' WHEN n.wait IS NULL THEN 'failed' ELSE d.state END,
               ended_at = CASE WHEN n.taken OR n.wait IS NULL THEN now() END
          FROM n WHERE d.id = n.delivery_id AND d.state <> 'delivered'
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
    )


async def mark(tx: Transaction, taken: Sequence[UUID], failed: Sequence[UUID]) -> list[UUID]:
    """Put down at the endpoints whether they take what is sent; those that have failed for too long by now."""
    await tx.execute(
        """
        UPDATE webhooks SET last_triggered_at = now(), failing_since = NULL
         WHERE id IN (SELECT id FROM webhooks WHERE id = ANY($1) AND (failing_since IS NOT NULL
                         OR last_triggered_at IS NULL OR last_triggered_at < now() - interval '1 s')
                       ORDER BY id FOR NO KEY UPDATE)
        """,
        list(taken),
    )
    rows = await tx.fetch(
        """
        UPDATE webhooks SET last_triggered_at = now(), failing_since = coalesce(failing_since, now())
         WHERE id IN (SELECT id FROM webhooks WHERE id = ANY($1) ORDER BY id FOR NO KEY UPDATE)
        RETURNING id, failing_since < now() - make_interval(secs => $2) AS is_lost
        """,
        list(failed),
        FAILING_S_MAX,
    )
    return [row["id"] for row in rows if row["is_lost"]]


async def drop_queue(tx: Transaction, webhook_id: UUID) -> int:
    """Let go of all that waits for an endpoint; how much."""
    dropped: int = await tx.fetchval(
        """
        WITH gone AS (DELETE FROM webhook_queue WHERE webhook_id = $1 RETURNING delivery_id), told AS (
          UPDATE webhook_deliveries d SET state = 'dropped', ended_at = now() FROM gone
           WHERE d.id = gone.delivery_id AND d.state = 'pending')
        SELECT count(*) FROM gone
        """,
        webhook_id,
    )
    return dropped


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event at one endpoint, as it stands. `next_attempt_at` is None where it has ended."""

    id: UUID
    webhook_id: UUID
    event_id: UUID
    event_type: str
    state: str
    attempts: int
    last_status: int | None
    last_error: str | None
    created_at: datetime
    ended_at: datetime | None
    next_attempt_at: datetime | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a delivery; `response` is the first kilobyte of the answer."""

    number: int
    at: datetime
    status: int | None
    error: str | None
    response: str | None
    duration_ms: int


_SHOWN = (
    "d.id, d.webhook_id, d.event_id, d.event_type, d.state, d.attempts, d.last_status, d.last_error, d.created_at, "
    "d.ended_at, (SELECT q.next_attempt_at FROM webhook_queue q WHERE q.delivery_id = d.id) AS next_attempt_at"
)


async def list_deliveries(
    tx: Transaction, webhook_id: UUID, *, state: str | None, before: UUID | None, most: int
) -> list[Delivery]:
    """The newest first, below the id `before`."""
    rows = await tx.fetch(
        f"""
        SELECT {_SHOWN} FROM webhook_deliveries d
         WHERE d.webhook_id = $1 AND ($2::text IS NULL OR d.state = $2) AND ($3::uuid IS NULL OR d.id < $3)
         ORDER BY d.id DESC LIMIT $4
        """,
        webhook_id,
        state,
        before,
        most,
    )
    return [Delivery(**row) for row in rows]


async def find_delivery(tx: Transaction, webhook_id: UUID, delivery_id: UUID) -> Delivery | None:
    row = await tx.fetchrow(
        f"SELECT {_SHOWN} FROM webhook_deliveries d WHERE d.id = $1 AND d.webhook_id = $2", delivery_id, webhook_id
    )
    return Delivery(**row) if row else None


async def attempts_of(tx: Transaction, delivery_id: UUID) -> list[Attempt]:
    """The last hundred, the oldest first."""
    rows = await tx.fetch(
        """
        SELECT number, created_at AS at, status, error, response, duration_ms FROM webhook_attempts
         WHERE delivery_id = $1 ORDER BY id DESC LIMIT 100
        """,
        delivery_id,
    )
    return [Attempt(**row) for row in reversed(rows)]


async def find_event(tx: Transaction, event_id: UUID) -> Mapping[str, object] | None:
    """The row of an event, for the body that was sent."""
    row = await tx.fetchrow("SELECT * FROM events WHERE id = $1", event_id)
    return dict(row) if row else None


async def replay(
    tx: Transaction, webhook_id: UUID, *, delivery_id: UUID | None = None, since: datetime | None = None,
    until: datetime | None = None, only_failed: bool = False, most: int = 1,
) -> int:  # fmt: skip
    """Queue ended deliveries again, one or those of a range, the oldest first; how many."""
    queued: int = await tx.fetchval(
        """
        WITH chosen AS (
          SELECT d.id, d.event_id FROM webhook_deliveries d
           WHERE d.webhook_id = $1 AND d.state <> 'pending' AND ($2::uuid IS NULL OR d.id = $2)
             AND ($3::timestamptz IS NULL OR d.created_at >= $3) AND ($4::timestamptz IS NULL OR d.created_at < $4)
             AND (NOT $5 OR d.state IN ('failed', 'dropped'))
           ORDER BY d.id LIMIT $6
        ), queued AS (
          INSERT INTO webhook_queue (delivery_id, webhook_id, object_id, sequence)
          SELECT c.id, $1, e.object_id, coalesce(e.sequence, 0) FROM chosen c JOIN events e ON e.id = c.event_id
          ON CONFLICT DO NOTHING RETURNING delivery_id
        ), reopened AS (
          UPDATE webhook_deliveries d SET state = 'pending', ended_at = NULL FROM queued
           WHERE d.id = queued.delivery_id
        )
        SELECT count(*) FROM queued
        """,
        webhook_id,
        delivery_id,
        since,
        until,
        only_failed,
        most,
    )
    return queued


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """Calls of the last day, and what waits. Times in milliseconds, None without calls."""

    calls: int
    taken: int
    failed: int
    waiting: int
    median_ms: int | None
    p90_ms: int | None


async def statistics(tx: Transaction, webhook_id: UUID, since: UUID) -> Statistics:
    """Of calls with ids from `since` on."""
    row = await tx.fetchrow(
        """
        SELECT count(*) AS calls, count(*) FILTER (WHERE status BETWEEN 200 AND 299) AS taken,
               count(*) FILTER (WHERE status NOT BETWEEN 200 AND 299 OR status IS NULL) AS failed,
               (SELECT count(*) FROM (SELECT FROM webhook_queue WHERE webhook_id = $1 LIMIT 100000) q) AS waiting,
               percentile_disc(0.5) WITHIN GROUP (ORDER BY duration_ms) AS median_ms,
               percentile_disc(0.9) WITHIN GROUP (ORDER BY duration_ms) AS p90_ms
          FROM (SELECT status, duration_ms FROM webhook_attempts WHERE webhook_id = $1 AND id >= $2
                 ORDER BY id DESC LIMIT 100000) a
        """,
        webhook_id,
        since,
    )
    assert row is not None, "an aggregate has a row"
    return Statistics(**row)
