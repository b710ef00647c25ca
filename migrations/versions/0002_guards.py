"""Triggers that keep time stamps and the ledger, months of partitions, and what each role may do."""

from alembic import op
from alembic.util import CommandError

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

FUNCTIONS = {
    "set_updated_at()": """
CREATE FUNCTION set_updated_at() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.updated_at := now();
  RETURN NEW;
END $$
""",
    "refuse_change()": """
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$
""",
    "guard_wallet()": """
CREATE FUNCTION guard_wallet() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.balance <> 0 OR NEW.hold_amount <> 0 OR NEW.last_seq <> 0 THEN
      RAISE EXCEPTION 'a wallet starts empty' USING ERRCODE = 'check_violation';
    END IF;
  ELSIF NEW.user_id <> OLD.user_id OR NEW.currency <> OLD.currency THEN
    RAISE EXCEPTION 'a wallet keeps its user and currency' USING ERRCODE = 'check_violation';
  ELSIF (NEW.balance, NEW.hold_amount, NEW.last_seq) IS DISTINCT FROM (OLD.balance, OLD.hold_amount, OLD.last_seq)
      AND NOT NEW.last_seq > OLD.last_seq THEN
    RAISE EXCEPTION 'a wallet changes only with a ledger row' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$
""",
    "check_wallet_recorded()": """
CREATE FUNCTION check_wallet_recorded() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.last_seq <> OLD.last_seq AND NOT EXISTS (
      SELECT FROM public.ledger_references WHERE wallet_id = NEW.id AND wallet_seq = NEW.last_seq) THEN
    RAISE EXCEPTION 'a wallet changes only with a ledger row' USING ERRCODE = 'check_violation';
  END IF;
  RETURN NULL;
END $$
""",
    "notify_accounts()": """
CREATE FUNCTION notify_accounts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('accounts_changed', OLD.id::text);
  RETURN NULL;
END $$
""",
    "notify_catalog()": """
CREATE FUNCTION notify_catalog() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('catalog_changed', '');
  RETURN NULL;
END $$
""",
    "month_floor(date)": """
CREATE FUNCTION month_floor(month date) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
  SELECT (lpad(to_hex((extract(epoch FROM month::timestamp AT TIME ZONE 'UTC') * 1000)::bigint), 12, '0')
    || repeat('0', 20))::uuid
$$
""",
    "ensure_partitions(integer)": """
CREATE FUNCTION ensure_partitions(months_ahead integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '2s' AS $$
DECLARE
  made integer := 0;
  month date;
  parent text;
  part text;
BEGIN
  IF months_ahead NOT BETWEEN 0 AND 24 THEN
    RAISE EXCEPTION 'months_ahead is 0 to 24' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  PERFORM pg_advisory_xact_lock(hashtext('ensure_partitions'));
  FOR i IN 0..months_ahead LOOP
    month := (date_trunc('month', now() AT TIME ZONE 'UTC') + make_interval(months => i))::date;
    FOREACH parent IN ARRAY ARRAY['orders', 'ledger'] LOOP
      part := parent || '_' || to_char(month, 'YYYY_MM');
      CONTINUE WHEN to_regclass('public.' || part) IS NOT NULL;
      BEGIN
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', part, parent);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, part,
          month_floor(month), month_floor((month + interval '1 month')::date));
        IF parent = 'ledger' THEN
          EXECUTE format('CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON %I '
            'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', part);
        END IF;
        made := made + 1;
      EXCEPTION WHEN check_violation OR lock_not_available THEN
        RAISE WARNING 'partition % was not made: %', part, SQLERRM;
      END;
    END LOOP;
  END LOOP;
  RETURN made;
END $$
""",
}

CATALOG_READS = {
    "services": (
        "number", "name", "description", "category", "platform", "type", "kind", "price_per_1000", "currency",
        "min_quantity", "max_quantity", "refill", "cancel", "dripfeed", "is_active",
    ),
    "service_routes": ("service_id", "provider_id", "cost_per_1000", "priority", "is_active"),
    "providers": ("priority", "is_active"),
}  # fmt: skip
"""Columns from which the catalogue in memory is made: a change of any other, as of a pause, tells nobody."""

UPDATED = ("users", "wallets", "services", "service_routes", "orders", "providers")

