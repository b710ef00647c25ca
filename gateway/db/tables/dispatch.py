"""dispatch_attempts: one row a send, committed before the socket opens."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from gateway.db.tables.meta import MONEY, TIME, key, metadata, one_of

STATES = ("sending", "accepted", "refused", "not_sent", "unknown", "written_off", "not_placed")

dispatch_attempts = Table(
    "dispatch_attempts",
    metadata,
    key(),
    Column("order_id", UUID, nullable=False),
    Column("run", Integer, nullable=False, server_default=text("0")),
    Column("provider_id", UUID, ForeignKey("providers.id", ondelete="RESTRICT"), nullable=False),
    Column("route_id", UUID, ForeignKey("service_routes.id", ondelete="SET NULL")),
    Column("provider_service_id", String(64), nullable=False),
    Column("state", String(50), nullable=False, server_default=text("'sending'")),
    Column("reason", Text),
    Column("evidence", JSONB),
    Column("upstream_id", String(64)),
    Column("replayable", Boolean, nullable=False, server_default=text("false")),
    Column("resends", Integer, nullable=False, server_default=text("0")),
    Column("cost", MONEY),
    Column("loss", MONEY),
    Column("considered", JSONB),
    Column("probes", Integer, nullable=False, server_default=text("0")),
    Column("next_probe_at", TIME),
    Column("started_at", TIME, nullable=False, server_default=text("now()")),
    Column("lease_until", TIME, nullable=False),
    Column("finished_at", TIME),
    CheckConstraint(one_of("state", *STATES), name="state"),
    CheckConstraint("loss >= 0", name="loss"),
    CheckConstraint("cost >= 0", name="cost"),
    Index(
        "uq_dispatch_attempts_open",
        "order_id",
        "run",
        unique=True,
        postgresql_where=text("state IN ('sending', 'accepted', 'unknown', 'written_off')"),
    ),
    Index("idx_dispatch_attempts_order", "order_id", "id"),
    Index("idx_dispatch_attempts_lease", "lease_until", postgresql_where=text("state = 'sending'")),
    Index("idx_dispatch_attempts_unknown", "provider_id", postgresql_where=text("state = 'unknown'")),
    Index("idx_dispatch_attempts_route", "route_id"),
    Index(
        "idx_dispatch_attempts_accepted",
        "provider_id",
        "finished_at",
        postgresql_where=text("state = 'accepted'"),
    ),
)
