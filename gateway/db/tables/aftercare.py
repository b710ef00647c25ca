"""cancellations and refills: what a customer asks for after an order was placed."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, Integer, Sequence, String, Table, Text, text
from sqlalchemy.dialects.postgresql import UUID

from gateway.db.tables.meta import TIME, created_at, key, metadata, one_of, updated_at

CANCELLATION_STATES = ("wanted", "withdrawn", "forwarded", "refused", "void", "failed")
REFILL_STATES = ("requested", "accepted", "refused", "unknown", "completed", "rejected")
REFILL_NUMBERS = Sequence("refills_number_seq", start=1, maxvalue=2_147_483_647, metadata=metadata)

cancellations = Table(
    "cancellations",
    metadata,
    Column("order_id", UUID, primary_key=True),
    Column("state", String(20), nullable=False, server_default=text("'wanted'")),
    Column("reason", Text),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("next_try_at", TIME, nullable=False, server_default=text("now()")),
    created_at(),
    updated_at(),
    CheckConstraint(one_of("state", *CANCELLATION_STATES), name="state"),
    Index("idx_cancellations_wanted", "next_try_at", postgresql_where=text("state = 'wanted'")),
)

refills = Table(
    "refills",
    metadata,
    key(),
    Column("number", Integer, nullable=False, unique=True, server_default=text("nextval('refills_number_seq')")),
    Column("order_id", UUID, nullable=False),
    Column("user_id", UUID, ForeignKey("users.id", ondelete="RESTRICT"), nullable=False),
    Column("provider_id", UUID, ForeignKey("providers.id", ondelete="RESTRICT"), nullable=False),
    Column("external_order_id", String(64), nullable=False),
    Column("state", String(20), nullable=False, server_default=text("'requested'")),
    Column("upstream_id", String(64)),
    Column("upstream_status", String(50)),
    Column("reason", Text),
    Column("tries", Integer, nullable=False, server_default=text("0")),
    Column("next_try_at", TIME, server_default=text("now()")),
    created_at(),
    updated_at(),
    Column("completed_at", TIME),
    CheckConstraint(one_of("state", *REFILL_STATES), name="state"),
    CheckConstraint("number > 0", name="number"),
    Index(
        "uq_refills_open",
        "order_id",
        unique=True,
        postgresql_where=text("state IN ('requested', 'accepted', 'unknown')"),
    ),
    Index("idx_refills_order", "order_id", "id"),
    Index("idx_refills_user_time", "user_id", "id"),
    Index("idx_refills_due", "provider_id", "next_try_at", postgresql_where=text("state IN ('requested', 'accepted')")),
)
