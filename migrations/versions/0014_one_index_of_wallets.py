"""One index of the ledger fewer: that of wallets has their places too, so that a line is written into one less.

The ledger is locked for the moment in which the index is dropped; nothing is built.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DROP INDEX idx_ledger_wallet_id")
    op.execute("ALTER INDEX idx_ledger_wallet_seq RENAME TO idx_ledger_wallet_id")


def downgrade() -> None:
    op.execute("ALTER INDEX idx_ledger_wallet_id RENAME TO idx_ledger_wallet_seq")
    op.execute("CREATE INDEX idx_ledger_wallet_id ON ledger (wallet_id)")
