"""SQL of events."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import msgspec

from gateway.db.engine import Transaction


class Event(msgspec.Struct, frozen=True):
    """Something that happened to one object of a user."""

    type: str
    user_id: UUID | None
    object_type: str
    object_id: UUID
    data: dict[str, Any]


async def insert(tx: Transaction, events: Sequence[Event]) -> None:
    if not events:
        return
    await tx.execute(
        """
        INSERT INTO events (type, user_id, object_type, object_id, data)
        SELECT * FROM unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[], $5::jsonb[])
        """,
        [event.type for event in events],
        [event.user_id for event in events],
        [event.object_type for event in events],
        [event.object_id for event in events],
        [event.data for event in events],
    )
