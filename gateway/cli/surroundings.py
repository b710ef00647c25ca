"""What every command stands on: settings, servers that run, and a pool for one short action."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from gateway.db.engine import Database
    from gateway.keyring import Keyring
    from gateway.settings import Settings

Result = TypeVar("Result")


def read_settings() -> "Settings":
    """Raises ConfigurationError with a line for every fault."""
    from gateway.settings import load_settings

    return load_settings(os.environ)


@contextlib.contextmanager
def running_servers(settings: "Settings", *, with_redis: bool = True) -> Iterator["Settings"]:
    """The settings with servers behind them: those that are named, else embedded ones while the context lasts.

    Addresses of embedded servers whose owner is gone (as `settings.env` has them after a demo) count
    as not named, and the servers are started again on the same data.

    Raises:
        ConfigurationError: the data directory has an owner that keeps its addresses to itself.
    """
    import msgspec

    from gateway.embedded import EmbeddedServers

    wants_postgres = _is_absent(settings, settings.database_url)
    wants_valkey = with_redis and _is_absent(settings, settings.redis_url)
    if not wants_postgres and not wants_valkey:
        yield settings
        return
    with EmbeddedServers(settings.data_dir, postgres=wants_postgres, valkey=wants_valkey) as servers:
        if wants_postgres:
            url = servers.database_url
            settings = msgspec.structs.replace(settings, database_url=url, database_direct_url=None)
        if wants_valkey:
            settings = msgspec.structs.replace(settings, redis_url=servers.redis_url)
        yield settings


def _is_absent(settings: "Settings", url: str | None) -> bool:
    from gateway.embedded.data import MARKER, DataDirLock, load_remembered

    if url is None:
        return True
    if not (settings.data_dir / MARKER).is_file():
        return False
    remembered = load_remembered(settings.data_dir)
    if not any(f":{word}@127.0.0.1:" in url for word in (remembered.postgres_password, remembered.valkey_password)):
        return False
    lock = DataDirLock(settings.data_dir)
    try:
        lock.acquire()
    except ConfigurationError:
        return False
    lock.release()
    return True


def with_database(action: "Callable[[Database, Settings], Awaitable[Result]]") -> Result:
    """Run one short action of an operator on the database of the settings.

    Raises:
        ConfigurationError: no database is named, and no demo left one in the data directory.
    """
    import asyncio

    from gateway.embedded.data import MARKER

    settings = read_settings()
    if settings.database_url is None and not (settings.data_dir / MARKER).is_file():
        raise ConfigurationError(
            [f"GATEWAY_DATABASE_URL is not set and {settings.data_dir} has no database: set it, or run gateway demo"]
        )
    with running_servers(settings, with_redis=False) as complete:
        return asyncio.run(_act(complete, action))


async def _act(settings: "Settings", action: "Callable[[Database, Settings], Awaitable[Result]]") -> Result:
    async with open_database(settings) as db:
        return await action(db, settings)


@contextlib.asynccontextmanager
async def open_database(settings: "Settings") -> AsyncIterator["Database"]:
    from gateway.db.engine import Database

    assert settings.database_url is not None
    db = await Database.open(settings.database_url, size=2, application="gateway cli")
    try:
        yield db
    finally:
        await db.close()


def keyring_of(settings: "Settings") -> "Keyring":
    """Raises ConfigurationError where there is no secret."""
    from gateway.keyring import Keyring
    from gateway.settings import require_secret_key

    return Keyring(require_secret_key(settings))


def read_secret(what: str) -> str:
    """The first line of stdin.

    Raises:
        ConfigurationError: stdin is empty.
    """
    secret = sys.stdin.readline().strip()
    if not secret:
        raise ConfigurationError([f"no {what} on stdin"])
    return secret
