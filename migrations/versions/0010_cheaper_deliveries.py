"""Events wait in an outbox, a claim touches no index, and a delivery changes on the page where it is."""

from importlib import import_module

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_KEEP_DAYS = (
    import_module("migrations.versions.0006_webhooks")
    .FUNCTIONS["keep_delivery_days(integer, integer)"]
    .replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
)
_WITH_ROOM = _KEEP_DAYS.replace("FOR VALUES FROM (%L) TO (%L)'", "FOR VALUES FROM (%L) TO (%L) WITH (fillfactor = 70)'")
_EACH_DAY = """
DO $$
DECLARE part text;
BEGIN
  FOR part IN SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'webhook_deliveries'::regclass LOOP
    EXECUTE 'ALTER TABLE ' || part || ' {}';
  END LOOP;
END $$
"""

_SERVICE_CHANGE = import_module("migrations.versions.0006_webhooks").NUMBERED
_EVENT = "    INSERT INTO events (type, sequence, object_type, object_id, data)\n"
_DATA = "jsonb_build_object('number', NEW.number, 'before', before, 'after', after));\n"
_TO_OUTBOX = _SERVICE_CHANGE.replace(_EVENT, f"    WITH added AS (\n{_EVENT}").replace(
    _DATA, f"{_DATA[:-2]} RETURNING id)\n    INSERT INTO event_outbox (event_id) SELECT id FROM added;\n"
)

UP = (
    """
    CREATE TABLE event_outbox (
      position bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_event_outbox PRIMARY KEY,
      event_id uuid NOT NULL
    )
    """,
    "COMMENT ON TABLE event_outbox IS 'Events that webhooks may want and no relay has seen.'",
    "GRANT SELECT, INSERT, DELETE ON event_outbox TO gateway_service",
    "GRANT SELECT ON event_outbox TO gateway_report",
    "INSERT INTO event_outbox (event_id) SELECT id FROM events WHERE NOT relayed ORDER BY position",
    "ALTER TABLE events DROP COLUMN relayed, DROP COLUMN position",
    "DROP SEQUENCE events_position_seq",
    _TO_OUTBOX,
    "ALTER TABLE webhook_queue ADD COLUMN event_id uuid",
    "ALTER TABLE webhook_queue ADD COLUMN leased_until timestamptz NOT NULL DEFAULT '-infinity'",
    "UPDATE webhook_queue q SET event_id = d.event_id FROM webhook_deliveries d WHERE d.id = q.delivery_id",
    "DELETE FROM webhook_queue WHERE event_id IS NULL",
    # What waited behind one of those has its turn now.
    """
    UPDATE webhook_queue q SET next_attempt_at = now()
     WHERE q.next_attempt_at IS NULL
       AND q.sequence = (SELECT e.sequence FROM webhook_queue e WHERE e.webhook_id = q.webhook_id
                            AND e.object_id = q.object_id ORDER BY e.sequence LIMIT 1)
    """,
    "ALTER TABLE webhook_queue ALTER COLUMN event_id SET NOT NULL",
    "ALTER TABLE webhook_queue SET (fillfactor = 70)",
    "DROP INDEX idx_webhook_queue_due",
    "CREATE INDEX idx_webhook_queue_due ON webhook_queue (webhook_id, next_attempt_at) "
    "WHERE next_attempt_at IS NOT NULL",
    _EACH_DAY.format("SET (fillfactor = 70)"),
    _WITH_ROOM,
)
DOWN = (
    _SERVICE_CHANGE,
    "CREATE SEQUENCE events_position_seq AS BIGINT",
    "ALTER TABLE events ADD COLUMN position bigint, ADD COLUMN relayed boolean NOT NULL DEFAULT true",
    "UPDATE events e SET position = o.position, relayed = false FROM event_outbox o WHERE o.event_id = e.id",
    "SELECT setval('events_position_seq', coalesce(max(position), 0) + 1, false) FROM event_outbox",
    "ALTER TABLE events ALTER COLUMN position SET DEFAULT nextval('events_position_seq')",
    "ALTER TABLE events ALTER COLUMN relayed SET DEFAULT false",
    "CREATE INDEX idx_events_unrelayed ON events (position) WHERE NOT relayed",
    "GRANT UPDATE (relayed) ON events TO gateway_service",
    "GRANT USAGE ON SEQUENCE events_position_seq TO gateway_service",
    "GRANT SELECT (position, relayed) ON events TO gateway_report",
    "DROP TABLE event_outbox",
    _KEEP_DAYS,
    _EACH_DAY.format("RESET (fillfactor)"),
    "DROP INDEX idx_webhook_queue_due",
    "CREATE INDEX idx_webhook_queue_due ON webhook_queue (webhook_id, next_attempt_at)",
    "ALTER TABLE webhook_queue RESET (fillfactor)",
    "ALTER TABLE webhook_queue DROP COLUMN leased_until",
    "ALTER TABLE webhook_queue DROP COLUMN event_id",
)


def upgrade() -> None:
    for statement in UP:
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    for statement in DOWN:
        op.get_bind().exec_driver_sql(statement)
