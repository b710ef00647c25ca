"""SQL of deliveries and their calls as their owners look at them."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from gateway.db.engine import Transaction


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One event at one endpoint, as it stands.

    `next_attempt_at` is None where it has ended, or waits for the one before it of the same object.
    """

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
