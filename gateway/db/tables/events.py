"""events: one row an event of any kind, written with its cause."""

from sqlalchemy import Column, ForeignKey, Index, String, Table, text
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
    Index("idx_events_object", "object_type", "object_id"),
    Index("idx_events_user_id", "user_id"),
)
