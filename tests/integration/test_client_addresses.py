"""Where a caller is: only stated proxies are believed, and a key is used from its own addresses alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import pytest

from gateway.accounts.addresses import parse_network
from gateway.accounts.keys import issue_key
from gateway.accounts.users import UNUSABLE_PASSWORD, add_user
from gateway.db.engine import Database
from gateway.keyring import Keyring
from tests.support.panel import SECRET
from tests.support.serving import served

INVALID = {"error": "Invalid API key"}


class Caller:
    """Asks a serving process for a balance, from 127.0.0.1 and as whoever the header says."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http, self._url = http, url

    async def __call__(self, key: str, *forwarded: str) -> tuple[int, Any]:
        headers = [("X-Forwarded-For", each) for each in forwarded]
        fields = {"key": key, "action": "balance"}
        async with self._http.post(f"{self._url}/api/v2", data=fields, headers=headers) as reply:
            return reply.status, await reply.json()

    async def lets_in(self, key: str, *forwarded: str) -> bool:
        status, answer = await self(key, *forwarded)
        assert status == 200
        assert "balance" in answer or answer == INVALID
        return "balance" in answer


@asynccontextmanager
async def serving(database_url: str, redis_url: str, **settings: str) -> AsyncIterator[Caller]:
    environ = {
        "GATEWAY_DATABASE_URL": database_url,
        "GATEWAY_REDIS_URL": redis_url,
        "GATEWAY_SECRET_KEY": SECRET,
        "GATEWAY_BIND": "127.0.0.1:0",
        "GATEWAY_RATE_WRONG_KEYS": "1000",
        **{f"GATEWAY_{name.upper()}": value for name, value in settings.items()},
    }
    async with served(environ) as (_, url), aiohttp.ClientSession() as http:
        yield Caller(http, url)


async def key_for(db: Database, *networks: str, requests_per_minute: int | None = None) -> str:
    email = f"{uuid4().hex}@example.com"
    async with db.transaction() as tx:
        await add_user(tx, email, "reseller", UNUSABLE_PASSWORD)
        _, key = await issue_key(
            tx, Keyring((SECRET,)), email, "pro", "shop", "USD", None,
            allowed_addresses=tuple(parse_network(each) for each in networks) or None,
            requests_per_minute=requests_per_minute,
        )  # fmt: skip
    return key


@pytest.mark.parametrize("trusted", ["", "192.0.2.1, 10.0.0.0/8"], ids=["no proxy", "other proxies"])
async def test_what_a_peer_says_that_is_no_stated_proxy_is_not_believed(
    db: Database, database_url: str, redis_url: str, trusted: str
) -> None:
    there, here = await key_for(db, "203.0.113.0/24"), await key_for(db, "127.0.0.0/8")
    async with serving(database_url, redis_url, trusted_proxies=trusted) as caller:
        assert not await caller.lets_in(there, "203.0.113.7")
        assert not await caller.lets_in(there)
        assert await caller.lets_in(here, "203.0.113.7")


async def test_a_stated_proxy_is_believed_and_what_came_before_it_is_not(
    db: Database, database_url: str, redis_url: str
) -> None:
    v4, v6 = await key_for(db, "203.0.113.0/24"), await key_for(db, "2001:db8::/32")
    async with serving(database_url, redis_url, trusted_proxies="127.0.0.1,10.0.0.0/8") as caller:
        for forwarded in ("203.0.113.7", "::ffff:203.0.113.7", "203.0.113.7, 10.1.2.3", "203.0.113.7:5123"):
            assert await caller.lets_in(v4, forwarded), forwarded
            assert not await caller.lets_in(v6, forwarded), forwarded
        for forwarded in ("2001:db8::7", "2001:DB8:0::7", "[2001:db8::7]:443"):
            assert await caller.lets_in(v6, forwarded), forwarded
            assert not await caller.lets_in(v4, forwarded), forwarded
        for spoofed in (
            "203.0.113.7, 198.51.100.9",
            "203.0.113.7,198.51.100.9, 10.1.2.3",
            "unknown",
            "",
            "203.0.113.7, x",
        ):
            assert not await caller.lets_in(v4, spoofed), spoofed
        assert not await caller.lets_in(v4, "203.0.113.7", "198.51.100.9")
        assert not await caller.lets_in(v4)
        assert await caller.lets_in(await key_for(db), "unknown")


async def test_a_stolen_key_uses_up_no_limit_but_that_of_the_thiefs_address(
    db: Database, database_url: str, redis_url: str
) -> None:
    key = await key_for(db, "203.0.113.0/24", requests_per_minute=2)
    thief = f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"
    async with serving(database_url, redis_url, trusted_proxies="127.0.0.1", rate_wrong_keys="5") as caller:
        answers = [await caller(key, thief) for _ in range(7)]
        assert [status for status, _ in answers] == [200] * 5 + [429] * 2
        assert all(answer == INVALID for _, answer in answers[:5])
        owner = [status for status, _ in await asyncio.gather(*(caller(key, "203.0.113.7") for _ in range(3)))]
        assert sorted(owner) == [200, 200, 429]
