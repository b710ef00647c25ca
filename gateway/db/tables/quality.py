"""quality_days: how well each route served, by the UTC day on which its orders ended; and how far that is counted."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from gateway.db.tables.meta import TIME, metadata, updated_at

quality_days = Table(
    "quality_days",
    metadata,
    Column("route_id", UUID, ForeignKey("service_routes.id", ondelete="CASCADE"), nullable=False),
    Column("service_id", UUID, ForeignKey("services.id", ondelete="CASCADE"), nullable=False),
    Column("day", Date, nullable=False),
    Column("completed", Integer, nullable=False, server_default=text("0")),
    Column("partial", Integer, nullable=False, server_default=text("0")),
    Column("cancelled", Integer, nullable=False, server_default=text("0")),
    Column("refills", Integer, nullable=False, server_default=text("0")),
    Column("starts", ARRAY(Integer), nullable=False, server_default=text("'{}'")),
    Column("finishes", ARRAY(Integer), nullable=False, server_default=text("'{}'")),
    updated_at(),
    PrimaryKeyConstraint("route_id", "day"),
    CheckConstraint("completed >= 0 AND partial >= 0 AND cancelled >= 0 AND refills >= 0", name="counts"),
    Index("idx_quality_days_service", "service_id", "day"),
    comment="starts and finishes count orders by the logarithm of their seconds; see gateway/catalog/quality.",
)

quality_progress = Table(
    "quality_progress",
    metadata,
    Column("is_only", Boolean, primary_key=True, server_default=text("true")),
    Column("measured_at", TIME, nullable=False),
    Column("due_at", TIME, nullable=False),
    CheckConstraint("is_only", name="is_only"),
    comment="One row: quality_days has what ended before measured_at, and is counted further from due_at on.",
)
