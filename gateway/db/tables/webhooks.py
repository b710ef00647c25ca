"""webhooks: where a user wants events delivered; the secret is sealed."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from gateway.db.tables.meta import TIME, created_at, key, metadata

webhooks = Table(
    "webhooks",
    metadata,
    key(),
    Column("user_id", UUID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("url", Text, nullable=False),
    Column("events", ARRAY(Text), nullable=False),
    Column("secret", Text, nullable=False),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("last_triggered_at", TIME),
    created_at(),
    CheckConstraint("cardinality(events) > 0", name="events"),
    Index("idx_webhooks_user_id", "user_id"),
    Index("idx_webhooks_is_active", "is_active"),
)
