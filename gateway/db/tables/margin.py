"""margin: what ended, added up by the UTC day, so that a report of a year need not read its orders."""

from sqlalchemy import CheckConstraint, Column, Date, ForeignKey, Index, Integer, Numeric, PrimaryKeyConstraint, Table
from sqlalchemy.dialects.postgresql import UUID

from gateway.db.tables.meta import CURRENCY, metadata

margin_days = Table(
    "margin_days",
    metadata,
    Column("day", Date, primary_key=True),
    comment="Days that are added up in margin_sums, those on which nothing ended too.",
)

margin_sums = Table(
    "margin_sums",
    metadata,
    Column("day", Date, ForeignKey("margin_days.day", ondelete="CASCADE"), nullable=False),
    Column("service_id", UUID, nullable=False),
    Column("provider_id", UUID, nullable=False),
    Column("currency", CURRENCY, nullable=False),
    Column("orders", Integer, nullable=False),
    Column("turnover", Numeric, nullable=False),
    Column("upstream_charge", Numeric, nullable=False),
    Column("cost", Numeric, nullable=False),
    Column("cost_unknown", Integer, nullable=False),
    PrimaryKeyConstraint("day", "service_id", "provider_id", "currency"),
    CheckConstraint("orders > 0 AND 0 <= cost_unknown AND cost_unknown <= orders", name="orders"),
    CheckConstraint("turnover >= 0 AND upstream_charge >= 0 AND cost >= 0", name="amounts"),
    comment="upstream_charge is in the provider's currency, where it is known; cost in ours, of all other orders.",
)

margin_changes = Table(
    "margin_changes",
    metadata,
    Column("day", Date, nullable=False),
    Index("idx_margin_changes_day", "day"),
    comment="A row for each change of an order that ended on a day before; until it is gone margin_sums is not read.",
)
