"""order_parents and order_children: drip-feeds and subscriptions, and the orders that are their runs."""

from sqlalchemy import CheckConstraint, Column, Index, Integer, PrimaryKeyConstraint, String, Table, text
from sqlalchemy.dialects.postgresql import UUID

from gateway.db.tables.meta import MONEY, TIME, metadata, one_of

MODES = ("own", "upstream", "subscription")
STATES = ("active", "paused", "completed", "expired", "canceled")

order_parents = Table(
    "order_parents",
    metadata,
    Column("order_id", UUID, primary_key=True),
    Column("mode", String(20), nullable=False),
    Column("runs", Integer),
    Column("run_quantity", Integer, nullable=False),
    Column("run_price", MONEY, nullable=False),
    Column("interval_minutes", Integer),
    Column("held", Integer, nullable=False),
    Column("started", Integer, nullable=False, server_default=text("0")),
    Column("delivered_rest", Integer, nullable=False, server_default=text("0")),
    Column("state", String(20), nullable=False, server_default=text("'active'")),
    Column("next_run_at", TIME),
    CheckConstraint(one_of("mode", *MODES), name="mode"),
    CheckConstraint(one_of("state", *STATES), name="state"),
    CheckConstraint("run_quantity > 0", name="run_quantity"),
    CheckConstraint("run_price >= 0", name="run_price"),
    CheckConstraint("interval_minutes > 0", name="interval_minutes"),
    CheckConstraint("0 <= started AND 0 <= delivered_rest AND started + delivered_rest <= held", name="held"),
    CheckConstraint("runs IS NULL OR held <= runs", name="runs"),
    Index("idx_order_parents_due", "next_run_at", postgresql_where=text("mode = 'own' AND state = 'active'")),
    comment="held runs are paid for; started ones have children, delivered_rest ones were delivered without.",
)

order_children = Table(
    "order_children",
    metadata,
    Column("parent_id", UUID, nullable=False),
    Column("run", Integer, nullable=False),
    Column("order_id", UUID, nullable=False, unique=True),
    PrimaryKeyConstraint("parent_id", "run"),
    CheckConstraint("run > 0", name="run"),
)
