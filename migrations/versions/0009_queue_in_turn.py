"""A delivery behind another is not due; endpoints are removed at once, what they leave by and by."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_COMMENT = "COMMENT ON TABLE webhook_queue IS "
_AUDIT = (
    "CREATE TRIGGER webhooks_audit AFTER INSERT OR UPDATE OR DELETE ON webhooks FOR EACH ROW "
    "WHEN (coalesce(current_setting('gateway.actor', true), '') <> '') EXECUTE FUNCTION record_audit({})"
)
_REFERENCE = (
    "ALTER TABLE {0} ADD CONSTRAINT fk_{0}_webhook_id FOREIGN KEY (webhook_id) REFERENCES webhooks (id) "
    "ON DELETE CASCADE"
)
TABLES = ("webhook_queue", "webhook_deliveries")

TRIGGERS = (_AUDIT.format("'secret', 'previous_secret'"),)

UP = (
    "ALTER TABLE webhook_queue ALTER COLUMN next_attempt_at DROP NOT NULL",
    f"{_COMMENT}'Deliveries that have not ended; next_attempt_at is NULL while one of the same object goes before.'",
    *(f"ALTER TABLE {table} DROP CONSTRAINT fk_{table}_webhook_id" for table in TABLES),
    "DROP TRIGGER webhooks_audit ON webhooks",
    *TRIGGERS,
)
DOWN = (
    "DROP TRIGGER webhooks_audit ON webhooks",
    _AUDIT.format("'secret'"),
    *(f"DELETE FROM {table} t WHERE NOT EXISTS (SELECT FROM webhooks w WHERE w.id = t.webhook_id)" for table in TABLES),
    *(_REFERENCE.format(table) for table in TABLES),
    "UPDATE webhook_queue SET next_attempt_at = now() WHERE next_attempt_at IS NULL",
    f"{_COMMENT}'Deliveries that have not ended. The first of an object at an endpoint goes before the next.'",
    "ALTER TABLE webhook_queue ALTER COLUMN next_attempt_at SET NOT NULL",
)


def upgrade() -> None:
    for statement in UP:
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.get_bind().exec_driver_sql(statement)
