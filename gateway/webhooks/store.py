"""SQL of endpoints."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from gateway.db.engine import Transaction
from gateway.webhooks.model import Endpoint

_COLUMNS = (
    "id, user_id, url, events, description, is_active, disabled_reason, failing_since, last_triggered_at, "
    "previous_expires_at, created_at"
)


async def insert(
    tx: Transaction, webhook_id: UUID, user_id: UUID, url: str, events: Sequence[str], secret: str,
    description: str | None,
) -> Endpoint:  # fmt: skip
    row = await tx.fetchrow(
        f"""
        INSERT INTO webhooks (id, user_id, url, events, secret, description) VALUES ($1, $2, $3, $4, $5, $6)
        RETURNING {_COLUMNS}
        """,
        webhook_id,
        user_id,
        url,
        list(events),
        secret,
        description,
    )
    assert row is not None, "an insert returns its row"
    return Endpoint(**row)


async def count(tx: Transaction, user_id: UUID) -> int:
    """How many the user has; the user is locked, so that two who count do not both add one."""
    await tx.execute("SELECT FROM users WHERE id = $1 FOR NO KEY UPDATE", user_id)
    number: int = await tx.fetchval("SELECT count(*) FROM webhooks WHERE user_id = $1", user_id)
    return number


async def find(tx: Transaction, user_id: UUID | None, webhook_id: UUID, *, lock: bool = False) -> Endpoint | None:
    """Only the user's where one is named."""
    row = await tx.fetchrow(
        f"""
        SELECT {_COLUMNS} FROM webhooks WHERE id = $1 AND ($2::uuid IS NULL OR user_id = $2)
        {"FOR NO KEY UPDATE" if lock else ""}
        """,
        webhook_id,
        user_id,
    )
    return Endpoint(**row) if row else None


async def list_endpoints(tx: Transaction, user_id: UUID | None, after: UUID | None, most: int) -> list[Endpoint]:
    """In the order in which they were made; of every user where none is named."""
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS} FROM webhooks
         WHERE ($1::uuid IS NULL OR user_id = $1) AND ($2::uuid IS NULL OR id > $2) ORDER BY id LIMIT $3
        """,
        user_id,
        after,
        most,
    )
    return [Endpoint(**row) for row in rows]


async def change(tx: Transaction, webhook_id: UUID, fields: dict[str, Any]) -> None:
    """Set url, events, description or is_active. What is switched on again starts with a clean slate."""
    await tx.execute(
        """
        UPDATE webhooks
           SET url = coalesce($2, url), events = coalesce($3, events),
               description = CASE WHEN $4 THEN $5 ELSE description END,
               is_active = coalesce($6, is_active),
               disabled_reason = CASE WHEN $6 THEN NULL ELSE disabled_reason END,
               failing_since = CASE WHEN $6 THEN NULL ELSE failing_since END
         WHERE id = $1
        """,
        webhook_id,
        fields.get("url"),
        fields.get("events"),
        "description" in fields,
        fields.get("description"),
        fields.get("is_active"),
    )


async def remove(tx: Transaction, webhook_id: UUID) -> None:
    """What waits for it is sent no more, and dropped by and by; its deliveries go with their days."""
    await tx.execute("DELETE FROM webhooks WHERE id = $1", webhook_id)


async def get_secret(tx: Transaction, webhook_id: UUID) -> str:
    """The sealed secret; the row must be locked."""
    secret: str = await tx.fetchval("SELECT secret FROM webhooks WHERE id = $1", webhook_id)
    return secret


async def set_secret(tx: Transaction, webhook_id: UUID, secret: str, previous: str | None, overlap_s: int) -> None:
    """`previous` signs beside it for so long by the database's clock, which also tells when it is over."""
    await tx.execute(
        "UPDATE webhooks SET secret = $2, previous_secret = $3::text, "
        "previous_expires_at = CASE WHEN $3::text IS NOT NULL THEN now() + make_interval(secs => $4) END WHERE id = $1",
        webhook_id,
        secret,
        previous,
        overlap_s,
    )


async def switch_off(tx: Transaction, webhook_id: UUID, reason: str) -> Endpoint | None:
    """The endpoint, where it was on; what waits for it is dropped."""
    row = await tx.fetchrow(
        f"UPDATE webhooks SET is_active = false, disabled_reason = $2 WHERE id = $1 AND is_active RETURNING {_COLUMNS}",
        webhook_id,
        reason,
    )
    return Endpoint(**row) if row else None
