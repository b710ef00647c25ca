"""alerts: one open row a condition and subject; what was told of each; and the pulse of each process."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from gateway.db.tables.meta import TIME, key, metadata, one_of

SEVERITIES = ("info", "warning", "critical")

alerts = Table(
    "alerts",
    metadata,
    key(),
    Column("kind", String(50), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("message", Text, nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    Column("count", Integer, nullable=False, server_default=text("1")),
    Column("raised_at", TIME, nullable=False, server_default=text("now()")),
    Column("last_at", TIME, nullable=False, server_default=text("now()")),
    Column("cleared_at", TIME),
    Column("severity", String(20), nullable=False, server_default=text("'warning'")),
    CheckConstraint(one_of("severity", *SEVERITIES), name="severity"),
    Index("idx_alerts_cleared", "cleared_at", postgresql_where=text("cleared_at IS NOT NULL")),
    Index("uq_alerts_open", "kind", "subject", unique=True, postgresql_where=text("cleared_at IS NULL")),
)

alert_tellings = Table(
    "alert_tellings",
    metadata,
    Column("alert_id", UUID, ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False),
    Column("channel", String(20), nullable=False),
    Column("claimed_until", TIME),
    Column("told_at", TIME),
    Column("clearing_told_at", TIME),
    PrimaryKeyConstraint("alert_id", "channel"),
    comment="When an alert was last told through a channel; claimed while a process tells it.",
)

processes = Table(
    "processes",
    metadata,
    Column("id", UUID, primary_key=True),
    Column("kind", String(20), nullable=False),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", TIME, nullable=False, server_default=text("now()")),
    Column("seen_at", TIME, nullable=False, server_default=text("now()")),
    CheckConstraint(one_of("kind", "serve", "work"), name="kind"),
    Index("idx_processes_seen_at", "seen_at"),
)
