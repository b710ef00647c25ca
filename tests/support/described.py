"""A real server with a stocked database, for those who try its description."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from gateway.db.engine import Database
from tests.support.native import Native
from tests.support.panel import SECRET, issue, sell
from tests.support.serving import served
from tests.support.stock import stock


@dataclass(frozen=True)
class Described:
    """Where it is, and a client of each role."""

    url: str
    reseller: Native
    admin: Native


@asynccontextmanager
async def described(db: Database, database_url: str, redis_url: str) -> AsyncIterator[Described]:
    """A serving process with some of everything."""
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
    async with db.transaction() as tx:
        await tx.execute("UPDATE api_keys SET requests_per_minute = 1000000")  # whatever becomes of the tier
    async with served(environ) as (_, url), aiohttp.ClientSession() as http:
        api, operator = Native(http, url, reseller), Native(http, url, admin)
        await stock(db, api, operator)
        yield Described(url, api, operator)
