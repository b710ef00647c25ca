"""SQL of the audit log. What triggers write of audited tables is in migration 0005."""

from typing import Any
from uuid import UUID

from gateway.audit.model import Record
from gateway.db.engine import Transaction

_COLUMNS = (
    "id, created_at, actor, actor_name, actor_user_id, actor_key_id, address, request_id, action, object_type, "
    "object_id, before, after, reason"
)


async def record(
    tx: Transaction, object_type: str, object_id: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> None:
    """Put down a change of something that no trigger audits, to the actor of this transaction; without one, nothing."""
    await tx.execute(
        """
        INSERT INTO audit_log (actor, actor_name, actor_user_id, actor_key_id, address, request_id, action,
                               object_type, object_id, before, after, reason)
        SELECT a ->> 'kind', a ->> 'name', (a ->> 'user_id')::uuid, (a ->> 'key_id')::uuid, a ->> 'address',
               a ->> 'request_id', a ->> 'action', $1, $2, $3, $4, a ->> 'reason'
          FROM (SELECT nullif(current_setting('gateway.actor', true), '')::jsonb AS a) s WHERE a IS NOT NULL
        """,
        object_type,
        object_id,
        before,
        after,
    )


async def list_records(
    tx: Transaction,
    *,
    object_type: str | None,
    object_id: str | None,
    actor_user_id: UUID | None,
    before: UUID | None,
    most: int,
) -> list[Record]:
    """The newest first, below the id `before`."""
    rows = await tx.fetch(
        f"""
        SELECT {_COLUMNS} FROM audit_log
         WHERE ($1::text IS NULL OR object_type = $1) AND ($2::text IS NULL OR object_id = $2)
           AND ($3::uuid IS NULL OR actor_user_id = $3) AND ($4::uuid IS NULL OR id < $4)
         ORDER BY id DESC LIMIT $5
        """,
        object_type,
        object_id,
        actor_user_id,
        before,
        most,
    )
    return [Record(**row) for row in rows]
