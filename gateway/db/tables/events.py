"""events: one row an event of any kind, written with its cause; `sequence` counts the events of one object.

event_outbox: those that no relay has seen yet. Those of one object have rising positions.
"""

from sqlalchemy import BigInteger, Column, ForeignKey, Identity, Index, String, Table, text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from gateway.db.tables.meta import created_at, key, metadata

events = Table(
    "events",
    metadata,
    key(),
    Column("type", String(50), nullable=False),
    Column("user_id", UUID, ForeignKey("users.id", ondelete="CASCADE")),
    Column("object_type", String(50), nullable=False),
    Column("object_id", UUID, nullable=False),
    Column("data", JSONB, nullable=False, server_default=text("'{}'")),
    created_at(),
    Column("sequence", BigInteger),
    Index("uq_events_object_sequence", "object_type", "object_id", "sequence", unique=True),
    Index("idx_events_user_id", "user_id"),
)

event_outbox = Table(
    "event_outbox",
    metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("event_id", UUID, nullable=False),
    comment="Events that webhooks may want and no relay has seen.",
)
