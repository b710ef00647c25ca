"""services and service_routes: what we sell, and where each is bought."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Numeric,
    Sequence,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

from gateway.db.tables.meta import CURRENCY, MONEY, TIME, created_at, key, metadata, one_of, updated_at

POLICIES = ("priority", "cheapest", "weighted")
PAUSE_CAUSES = ("refusal", "funds", "operator")
CHANGES = ("new", "price", "limits", "off", "on")
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
    Column("is_offered", Boolean, nullable=False, server_default=text("true")),
    Column("below_floor", Boolean, nullable=False, server_default=text("false")),
    Column("route_policy", String(20), nullable=False, server_default=text("'priority'")),
    Column("hand_set", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    created_at(),
    updated_at(),
    CheckConstraint("NOT is_active OR (is_offered AND NOT below_floor)", name="sale"),
    CheckConstraint(one_of("route_policy", *POLICIES), name="route_policy"),
    CheckConstraint("price_per_1000 >= 0", name="price"),
    CheckConstraint("min_quantity > 0 AND min_quantity <= max_quantity", name="quantities"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("number > 0", name="number"),
    Index("idx_services_platform", "platform"),
    Index("idx_services_type", "type"),
    Index("idx_services_is_active", "is_active"),
    Index(
        "idx_services_search",
        text(
            "to_tsvector('simple'::regconfig, "
            "translate((((name)::text || ' '::text) || (category)::text), "
            "'/\\-_.:@+&=#~?%'::text, repeat(' '::text, 14)))"
        ),
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
    Column("is_source", Boolean, nullable=False, server_default=text("false")),
    Column("is_listed", Boolean, nullable=False, server_default=text("true")),
    Column("offered_cost", MONEY),
    Column("offered_at", TIME),
    Column("min_quantity", Integer),
    Column("max_quantity", Integer),
    Column("dripfeed", Boolean, nullable=False, server_default=text("false")),
    Column("refill", Boolean, nullable=False, server_default=text("false")),
    Column("cancel", Boolean, nullable=False, server_default=text("false")),
    Column("paused_until", TIME),
    Column("paused_reason", Text),
    Column("pause_cause", String(20)),
    created_at(),
    updated_at(),
    UniqueConstraint("service_id", "provider_id", "provider_service_id"),
    CheckConstraint("cost_per_1000 >= 0", name="cost"),
    CheckConstraint("weight > 0", name="weight"),
    CheckConstraint("offered_cost >= 0", name="offered_cost"),
    CheckConstraint("min_quantity > 0 AND min_quantity <= max_quantity", name="quantities"),
    CheckConstraint(one_of("pause_cause", *PAUSE_CAUSES), name="pause_cause"),
    Index("uq_service_routes_source", "service_id", unique=True, postgresql_where=text("is_source")),
    Index("idx_service_routes_provider", "provider_id", "provider_service_id"),
)

markups = Table(
    "markups",
    metadata,
    key(),
    Column("provider_id", UUID, ForeignKey("providers.id", ondelete="CASCADE")),
    Column("category", String(255)),
    Column("service_id", UUID, ForeignKey("services.id", ondelete="CASCADE")),
    Column("percent", Numeric(9, 4), nullable=False, server_default=text("0")),
    Column("fixed", MONEY, nullable=False, server_default=text("0")),
    created_at(),
    updated_at(),
    UniqueConstraint("provider_id", "category", "service_id", postgresql_nulls_not_distinct=True),
    CheckConstraint("percent >= -100", name="percent"),
    CheckConstraint(
        "(service_id IS NULL) <> (category IS NULL) AND (service_id IS NULL OR provider_id IS NULL)", name="scope"
    ),
    comment="More special than the markup of a provider: a category, of one provider or of all, or a service.",
)

custom_prices = Table(
    "custom_prices",
    metadata,
    key(),
    Column("user_id", UUID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("service_id", UUID, ForeignKey("services.id", ondelete="CASCADE")),
    Column("price", MONEY),
    Column("percent", Numeric(9, 4)),
    created_at(),
    updated_at(),
    UniqueConstraint("user_id", "service_id", postgresql_nulls_not_distinct=True),
    CheckConstraint("price >= 0", name="price"),
    CheckConstraint("percent >= -100", name="percent"),
    CheckConstraint("(price IS NULL) <> (percent IS NULL)", name="one"),
    CheckConstraint("price IS NULL OR service_id IS NOT NULL", name="scope"),
    comment="Of one user: a price of a service, or a percentage on its price; without service_id, on every one.",
)

catalog_changes = Table(
    "catalog_changes",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("xid", BigInteger, nullable=False, server_default=text("((pg_current_xact_id())::text)::bigint")),
    Column("service_id", UUID, ForeignKey("services.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("before", JSONB),
    Column("after", JSONB, nullable=False),
    created_at(),
    CheckConstraint(one_of("kind", *CHANGES), name="kind"),
    Index("idx_catalog_changes_order", "xid", "id"),
    Index("idx_catalog_changes_service", "service_id", "id"),
    comment="Written by a trigger on services; read in the order (xid, id), below the oldest open transaction.",
)
