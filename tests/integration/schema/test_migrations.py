"""The migrations go up and down, and code and database agree."""

import asyncpg
import pytest
from alembic.util import CommandError
from uuid_utils.compat import uuid7

from gateway.db import migrate
from gateway.db.engine import Database
from gateway.db.version import is_current
from tests.support.factories import add_account
from tests.support.schema import column, wallets_of


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


async def test_what_waits_behind_a_delivery_that_is_gone_gets_its_turn(empty_database_url: str) -> None:
    await migrate.upgrade(empty_database_url, "0009")
    connection = await asyncpg.connect(empty_database_url)
    gone, kept, webhook, order, event = (uuid7() for _ in range(5))
    await connection.execute(
        "INSERT INTO webhook_deliveries (id, webhook_id, event_id, event_type) VALUES ($1, $2, $3, 'order.completed')",
        kept,
        webhook,
        event,
    )
    await connection.executemany(
        "INSERT INTO webhook_queue (delivery_id, webhook_id, object_id, sequence, next_attempt_at) "
        "VALUES ($1, $2, $3, $4, CASE WHEN $4::bigint = 1 THEN now() END)",
        [(gone, webhook, order, 1), (kept, webhook, order, 2), (uuid7(), webhook, order, 3)],
    )
    await migrate.upgrade(empty_database_url)
    rows = await connection.fetch("SELECT delivery_id, event_id FROM webhook_queue WHERE next_attempt_at <= now()")
    await connection.close()
    assert [tuple(row) for row in rows] == [(kept, event)]


async def test_when_orders_are_asked_about_next_is_carried_over_and_back_and_over(empty_database_url: str) -> None:
    await migrate.upgrade(empty_database_url, "0011")
    connection = await asyncpg.connect(empty_database_url)
    user, provider, service = (uuid7() for _ in range(3))
    await connection.execute("INSERT INTO users (id, email, password_hash) VALUES ($1, 'a@example.com', 'x')", user)
    await connection.execute(
        "INSERT INTO providers (id, name, api_endpoint, api_key_encrypted) VALUES ($1, 'p', 'https://p.example', 'x')",
        provider,
    )
    await connection.execute(
        "INSERT INTO services (id, name, platform, type, category, price_per_1000, min_quantity, max_quantity) "
        "VALUES ($1, 's', 'p', 't', 'c', 1, 1, 1000)",
        service,
    )
    await connection.executemany(
        "INSERT INTO orders (user_id, service_id, provider_id, link, quantity, price, dispatch, status, next_check_at) "
        "VALUES ($1, $2, $3, $4, 1, 1, $5, $6, now() + $7 * interval '1 s')",
        [
            (user, service, provider, f"{dispatch} {status} {wait_s}", dispatch, status, wait_s)
            for dispatch, status, wait_s in (
                ("queued", "pending", None),
                ("sending", "pending", None),
                ("unknown", "pending", None),
                ("accepted", "processing", -5.0),
                ("accepted", "processing", 60.0),
                ("accepted", "completed", 600.0),
                ("accepted", "completed", None),
            )
        ],
    )
    told = "SELECT id, dispatch, status, next_check_at, updated_at FROM orders ORDER BY id"
    before = await connection.fetch(told)
    await migrate.upgrade(empty_database_url)
    checks = "SELECT order_id, provider_id, next_check_at FROM order_checks ORDER BY order_id"
    due = [(row["id"], provider, row["next_check_at"]) for row in before if row["next_check_at"]]
    assert [tuple(row) for row in await connection.fetch(checks)] == due
    assert len(due) == 3
    await migrate.downgrade(empty_database_url, "0011")
    assert await connection.fetch(told) == before
    await migrate.upgrade(empty_database_url)
    assert [tuple(row) for row in await connection.fetch(checks)] == due
    await connection.close()


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
