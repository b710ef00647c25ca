"""Routes, margins and prices, our money at providers, the catalogue's changes, quality, and who was told of alerts."""

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

FUNCTIONS = {
    "record_service_change()": """
CREATE FUNCTION record_service_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  kinds text[] := '{}';
  kind text;
  before jsonb;
  after jsonb := jsonb_build_object('name', NEW.name, 'price', NEW.price_per_1000::text, 'currency', NEW.currency,
    'min', NEW.min_quantity, 'max', NEW.max_quantity, 'on', NEW.is_active);
BEGIN
  IF TG_OP = 'INSERT' THEN
    kinds := CASE WHEN NEW.is_active THEN ARRAY['new'] ELSE kinds END;
  ELSIF NEW.is_active <> OLD.is_active THEN
    kinds := ARRAY[CASE WHEN NEW.is_active THEN 'on' ELSE 'off' END];
  ELSIF NEW.is_active THEN
    IF NEW.price_per_1000 <> OLD.price_per_1000 THEN kinds := kinds || 'price'::text; END IF;
    IF (NEW.min_quantity, NEW.max_quantity) <> (OLD.min_quantity, OLD.max_quantity) THEN
      kinds := kinds || 'limits'::text;
    END IF;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    before := jsonb_build_object('name', OLD.name, 'price', OLD.price_per_1000::text, 'currency', OLD.currency,
      'min', OLD.min_quantity, 'max', OLD.max_quantity, 'on', OLD.is_active);
  END IF;
  FOREACH kind IN ARRAY kinds LOOP
    INSERT INTO catalog_changes (service_id, number, kind, before, after)
    VALUES (NEW.id, NEW.number, kind, before, after);
    INSERT INTO events (type, object_type, object_id, data)
    VALUES ('service.' || kind, 'service', NEW.id,
            jsonb_build_object('number', NEW.number, 'before', before, 'after', after));
  END LOOP;
  RETURN NULL;
END $$
""",
}
TRIGGERS = (
    "CREATE TRIGGER services_record AFTER INSERT OR UPDATE OF price_per_1000, min_quantity, max_quantity, is_active "
    "ON services FOR EACH ROW EXECUTE FUNCTION record_service_change()",
    "CREATE TRIGGER service_routes_sale_notify AFTER UPDATE OF is_listed, offered_cost ON service_routes "
    "FOR EACH STATEMENT EXECUTE FUNCTION notify_catalog()",
    "CREATE TRIGGER custom_prices_notify AFTER INSERT OR UPDATE OR DELETE ON custom_prices "
    "FOR EACH STATEMENT EXECUTE FUNCTION notify_catalog()",
    *(
        f"CREATE TRIGGER {table}_updated_at BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION set_updated_at()"
        for table in ("markups", "custom_prices", "quality_days")
    ),
)
CHANGED_FREELY = (
    "markups", "custom_prices", "taught_words", "provider_paces", "balance_readings", "provider_days",
    "quality_days", "quality_progress", "processes", "alert_tellings",
)  # fmt: skip
APPENDED = ("catalog_changes", "provider_deposits")
GRANTS = (
    f"GRANT SELECT, INSERT, UPDATE, DELETE ON {', '.join(CHANGED_FREELY)} TO gateway_service",
    f"GRANT SELECT, INSERT ON {', '.join(APPENDED)} TO gateway_service",
    f"GRANT SELECT ON {', '.join((*CHANGED_FREELY, *APPENDED))} TO gateway_report",
    "GRANT SELECT (exchange_rate, markup_fixed, price_step, margin_floor_percent, price_guard_percent, "
    "sends_per_second, probes, hold_new, synced_at, sync_tried_at, sync_error, low_balance, balance_at) "
    "ON providers TO gateway_report",
)
TABLES = (*CHANGED_FREELY, *APPENDED)
COLUMNS = {
    "providers": (
        "exchange_rate", "markup_fixed", "price_step", "margin_floor_percent", "price_guard_percent",
        "sends_per_second", "probes", "hold_new", "synced_at", "sync_tried_at", "sync_error", "low_balance",
        "balance_at",
    ),
    "services": ("is_offered", "below_floor", "route_policy", "hand_set"),
    "service_routes": (
        "is_source", "is_listed", "offered_cost", "offered_at", "min_quantity", "max_quantity", "dripfeed", "refill",
        "cancel", "pause_cause",
    ),
    "orders": ("upstream_charge", "started_at"),
    "dispatch_attempts": ("considered", "probes", "next_probe_at"),
    "alerts": ("severity",),
    "wallets": ("low_balance",),
}  # fmt: skip

_VANISHED = "('not listed by the provider', 'not listed by the provider, and was off sale')"
ROWS = (
    "UPDATE services s SET is_offered = false WHERE NOT is_active AND NOT EXISTS (SELECT FROM service_routes r "
    "WHERE r.service_id = s.id AND r.paused_reason = 'not listed by the provider')",
    f"UPDATE service_routes SET is_listed = false, is_active = true, paused_reason = NULL "
    f"WHERE NOT is_active AND paused_reason IN {_VANISHED}",
    "UPDATE service_routes r SET is_source = true FROM (SELECT DISTINCT ON (service_id) id FROM service_routes "
    "ORDER BY service_id, id) f WHERE f.id = r.id",
    "UPDATE service_routes r SET min_quantity = s.min_quantity, max_quantity = s.max_quantity, "
    "dripfeed = s.dripfeed, refill = s.refill, cancel = s.cancel FROM services s WHERE s.id = r.service_id",
    "UPDATE service_routes SET pause_cause = 'refusal' WHERE paused_until IS NOT NULL",
    "UPDATE services s SET is_active = false WHERE is_active AND NOT EXISTS (SELECT FROM service_routes r "
    "JOIN providers p ON p.id = r.provider_id WHERE r.service_id = s.id AND r.is_active AND r.is_listed "
    "AND p.is_active)",
)
"""What the rows that are there mean in the new columns: a vanished service was one that is offered and not listed."""

ROWS_BACK = (
    "UPDATE service_routes r SET is_active = false, paused_reason = 'not listed by the provider' || "
    "CASE WHEN s.is_offered THEN '' ELSE ', and was off sale' END FROM services s "
    "WHERE s.id = r.service_id AND r.is_active AND (NOT r.is_listed OR r.offered_cost IS NOT NULL)",
)
"""What vanished, or waits for an operator, is not bought from there either, and comes back with the next sync."""


def upgrade() -> None:
    connection = op.get_bind()
    text = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    statements = [part.strip() for part in text.split(";\n") if part.strip()]
    for statement in (*statements, *FUNCTIONS.values(), *ROWS, *TRIGGERS, *GRANTS):
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    connection = op.get_bind()
    for statement in ROWS_BACK:
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("DROP TRIGGER service_routes_sale_notify ON service_routes")
    for name in FUNCTIONS:
        connection.exec_driver_sql(f"DROP FUNCTION {name} CASCADE")
    for table in TABLES:
        connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql("DROP INDEX uq_service_routes_source, idx_orders_completed_at, idx_alerts_cleared")
    connection.exec_driver_sql("DROP INDEX idx_dispatch_attempts_accepted")
    for table, columns in COLUMNS.items():
        for column in columns:
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column}")
