"""Looking at the schema through PostgreSQL's own catalogue."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

import asyncpg
from sqlalchemy import make_url

from gateway.db.engine import Database

GUARDS = import_module("migrations.versions.0002_guards")
PROTOCOL = import_module("migrations.versions.0003_whole_protocol")
PROVIDERS = import_module("migrations.versions.0004_providers_and_prices")
NATIVE = import_module("migrations.versions.0005_native_api")
WEBHOOKS = import_module("migrations.versions.0006_webhooks")
MARGIN = import_module("migrations.versions.0015_margin_by_day")
QUEUE = import_module("migrations.versions.0009_queue_in_turn")
TRIGGERS: tuple[str, ...] = (
    *GUARDS.TRIGGERS,
    *PROTOCOL.TRIGGERS,
    *PROVIDERS.TRIGGERS,
    *(each for each in NATIVE.TRIGGERS if "webhooks_audit" not in each),
    *WEBHOOKS.TRIGGERS,
    *QUEUE.TRIGGERS,
    *MARGIN.TRIGGERS,
)
READ_WRITE: tuple[str, ...] = (*GUARDS.READ_WRITE, *PROTOCOL.READ_WRITE)
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


async def column(connection: asyncpg.Connection, query: str, *arguments: object) -> list[Any]:
    return [row[0] for row in await connection.fetch(query, *arguments)]


async def partitions_of(connection: asyncpg.Connection, parent: str) -> list[str]:
    return await column(
        connection,
        "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::regclass ORDER BY 1",
        parent,
    )


async def wallets_of(db: Database) -> list[Any]:
    async with db.connection() as connection:
        return [tuple(row) for row in await connection.fetch("SELECT id, balance, last_seq FROM wallets ORDER BY id")]
