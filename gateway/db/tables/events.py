"""events: one row an event of any kind, written with its cause.

`sequence` counts the events of one object; those of one object also have rising positions, in which
they are relayed to webhooks.
"""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Sequence, String, Table, text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from gateway.db.tables.meta import created_at, key, metadata

POSITIONS = Sequence("events_position_seq", metadata=metadata)

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
    Column("position", BigInteger, server_default=text("nextval('events_position_seq')")),
    Column("relayed", Boolean, nullable=False, server_default=text("false")),
    Index("uq_events_object_sequence", "object_type", "object_id", "sequence", unique=True),
    Index("idx_events_unrelayed", "position", postgresql_where=text("NOT relayed")),
    Index("idx_events_user_id", "user_id"),
)
