"""What each of the three roles may do."""

import asyncpg
import pytest

from gateway.db.engine import Database
from tests.support.factories import add_account
from tests.support.schema import READ_WRITE, acting_as, partitions_of

FORBIDDEN_TO_SERVICE = [
    "UPDATE ledger SET amount = 1",
    "DELETE FROM ledger",
    "TRUNCATE ledger",
    "UPDATE {ledger_month} SET amount = 1",
    "DELETE FROM {ledger_month}",
    "TRUNCATE {ledger_month}",
    "INSERT INTO {ledger_month} SELECT * FROM ledger",
    "UPDATE ledger_references SET type = 'fee'",
    "DELETE FROM ledger_references",
    "TRUNCATE ledger_references",
    "DELETE FROM orders",
    *(f"DELETE FROM {table}" for table in READ_WRITE if table != "webhooks"),
    "TRUNCATE orders",
    "ALTER TABLE ledger DISABLE TRIGGER ALL",
    "ALTER TABLE wallets DISABLE TRIGGER wallets_guard",
    "DROP TRIGGER wallets_recorded ON wallets",
    "SET CONSTRAINTS ALL IMMEDIATE; ALTER TABLE wallets DISABLE TRIGGER wallets_recorded",
    "ALTER TABLE ledger DROP CONSTRAINT ck_ledger_balance",
    "DROP TRIGGER wallets_guard ON wallets",
    "SET session_replication_role = replica",
    "CREATE OR REPLACE FUNCTION guard_wallet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "CREATE TABLE orders_2050_01 PARTITION OF orders FOR VALUES FROM (uuid7()) TO (uuid7())",
    "CREATE TABLE anything (id int)",
    "ALTER TABLE ledger DETACH PARTITION {ledger_month}",
    "DROP TABLE {ledger_month}",
    "SELECT setval('orders_number_seq', 1)",
    "UPDATE events SET type = 'x'",
    "DELETE FROM order_events",
]


@pytest.mark.parametrize("statement", FORBIDDEN_TO_SERVICE)
async def test_the_serving_role_cannot_rewrite_what_happened(
    schema_url: str, owner: asyncpg.Connection, statement: str
) -> None:
    month = (await partitions_of(owner, "ledger"))[0]
    async with acting_as(schema_url, "gateway_service") as service:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await service.execute(statement.format(ledger_month=month))


@pytest.mark.parametrize("statement", ["UPDATE {} SET amount = 1", "DELETE FROM {}", "TRUNCATE {}"])
async def test_the_ledger_is_append_only_even_for_its_owner(
    db: Database, database_url: str, admin: asyncpg.Connection, statement: str
) -> None:
    await add_account(db)
    current = await admin.fetchval("SELECT tableoid::regclass::text FROM ledger")
    async with acting_as(database_url, "gateway_migrate") as migrator:
        for table in ("ledger", current):
            with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
                await migrator.execute(statement.format(table))


SECRETS = [
    ("users", "password_hash"),
    ("api_keys", "key_hash"),
    ("providers", "api_key_encrypted"),
    ("providers", "metadata"),
    ("webhooks", "secret"),
]


@pytest.mark.parametrize(("table", "secret"), SECRETS)
async def test_the_reporting_role_reads_everything_but_secrets(schema_url: str, table: str, secret: str) -> None:
    async with acting_as(schema_url, "gateway_report") as report:
        await report.fetch(f"SELECT id, created_at FROM {table}")
        for what in (secret, "*"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await report.fetch(f"SELECT {what} FROM {table}")


REPORTED = ("wallets", "ledger", "services", "service_routes", "orders", "dispatch_attempts", "events", "alerts")


@pytest.mark.parametrize("table", REPORTED)
async def test_the_reporting_role_reads_and_never_writes(schema_url: str, table: str) -> None:
    async with acting_as(schema_url, "gateway_report") as report:
        await report.fetch(f"SELECT * FROM {table}")
        for statement in (f"DELETE FROM {table}", f"INSERT INTO {table} DEFAULT VALUES", f"TRUNCATE {table}"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await report.execute(statement)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await report.fetch("SELECT ensure_partitions(3)")
