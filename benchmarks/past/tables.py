"""Tables while they are filled: months beside their parent, others without indexes, as `pg_restore` does it.

Nothing is switched off: a month is filled as a table of its own with all CHECKs, and joins its parent with every
index and every reference proven; of other tables indexes and constraints go, and come back as they were.
"""

import re
from datetime import date

import asyncpg
from sqlalchemy.dialects import postgresql
from sqlalchemy.schema import CreateIndex

from gateway.db.partitions import month_floor, next_month
from gateway.db.tables import metadata


async def make_month(connection: asyncpg.Connection, parent: str, name: str) -> None:
    """An empty table like a partition of `parent`, in place of one that is there."""
    if await connection.fetchval("SELECT to_regclass($1) IS NOT NULL", name):
        assert not await connection.fetchval(f"SELECT EXISTS (SELECT FROM {name})"), f"{name} has rows"
        await connection.execute(f"ALTER TABLE {parent} DETACH PARTITION {name}; DROP TABLE {name}")
    await connection.execute(
        f"CREATE TABLE {name} (LIKE {parent} INCLUDING DEFAULTS INCLUDING CONSTRAINTS); "
        f"ALTER TABLE {name} OWNER TO gateway_migrate"
    )


async def index_like(connection: asyncpg.Connection, parent: str, name: str) -> None:
    """Every index that its parent has, but those of some rows alone: read back from text, their conditions are not
    quite the parent's, so that they are made when it is attached."""
    for row in await connection.fetch(
        "SELECT pg_get_indexdef(indexrelid) AS made, indisprimary AS is_key FROM pg_index "
        "WHERE indrelid = $1::regclass AND indpred IS NULL",
        parent,
    ):
        if row["is_key"]:
            await connection.execute(f"ALTER TABLE {name} ADD PRIMARY KEY (id)")
        else:
            await connection.execute(re.sub(r"INDEX \S+ ON ONLY \S+", f"INDEX ON {name}", row["made"]))


async def attach(connection: asyncpg.Connection, parent: str, first: date, last: date, name: str) -> None:
    """The table as a partition, all of whose rows are proven to be of that time and to refer to what is there."""
    await connection.execute(
        f"ALTER TABLE {parent} ATTACH PARTITION {name} "
        f"FOR VALUES FROM ('{month_floor(first)}') TO ('{month_floor(last)}')"
    )
    if parent == "ledger":
        await connection.execute(
            f"CREATE TRIGGER ledger_no_truncate BEFORE TRUNCATE ON {name} "
            "FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()"
        )


def month_of(parent: str, month: date) -> tuple[str, date, date, str]:
    """What `attach` takes: parent, first day, the day behind the last, and the name."""
    return parent, month, next_month(month), f"{parent}_{month:%Y_%m}"


class Stripped:
    """A table's indexes and its keys, references and unique constraints, by what makes them again."""

    def __init__(self, table: str, indexes: list[str], constraints: list[str]) -> None:
        self.table, self.indexes, self.constraints = table, indexes, constraints


async def strip(connection: asyncpg.Connection, table: str) -> Stripped:
    """Drop them all, while few rows are there."""
    rows = await connection.fetch(
        """
        SELECT conname AS name, format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname,
                                       pg_get_constraintdef(oid)) AS made
          FROM pg_constraint WHERE conrelid = $1::regclass AND contype IN ('p', 'u', 'f') ORDER BY contype = 'f'
        """,
        table,
    )
    for row in rows:
        await connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {row['name']}")
    indexes = sorted(metadata.tables[table].indexes, key=lambda index: str(index.name))
    for index in indexes:
        await connection.execute(f"DROP INDEX {index.name}")
    made = [str(CreateIndex(index).compile(dialect=postgresql.dialect())) for index in indexes]
    return Stripped(table, made, [row["made"] for row in rows])


async def describe(connection: asyncpg.Connection) -> dict[str, str]:
    """Every constraint, index and trigger of the database with its text, and whether it is in force."""
    rows = await connection.fetch(
        """
        SELECT 'index ' || indexname AS name, indexdef AS text FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL
        SELECT format('constraint %s of %s', conname, conrelid::regclass),
               format('%s %s', pg_get_constraintdef(oid), CASE WHEN convalidated THEN '' ELSE 'not validated' END)
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL
        SELECT format('trigger %s of %s', tgname, tgrelid::regclass),
               format('%s %s', tgenabled, pg_get_triggerdef(t.oid))
          FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
         WHERE NOT tgisinternal AND c.relnamespace = 'public'::regnamespace
        """
    )
    return {row["name"]: row["text"] for row in rows}
