"""Drip-feeds, subscriptions, cancel, refill, idempotency keys, and what providers and keys have for them."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

TRIGGERS = (
    *(
        f"CREATE TRIGGER {table}_updated_at BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION set_updated_at()"
        for table in ("cancellations", "refills")
    ),
    "CREATE TRIGGER api_keys_options_notify AFTER UPDATE OF replay_window_s, refuse_duplicates ON api_keys "
    "FOR EACH ROW EXECUTE FUNCTION notify_accounts()",
)
READ_WRITE = ("order_parents", "cancellations", "refills")
GRANTS = (
    f"GRANT SELECT, INSERT, UPDATE ON {', '.join(READ_WRITE)} TO gateway_service",
    "GRANT SELECT, INSERT ON order_children TO gateway_service",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency_keys TO gateway_service",
    "GRANT USAGE ON SEQUENCE refills_number_seq TO gateway_service",
    "GRANT SELECT ON order_parents, order_children, cancellations, refills, idempotency_keys TO gateway_report",
    "GRANT SELECT (dialect, honours_extension) ON providers TO gateway_report",
    "GRANT SELECT (replay_window_s, refuse_duplicates) ON api_keys TO gateway_report",
)
TABLES = ("order_parents", "order_children", "cancellations", "refills", "idempotency_keys")
COLUMNS = (
    ("orders", ("is_parent", "cancel_wanted")),
    ("api_keys", ("replay_window_s", "refuse_duplicates")),
    ("providers", ("dialect", "honours_extension")),
    ("dispatch_attempts", ("replayable", "resends")),
)


def statements() -> list[str]:
    text = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    return [part.strip() for part in text.split(";\n") if part.strip()]


def upgrade() -> None:
    connection = op.get_bind()
    for statement in (*statements(), *TRIGGERS, *GRANTS):
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql("DROP TRIGGER api_keys_options_notify ON api_keys")
    connection.exec_driver_sql("DROP INDEX idx_orders_active_link")
    for table in TABLES:
        connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql("DROP SEQUENCE refills_number_seq")
    for table, columns in COLUMNS:
        for column in columns:
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column}")
