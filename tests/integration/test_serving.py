"""`serve` as processes: its end by signals, and that of its workers."""

import asyncio
import os
import signal
import socket
import sys
from urllib.parse import urlsplit

import aiohttp
import msgspec
import pytest

from gateway.db.engine import Database
from gateway.errors import ConfigurationError
from gateway.serving import serve
from gateway.settings import Settings
from tests.support.panel import SECRET, issue, settings_for
from tests.support.serving import served


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return settings_for(database_url, redis_url)


def environ_for(settings: Settings, workers: int) -> dict[str, str]:
    return {
        "GATEWAY_DATABASE_URL": settings.database_url or "",
        "GATEWAY_REDIS_URL": settings.redis_url or "",
        "GATEWAY_SECRET_KEY": SECRET,
        "GATEWAY_BIND": "127.0.0.1:0",
        "GATEWAY_WORKERS": str(workers),
    }


@pytest.mark.parametrize("workers", [1, 2])
async def test_sigterm_lets_the_request_in_flight_be_answered(db: Database, settings: Settings, workers: int) -> None:
    key = await issue(db)
    async with served(environ_for(settings, workers)) as (process, url):
        body = f"key={key}&action=balance".encode()
        reader, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
        writer.write(
            b"POST /api/v2 HTTP/1.1\r\nHost: gateway\r\nExpect: 100-continue\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        assert b"100 Continue" in await reader.readuntil(b"\r\n\r\n")
        process.send_signal(signal.SIGTERM)
        writer.write(body)
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b'{"balance":"100","currency":"USD","idempotency":true}')
        assert await process.wait() == 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_no_key_is_in_the_output(settings: Settings, workers: int) -> None:
    async with served(environ_for(settings, workers), asyncio.subprocess.PIPE) as (process, url):
        assert process.stderr is not None
        async with aiohttp.ClientSession() as http:
            for name in ("key", "api_token"):
                async with http.get(f"{url}/api/v2?{name}=wrong-hunter2&action=balance") as reply:
                    await reply.read()
        process.send_signal(signal.SIGTERM)
        output = (await process.stderr.read()).decode()
        assert "/api/v2" in output
        assert "hunter2" not in output
        assert "uvicorn.access" not in output


async def test_workers_do_not_outlive_their_supervisor(settings: Settings) -> None:
    async with served(environ_for(settings, 2)) as (process, url), aiohttp.ClientSession() as http:
        async with http.get(f"{url}/health/live") as reply:
            assert reply.status == 200
        process.kill()
        await process.wait()
        for _ in range(200):
            try:
                _, writer = await asyncio.open_connection(urlsplit(url).hostname, urlsplit(url).port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.05)
    pytest.fail("a worker still listens")


def test_an_address_that_is_taken_is_refused_by_its_name() -> None:
    settings = settings_for("postgresql://localhost/none", "redis://localhost")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigurationError, match="GATEWAY_BIND: cannot listen on"):
            serve(msgspec.structs.replace(settings, bind=bind))


async def test_the_address_is_one_line_of_json_where_that_is_asked_for(settings: Settings) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "serve", "--json"),
        env={**os.environ, **environ_for(settings, 1)},
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    line = await process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    rest, _ = await process.communicate()
    assert list(msgspec.json.decode(line)) == ["url"]
    assert rest == b""
    assert process.returncode == 0
