"""alerts: what an operator should look at, one open row a condition and subject."""

from sqlalchemy import Column, Index, Integer, String, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from gateway.db.tables.meta import TIME, key, metadata

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
    Index("uq_alerts_open", "kind", "subject", unique=True, postgresql_where=text("cleared_at IS NULL")),
)
