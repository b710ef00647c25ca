"""A real server with a stocked database, for those who try its description."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from gateway.db.engine import Database
from tests.support.native import Native
from tests.support.panel import SECRET, issue, sell
from tests.support.serving import served

LINK = "https://example.com/p/1"


@dataclass(frozen=True)
class Described:
    """Where it is, and a key of each role."""

    url: str
    reseller: str
    admin: str


@asynccontextmanager
async def described(db: Database, database_url: str, redis_url: str) -> AsyncIterator[Described]:
    """A serving process; the reseller has orders, a webhook and a second key."""
    environ = {
        "GATEWAY_DATABASE_URL": database_url,
        "GATEWAY_REDIS_URL": redis_url,
        "GATEWAY_SECRET_KEY": SECRET,
        "GATEWAY_BIND": "127.0.0.1:0",
        "GATEWAY_RATE_ENTERPRISE": "1000000",
        "GATEWAY_RATE_WRONG_KEYS": "1000000",
        "GATEWAY_LOG_LEVEL": "error",
    }
    await sell(db, 1)
    await sell(db, 2, kind="Custom Comments")
    reseller, admin = await issue(db, deposit="1000000"), await issue(db, role="admin")
    async with served(environ) as (_, url), aiohttp.ClientSession() as http:
        api = Native(http, url, reseller)
        for quantity in (100, 200):
            placed = await api("POST", "/v1/orders", {"service": 1, "link": LINK, "quantity": quantity})
            assert placed.status == 201
        await api("POST", "/v1/webhooks", {"url": "https://example.com/hook", "events": ["*"]})
        await api("POST", "/v1/api-keys", {"name": "second"})
        yield Described(url, reseller, admin)
