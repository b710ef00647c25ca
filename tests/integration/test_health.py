"""Live, ready, and what is down: with real servers, without them, and when they come back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest

from gateway.accounts.model import new_key
from gateway.alerts.conditions.sweep import sweep
from gateway.app import create_app
from gateway.db.engine import Database
from gateway.errors import ConfigurationError
from gateway.processes import find_free_port
from gateway.settings import Settings
from tests.support.serving import running

POLLS_MAX = 200
POLL_INTERVAL_S = 0.05


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return Settings(database_url=database_url, redis_url=redis_url, secret_key=("0123456789abcdef" * 2,))


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def ask(http: aiohttp.ClientSession, url: str) -> tuple[int, Any]:
    async with http.get(url) as reply:
        return reply.status, await reply.json()


async def ready_once(http: aiohttp.ClientSession, url: str, wanted: tuple[int, Any]) -> tuple[int, Any]:
    """What readiness says once it is what is wanted, or at the end of patience."""
    answer: tuple[int, Any] = (0, None)
    for _ in range(POLLS_MAX):
        answer = await ask(http, f"{url}/health/ready")
        if answer == wanted:
            break
        await asyncio.sleep(POLL_INTERVAL_S)
    return answer


def said(status: str, database: str = "ok", redis: str = "ok", listener: str = "ok") -> dict[str, str]:
    return {"status": status, "database": database, "redis": redis, "listener": listener}


def without_database(settings: Settings, port: int) -> Settings:
    address = urlsplit(settings.database_url or "")
    moved = address._replace(netloc=f"{address.username}:{address.password}@127.0.0.1:{port}").geturl()
    return msgspec.structs.replace(settings, database_url=moved)


@asynccontextmanager
async def forwarding(port: int, url: str) -> AsyncIterator[None]:
    """The database of `url` at this port as well, as if it had just started there."""
    target = urlsplit(url)
    piping: set[asyncio.Task[None]] = set()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection(target.hostname, target.port)
        for ends in ((reader, to_server), (from_server, writer)):
            piping.add(asyncio.create_task(pipe(*ends)))

    server = await asyncio.start_server(connected, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        for task in piping:
            task.cancel()
        await asyncio.gather(*piping, return_exceptions=True)


async def test_a_process_with_all_it_needs_is_live_and_ready(settings: Settings, http: aiohttp.ClientSession) -> None:
    async with running(settings) as url:
        assert await ask(http, f"{url}/health/live") == (200, {"status": "ok"})
        assert await ready_once(http, url, (200, said("ok"))) == (200, said("ok"))


async def test_without_redis_it_is_ready_but_degraded(settings: Settings, http: aiohttp.ClientSession) -> None:
    nowhere = f"redis://127.0.0.1:{find_free_port()}/0"
    degraded = (200, said("degraded", redis="down"))
    async with running(msgspec.structs.replace(settings, redis_url=nowhere)) as url:
        assert await ready_once(http, url, degraded) == degraded


async def test_it_starts_without_a_database_and_recovers_by_itself(
    settings: Settings, http: aiohttp.ClientSession
) -> None:
    port = find_free_port()
    down = (503, said("down", database="down", listener="down"))
    unavailable = {"error": "Service temporarily unavailable", "placed": False}
    async with running(without_database(settings, port)) as url:
        assert await ask(http, f"{url}/health/live") == (200, {"status": "ok"})
        assert await ask(http, f"{url}/health/ready") == down
        assert await ask(http, f"{url}/api/v2?key={new_key()}&action=add") == (503, unavailable)
        async with forwarding(port, settings.database_url or ""):
            assert await ready_once(http, url, (200, said("ok"))) == (200, said("ok"))
            refused = await ask(http, f"{url}/api/v2?key={new_key()}&action=balance")
            assert refused == (200, {"error": "Invalid API key"})


def test_an_app_that_lacks_its_addresses_is_refused_with_all_their_names() -> None:
    with pytest.raises(ConfigurationError) as refused:
        create_app(Settings(secret_key=("0123456789abcdef" * 2,)))
    assert refused.value.problems == ["GATEWAY_DATABASE_URL is not set", "GATEWAY_REDIS_URL is not set"]


def test_an_app_without_a_secret_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="SECRET_KEY"):
        create_app(Settings(database_url="postgresql://localhost/x", redis_url="redis://localhost"))


async def test_redis_down_is_an_open_alert_that_its_return_clears(
    http: aiohttp.ClientSession, settings: Settings, db: Database
) -> None:
    port = find_free_port()
    gone = msgspec.structs.replace(settings, redis_url=f"redis://127.0.0.1:{port}")
    async with running(gone) as url:
        await ready_once(http, url, (200, said("degraded", redis="down")))
        assert await open_alerts_become(db, 1) == 1
    async with db.transaction() as tx:
        await tx.execute("UPDATE alerts SET last_at = now() - interval '2 minutes'")
    async with running(settings) as url:
        assert await ready_once(http, url, (200, said("ok"))) == (200, said("ok"))
        assert await sweep(db, settings)
        assert await open_alerts_become(db, 0) == 0


async def open_alerts_become(db: Database, wanted: int) -> int:
    """How many alerts of Redis are open once there are that many, or at the end of patience."""
    found = -1
    for _ in range(POLLS_MAX):
        async with db.connection() as connection:
            found = await connection.fetchval(
                "SELECT count(*) FROM alerts WHERE kind = 'redis_down' AND subject = 'redis' AND cleared_at IS NULL"
            )
        if found == wanted:
            break
        await asyncio.sleep(POLL_INTERVAL_S)
    return found
