"""SQL of an order's story: its sends with their providers, its place in the queue, and what ended it."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from gateway.db.engine import Transaction


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. `considered` has a verdict on each route, None where the service had no other.

    `copies` counts how often the same was sent again under its key.
    """

    at: datetime
    run: int
    provider: str
    provider_service_id: str
    considered: list[dict[str, Any]] | None
    state: str
    reason: str | None
    evidence: dict[str, Any] | None
    upstream_id: str | None
    copies: int
    finished_at: datetime | None


async def list_sends(tx: Transaction, order_id: UUID) -> list[Send]:
    """The oldest first."""
    rows = await tx.fetch(
        """
        SELECT a.started_at AS at, a.run, p.name AS provider, a.provider_service_id, a.considered, a.state, a.reason,
               a.evidence, a.upstream_id, a.resends AS copies, a.finished_at
          FROM dispatch_attempts a JOIN providers p ON p.id = a.provider_id WHERE a.order_id = $1 ORDER BY a.id
        """,
        order_id,
    )
    return [Send(**row) for row in rows]


class Place(msgspec.Struct, frozen=True):
    """An order's service, and where it stands in the queue; `provider` is the one that it is planned for."""

    service: int
    provider: str | None
    queued_at: datetime
    due_at: datetime
    is_due: bool
    not_sent_tries: int
    cancel_wanted: bool


async def get_place(tx: Transaction, order_id: UUID) -> Place:
    [row] = await tx.fetch(
        """
        SELECT s.number, p.name, o.queued_at, o.next_attempt_at, o.next_attempt_at <= now(), o.not_sent_tries,
               o.cancel_wanted
          FROM orders o JOIN services s ON s.id = o.service_id LEFT JOIN providers p ON p.id = o.provider_id
         WHERE o.id = $1
        """,
        order_id,
    )
    return Place(*row)


class Ending(msgspec.Struct, frozen=True):
    """The line of the order's history that first had its present status."""

    kind: str
    details: dict[str, Any]
    at: datetime


async def find_ending(tx: Transaction, order_id: UUID, status: str) -> Ending | None:
    row = await tx.fetchrow(
        """
        SELECT kind, details, created_at FROM order_events
         WHERE order_id = $1 AND details ->> 'status' = $2 ORDER BY id LIMIT 1
        """,
        order_id,
        status,
    )
    return Ending(*row) if row else None
