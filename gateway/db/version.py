"""Which migration the code needs, and whether a database has it; without Alembic, which takes a second to import."""

import asyncpg

HEAD = "0015"
"""The newest migration."""


async def is_current(database_url: str) -> bool:
    """Whether the database is at `HEAD`."""
    connection = await asyncpg.connect(database_url)
    try:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return False
        return bool(await connection.fetchval("SELECT version_num FROM alembic_version") == HEAD)
    finally:
        await connection.close()
