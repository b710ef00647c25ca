"""A thousand wishes through connections that break: a thousand orders, each once."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from typing import Any

import aiohttp
import pytest

from gateway.db.engine import Database
from tests.support.accounts import assert_ledger_is_clean
from tests.support.cutting import cutting_wire
from tests.support.native import Native
from tests.support.panel import SECRET, issue, sell
from tests.support.serving import served

INTENTS = 1000
CUT = 0.1
RETRIES = 8
AT_ONCE = 20


@pytest.fixture
def environ(database_url: str, redis_url: str) -> dict[str, str]:
    return {
        "GATEWAY_DATABASE_URL": database_url,
        "GATEWAY_REDIS_URL": redis_url,
        "GATEWAY_SECRET_KEY": SECRET,
        "GATEWAY_BIND": "127.0.0.1:0",
        "GATEWAY_RATE_ENTERPRISE": "1000000",
        "GATEWAY_LOG_LEVEL": "warning",
    }


async def insist(clients: list[Native], method: str, path: str, body: Any, key: str) -> Any:
    """Send it until it is answered, to one process after the other; the answer."""
    for attempt in range(1 + RETRIES):
        client = clients[attempt % len(clients)]
        try:
            reply = await client(method, path, body, Idempotency_Key=key)
        except aiohttp.ClientError:
            continue
        if reply.status in (409, 503):  # the first is still being answered elsewhere
            continue
        assert reply.status in (200, 201), reply.body
        return reply.json()
    raise AssertionError(f"{key} was not answered in {1 + RETRIES} attempts")


async def test_a_thousand_wishes_are_a_thousand_orders(db: Database, environ: dict[str, str]) -> None:
    await sell(db, 1)
    key = await issue(db)
    async with AsyncExitStack() as stack:
        clients, wires = [], []
        http = await stack.enter_async_context(aiohttp.ClientSession())
        for seed in (1, 2):
            _, url = await stack.enter_async_context(served(environ))
            wire, cut_url = await stack.enter_async_context(cutting_wire(url, rate=CUT, seed=seed))
            wires.append(wire)
            clients.append(Native(http, cut_url, key))
        gate = asyncio.Semaphore(AT_ONCE)

        async def wish(number: int) -> Any:
            body = {"service": 1, "link": f"https://example.com/p/{number}", "quantity": 50 + number % 50}
            async with gate:
                return await insist(
                    clients[number % 2 :] + clients[: number % 2], "POST", "/v1/orders", body, f"n{number}"
                )

        answers = await asyncio.gather(*(wish(number) for number in range(INTENTS)))
        batch = [{"service": 1, "link": f"https://example.com/b/{number}", "quantity": 50} for number in range(100)]
        batches = await asyncio.gather(
            *(
                insist(clients, "POST", "/v1/orders/batch", {"orders": batch[i : i + 10]}, f"b{i}")
                for i in range(0, 100, 10)
            )
        )
    assert sum(wire.cuts for wire in wires) > INTENTS * CUT / 2
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT id::text, number, link, quantity, price FROM orders")
    placed = {row["link"]: row for row in rows}
    assert Counter(row["link"] for row in rows) == Counter(
        [f"https://example.com/p/{number}" for number in range(INTENTS)] + [order["link"] for order in batch]
    )
    for answer in [*answers, *(outcome["order"] for each in batches for outcome in each["data"])]:
        row = placed[answer["link"]]
        assert (answer["id"], answer["number"], answer["quantity"]) == (row["id"], row["number"], row["quantity"])
    await assert_ledger_is_clean(db)
