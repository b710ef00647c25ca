"""Events in order per object, and what delivers them to webhooks."""

from importlib import import_module
from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SERVICE_CHANGE = import_module("migrations.versions.0004_providers_and_prices").FUNCTIONS["record_service_change()"]
_PLAIN = "INSERT INTO events (type, object_type, object_id, data)\n    VALUES ('service.' || kind, 'service', NEW.id,\n"
_NUMBERED = (
    "INSERT INTO events (type, sequence, object_type, object_id, data)\n"
    "    VALUES ('service.' || kind, coalesce((SELECT max(e.sequence) FROM events e WHERE e.object_type = 'service'\n"
    "            AND e.object_id = NEW.id), 0) + 1, 'service', NEW.id,\n"
)
FUNCTIONS = {
    "keep_delivery_days(integer, integer)": """
CREATE FUNCTION keep_delivery_days(days_ahead integer, days_kept integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
  changed integer := 0;
  today date := (now() AT TIME ZONE 'UTC')::date;
  day date;
  parent text;
  part text;
BEGIN
  IF days_ahead NOT BETWEEN 0 AND 31 OR days_kept NOT BETWEEN 7 AND 400 THEN
    RAISE EXCEPTION 'days_ahead is 0 to 31, days_kept 7 to 400' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('keep_delivery_days'));
  FOREACH parent IN ARRAY ARRAY['webhook_deliveries', 'webhook_attempts'] LOOP
    FOR i IN -1..days_ahead LOOP
      day := today + i;
      part := parent || '_' || to_char(day, 'YYYY_MM_DD');
      CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
      EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', part, parent,
        month_floor(day), month_floor(day + 1));
      changed := changed + 1;
    END LOOP;
    FOR part IN
      SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = ('public.' || parent)::regclass
    LOOP
      IF to_date(right(part, 10), 'YYYY_MM_DD') < today - days_kept THEN
        EXECUTE format('DROP TABLE %I', part);
        changed := changed + 1;
      END IF;
    END LOOP;
  END LOOP;
  RETURN changed;
END $$
""",
}
REPLACED = _SERVICE_CHANGE.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
NUMBERED = REPLACED.replace(_PLAIN, _NUMBERED)

TRIGGERS = (
    "CREATE TRIGGER webhooks_updated_at BEFORE UPDATE ON webhooks FOR EACH ROW EXECUTE FUNCTION set_updated_at()",
)
READ_WRITE = ("webhook_deliveries", "webhook_attempts")
GRANTS = (
    "GRANT SELECT, INSERT, UPDATE, DELETE ON webhook_queue TO gateway_service",
    "GRANT SELECT, INSERT, UPDATE ON webhook_deliveries, webhook_attempts TO gateway_service",
    "GRANT DELETE ON webhooks TO gateway_service",
    "GRANT UPDATE (relayed) ON events TO gateway_service",
    "GRANT USAGE ON SEQUENCE events_position_seq TO gateway_service",
    "GRANT SELECT ON webhook_queue, webhook_deliveries, webhook_attempts TO gateway_report",
    "GRANT SELECT (description, previous_expires_at, failing_since, disabled_reason, updated_at) ON webhooks "
    "TO gateway_report",
    "REVOKE ALL ON FUNCTION keep_delivery_days(integer, integer) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION keep_delivery_days(integer, integer) TO gateway_service",
)
COLUMNS = {
    "events": ("sequence", "position", "relayed"),
    "webhooks": (
        "description", "previous_secret", "previous_expires_at", "failing_since", "disabled_reason", "updated_at",
    ),
}  # fmt: skip


def upgrade() -> None:
    connection = op.get_bind()
    text = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    statements = [part.strip() for part in text.split(";\n") if part.strip()]
    for statement in (*statements, NUMBERED, *FUNCTIONS.values(), *TRIGGERS, *GRANTS):
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("SELECT keep_delivery_days(14, 30)")


def downgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql(REPLACED)
    connection.exec_driver_sql("DROP TRIGGER webhooks_updated_at ON webhooks")
    for name in FUNCTIONS:
        connection.exec_driver_sql(f"DROP FUNCTION {name}")
    for table in ("webhook_queue", "webhook_deliveries", "webhook_attempts"):
        connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql("REVOKE DELETE ON webhooks FROM gateway_service")
    connection.exec_driver_sql("ALTER TABLE webhooks DROP CONSTRAINT ck_webhooks_url")
    connection.exec_driver_sql("CREATE INDEX idx_events_object ON events (object_type, object_id)")
    for table, columns in COLUMNS.items():
        for column in columns:
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column}")
    connection.exec_driver_sql("DROP SEQUENCE events_position_seq")
