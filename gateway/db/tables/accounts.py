"""users, api_keys and their tiers: who may call, with which key, how often and for how much."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, CIDR, JSONB, UUID

from gateway.db.tables.meta import CURRENCY, MONEY, TIME, created_at, key, metadata, one_of, updated_at

TIERS = ("basic", "pro", "enterprise")

users = Table(
    "users",
    metadata,
    key(),
    Column("email", String(255), nullable=False, unique=True),
    Column("password_hash", String(255), nullable=False),
    Column("role", String(50), nullable=False, server_default=text("'user'")),
    Column("status", String(50), nullable=False, server_default=text("'active'")),
    created_at(),
    updated_at(),
    CheckConstraint(one_of("role", "user", "reseller", "admin"), name="role"),
    CheckConstraint(one_of("status", "active", "suspended", "banned"), name="status"),
    CheckConstraint("email = lower(email)", name="email_lower"),
    Index("idx_users_email", "email"),
    Index("idx_users_role", "role"),
    Index("idx_users_status", "status"),
)

tiers = Table(
    "tiers",
    metadata,
    Column("name", String(50), primary_key=True),
    Column("requests_per_minute", Integer),
    created_at(),
    updated_at(),
    CheckConstraint("name ~ '^[a-z][a-z0-9-]*$'", name="name"),
    CheckConstraint("requests_per_minute BETWEEN 1 AND 1000000", name="requests_per_minute"),
    CheckConstraint(f"requests_per_minute IS NOT NULL OR {one_of('name', *TIERS)}", name="limited"),
    comment="Without requests_per_minute the limit is that of the setting of the same name.",
)

api_keys = Table(
    "api_keys",
    metadata,
    key(),
    Column("user_id", UUID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("key_hash", String(255), nullable=False, unique=True),
    Column("secret_id", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("permissions", JSONB),
    Column(
        "rate_limit_tier",
        String(50),
        ForeignKey("tiers.name", ondelete="RESTRICT"),
        nullable=False,
        server_default=text("'basic'"),
    ),
    Column("currency", CURRENCY, nullable=False, server_default=text("'USD'")),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("last_used_at", TIME),
    created_at(),
    Column("expires_at", TIME),
    Column("replay_window_s", Integer),
    Column("refuse_duplicates", Boolean, nullable=False, server_default=text("false")),
    Column("requests_per_minute", Integer),
    Column("allowed_addresses", ARRAY(CIDR)),
    Column("daily_spend_cap", MONEY),
    Column("previous_hash", String(255), unique=True),
    Column("previous_secret_id", String(16)),
    Column("previous_expires_at", TIME),
    Column("revoked_at", TIME),
    CheckConstraint("replay_window_s BETWEEN 1 AND 86400", name="replay_window_s"),
    CheckConstraint("requests_per_minute BETWEEN 1 AND 1000000", name="requests_per_minute"),
    CheckConstraint("cardinality(allowed_addresses) BETWEEN 1 AND 100", name="allowed_addresses"),
    CheckConstraint("daily_spend_cap >= 0", name="daily_spend_cap"),
    CheckConstraint("jsonb_typeof(permissions) = 'array'", name="permissions"),
    CheckConstraint("num_nulls(previous_hash, previous_secret_id, previous_expires_at) IN (0, 3)", name="previous"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    Index("idx_api_keys_user_id", "user_id"),
    Index("idx_api_keys_key_hash", "key_hash"),
    Index("idx_api_keys_is_active", "is_active"),
)

key_spending = Table(
    "key_spending",
    metadata,
    Column("api_key_id", UUID, ForeignKey("api_keys.id", ondelete="CASCADE"), nullable=False),
    Column("day", Date, nullable=False),
    Column("spent", MONEY, nullable=False, server_default=text("0")),
    PrimaryKeyConstraint("api_key_id", "day"),
    CheckConstraint("spent >= 0", name="spent"),
    comment="What a key with a cap placed on a day of UTC; written in the transaction of the orders.",
)
