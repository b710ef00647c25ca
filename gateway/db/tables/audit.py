"""audit_log: who changed what, from where, with what was there before and after."""

from sqlalchemy import CheckConstraint, Column, Index, String, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from gateway.db.tables.meta import created_at, key, metadata, one_of

ACTORS = ("key", "operator")

audit_log = Table(
    "audit_log",
    metadata,
    key(),
    created_at(),
    Column("actor", String(20), nullable=False),
    Column("actor_name", String(255), nullable=False),
    Column("actor_user_id", UUID),
    Column("actor_key_id", UUID),
    Column("address", String(64)),
    Column("request_id", String(64)),
    Column("action", String(100), nullable=False),
    Column("object_type", String(50), nullable=False),
    Column("object_id", String(255), nullable=False),
    Column("before", JSONB),
    Column("after", JSONB),
    Column("reason", Text),
    CheckConstraint(one_of("actor", *ACTORS), name="actor"),
    Index("idx_audit_log_object", "object_type", "object_id", "id"),
    Index("idx_audit_log_actor", "actor_user_id", "id"),
    comment="Append-only; written by triggers on what operators change, while gateway.actor is set.",
)
