"""users and api_keys: who may call, and with which key."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, String, Table, text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from gateway.db.tables.meta import CURRENCY, TIME, created_at, key, metadata, one_of, updated_at

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

api_keys = Table(
    "api_keys",
    metadata,
    key(),
    Column("user_id", UUID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("key_hash", String(255), nullable=False, unique=True),
    Column("secret_id", String(16), nullable=False),
    Column("name", String(255), nullable=False),
    Column("permissions", JSONB),
    Column("rate_limit_tier", String(50), nullable=False, server_default=text("'basic'")),
    Column("currency", CURRENCY, nullable=False, server_default=text("'USD'")),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("last_used_at", TIME),
    created_at(),
    Column("expires_at", TIME),
    Column("replay_window_s", Integer),
    Column("refuse_duplicates", Boolean, nullable=False, server_default=text("false")),
    CheckConstraint("replay_window_s BETWEEN 1 AND 86400", name="replay_window_s"),
    CheckConstraint(one_of("rate_limit_tier", "basic", "pro", "enterprise"), name="rate_limit_tier"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    Index("idx_api_keys_user_id", "user_id"),
    Index("idx_api_keys_key_hash", "key_hash"),
    Index("idx_api_keys_is_active", "is_active"),
)
