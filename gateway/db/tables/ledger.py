"""wallets, the append-only ledger by month, and the narrow table that makes its references unique."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from gateway.db.tables.meta import CURRENCY, MONEY, created_at, key, metadata, one_of, updated_at

TYPES = ("deposit", "withdraw", "hold", "release", "refund", "fee")

wallets = Table(
    "wallets",
    metadata,
    key(),
    Column("user_id", UUID, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("balance", MONEY, nullable=False, server_default=text("0")),
    Column("currency", CURRENCY, nullable=False, server_default=text("'USD'")),
    Column("hold_amount", MONEY, nullable=False, server_default=text("0")),
    Column("last_seq", BigInteger, nullable=False, server_default=text("0")),
    Column("low_balance", MONEY),
    created_at(),
    updated_at(),
    UniqueConstraint("user_id", "currency"),
    CheckConstraint("0 <= hold_amount AND hold_amount <= balance", name="funds"),
    CheckConstraint("currency ~ '^[A-Z]{3}$'", name="currency"),
    CheckConstraint("last_seq >= 0", name="last_seq"),
    CheckConstraint("low_balance >= 0", name="low_balance"),
    Index("idx_wallets_user_id", "user_id"),
)

ledger = Table(
    "ledger",
    metadata,
    key(),
    Column("user_id", UUID, ForeignKey("users.id", ondelete="RESTRICT"), nullable=False),
    Column("wallet_id", UUID, ForeignKey("wallets.id", ondelete="RESTRICT"), nullable=False),
    Column("wallet_seq", BigInteger, nullable=False),
    Column("type", String(50), nullable=False),
    Column("amount", MONEY, nullable=False),
    Column("balance_before", MONEY, nullable=False),
    Column("balance_after", MONEY, nullable=False),
    Column("hold_before", MONEY, nullable=False),
    Column("hold_after", MONEY, nullable=False),
    Column("reference_type", String(50), nullable=False),
    Column("reference_id", UUID, nullable=False),
    Column("description", Text),
    Column("metadata", JSONB),
    created_at(),
    CheckConstraint(one_of("type", *TYPES), name="type"),
    CheckConstraint("amount > 0 OR (amount = 0 AND type IN ('hold', 'release', 'withdraw'))", name="amount"),
    CheckConstraint("wallet_seq >= 1", name="wallet_seq"),
    CheckConstraint(
        "balance_after = balance_before + CASE type WHEN 'deposit' THEN amount WHEN 'refund' THEN amount"
        " WHEN 'withdraw' THEN -amount WHEN 'fee' THEN -amount ELSE 0 END",
        name="balance",
    ),
    CheckConstraint(
        "hold_after = hold_before + CASE type WHEN 'hold' THEN amount"
        " WHEN 'release' THEN -amount WHEN 'withdraw' THEN -amount ELSE 0 END",
        name="hold",
    ),
    CheckConstraint("0 <= hold_before AND hold_before <= balance_before", name="funds_before"),
    CheckConstraint("0 <= hold_after AND hold_after <= balance_after", name="funds_after"),
    Index("idx_ledger_user_id", "user_id"),
    Index("idx_ledger_wallet_id", "wallet_id", "wallet_seq"),
    Index("idx_ledger_created_at", text("created_at DESC")),
    Index("idx_ledger_reference", "reference_type", "reference_id"),
    Index(
        "idx_ledger_rare",
        "wallet_id",
        "type",
        "wallet_seq",
        postgresql_where=text("type IN ('deposit', 'refund', 'fee', 'release')"),
    ),
    postgresql_partition_by="RANGE (id)",
)

ledger_references = Table(
    "ledger_references",
    metadata,
    Column("wallet_id", UUID, ForeignKey("wallets.id", ondelete="RESTRICT"), nullable=False),
    Column("wallet_seq", BigInteger, nullable=False),
    Column("reference_type", String(50), nullable=False),
    Column("reference_id", UUID, nullable=False),
    Column("part", String(100), nullable=False, server_default=text("''")),
    Column("type", String(50), nullable=False),
    PrimaryKeyConstraint("wallet_id", "wallet_seq"),
    UniqueConstraint("reference_type", "reference_id", "part", "type", name="uq_ledger_references_once"),
)
