"""idempotency_keys: which order a user's key, or the same request within a key's replay window, stands for."""

from sqlalchemy import Column, ForeignKey, LargeBinary, PrimaryKeyConstraint, String, Table, text
from sqlalchemy.dialects.postgresql import UUID

from gateway.db.tables.meta import TIME, metadata

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", UUID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("key", String(128), nullable=False),
    Column("fields_hash", LargeBinary, nullable=False),
    Column("order_id", UUID, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    Column("expires_at", TIME, nullable=False),
    PrimaryKeyConstraint("user_id", "key"),
)
