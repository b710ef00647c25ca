"""services and service_routes: what we sell, and where each is bought."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Sequence,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from gateway.db.tables.meta import CURRENCY, MONEY, TIME, created_at, key, metadata, updated_at

SERVICE_NUMBERS = Sequence("services_number_seq", start=1, maxvalue=2_147_483_647, metadata=metadata)

services = Table(
    "services",
    metadata,
    key(),
    Column("number", Integer, nullable=False, unique=True, server_default=text("nextval('services_number_seq')")),
    Column("name", String(255), nullable=False),
    Column("description", Text),
    Column("platform", String(50), nullable=False),
    Column("type", String(50), nullable=False),
    Column("category", String(255), nullable=False),
    Column("kind", String(50), nullable=False, server_default=text("'Default'")),
    Column("price_per_1000", MONEY, nullable=False),
    Column("currency", CURRENCY, nullable=False, server_default=text("'USD'")),
    Column("min_quantity", Integer, nullable=False),
    Column("max_quantity", Integer, nullable=False),
    Column("refill", Boolean, nullable=False, server_default=text("false")),
    Column("cancel", Boolean, nullable=False, server_default=text("false")),
    Column("dripfeed", Boolean, nullable=False, server_default=text("false")),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    created_at(),
    updated_at(),
    CheckConstraint("price_per_1000 >= 0", name="price"),
    CheckConstraint("min_quantity > 0 AND min_quantity <= max_quantity", name="quantities"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("number > 0", name="number"),
    Index("idx_services_platform", "platform"),
    Index("idx_services_type", "type"),
    Index("idx_services_is_active", "is_active"),
    Index(
        "idx_services_search",
        text("to_tsvector('simple'::regconfig, (((name)::text || ' '::text) || (category)::text))"),
        postgresql_using="gin",
    ),
)

service_routes = Table(
    "service_routes",
    metadata,
    key(),
    Column("service_id", UUID, ForeignKey("services.id", ondelete="CASCADE"), nullable=False),
    Column("provider_id", UUID, ForeignKey("providers.id", ondelete="RESTRICT"), nullable=False),
    Column("provider_service_id", String(64), nullable=False),
    Column("cost_per_1000", MONEY, nullable=False),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    Column("weight", Integer, nullable=False, server_default=text("1")),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("paused_until", TIME),
    Column("paused_reason", Text),
    created_at(),
    updated_at(),
    UniqueConstraint("service_id", "provider_id", "provider_service_id"),
    CheckConstraint("cost_per_1000 >= 0", name="cost"),
    CheckConstraint("weight > 0", name="weight"),
    Index("idx_service_routes_provider", "provider_id", "provider_service_id"),
)
