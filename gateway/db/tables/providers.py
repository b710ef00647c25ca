"""providers: the upstream panels that we buy from, their pace, our money there, and words learnt of them."""

from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from gateway.db.tables.meta import CURRENCY, MONEY, TIME, created_at, key, metadata, one_of, updated_at

MEANINGS = ("refused", "provider", "passing")
SYNCS = ("usual", "shrunk")

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
    Column("exchange_rate", MONEY, nullable=False, server_default=text("1")),
    Column("markup_fixed", MONEY, nullable=False, server_default=text("0")),
    Column("price_step", MONEY),
    Column("margin_floor_percent", Numeric(9, 4)),
    Column("price_guard_percent", Numeric(9, 4), nullable=False, server_default=text("20")),
    Column("sends_per_second", Numeric(9, 4)),
    Column("probes", Boolean, nullable=False, server_default=text("false")),
    Column("hold_new", Boolean, nullable=False, server_default=text("false")),
    Column("synced_at", TIME),
    Column("sync_tried_at", TIME),
    Column("sync_error", Text),
    Column("low_balance", MONEY),
    Column("balance_at", TIME),
    Column("sync_wanted", String(20)),
    created_at(),
    updated_at(),
    CheckConstraint("exchange_rate > 0", name="exchange_rate"),
    CheckConstraint("price_step > 0", name="price_step"),
    CheckConstraint("margin_floor_percent < 100", name="margin_floor"),
    CheckConstraint("price_guard_percent > 0", name="price_guard"),
    CheckConstraint("sends_per_second > 0", name="sends_per_second"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("markup_percent >= -100", name="markup"),
    CheckConstraint("max_in_flight > 0", name="max_in_flight"),
    CheckConstraint(one_of("sync_wanted", *SYNCS), name="sync_wanted"),
    Index("idx_providers_is_active", "is_active"),
    Index("idx_providers_priority", text("priority DESC")),
)


def _provider() -> Column[Any]:
    return Column("provider_id", UUID, ForeignKey("providers.id", ondelete="CASCADE"), nullable=False)


provider_paces = Table(
    "provider_paces",
    metadata,
    _provider(),
    Column("next_send_at", TIME, nullable=False, server_default=text("now()")),
    PrimaryKeyConstraint("provider_id"),
    comment="When the next order may go out to a provider that takes a number a second, over all workers.",
)

taught_words = Table(
    "taught_words",
    metadata,
    _provider(),
    Column("words", String(500), nullable=False),
    Column("meaning", String(20), nullable=False),
    created_at(),
    PrimaryKeyConstraint("provider_id", "words"),
    CheckConstraint(one_of("meaning", *MEANINGS), name="meaning"),
    comment="What an operator said that a refusal in a provider's own words means; the words are casefolded.",
)

balance_readings = Table(
    "balance_readings",
    metadata,
    _provider(),
    Column("read_at", TIME, nullable=False, server_default=text("now()")),
    Column("balance", MONEY, nullable=False),
    PrimaryKeyConstraint("provider_id", "read_at"),
)

provider_deposits = Table(
    "provider_deposits",
    metadata,
    key(),
    _provider(),
    Column("amount", MONEY, nullable=False),
    Column("reference", String(255), nullable=False),
    created_at(),
    UniqueConstraint("provider_id", "reference"),
    CheckConstraint("amount <> 0", name="amount"),
    comment="What the operator paid in there (or took out, below zero), in the provider's currency.",
)

provider_days = Table(
    "provider_days",
    metadata,
    _provider(),
    Column("day", Date, nullable=False),
    Column("opening", MONEY, nullable=False),
    Column("closing", MONEY, nullable=False),
    Column("deposits", MONEY, nullable=False),
    Column("charged", MONEY, nullable=False),
    Column("returned", MONEY, nullable=False),
    Column("difference", MONEY, nullable=False),
    created_at(),
    PrimaryKeyConstraint("provider_id", "day"),
    CheckConstraint("difference = closing - (opening + deposits - charged + returned)", name="difference"),
    comment="A UTC day of our account there: what its balance did against what our orders say, in its currency.",
)
