"""Real servers once a session, and a database cloned from a migrated template for each test that asks."""

import gc
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress

import asyncpg
import pytest
import structlog

from gateway.db import migrate
from gateway.db.engine import Database
from gateway.errors import Unavailable
from tests.support.payloads import assert_events_fit
from tests.support.servers import ServerUrls, start_test_servers

# Tracebacks as plain text, as the service writes them; drawn as structlog does by default, each takes a second.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.format_exc_info,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def servers() -> Iterator[ServerUrls]:
    with start_test_servers() as urls:
        yield urls


@pytest.fixture(scope="session")
def redis_url(servers: ServerUrls) -> str:
    return servers.redis_url


CLONED = "TEMPLATE template_gateway STRATEGY file_copy"


def on_database(url: str, name: str) -> str:
    """The same server's URL for another database."""
    base, _, _ = url.rpartition("/")
    return f"{base}/{name}"


@pytest.fixture(scope="session")
async def template_url(servers: ServerUrls) -> str:
    """A migrated database that tests are cloned from; nothing else connects to it."""
    admin = await asyncpg.connect(servers.database_url)
    await admin.execute("CREATE DATABASE template_gateway")
    await admin.close()
    url = on_database(servers.database_url, "template_gateway")
    await migrate.upgrade(url)
    return url


@asynccontextmanager
async def fresh(servers: ServerUrls, how: str = "") -> AsyncIterator[str]:
    """A database of its own while the block runs, as the superuser."""
    name = f"test_{uuid.uuid4().hex}"
    admin = await asyncpg.connect(servers.database_url)
    await admin.execute(f"CREATE DATABASE {name} {how}")
    yield on_database(servers.database_url, name)
    await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    await admin.close()


@pytest.fixture
async def database_url(servers: ServerUrls, template_url: str) -> AsyncIterator[str]:
    """A fresh migrated database, as the superuser."""
    async with fresh(servers, CLONED) as url:
        yield url


@pytest.fixture(scope="module")
async def shared_database_url(servers: ServerUrls, template_url: str) -> AsyncIterator[str]:
    """A fresh migrated database for all tests of a module, which only read it."""
    async with fresh(servers, CLONED) as url:
        yield url


@pytest.fixture
async def empty_database_url(servers: ServerUrls) -> AsyncIterator[str]:
    """A fresh database with nothing in it, as the superuser."""
    async with fresh(servers) as url:
        yield url


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """A superuser in the database of `db`."""
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def root(owner: asyncpg.Connection) -> asyncpg.Connection:
    """The same, going round every trigger and foreign key."""
    await owner.execute("SET session_replication_role = replica")
    return owner


@pytest.fixture
async def db(database_url: str) -> AsyncIterator[Database]:
    """The service's own pool on a fresh migrated database; what events say is looked at in the end."""
    database = await Database.open(database_url)
    yield database
    with suppress(Unavailable):  # some tests have closed it
        await assert_events_fit(database)
    await database.close()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The long ones first, so that no core waits at the end for another."""
    items.sort(key=lambda item: "tests/e2e/" not in item.nodeid)


def pytest_collection_finish() -> None:
    """All modules and tests are loaded now; each full collection of garbage would look through them again."""
    gc.collect()
    gc.freeze()
