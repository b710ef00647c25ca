"""Whatever is sent to the panel endpoint, the answer is JSON and no failure of ours, and the books are right after it.

`FUZZ_REQUESTS` says how many requests (2000), `FUZZ_SEED` which ones.
"""

import asyncio
import os
from urllib.parse import urlsplit

import msgspec
import pytest

from compat.kinds import Kind
from gateway.db.engine import Database
from tests.fuzz.grammar import Grammar
from tests.support.accounts import assert_ledger_is_clean
from tests.support.panel import issue, sell, settings_for
from tests.support.serving import served

REQUESTS = int(os.environ.get("FUZZ_REQUESTS", "2000"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
AT_ONCE = 8
ANSWER_S_MAX = 30.0

pytestmark = pytest.mark.timeout(120 + REQUESTS // 20)


async def ask(host: str, port: int, request: bytes) -> bytes:
    """All that comes back until the connection ends; a server may stop reading before the request is through."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(request)
        return await asyncio.wait_for(reader.read(), ANSWER_S_MAX)
    except ConnectionError:
        return b""
    finally:
        writer.close()


def fault_of(request: bytes, answer: bytes) -> str | None:
    """What is wrong with an answer; one that never came is the fault of a request that never ended."""
    if not answer:
        return None if _is_cut_short(request) else "no answer"
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split(b" ", 2)[1])
    if status >= 500:
        return f"HTTP {status}"
    lines = head.lower().split(b"\r\n")
    if request.startswith(b"HEAD"):
        return None if not body else "a body after HEAD"
    if b"content-type: text/html; charset=utf-8" in lines and request.startswith((b"GET /api ", b"GET /api?")):
        return None
    if b"content-type: application/json" not in lines:
        return "not JSON by its type"
    try:
        msgspec.json.decode(body)
    except msgspec.DecodeError:
        return "not JSON"
    return None


def _is_cut_short(request: bytes) -> bool:
    return b"Content-Length: 999999999" in request or len(request) > 65_536


async def test_nothing_that_is_sent_breaks_the_endpoint(db: Database, database_url: str, redis_url: str) -> None:
    for number, kind in enumerate(Kind, 1):
        await sell(db, number, kind=kind.value)
    async with db.transaction() as tx:
        await tx.execute("UPDATE services SET cancel = true, dripfeed = number % 2 = 0")
    grammar = Grammar(SEED, await issue(db, deposit="1000"), len(Kind))
    settings = settings_for(database_url, redis_url)
    environ = {
        "GATEWAY_DATABASE_URL": database_url,
        "GATEWAY_REDIS_URL": redis_url,
        "GATEWAY_SECRET_KEY": settings.secret_key[0],
        "GATEWAY_BIND": "127.0.0.1:0",
        "GATEWAY_RATE_ENTERPRISE": "1000000",
        "GATEWAY_RATE_WRONG_KEYS": "1000000",
        "GATEWAY_LOG_LEVEL": "error",
    }
    faults: list[str] = []
    numbers = iter(range(REQUESTS))

    async def client(host: str, port: int) -> None:
        for number in numbers:
            request = grammar.request(number)
            answer = await ask(host, port, request)
            fault = fault_of(request, answer)
            if fault is not None:
                faults.append(f"FUZZ_SEED={SEED}, request {number}: {fault}: {request[:200]!r} -> {answer[:200]!r}")

    async with served(environ) as (_process, url):
        address = urlsplit(url)
        clients = (client(address.hostname or "", address.port or 0) for _ in range(AT_ONCE))
        await asyncio.gather(*clients)
    assert faults == []
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM orders") > REQUESTS // 50, "most of it must get through"
    await assert_ledger_is_clean(db)
