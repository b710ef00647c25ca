"""Databases to look into: one shared and only read, one fresh."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.conftest import on_database
from tests.support.servers import ServerUrls


@pytest.fixture(scope="session")
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
