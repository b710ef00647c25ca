"""The schema as PostgreSQL has it: constraints, indexes, triggers, partitions and what each role may do."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import date
from importlib import import_module
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from alembic.util import CommandError
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, UniqueConstraint, make_url
from sqlalchemy.schema import CreateIndex

from gateway.db import migrate
from gateway.db.engine import Database, Transaction
from gateway.db.partitions import (
    NumberMap,
    close_months,
    ensure,
    load_number_map,
    month_floor,
    next_month,
    rows_in_default,
)
from gateway.db.tables import metadata
from gateway.db.version import is_current
from gateway.orders import store
from tests.conftest import on_database
from tests.support.factories import add_account, add_shop, place_order
from tests.support.servers import ServerUrls

GUARDS = import_module("migrations.versions.0002_guards")
TRIGGERS: tuple[str, ...] = GUARDS.TRIGGERS
READ_WRITE: tuple[str, ...] = GUARDS.READ_WRITE
DIALECT = make_url("postgresql+asyncpg://").get_dialect()()
PARTITIONED = ("orders", "ledger")
THIS_MONTH = "date_trunc('month', now() AT TIME ZONE 'UTC')::date"


@asynccontextmanager
async def acting_as(url: str, role: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, server_settings={"role": role})
    try:
        yield connection
    finally:
        await connection.close()


@pytest.fixture(scope="module")
async def schema_url(servers: ServerUrls, template_url: str) -> str:
    """One migrated database for all tests that leave it as it was."""
    admin = await asyncpg.connect(servers.database_url)
    await admin.execute("CREATE DATABASE schema_tests TEMPLATE template_gateway")
    await admin.close()
    return on_database(servers.database_url, "schema_tests")


@pytest.fixture
async def owner(schema_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The superuser, in a transaction that is rolled back."""
    connection = await asyncpg.connect(schema_url)
    transaction = connection.transaction()
    await transaction.start()
    yield connection
    await transaction.rollback()
    await connection.close()


