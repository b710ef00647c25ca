"""SQL of alerts: one open row a condition and subject, counted while it lasts."""

from collections.abc import Sequence
from typing import Any

import msgspec

from gateway.db.engine import Transaction


class Alert(msgspec.Struct, frozen=True):
    """A condition that somebody should look at; `subject` tells which order, route or provider."""

    kind: str
    subject: str
    message: str
    details: dict[str, Any] = {}


async def raise_(tx: Transaction, alerts: Sequence[Alert]) -> None:
    """Open the alerts, or count them up where they are open already."""
    for alert in sorted(alerts, key=lambda alert: (alert.kind, alert.subject)):
        await tx.execute(
            """
            INSERT INTO alerts (kind, subject, message, details) VALUES ($1, $2, $3, $4)
            ON CONFLICT (kind, subject) WHERE cleared_at IS NULL
            DO UPDATE SET count = alerts.count + 1, last_at = now(), message = excluded.message
            """,
            alert.kind,
            alert.subject,
            alert.message,
            alert.details,
        )


async def clear(tx: Transaction, kind: str, subject: str) -> None:
    await tx.execute(
        "UPDATE alerts SET cleared_at = now() WHERE kind = $1 AND subject = $2 AND cleared_at IS NULL",
        kind,
        subject,
    )
