"""idempotency_keys: which order, or which saved reply, a user's key or the same request within a key's
replay window stands for.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from gateway.db.tables.meta import TIME, metadata

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("user_id", UUID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("key", String(128), nullable=False),
    Column("fields_hash", LargeBinary, nullable=False),
    Column("order_id", UUID),
    Column("reply_status", SmallInteger),
    Column("reply", Text),
    Column("created_at", TIME, nullable=False, server_default=text("now()")),
    Column("expires_at", TIME, nullable=False),
    PrimaryKeyConstraint("user_id", "key"),
    CheckConstraint("num_nulls(reply_status, reply) IN (0, 2)", name="reply"),
)
