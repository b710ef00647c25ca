"""providers: the upstream panels that we buy from."""

from sqlalchemy import Boolean, CheckConstraint, Column, Index, Integer, Numeric, String, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from gateway.db.tables.meta import CURRENCY, MONEY, TIME, created_at, key, metadata, updated_at

providers = Table(
    "providers",
    metadata,
    key(),
    Column("name", String(255), nullable=False, unique=True),
    Column("api_endpoint", Text, nullable=False),
    Column("api_key_encrypted", Text, nullable=False),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    Column("balance", MONEY),
    Column("currency", CURRENCY, nullable=False, server_default=text("'USD'")),
    Column("markup_percent", Numeric(9, 4), nullable=False, server_default=text("0")),
    Column("max_in_flight", Integer),
    Column("paused_until", TIME),
    Column("paused_reason", Text),
    Column("dialect", String(50), nullable=False, server_default=text("'standard'")),
    Column("honours_extension", Boolean, nullable=False, server_default=text("false")),
    Column("metadata", JSONB),
    created_at(),
    updated_at(),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("markup_percent >= -100", name="markup"),
    CheckConstraint("max_in_flight > 0", name="max_in_flight"),
    Index("idx_providers_is_active", "is_active"),
    Index("idx_providers_priority", text("priority DESC")),
)
