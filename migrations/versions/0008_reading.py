"""Indexes by which long ledgers, lists of refills, and words within words of services are found."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# PostgreSQL's parser takes "Likes/Views" for one file name and "a.b" for a host: their parts are words to us.
UP = (
    "CREATE INDEX idx_ledger_rare ON ledger (wallet_id, type, wallet_seq) "
    "WHERE type IN ('deposit', 'refund', 'fee', 'release')",
    "CREATE INDEX idx_refills_user_time ON refills (user_id, id)",
    "DROP INDEX idx_refills_user_id",
    "DROP INDEX idx_services_search",
    "CREATE INDEX idx_services_search ON services USING gin (to_tsvector('simple'::regconfig, "
    "translate((((name)::text || ' '::text) || (category)::text), '/\\-_.:@+&=#~?%'::text, repeat(' '::text, 14))))",
)
DOWN = (
    "DROP INDEX idx_services_search",
    "CREATE INDEX idx_services_search ON services USING gin "
    "(to_tsvector('simple'::regconfig, (((name)::text || ' '::text) || (category)::text)))",
    "CREATE INDEX idx_refills_user_id ON refills (user_id)",
    "DROP INDEX idx_refills_user_time",
    "DROP INDEX idx_ledger_rare",
)


def upgrade() -> None:
    for statement in UP:
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.get_bind().exec_driver_sql(statement)
