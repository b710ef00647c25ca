"""Indexes by which orders of all users are found by their link, by status, and by where they stand upstream."""

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

# The same number of indexes as before: what finds a user's orders by link finds anybody's, and what has the unknown
# orders has all that are neither queued nor accepted, which are few. That of statuses is in the order of lists, else a
# month without any order of a status is read through for it.
UP = (
    "DROP INDEX idx_orders_status",
    "CREATE INDEX idx_orders_status ON orders (status, id)",
    "CREATE INDEX idx_orders_link ON orders (md5(link), user_id, id)",
    "DROP INDEX idx_orders_user_link",
    "CREATE INDEX idx_orders_dispatch ON orders (dispatch, id) "
    "WHERE dispatch IN ('sending', 'unknown', 'refused', 'written_off', 'withdrawn', 'parent')",
    "DROP INDEX idx_orders_unknown",
)
DOWN = (
    "CREATE INDEX idx_orders_unknown ON orders (id) WHERE dispatch = 'unknown'",
    "DROP INDEX idx_orders_dispatch",
    "CREATE INDEX idx_orders_user_link ON orders (user_id, md5(link), id)",
    "DROP INDEX idx_orders_link",
    "DROP INDEX idx_orders_status",
    "CREATE INDEX idx_orders_status ON orders (status)",
)


def upgrade() -> None:
    for statement in UP:
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.get_bind().exec_driver_sql(statement)
