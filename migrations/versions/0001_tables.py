"""Every table of the source schema, with the additions recorded in docs/decisions."""

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UUID7 = """
CREATE FUNCTION uuid7() RETURNS uuid LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
  SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
    PLACING substring(int8send(floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
    FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$
"""

TABLES = (
    "webhooks",
    "events",
    "alerts",
    "dispatch_attempts",
    "order_events",
    "upstream_orders",
    "order_months",
    "orders",
    "service_routes",
    "services",
    "ledger_references",
    "ledger",
    "wallets",
    "api_keys",
    "users",
    "providers",
)


def statements() -> list[str]:
    text = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    return [part.strip() for part in text.split(";\n") if part.strip()]


def upgrade() -> None:
    connection = op.get_bind()
    connection.exec_driver_sql(UUID7)
    for statement in statements():
        connection.exec_driver_sql(statement)


def downgrade() -> None:
    connection = op.get_bind()
    for table in TABLES:
        connection.exec_driver_sql(f"DROP TABLE {table}")
    connection.exec_driver_sql("DROP SEQUENCE orders_number_seq")
    connection.exec_driver_sql("DROP SEQUENCE services_number_seq")
    connection.exec_driver_sql("DROP FUNCTION uuid7()")
