"""orders by month, the history of each, and the narrow tables that hold over all months."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Sequence,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from gateway.db.tables.meta import CURRENCY, MONEY, TIME, created_at, key, metadata, one_of, updated_at

STATUSES = ("pending", "processing", "completed", "partial", "cancelled", "failed", "refunded")
DISPATCH = ("queued", "sending", "accepted", "refused", "unknown", "written_off", "withdrawn", "parent")
RARE_DISPATCH = ("sending", "unknown", "refused", "written_off", "withdrawn", "parent")
ORDER_NUMBERS = Sequence("orders_number_seq", start=100_001, maxvalue=2_147_483_647, metadata=metadata)

orders = Table(
    "orders",
    metadata,
    key(),
    Column("number", Integer, nullable=False, server_default=text("nextval('orders_number_seq')")),
    Column("user_id", UUID, ForeignKey("users.id", ondelete="RESTRICT"), nullable=False),
    Column("api_key_id", UUID, ForeignKey("api_keys.id", ondelete="SET NULL")),
    Column("service_id", UUID, ForeignKey("services.id", ondelete="RESTRICT"), nullable=False),
    Column("provider_id", UUID, ForeignKey("providers.id", ondelete="RESTRICT")),
    Column("external_order_id", String(255)),
    Column("parent_id", UUID),
    Column("link", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    Column("price", MONEY, nullable=False),
    Column("currency", CURRENCY, nullable=False, server_default=text("'USD'")),
    Column("charge", MONEY, nullable=False, server_default=text("0")),
    Column("cost", MONEY),
    Column("upstream_charge", MONEY),
    Column("status", String(50), nullable=False, server_default=text("'pending'")),
    Column("dispatch", String(50), nullable=False, server_default=text("'queued'")),
    Column("upstream_status", String(50)),
    Column("start_count", BigInteger),
    Column("remains", Integer),
    Column("not_sent_tries", Integer, nullable=False, server_default=text("0")),
    Column("check_failures", Integer, nullable=False, server_default=text("0")),
    Column("queued_at", TIME, nullable=False, server_default=text("now()")),
    Column("next_attempt_at", TIME, nullable=False, server_default=text("now()")),
    Column("is_parent", Boolean, nullable=False, server_default=text("false")),
    Column("cancel_wanted", Boolean, nullable=False, server_default=text("false")),
    created_at(),
    updated_at(),
    Column("completed_at", TIME),
    Column("started_at", TIME),
    CheckConstraint("upstream_charge >= 0", name="upstream_charge"),
    CheckConstraint(one_of("status", *STATUSES), name="status"),
    CheckConstraint(one_of("dispatch", *DISPATCH), name="dispatch"),
    CheckConstraint("quantity > 0", name="quantity"),
    CheckConstraint("price >= 0", name="price"),
    CheckConstraint("0 <= charge AND charge <= price", name="charge"),
    CheckConstraint("cost >= 0", name="cost"),
    CheckConstraint("0 <= remains AND remains <= quantity", name="remains"),
    CheckConstraint("number > 0", name="number"),
    Index("idx_orders_user_id", "user_id", "id", "provider_id"),
    Index("idx_orders_service_id", "service_id", "id", "provider_id"),
    Index("idx_orders_provider_id", "provider_id", "completed_at"),
    Index("idx_orders_status", "status", "id"),
    Index("idx_orders_created_at", text("created_at DESC")),
    Index("idx_orders_number", "number"),
    Index("idx_orders_user_status", "user_id", "status", "id"),
    Index("idx_orders_user_service", "user_id", "service_id", "id"),
    Index("idx_orders_link", text("md5(link)"), "user_id", "id"),
    Index("idx_orders_queued", "provider_id", "next_attempt_at", postgresql_where=text("dispatch = 'queued'")),
    Index("idx_orders_dispatch", "dispatch", "id", postgresql_where=text(one_of("dispatch", *RARE_DISPATCH))),
    Index("idx_orders_api_key_id", "api_key_id"),
    Index("idx_orders_completed_at", "completed_at", postgresql_where=text("completed_at IS NOT NULL")),
    Index(
        "idx_orders_counted_apart",
        "completed_at",
        postgresql_where=text("completed_at IS NOT NULL AND (is_parent OR dispatch = 'written_off')"),
    ),
    Index("idx_orders_parent_id", "parent_id", postgresql_where=text("parent_id IS NOT NULL")),
    Index(
        "idx_orders_active_link",
        "user_id",
        "service_id",
        text("md5(link)"),
        postgresql_where=text("status IN ('pending', 'processing')"),
    ),
    postgresql_partition_by="RANGE (id)",
)

order_checks = Table(
    "order_checks",
    metadata,
    Column("order_id", UUID, primary_key=True),
    Column("provider_id", UUID, nullable=False),
    Column("next_check_at", TIME, nullable=False),
    Index("idx_order_checks_due", "provider_id", "next_check_at"),
    comment="Orders that upstreams took and that are asked about still, each when it is asked about next.",
)

order_months = Table(
    "order_months",
    metadata,
    Column("month", Date, primary_key=True),
    Column("first_number", Integer, nullable=False),
    Column("last_number", Integer, nullable=False),
    CheckConstraint("first_number <= last_number", name="numbers"),
    comment="The numbers that a closed month of orders holds; a month without a row is still open.",
)

upstream_orders = Table(
    "upstream_orders",
    metadata,
    Column("provider_id", UUID, ForeignKey("providers.id", ondelete="RESTRICT"), nullable=False),
    Column("upstream_id", String(64), nullable=False),
    Column("order_id", UUID, nullable=False),
    created_at(),
    PrimaryKeyConstraint("provider_id", "upstream_id"),
    Index("idx_upstream_orders_order", "order_id"),
)

order_events = Table(
    "order_events",
    metadata,
    key(),
    Column("order_id", UUID, nullable=False),
    Column("kind", String(50), nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'")),
    created_at(),
    Index("idx_order_events_order", "order_id", "id"),
)
