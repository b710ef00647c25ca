"""What every command stands on: settings, servers that run, and a pool for one short action."""

import contextlib
import getpass
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from gateway.errors import ConfigurationError

if TYPE_CHECKING:
    from gateway.audit.model import Actor
    from gateway.db.engine import Database
    from gateway.keyring import Keyring
    from gateway.settings import Settings

Result = TypeVar("Result")

_CONNECT_S = 2.0


def read_settings() -> "Settings":
    """Raises ConfigurationError with a line for every fault."""
    from gateway.settings import load_settings

    return load_settings(os.environ)


@contextlib.contextmanager
def running_servers(settings: "Settings", *, with_redis: bool = True) -> Iterator["Settings"]:
    """The settings with servers behind them: those that are named, else embedded ones while the context lasts.

    Where another command runs the embedded servers of this data directory, they are used. Their
    addresses in `settings.env`, which a demo that is gone has left there, count as not named.

    Raises:
        ConfigurationError: a server cannot run here.
    """
    from gateway.embedded import EmbeddedServers

    known = _known_addresses(settings.data_dir)
    wants_postgres = settings.database_url is None or _is_same_server(settings.database_url, known.database_url)
    wants_valkey = with_redis and (settings.redis_url is None or _is_same_server(settings.redis_url, known.redis_url))
    if not wants_postgres and not wants_valkey:
        yield settings
    elif _is_running(known, wants_postgres, wants_valkey) and _has_owner(settings.data_dir):
        yield _with_addresses(settings, known, wants_postgres, wants_valkey)
    else:
        with EmbeddedServers(settings.data_dir, postgres=wants_postgres, valkey=wants_valkey) as servers:
            started = _Addresses(
                servers.database_url if wants_postgres else None, servers.redis_url if wants_valkey else None
            )
            yield _with_addresses(settings, started, wants_postgres, wants_valkey)


class _Addresses(NamedTuple):
    database_url: str | None
    redis_url: str | None


def _known_addresses(data_dir: Path) -> _Addresses:
    """Where the embedded servers of the directory last ran, if any did."""
    from gateway.embedded.data import MARKER, load_remembered
    from gateway.embedded.postgres import DATABASE, USER

    if not (data_dir / MARKER).is_file():
        return _Addresses(None, None)
    last = load_remembered(data_dir)
    postgres = f"postgresql://{USER}:{last.postgres_password}@127.0.0.1:{last.postgres_port}/{DATABASE}"
    valkey = f"redis://:{last.valkey_password}@127.0.0.1:{last.valkey_port}/0"
    return _Addresses(postgres if last.postgres_port else None, valkey if last.valkey_port else None)


def _is_same_server(url: str, known: str | None) -> bool:
    """Whether they have the same random password; the port may have changed since."""
    return known is not None and url.rpartition(":")[0] == known.rpartition(":")[0]


def _is_running(known: _Addresses, wants_postgres: bool, wants_valkey: bool) -> bool:
    wanted = [url for url, wants in zip(known, (wants_postgres, wants_valkey), strict=True) if wants]
    return None not in wanted and all(map(_accepts, filter(None, wanted)))


def _accepts(url: str) -> bool:
    import socket
    from urllib.parse import urlsplit

    try:
        socket.create_connection(("127.0.0.1", urlsplit(url).port or 0), timeout=_CONNECT_S).close()
    except OSError:
        return False
    return True


def _has_owner(data_dir: Path) -> bool:
    from gateway.embedded.data import DataDirLock

    lock = DataDirLock(data_dir)
    try:
        lock.acquire()
    except ConfigurationError:
        return True
    lock.release()
    return False


def _with_addresses(
    settings: "Settings", addresses: _Addresses, takes_postgres: bool, takes_valkey: bool
) -> "Settings":
    import msgspec

    if takes_postgres:
        settings = msgspec.structs.replace(settings, database_url=addresses.database_url, database_direct_url=None)
    if takes_valkey:
        settings = msgspec.structs.replace(settings, redis_url=addresses.redis_url)
    return settings


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
        return await action(db.acting_as(_operator().to_setting()), settings)


def _operator() -> "Actor":
    """Who typed the command, for the audit log."""
    from gateway.audit.model import Actor

    path = click.get_current_context().command_path.split()
    return Actor(kind="operator", name=operator_name(), action=" ".join(path[1:]))


def operator_name() -> str:
    """Who runs the command: the system's name for the user, or the number where a container has no name for it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"user {os.getuid()}"
    return f"{user} (command line)"


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
        ConfigurationError: stdin is empty, closed or not UTF-8 text.
    """
    if sys.stdin is None:
        raise ConfigurationError([f"no {what} on stdin, which is closed"])
    try:
        secret = sys.stdin.readline().strip()
    except UnicodeDecodeError:
        raise ConfigurationError([f"the {what} on stdin is not UTF-8 text"]) from None
    if not secret:
        raise ConfigurationError([f"no {what} on stdin"])
    return secret
