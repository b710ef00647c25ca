"""webhooks: where a user wants events delivered (secrets are sealed), and what became of each delivery."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from gateway.db.tables.meta import TIME, created_at, key, metadata, one_of, updated_at

STATES = ("pending", "delivered", "failed", "dropped")

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
    Column("description", String(255)),
    Column("previous_secret", Text),
    Column("previous_expires_at", TIME),
    Column("failing_since", TIME),
    Column("disabled_reason", String(255)),
    updated_at(),
    CheckConstraint("cardinality(events) > 0", name="events"),
    CheckConstraint("length(url) <= 2048", name="url"),
    CheckConstraint("num_nulls(previous_secret, previous_expires_at) IN (0, 2)", name="previous"),
    Index("idx_webhooks_user_id", "user_id"),
    Index("idx_webhooks_is_active", "is_active"),
)

webhook_queue = Table(
    "webhook_queue",
    metadata,
    Column("delivery_id", UUID, primary_key=True),
    Column("webhook_id", UUID, nullable=False),
    Column("object_id", UUID, nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_at", TIME, server_default=text("now()")),
    Column("event_id", UUID, nullable=False),
    Column("leased_until", TIME, nullable=False, server_default=text("'-infinity'")),
    CheckConstraint("attempts >= 0", name="attempts"),
    Index(
        "idx_webhook_queue_due", "webhook_id", "next_attempt_at", postgresql_where=text("next_attempt_at IS NOT NULL")
    ),
    Index("idx_webhook_queue_order", "webhook_id", "object_id", "sequence"),
    comment="Deliveries that have not ended; next_attempt_at is NULL while one of the same object goes before.",
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    key(),
    Column("webhook_id", UUID, nullable=False),
    Column("event_id", UUID, nullable=False),
    Column("event_type", String(50), nullable=False),
    Column("state", String(20), nullable=False, server_default=text("'pending'")),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("last_status", Integer),
    Column("last_error", String(255)),
    created_at(),
    Column("ended_at", TIME),
    CheckConstraint(one_of("state", *STATES), name="state"),
    Index("idx_webhook_deliveries_webhook", "webhook_id", "id"),
    postgresql_partition_by="RANGE (id)",
    comment="One row an event and endpoint, by day; days are dropped after thirty.",
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    key(),
    Column("delivery_id", UUID, nullable=False),
    Column("webhook_id", UUID, nullable=False),
    Column("number", Integer, nullable=False),
    Column("status", Integer),
    Column("error", String(255)),
    Column("response", Text),
    Column("duration_ms", Integer, nullable=False),
    created_at(),
    Index("idx_webhook_attempts_delivery", "delivery_id", "id"),
    Index("idx_webhook_attempts_webhook", "webhook_id", "id"),
    postgresql_partition_by="RANGE (id)",
    comment="One row a call, by day; response is its first kilobyte.",
)
