"""SQL of events."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from gateway.db.engine import Transaction
from gateway.events.payloads import Payload


class Event(msgspec.Struct, frozen=True):
    """Something that happened to one object of a user.

    Events of an object are written while its row is locked, or new: so they are numbered in turn.
    """

    type: str
    user_id: UUID | None
    object_type: str
    object_id: UUID
    data: Payload


async def insert(tx: Transaction, events: Sequence[Event]) -> None:
    """Write them in turn, and put those of users who have a webhook into the outbox."""
    if not events:
        return
    await tx.execute(
        """
        WITH added AS (
          INSERT INTO events (type, user_id, object_type, object_id, data, sequence)
          SELECT n.type, n.user_id, n.object_type, n.object_id, n.data,
                 row_number() OVER (PARTITION BY n.object_type, n.object_id ORDER BY n.place)
                   + coalesce((SELECT max(e.sequence) FROM events e
                                WHERE e.object_type = n.object_type AND e.object_id = n.object_id), 0)
            FROM unnest($1::text[], $2::uuid[], $3::text[], $4::uuid[], $5::jsonb[]) WITH ORDINALITY
                 AS n(type, user_id, object_type, object_id, data, place)
           ORDER BY n.place
          RETURNING id, user_id, sequence
        )
        INSERT INTO event_outbox (event_id)
        SELECT a.id FROM added a WHERE EXISTS (SELECT FROM webhooks w WHERE w.user_id = a.user_id AND w.is_active)
         ORDER BY a.sequence
        """,
        [event.type for event in events],
        [event.user_id for event in events],
        [event.object_type for event in events],
        [event.object_id for event in events],
        [event.data for event in events],
    )


async def insert_aside(tx: Transaction, event: Event) -> UUID:
    """Write an event that is nobody's to relay; its id."""
    event_id: UUID = await tx.fetchval(
        """
        INSERT INTO events (type, user_id, object_type, object_id, data, sequence)
        SELECT $1, $2, $3::varchar, $4::uuid, $5, coalesce(max(sequence), 0) + 1 FROM events
         WHERE object_type = $3 AND object_id = $4
        RETURNING id
        """,
        event.type,
        event.user_id,
        event.object_type,
        event.object_id,
        event.data,
    )
    return event_id