@pytest.fixture
async def admin(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """The superuser in the database of `db`."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


async def column(connection: asyncpg.Connection, query: str, *arguments: object) -> list[Any]:
    return [row[0] for row in await connection.fetch(query, *arguments)]


async def partitions_of(connection: asyncpg.Connection, parent: str) -> list[str]:
    return await column(
        connection,
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::regclass ORDER BY 1",
        parent,
    )


# Migrations ----------------------------------------------------------------------------------


async def test_the_schema_goes_up_and_down_and_up_again(empty_database_url: str) -> None:
    assert not await is_current(empty_database_url)
    await migrate.upgrade(empty_database_url)
    assert await is_current(empty_database_url)
    connection = await asyncpg.connect(empty_database_url)
    first = await shape_of(connection)
    for revision in ("0001", "head", "base"):
        await (migrate.upgrade if revision == "head" else migrate.downgrade)(empty_database_url, revision)
    assert not await is_current(empty_database_url)
    assert await column(connection, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'") == [
        "alembic_version"
    ]
    assert await column(connection, "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace") == []
    await migrate.upgrade(empty_database_url)
    assert await shape_of(connection) == first
    await connection.close()


async def test_a_schema_with_rows_of_orders_or_money_does_not_go_down(database_url: str, db: Database) -> None:
    await add_account(db)
    before = await wallets_of(db)
    with pytest.raises(CommandError, match="hold rows"):
        await migrate.downgrade(database_url, "0001")
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM ledger") == 1
    assert await wallets_of(db) == before


async def shape_of(connection: asyncpg.Connection) -> dict[str, list[str]]:
    """Every definition of the public schema as text."""
    queries = {
        "columns": "SELECT attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod) "
        "|| ' ' || attnotnull FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
        "WHERE c.relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped ORDER BY 1",
        "constraints": "SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) "
        "FROM pg_constraint WHERE connamespace = 'public'::regnamespace ORDER BY 1",
        "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
        "triggers": "SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
        "grants": "SELECT relname || ' ' || coalesce(relacl::text, '') FROM pg_class "
        "WHERE relnamespace = 'public'::regnamespace AND relname <> 'alembic_version' ORDER BY 1",
    }
    return {name: await column(connection, query) for name, query in queries.items()}


async def test_the_tables_in_code_are_those_of_the_database(schema_url: str) -> None:
    await migrate.check(schema_url)


async def test_a_second_migration_changes_nothing(database_url: str, admin: asyncpg.Connection) -> None:
    before = await shape_of(admin)
    await migrate.upgrade(database_url)
    assert await shape_of(admin) == before


async def test_every_table_belongs_to_the_migrating_role(owner: asyncpg.Connection) -> None:
    owners = await column(
        owner,
        "SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class WHERE relnamespace = 'public'::regnamespace",
    )
    assert owners == ["gateway_migrate"]


# Constraints, indexes, triggers --------------------------------------------------------------


def declared(kind: type[CheckConstraint] | type[UniqueConstraint]) -> Iterator[tuple[str, str]]:
    for table in metadata.tables.values():
        for constraint in table.constraints:
            if isinstance(constraint, kind):
                name = str(constraint.name)
                yield table.name, name if name.startswith(("ck_", "uq_")) else f"ck_{table.name}_{name}"


async def stored(connection: asyncpg.Connection, contype: str, table: str) -> set[str]:
    return set(
        await column(
            connection,
            'SELECT conname FROM pg_constraint WHERE contype = $1::"char" AND conrelid = $2::regclass AND convalidated',
            contype.encode(),
            table,
        )
    )


async def test_every_check_is_in_the_database_and_on_each_partition(owner: asyncpg.Connection) -> None:
    for table in metadata.tables:
        expected = {name for of, name in declared(CheckConstraint) if of == table}
        places = [table, *(await partitions_of(owner, table) if table in PARTITIONED else [])]
        for place in places:
            assert await stored(owner, "c", place) == expected, place


async def test_every_unique_constraint_is_in_the_database(owner: asyncpg.Connection) -> None:
    for table in metadata.tables.values():
        columns = {tuple(c.name for c in u.columns) for u in table.constraints if isinstance(u, UniqueConstraint)}
        found = await column(
            owner,
            "SELECT (SELECT array_agg(attname::text ORDER BY k.n) FROM unnest(conkey) WITH ORDINALITY k(num, n) "
            "JOIN pg_attribute ON attrelid = conrelid AND attnum = k.num) FROM pg_constraint "
            "WHERE contype = 'u' AND conrelid = $1::regclass",
            table.name,
        )
        assert {tuple(names) for names in found} == columns, table.name


async def test_every_index_is_in_the_database_as_it_is_declared(owner: asyncpg.Connection) -> None:
    """Columns, uniqueness, condition and expression: each index, made anew, reads the same."""
    definition = "SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indexrelid = to_regclass($1) AND indisvalid"
    for table in metadata.tables.values():
        for index in table.indexes:
            stored_text = await owner.fetchval(definition, str(index.name))
            assert stored_text is not None, index.name
            await owner.execute(f"DROP INDEX {index.name}")
            await owner.execute(str(CreateIndex(index).compile(dialect=DIALECT)))
            assert await owner.fetchval(definition, str(index.name)) == stored_text


async def test_every_partition_has_the_indexes_of_its_parent(owner: asyncpg.Connection) -> None:
    count = "SELECT count(*) FROM pg_index WHERE indrelid = $1::regclass AND indisvalid"
    for parent in PARTITIONED:
        expected = await owner.fetchval(count, parent)
        for partition in await partitions_of(owner, parent):
            assert await owner.fetchval(count, partition) == expected, partition


def bare(definition: str) -> str:
    """A trigger's definition as compared: schema, spacing and PostgreSQL's spelling of UPDATE OF set aside."""
    return re.sub(r"\s+", " ", definition.replace("public.", "")).strip()


def events_of(definition: str) -> tuple[str, str, frozenset[str], str, str, str]:
    """`(name, BEFORE or AFTER, events with their columns, table, ROW or STATEMENT, function)`."""
    parts = re.fullmatch(
        r"CREATE (?:CONSTRAINT )?TRIGGER (\w+) (BEFORE|AFTER) (.+) ON (\w+) (?:DEFERRABLE INITIALLY DEFERRED )?"
        r"FOR EACH (ROW|STATEMENT) EXECUTE FUNCTION (\w+)\(\)",
        bare(definition),
    )
    assert parts is not None, definition
    events = frozenset(re.sub(r"\s*,\s*", ",", event.strip()) for event in parts[3].split(" OR "))
    return parts[1], parts[2], events, parts[4], parts[5], parts[6]


async def test_every_trigger_is_in_the_database_enabled_and_on_each_partition(owner: asyncpg.Connection) -> None:
    expected = {events_of(definition) for definition in TRIGGERS}
    for parent in PARTITIONED:
        for partition in await partitions_of(owner, parent):
            for name, when, events, table, each, function in list(expected):
                inherited = table == parent and (each == "ROW" or "TRUNCATE" in events)
                if inherited:
                    expected.add((name, when, events, partition, each, function))
    rows = await owner.fetch("SELECT pg_get_triggerdef(oid) AS text, tgenabled FROM pg_trigger WHERE NOT tgisinternal")
    assert {events_of(row["text"]) for row in rows} == expected
    assert {row["tgenabled"] for row in rows} == {b"O"}


async def test_every_foreign_key_says_what_happens_on_delete(owner: asyncpg.Connection) -> None:
    actions = {"CASCADE": b"c", "RESTRICT": b"r", "SET NULL": b"n"}
    expected = {
        (table.name, tuple(c.name for c in key.columns), key.referred_table.name, actions[key.ondelete or ""])
        for table in metadata.tables.values()
        for key in table.constraints
        if isinstance(key, ForeignKeyConstraint)
    }
    rows = await owner.fetch(
        "SELECT conrelid::regclass::text AS source, confrelid::regclass::text AS target, confdeltype, "
        "(SELECT array_agg(attname::text) FROM pg_attribute WHERE attrelid = conrelid AND attnum = ANY(conkey)) "
        "AS cols FROM pg_constraint WHERE contype = 'f' AND conparentid = 0"
    )
    found = {(row["source"], tuple(row["cols"]), row["target"], row["confdeltype"]) for row in rows}
    assert found == expected


async def test_no_foreign_key_points_to_orders_so_that_a_month_can_be_detached(owner: asyncpg.Connection) -> None:
    pointing = await column(
        owner,
        "SELECT conname FROM pg_constraint WHERE contype = 'f' AND confrelid IN "
        "(SELECT 'orders'::regclass UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = 'orders'::regclass)",
    )
    assert pointing == []
    month = (await partitions_of(owner, "orders"))[0]
    await owner.execute(f"ALTER TABLE orders DETACH PARTITION {month}")


SOURCE_INDEXES = frozenset(
    [
        "idx_users_email",
        "idx_users_role",
        "idx_users_status",
        "idx_wallets_user_id",
        "idx_ledger_user_id",
        "idx_ledger_wallet_id",
        "idx_ledger_created_at",
        "idx_ledger_reference",
        "idx_services_platform",
        "idx_services_type",
        "idx_services_is_active",
        "idx_orders_user_id",
        "idx_orders_service_id",
        "idx_orders_provider_id",
        "idx_orders_status",
        "idx_orders_created_at",
        "idx_providers_is_active",
        "idx_providers_priority",
        "idx_api_keys_user_id",
        "idx_api_keys_key_hash",
        "idx_api_keys_is_active",
        "idx_webhooks_user_id",
        "idx_webhooks_is_active",
    ]
)


async def test_every_index_of_the_source_schema_is_there(owner: asyncpg.Connection) -> None:
    found = await column(owner, "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'")
    assert SOURCE_INDEXES - set(found) == set()


SOURCE_COLUMNS = {
    "users": "id email password_hash role status created_at updated_at",
    "wallets": "id user_id balance currency hold_amount created_at updated_at",
    "ledger": "id user_id wallet_id type amount balance_before balance_after reference_type reference_id description "
    "metadata created_at",
    "services": "id name description platform type price_per_1000 min_quantity max_quantity is_active created_at "
    "updated_at",
    "orders": "id user_id service_id provider_id external_order_id link quantity price status start_count remains "
    "created_at updated_at completed_at",
    "providers": "id name api_endpoint api_key_encrypted is_active priority balance metadata created_at updated_at",
    "api_keys": "id user_id key_hash name permissions rate_limit_tier is_active last_used_at created_at expires_at",
    "webhooks": "id user_id url events secret is_active last_triggered_at created_at",
}


@pytest.mark.parametrize("table", SOURCE_COLUMNS)
def test_every_column_of_the_source_schema_is_there(table: str) -> None:
    assert set(SOURCE_COLUMNS[table].split()) <= set(metadata.tables[table].columns.keys())


# Values --------------------------------------------------------------------------------------


async def test_a_row_written_by_hand_gets_a_uuid_of_version_7_and_of_now(owner: asyncpg.Connection) -> None:
    first: UUID = await owner.fetchval(
        "INSERT INTO users (email, password_hash) VALUES ('a@example.com', '!') RETURNING id"
    )
    now_ms = await owner.fetchval("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint")
    assert (first.version, first.variant) == (7, "specified in RFC 4122")
    assert abs((first.int >> 80) - now_ms) < 60_000
    ids = await column(owner, "SELECT uuid7() FROM generate_series(1, 2000)")
    assert len(set(ids)) == 2000
    assert {made.version for made in ids} == {7}


async def test_updated_at_follows_each_change(owner: asyncpg.Connection) -> None:
    await owner.execute("INSERT INTO users (email, password_hash) VALUES ('a@example.com', '!')")
    await owner.execute("UPDATE users SET updated_at = 'epoch', status = 'suspended'")
    assert await owner.fetchval("SELECT updated_at > now() - interval '1 minute' FROM users")


WRONG_ROWS = [
    ("users", "email, password_hash, role", "'a@b.c', '!', 'root'", "ck_users_role"),
    ("users", "email, password_hash, status", "'a@b.c', '!', 'gone'", "ck_users_status"),
    ("users", "email, password_hash", "'A@b.c', '!'", "ck_users_email_lower"),
    (
        "services",
        "name, platform, type, category, price_per_1000, min_quantity, max_quantity",
        "'n', 'p', 't', 'c', -1, 1, 2",
        "ck_services_price",
    ),
    (
        "services",
        "name, platform, type, category, price_per_1000, min_quantity, max_quantity",
        "'n', 'p', 't', 'c', 1, 3, 2",
        "ck_services_quantities",
    ),
    ("providers", "name, api_endpoint, api_key_encrypted, currency", "'n', 'u', 'k', 'usd'", "ck_providers_currency"),
]


@pytest.mark.parametrize(("table", "columns", "values", "constraint"), WRONG_ROWS)
async def test_a_row_outside_the_rules_is_refused_by_name(
    owner: asyncpg.Connection, table: str, columns: str, values: str, constraint: str
) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match=constraint):
        await owner.execute(f"INSERT INTO {table} ({columns}) VALUES ({values})")


# The wallet's guard --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        "balance = balance + 1",
        "hold_amount = hold_amount + 1",
        "balance = balance + 1, last_seq = last_seq - 1",
        "last_seq = last_seq - 1",
        "currency = 'EUR', last_seq = last_seq + 1",
        "user_id = uuid7(), last_seq = last_seq + 1",
        "balance = -1, last_seq = last_seq + 1",
        "hold_amount = balance + 1, last_seq = last_seq + 1",
    ],
)
async def test_a_wallet_changes_only_with_a_ledger_row_and_never_below_zero(
    owner: asyncpg.Connection, change: str
) -> None:
    user_id = await owner.fetchval(
        "INSERT INTO users (email, password_hash) VALUES ('a@example.com', '!') RETURNING id"
    )
    await owner.execute("INSERT INTO wallets (user_id) VALUES ($1)", user_id)
    await owner.execute("UPDATE wallets SET balance = 9, hold_amount = 4, last_seq = 1")
    with pytest.raises(asyncpg.CheckViolationError):
        await owner.execute(f"UPDATE wallets SET {change}")


async def test_a_wallet_may_be_written_as_it_is(db: Database) -> None:
    await add_account(db)
    async with db.transaction() as tx:
        await tx.execute("UPDATE wallets SET balance = balance, hold_amount = hold_amount, last_seq = last_seq")


async def test_a_wallet_that_claims_a_ledger_row_must_have_it_by_the_commit(db: Database) -> None:
    await add_account(db)
    before = await wallets_of(db)
    with pytest.raises(asyncpg.CheckViolationError, match="only with a ledger row"):
        async with db.transaction() as tx:
            await tx.execute("UPDATE wallets SET balance = balance + 1, last_seq = last_seq + 1")
    assert await wallets_of(db) == before
    async with db.transaction() as tx:
        await tx.execute("UPDATE wallets SET balance = balance + 1, last_seq = last_seq + 1")
        await tx.execute(
            "INSERT INTO ledger_references (wallet_id, wallet_seq, reference_type, reference_id, type) "
            "SELECT id, last_seq, 'payment', uuid7(), 'deposit' FROM wallets"
        )
    assert await wallets_of(db) != before


async def wallets_of(db: Database) -> list[Any]:
    async with db.connection() as connection:
        return [tuple(row) for row in await connection.fetch("SELECT id, balance, last_seq FROM wallets ORDER BY id")]


async def test_a_wallet_starts_empty(db: Database) -> None:
    account = await add_account(db)
    with pytest.raises(asyncpg.CheckViolationError, match="starts empty"):
        async with db.transaction() as tx:
            await tx.execute("INSERT INTO wallets (user_id, currency, balance) VALUES ($1, 'EUR', 5)", account.user_id)


@pytest.mark.parametrize(
    "change",
    ["amount = amount + 1", "balance_after = balance_after + 1", "hold_after = hold_after + 1, amount = amount"],
)
async def test_a_ledger_row_must_add_up(db: Database, admin: asyncpg.Connection, change: str) -> None:
    await add_account(db)
    await admin.execute("ALTER TABLE ledger DISABLE TRIGGER ledger_append_only")
    with pytest.raises(asyncpg.CheckViolationError, match="ck_ledger_"):
        await admin.execute(f"UPDATE ledger SET {change}")


# Roles ---------------------------------------------------------------------------------------

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
    *(f"DELETE FROM {table}" for table in READ_WRITE),
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


# Partitions ----------------------------------------------------------------------------------


async def months_of(connection: asyncpg.Connection, parent: str) -> list[str]:
    return [name.removeprefix(f"{parent}_") for name in await partitions_of(connection, parent)]


async def expected_months(connection: asyncpg.Connection, ahead: int) -> list[str]:
    month: date = await connection.fetchval(f"SELECT {THIS_MONTH}")
    months = []
    for _ in range(ahead + 1):
        months.append(f"{month:%Y_%m}")
        month = next_month(month)
    return [*months, "default"]


async def test_months_are_made_ahead_once_by_the_serving_role(db: Database, admin: asyncpg.Connection) -> None:
    for parent in PARTITIONED:
        assert await months_of(admin, parent) == await expected_months(admin, 3)
    async with db.transaction() as tx:
        assert await ensure(tx) == 0
        assert await tx.fetchval("SELECT ensure_partitions(14)") == 22
        assert await tx.fetchval("SELECT ensure_partitions(14)") == 0
    for parent in PARTITIONED:
        assert await months_of(admin, parent) == await expected_months(admin, 14)


async def test_a_month_made_later_is_guarded_like_the_others(db: Database, admin: asyncpg.Connection) -> None:
    async with db.transaction() as tx:
        await tx.execute("SELECT ensure_partitions(5)")
    await test_every_trigger_is_in_the_database_enabled_and_on_each_partition(admin)
    await test_every_check_is_in_the_database_and_on_each_partition(admin)
    await test_every_partition_has_the_indexes_of_its_parent(admin)


async def test_a_month_that_cannot_be_made_does_not_keep_the_others_from_it(
    db: Database, admin: asyncpg.Connection
) -> None:
    order = await place_order(db, await add_shop(db))
    fourth: date = await admin.fetchval(f"SELECT ({THIS_MONTH} + interval '4 months')::date")
    await admin.execute(
        "INSERT INTO orders (id, user_id, service_id, link, quantity, price) "
        "SELECT $2, user_id, service_id, link, quantity, price FROM orders WHERE id = $1",
        order.id,
        month_floor(fourth),
    )
    async with db.transaction() as tx:
        assert await tx.fetchval("SELECT ensure_partitions(5)") == 3
    expected = await expected_months(admin, 5)
    assert await months_of(admin, "ledger") == expected
    assert await months_of(admin, "orders") == [month for month in expected if month != f"{fourth:%Y_%m}"]
    assert await admin.fetchval("SELECT to_regclass($1)", f"orders_{fourth:%Y_%m}") is None


@pytest.mark.parametrize("months", [-1, 25, None])
async def test_a_senseless_number_of_months_is_refused(db: Database, months: int | None) -> None:
    with pytest.raises(asyncpg.PostgresError):
        async with db.transaction() as tx:
            await tx.execute("SELECT ensure_partitions($1)", months)


@pytest.mark.parametrize("month", [date(1970, 1, 1), date(2026, 3, 1), date(2026, 12, 1), date(2400, 2, 1)])
async def test_code_and_database_agree_where_a_month_begins(owner: asyncpg.Connection, month: date) -> None:
    await owner.execute("SET TIME ZONE 'Pacific/Auckland'")
    assert await owner.fetchval("SELECT month_floor($1)", month) == month_floor(month)


async def test_rows_outside_every_month_are_noticed(db: Database, admin: asyncpg.Connection) -> None:
    async with db.connection() as connection:
        assert await rows_in_default(connection) == {"orders": False, "ledger": False}
    shop = await add_shop(db)
    order = await place_order(db, shop)
    await admin.execute(
        "INSERT INTO orders (id, user_id, service_id, link, quantity, price) "
        "SELECT $2, user_id, service_id, link, quantity, price FROM orders WHERE id = $1",
        order.id,
        month_floor(date(2100, 1, 1)),
    )
    async with db.connection() as connection:
        assert await rows_in_default(connection) == {"orders": True, "ledger": False}


# Numbers -------------------------------------------------------------------------------------


async def make_past_month(owner: asyncpg.Connection, month: date, first_number: int) -> None:
    """A month that is over, with two orders in it."""
    name = f"orders_{month:%Y_%m}"
    await owner.execute(
        f"CREATE TABLE {name} PARTITION OF orders FOR VALUES "
        f"FROM ('{month_floor(month)}') TO ('{month_floor(next_month(month))}')"
    )
    for n in range(2):
        await owner.execute(
            "INSERT INTO orders (id, number, user_id, service_id, link, quantity, price) "
            "SELECT $1, $2, user_id, service_id, link, quantity, price FROM orders LIMIT 1",
            UUID(int=month_floor(month).int + n),
            first_number + n,
        )


async def test_a_look_up_by_number_visits_only_the_months_that_can_hold_it(
    db: Database, admin: asyncpg.Connection
) -> None:
    order = await place_order(db, await add_shop(db))
    await make_past_month(admin, date(2026, 1, 1), 11)
    await make_past_month(admin, date(2026, 2, 1), 21)
    async with db.transaction() as tx:
        await close_months(tx)
        await close_months(tx)
        numbers = await load_number_map(tx)
    scanned = {
        wanted: set().union(*[await visited(db, wanted, ids) for ids in numbers.ranges(wanted)])
        for wanted in (12, 21, order.number)
    }
    past = {"orders_2026_01", "orders_2026_02"}
    assert {wanted: months & past for wanted, months in scanned.items()} == {
        12: {"orders_2026_01"},
        21: {"orders_2026_02"},
        order.number: set(),
    }
    assert all("orders_default" in months for months in scanned.values())


async def visited(db: Database, number: int, ids: tuple[UUID, UUID]) -> set[str]:
    """The partitions that the look-up of a number really scans."""
    async with db.transaction() as tx:
        before = await scans_of_orders(tx)
        await store.find_by_numbers(tx, [(UUID(int=0), number, *ids)])
        after = await scans_of_orders(tx)
    return {partition for partition, scans in after.items() if scans > before[partition]}


async def scans_of_orders(tx: Transaction) -> dict[str, int]:
    rows = await tx.fetch(
        "SELECT relname, seq_scan + idx_scan AS scans FROM pg_stat_xact_user_tables WHERE relname ~ '^orders_[d0-9]'"
    )
    return {row["relname"]: row["scans"] for row in rows}


async def test_a_month_still_open_is_not_closed(db: Database) -> None:
    await place_order(db, await add_shop(db))
    async with db.transaction() as tx:
        await close_months(tx)
        assert (await load_number_map(tx)).ranges(1) == NumberMap().ranges(1)
