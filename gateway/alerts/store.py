"""SQL of alerts: one open row a condition and subject, counted while it lasts."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from gateway.alerts.conditions.store import severity_of
from gateway.db.engine import Transaction

LISTED_MAX = 1000


class Alert(msgspec.Struct, frozen=True):
    """A condition that somebody should look at; `subject` tells which order, route or provider."""

    kind: str
    subject: str
    message: str
    details: dict[str, Any] = {}


class AlertRow(msgspec.Struct, frozen=True):
    """An alert as it stands. `told` has when each channel was last told of it, or of its end."""

    id: UUID
    kind: str
    severity: str
    subject: str
    message: str
    details: dict[str, Any]
    count: int
    raised_at: datetime
    last_at: datetime
    cleared_at: datetime | None
    told: dict[str, str]


async def raise_(tx: Transaction, alerts: Sequence[Alert]) -> None:
    """Open the alerts, or count them up where they are open already."""
    for alert in sorted(alerts, key=lambda alert: (alert.kind, alert.subject)):
        await tx.execute(
            """
            INSERT INTO alerts (kind, subject, message, details, severity) VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (kind, subject) WHERE cleared_at IS NULL
            DO UPDATE SET count = alerts.count + 1, last_at = now(), message = excluded.message
            """,
            alert.kind,
            alert.subject,
            alert.message,
            alert.details,
            severity_of(alert.kind),
        )


async def clear(tx: Transaction, kind: str, subject: str) -> None:
    await tx.execute(
        "UPDATE alerts SET cleared_at = now() WHERE kind = $1 AND subject = $2 AND cleared_at IS NULL",
        kind,
        subject,
    )


async def clear_by_hand(tx: Transaction, *, alert_id: UUID | None = None, kind: str | None = None) -> int:
    """Clear the open alert with this id, or all of a kind; how many were open.

    A condition that the sweep itself finds to hold is raised again by the next one.
    """
    rows = await tx.fetch(
        """
        UPDATE alerts SET cleared_at = now() WHERE cleared_at IS NULL AND (id = $1::uuid OR kind = $2::text)
        RETURNING id
        """,
        alert_id,
        kind,
    )
    return len(rows)


async def list_newest(
    tx: Transaction, *, with_cleared: bool, before: UUID | None = None, most: int = LISTED_MAX
) -> list[AlertRow]:
    """Open ones, or all, the newest first, behind the one with the id `before`."""
    rows = await tx.fetch(
        """
        SELECT a.id, a.kind, a.severity, a.subject, a.message, a.details, a.count, a.raised_at, a.last_at, a.cleared_at,
               coalesce((SELECT jsonb_object_agg(t.channel, coalesce(t.clearing_told_at, t.told_at))
                           FROM alert_tellings t WHERE t.alert_id = a.id
                            AND coalesce(t.clearing_told_at, t.told_at) IS NOT NULL), '{}') AS told
          FROM alerts a WHERE ($1 OR a.cleared_at IS NULL)
           AND ($2::uuid IS NULL OR (a.raised_at, a.id) < (SELECT b.raised_at, b.id FROM alerts b WHERE b.id = $2))
         ORDER BY a.raised_at DESC, a.id DESC LIMIT $3
        """,
        with_cleared,
        before,
        most,
    )
    return [AlertRow(*row) for row in rows]
