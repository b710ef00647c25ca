"""alerts: what an operator should look at, one open row a condition and subject; and the pulse of each process."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, String, Table, Text, text
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
    Column("told_at", TIME),
    Column("clearing_told_at", TIME),
    CheckConstraint(one_of("severity", *SEVERITIES), name="severity"),
    Index("idx_alerts_cleared", "cleared_at", postgresql_where=text("cleared_at IS NOT NULL")),
    Index("uq_alerts_open", "kind", "subject", unique=True, postgresql_where=text("cleared_at IS NULL")),
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
