"""Every declared constraint, index and trigger is in PostgreSQL's own catalogue."""

import re
from collections.abc import Iterator

import asyncpg
import pytest
from sqlalchemy import CheckConstraint, ForeignKeyConstraint, UniqueConstraint
from sqlalchemy.schema import CreateIndex

from gateway.db.engine import Database
from gateway.db.tables import metadata
from tests.support.schema import DIALECT, PARTITIONED, TRIGGERS, column, partitions_of


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
    """`(name, BEFORE or AFTER, events with their columns, table, ROW or STATEMENT, function and arguments)`."""
    parts = re.fullmatch(
        r"CREATE (?:CONSTRAINT )?TRIGGER (\w+) (BEFORE|AFTER) (.+) ON (\w+) (?:DEFERRABLE INITIALLY DEFERRED )?"
        r"FOR EACH (ROW|STATEMENT) (?:WHEN \(.+\) )?EXECUTE FUNCTION (\w+\(.*\))",
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


async def test_a_month_made_later_is_guarded_like_the_others(db: Database, admin: asyncpg.Connection) -> None:
    async with db.transaction() as tx:
        await tx.execute("SELECT ensure_partitions(5)")
    await test_every_trigger_is_in_the_database_enabled_and_on_each_partition(admin)
    await test_every_check_is_in_the_database_and_on_each_partition(admin)
    await test_every_partition_has_the_indexes_of_its_parent(admin)