TRIGGERS = (
    *(
        f"CREATE TRIGGER {table}_updated_at BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION set_updated_at()"
        for table in UPDATED
    ),
    *(
        f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
        "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
        for table in ("ledger", "ledger_references")
    ),
    *(
        f"CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        for table in ("ledger", "ledger_default", "ledger_references")
    ),
    "CREATE TRIGGER wallets_guard BEFORE INSERT OR UPDATE ON wallets FOR EACH ROW EXECUTE FUNCTION guard_wallet()",
    "CREATE CONSTRAINT TRIGGER wallets_recorded AFTER UPDATE OF balance, hold_amount, last_seq ON wallets "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION check_wallet_recorded()",
    "CREATE TRIGGER users_notify AFTER UPDATE OF status, role OR DELETE ON users "
    "FOR EACH ROW EXECUTE FUNCTION notify_accounts()",
    "CREATE TRIGGER api_keys_notify AFTER UPDATE OF user_id, key_hash, name, permissions, rate_limit_tier, "
    "currency, is_active, expires_at OR DELETE ON api_keys FOR EACH ROW EXECUTE FUNCTION notify_accounts()",
    *(
        f"CREATE TRIGGER {table}_notify AFTER INSERT OR DELETE OR UPDATE OF {', '.join(columns)} ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION notify_catalog()"
        for table, columns in CATALOG_READS.items()
    ),
)

READ_WRITE = (
    "users", "wallets", "services", "service_routes", "providers", "api_keys", "webhooks",
    "alerts", "order_months", "dispatch_attempts", "upstream_orders",
)  # fmt: skip

GRANTS = (
    "GRANT USAGE ON SCHEMA public TO gateway_service, gateway_report",
    f"GRANT SELECT, INSERT, UPDATE ON {', '.join(READ_WRITE)} TO gateway_service",
    "GRANT SELECT, INSERT, UPDATE ON orders TO gateway_service",
    "GRANT SELECT, INSERT ON ledger, ledger_references, order_events, events TO gateway_service",
    "GRANT SELECT ON orders_default, ledger_default, alembic_version TO gateway_service",
    "GRANT USAGE ON SEQUENCE orders_number_seq, services_number_seq TO gateway_service",
    "REVOKE ALL ON FUNCTION ensure_partitions(integer) FROM PUBLIC",
    "GRANT EXECUTE ON FUNCTION ensure_partitions(integer) TO gateway_service",
    "GRANT SELECT ON wallets, ledger, ledger_references, services, service_routes, orders, order_months, "
    "upstream_orders, order_events, dispatch_attempts, events, alerts TO gateway_report",
    "GRANT SELECT (id, email, role, status, created_at, updated_at) ON users TO gateway_report",
    "GRANT SELECT (id, user_id, name, permissions, rate_limit_tier, currency, is_active, last_used_at, "
    "created_at, expires_at) ON api_keys TO gateway_report",
    "GRANT SELECT (id, name, api_endpoint, is_active, priority, balance, currency, markup_percent, "
    "max_in_flight, paused_until, paused_reason, created_at, updated_at) ON providers TO gateway_report",
    "GRANT SELECT (id, user_id, url, events, is_active, last_triggered_at, created_at) ON webhooks TO gateway_report",
)


def upgrade() -> None:
    connection = op.get_bind()
    for table in ("orders", "ledger"):
        connection.exec_driver_sql(f"CREATE TABLE {table}_default PARTITION OF {table} DEFAULT")
    for body in FUNCTIONS.values():
        connection.exec_driver_sql(body)
    for statement in (*TRIGGERS, *GRANTS):
        connection.exec_driver_sql(statement)
    connection.exec_driver_sql("SELECT ensure_partitions(3)")


def downgrade() -> None:
    """Back to bare tables. Refused while orders or the ledger have rows, which would go with their partitions.

    Raises:
        CommandError: there are such rows.
    """
    connection = op.get_bind()
    connection.exec_driver_sql("LOCK TABLE orders, ledger IN ACCESS EXCLUSIVE MODE")
    if connection.exec_driver_sql("SELECT EXISTS (SELECT FROM orders) OR EXISTS (SELECT FROM ledger)").scalar():
        raise CommandError("orders or the ledger hold rows, and going back below 0002 would destroy them")
    for name in reversed(FUNCTIONS):
        connection.exec_driver_sql(f"DROP FUNCTION {name} CASCADE")
    for table in (*READ_WRITE, "orders", "ledger", "ledger_references", "order_events", "events"):
        connection.exec_driver_sql(f"REVOKE ALL ON {table} FROM gateway_service, gateway_report")
    connection.exec_driver_sql("REVOKE ALL ON alembic_version FROM gateway_service")
    rows = connection.exec_driver_sql(
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent IN ('orders'::regclass, 'ledger'::regclass)"
    )
    for (partition,) in rows.fetchall():
        connection.exec_driver_sql(f"DROP TABLE {partition}")
