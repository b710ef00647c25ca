"""Tiers as data, what keys may do, saved replies, the audit log, and indexes for lists of orders."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

FUNCTIONS = {
    "audited(jsonb)": """
CREATE FUNCTION audited(fields jsonb) RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
  SELECT jsonb_object_agg(key, CASE WHEN jsonb_typeof(value) = 'number' AND value::text LIKE '%.%'
                                    THEN to_jsonb(value #>> '{}') ELSE value END)
    FROM jsonb_each(fields)
$$
""",
    "record_audit()": """
CREATE FUNCTION record_audit() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  actor jsonb := current_setting('gateway.actor')::jsonb;
  before jsonb := CASE WHEN TG_OP <> 'INSERT' THEN to_jsonb(OLD) END;
  after jsonb := CASE WHEN TG_OP <> 'DELETE' THEN to_jsonb(NEW) END;
  row_id text := coalesce(after, before) ->> 'id';
  field text;
BEGIN
  row_id := coalesce(row_id, coalesce(after, before) ->> 'name');
  FOREACH field IN ARRAY coalesce(TG_ARGV, '{}') LOOP
    IF TG_OP = 'UPDATE' AND before -> field IS DISTINCT FROM after -> field THEN
      before := before || jsonb_build_object(field, 'hidden');
      after := after || jsonb_build_object(field, 'changed');
    ELSE
      before := before - field;
      after := after - field;
    END IF;
  END LOOP;
  IF TG_OP = 'UPDATE' THEN
    SELECT jsonb_object_agg(key, value), jsonb_object_agg(key, before -> key) INTO after, before
      FROM jsonb_each(after) WHERE key <> 'updated_at' AND value IS DISTINCT FROM before -> key;
    IF after IS NULL THEN
      RETURN NULL;
    END IF;
  END IF;
  INSERT INTO audit_log (actor, actor_name, actor_user_id, actor_key_id, address, request_id, action, object_type,
    object_id, before, after, reason)
  VALUES (actor ->> 'kind', actor ->> 'name', (actor ->> 'user_id')::uuid, (actor ->> 'key_id')::uuid,
    actor ->> 'address', actor ->> 'request_id', actor ->> 'action', TG_TABLE_NAME, row_id,
    audited(before), audited(after), actor ->> 'reason');
  RETURN NULL;
END $$
""",
    "notify_tier()": """
CREATE FUNCTION notify_tier() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('accounts_changed', 'tier:' || OLD.name);
  RETURN NULL;
END $$
""",
}
AUDITED: dict[str, tuple[str, ...]] = {
    "users": ("password_hash",),
    "wallets": (),
    "api_keys": ("key_hash", "secret_id", "previous_hash", "previous_secret_id"),
    "tiers": (),
    "providers": ("api_key_encrypted", "metadata"),
    "services": (),
    "service_routes": (),
    "markups": (),
    "custom_prices": (),
    "taught_words": (),
    "webhooks": ("secret",),
}
"""What an operator's or a key's change of is written to the audit log, and which columns are not shown there."""

TRIGGERS = (
    *(
        f"CREATE TRIGGER {table}_audit AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW "
        "WHEN (coalesce(current_setting('gateway.actor', true), '') <> '') "
        f"EXECUTE FUNCTION record_audit({', '.join(repr(column) for column in hidden)})"
        for table, hidden in AUDITED.items()
    ),
    "CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE ON audit_log "
    "FOR EACH ROW EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER audit_log_no_truncate BEFORE TRUNCATE ON audit_log "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()",
    "CREATE TRIGGER tiers_updated_at BEFORE UPDATE ON tiers FOR EACH ROW EXECUTE FUNCTION set_updated_at()",
    "CREATE TRIGGER tiers_notify AFTER UPDATE OF requests_per_minute ON tiers "
    "FOR EACH ROW EXECUTE FUNCTION notify_tier()",
    "CREATE TRIGGER api_keys_terms_notify AFTER UPDATE OF requests_per_minute, allowed_addresses, daily_spend_cap, "
    "previous_hash, previous_expires_at ON api_keys FOR EACH ROW EXECUTE FUNCTION notify_accounts()",
)
GRANTS = (
    "GRANT SELECT, INSERT, UPDATE ON tiers, key_spending TO gateway_service",
    "GRANT DELETE ON tiers, key_spending TO gateway_service",
    "GRANT SELECT, INSERT ON audit_log TO gateway_service",
    "GRANT SELECT ON tiers, key_spending, audit_log TO gateway_report",
    "GRANT SELECT (requests_per_minute, allowed_addresses, daily_spend_cap, previous_expires_at, revoked_at) "
    "ON api_keys TO gateway_report",
    "REVOKE SELECT ON idempotency_keys FROM gateway_report",
    "GRANT SELECT (user_id, key, fields_hash, order_id, reply_status, created_at, expires_at) ON idempotency_keys "
    "TO gateway_report",
)
COLUMNS = {
    "api_keys": (
        "requests_per_minute", "allowed_addresses", "daily_spend_cap", "previous_hash", "previous_secret_id",
        "previous_expires_at", "revoked_at",
    ),
    "idempotency_keys": ("reply_status", "reply"),
}  # fmt: skip


def upgrade() -> None:
    connection = op.get_bind()
    text = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    statements = [part.strip() for part in text.split(";\n") if part.strip()]
    for statement in (*statements, *FUNCTIONS.values(), *TRIGGERS, *GRANTS):
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    """Keys of a tier that was added are basic again; saved replies are forgotten."""
    connection = op.get_bind()
    connection.exec_driver_sql("DROP INDEX idx_orders_user_status, idx_orders_user_service, idx_orders_user_link")
    for table in AUDITED:
        connection.exec_driver_sql(f"DROP TRIGGER {table}_audit ON {table}")
    connection.exec_driver_sql("DROP TRIGGER api_keys_terms_notify ON api_keys")
    for constraint in ("fk_api_keys_rate_limit_tier", "ck_api_keys_permissions"):
        connection.exec_driver_sql(f"ALTER TABLE api_keys DROP CONSTRAINT {constraint}")
    connection.exec_driver_sql(
        "UPDATE api_keys SET rate_limit_tier = 'basic' WHERE rate_limit_tier NOT IN ('basic', 'pro', 'enterprise')"
    )
    connection.exec_driver_sql(
        "ALTER TABLE api_keys ADD CONSTRAINT ck_api_keys_rate_limit_tier "
        "CHECK (rate_limit_tier IN ('basic', 'pro', 'enterprise'))"
    )
    for table in ("tiers", "key_spending", "audit_log"):
        connection.exec_driver_sql(f"DROP TABLE {table}")
    for name in FUNCTIONS:
        connection.exec_driver_sql(f"DROP FUNCTION {name}")
    connection.exec_driver_sql("DELETE FROM idempotency_keys WHERE order_id IS NULL")
    connection.exec_driver_sql("ALTER TABLE idempotency_keys ALTER COLUMN order_id SET NOT NULL")
    connection.exec_driver_sql("GRANT SELECT ON idempotency_keys TO gateway_report")
    for table, columns in COLUMNS.items():
        for column in columns:
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP COLUMN {column}")
