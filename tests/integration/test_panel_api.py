"""The panel protocol through the whole HTTP side, on a real PostgreSQL and Valkey."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import aiohttp
import asyncpg
import pytest

from gateway.accounts.keys import revoke_key
from gateway.accounts.model import new_key
from gateway.api.routing import PANEL_PATHS
from gateway.db.engine import Database
from gateway.settings import Settings
from tests.support.panel import Panel, issue, sell, settings_for
from tests.support.serving import running

LINK = "https://example.com/p/1"
END_WHO_WAITS = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND relation = 'services'::regclass"


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return settings_for(database_url, redis_url)


@pytest.fixture
async def panel(db: Database, settings: Settings) -> AsyncIterator[Panel]:
    await sell(db, 1)
    key = await issue(db)
    async with running(settings) as url, aiohttp.ClientSession() as http:
        yield Panel(http, url, key)


@pytest.fixture(scope="module")
async def standing(shared_database_url: str, redis_url: str) -> AsyncIterator[Panel]:
    """A reseller of one gateway for all tests that only read or are refused; of its services one can be ordered."""
    db = await Database.open(shared_database_url)
    await sell(db, 1)
    await sell(db, 2, active=False)
    await sell(db, 3, currency="EUR")
    await sell(db, 4, kind="Nonsense")
    key = await issue(db)
    await db.close()
    async with running(settings_for(shared_database_url, redis_url)) as url, aiohttp.ClientSession() as http:
        yield Panel(http, url, key)


async def test_the_services_on_sale_are_listed_with_the_types_of_the_protocol(panel: Panel) -> None:
    [service] = await panel("services")
    assert service == {
        "service": 1,
        "name": "Followers",
        "type": "Default",
        "category": "First",
        "rate": "0.90",
        "min": "50",
        "max": "10000",
        "refill": True,
        "cancel": False,
        "dripfeed": True,
        "desc": "",
    }


async def test_only_what_the_caller_could_order_is_listed(db: Database, panel: Panel) -> None:
    await sell(db, 2, active=False)
    await sell(db, 3, currency="EUR")
    await sell(db, 4, kind="Nonsense")
    await sell(db, 5)
    assert await eventually(panel, [1, 5]) == [1, 5]


async def eventually(panel: Panel, numbers: list[int]) -> list[int]:
    """What is listed once it is these numbers, or after five seconds."""
    listed: list[int] = []
    for _ in range(100):
        listed = [service["service"] for service in await panel("services")]
        if listed == numbers:
            break
        await asyncio.sleep(0.05)
    return listed


async def test_an_order_is_placed_paid_and_shown(panel: Panel) -> None:
    added = await panel("add", service=1, link=LINK, quantity=1000)
    assert added == {"order": 100001}
    assert await panel("status", order=100001) == {
        "charge": "0.9",
        "start_count": "0",
        "status": "Pending",
        "remains": "1000",
        "currency": "USD",
    }
    assert await panel("balance") == {"balance": "99.1", "currency": "USD", "idempotency": True}


async def test_many_orders_are_shown_by_id_and_a_strangers_is_incorrect(db: Database, panel: Panel) -> None:
    mine = (await panel("add", service=1, link=LINK, quantity=100))["order"]
    stranger = Panel(panel.http, panel.url, await issue(db))
    theirs = (await stranger("add", service=1, link=LINK, quantity=100))["order"]
    shown = await panel("status", orders=f"{mine},{theirs}")
    assert shown[str(mine)]["status"] == "Pending"
    assert shown[str(theirs)] == {"error": "Incorrect order ID"}


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"service": 1, "link": LINK, "quantity": 49}, "Quantity less than minimal 50"),
        ({"service": 1, "link": LINK, "quantity": 10_001}, "Quantity more than maximum 10000"),
        ({"service": 1, "link": LINK, "quantity": "1_000"}, "Incorrect quantity"),
        ({"service": 1, "link": "", "quantity": 100}, "Incorrect link"),
        ({"service": 1, "link": LINK, "quantity": 100, "runs": 2}, "Incorrect request"),
        ({"service": 99, "link": LINK, "quantity": 100}, "Incorrect service ID"),
        ({"service": "x", "link": LINK, "quantity": 100}, "Incorrect service ID"),
        ({"link": LINK, "quantity": 100}, "Incorrect service ID"),
        ({"service": 2, "link": LINK, "quantity": 100}, "Disabled service ID"),
        ({"service": 3, "link": LINK, "quantity": 100}, "Incorrect service ID"),
        ({"service": 4, "link": LINK, "quantity": 100}, "Incorrect service ID"),
    ],
)
async def test_an_order_that_cannot_be_taken_is_refused_in_the_right_words(
    standing: Panel, fields: dict[str, object], error: str
) -> None:
    assert await standing("add", **fields) == {"error": error}
    assert await standing("balance") == {"balance": "100", "currency": "USD", "idempotency": True}


async def test_an_order_is_not_placed_where_the_catalogue_could_not_be_read(
    db: Database, settings: Settings, database_url: str
) -> None:
    await sell(db, 1)
    key = await issue(db)
    admin = await asyncpg.connect(database_url)
    async with running(settings) as url, aiohttp.ClientSession() as http, admin.transaction():
        await admin.execute("LOCK TABLE services")
        added = asyncio.create_task(Panel(http, url, key)("add", service=1, link=LINK, quantity=1000))
        while not await admin.fetchval(END_WHO_WAITS):
            assert not added.done(), "it did not wait for the lock"
        assert await added == {"error": "Service temporarily unavailable", "placed": False}
    await admin.close()


async def test_an_order_above_the_balance_is_refused(db: Database, panel: Panel) -> None:
    poor = Panel(panel.http, panel.url, await issue(db, deposit="0.01"))
    assert await poor("add", service=1, link=LINK, quantity=1000) == {"error": "Not enough funds on balance"}


@pytest.mark.parametrize("path", sorted(PANEL_PATHS))
async def test_every_path_speaks_the_panel_protocol_without_a_redirect(standing: Panel, path: str) -> None:
    fields = {"key": standing.key, "action": "balance"}
    multipart = aiohttp.FormData(fields, default_to_multipart=True)
    wanted = {"balance": "100", "currency": "USD", "idempotency": True}
    url = standing.url + path
    sent: list[dict[str, Any]] = [{"data": fields}, {"json": fields}, {"data": multipart}, {"params": fields}]
    for body in sent:
        async with standing.http.post(url, allow_redirects=False, **body) as reply:
            assert (reply.status, await reply.json()) == (200, wanted)
    async with standing.http.get(url, params=fields, allow_redirects=False) as reply:
        assert (reply.status, await reply.json()) == (200, wanted)


@pytest.mark.parametrize("key", ["", "nonsense", new_key()], ids=["none", "nonsense", "never issued"])
async def test_a_key_that_leads_nowhere_is_invalid(standing: Panel, key: str) -> None:
    assert await Panel(standing.http, standing.url, key)("balance") == {"error": "Invalid API key"}


async def test_a_revoked_key_is_refused(db: Database, panel: Panel) -> None:
    await panel("balance")
    async with db.transaction() as tx:
        await revoke_key(tx, await tx.fetchval("SELECT id FROM api_keys"))
    reply: Any = {}
    for _ in range(100):
        reply = await panel("balance")
        if "error" in reply:
            break
        await asyncio.sleep(0.05)
    assert reply == {"error": "Invalid API key"}


async def test_a_key_beyond_its_limit_is_told_when_to_come_back(db: Database, panel: Panel) -> None:
    fields = {"key": await issue(db, tier="basic"), "action": "balance"}
    for _ in range(5):
        async with panel.http.post(f"{panel.url}/api/v2", data=fields) as reply:
            assert reply.status == 200
    async with panel.http.post(f"{panel.url}/api/v2", data=fields) as reply:
        assert (reply.status, await reply.json()) == (429, {"error": "Too many requests"})
        assert int(reply.headers["Retry-After"]) > 0
        assert reply.headers["RateLimit-Policy"] == '"key";q=5;w=60'


async def test_an_address_that_tries_many_wrong_keys_is_slowed_down(database_url: str, redis_url: str) -> None:
    caller = {"X-Forwarded-For": f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"}
    async with (
        running(settings_for(database_url, redis_url, rate_wrong_keys=2)) as url,
        aiohttp.ClientSession() as http,
    ):
        statuses = []
        for _ in range(3):
            async with http.post(f"{url}/api/v2", data={"key": new_key()}, headers=caller) as reply:
                statuses.append(reply.status)
    assert statuses == [200, 200, 429]


async def test_the_last_use_of_a_key_is_written_by_the_end(db: Database, settings: Settings) -> None:
    key = await issue(db)
    async with running(settings) as url, aiohttp.ClientSession() as http:
        await Panel(http, url, key)("balance")
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT last_used_at FROM api_keys") is not None


async def test_a_request_id_is_taken_over_or_made(panel: Panel) -> None:
    for given, wanted in (("order-17_A", "order-17_A"), ("no good; x", "[0-9a-f]{16}"), ("x" * 65, "[0-9a-f]{16}")):
        async with panel.http.get(f"{panel.url}/api/v2", headers={"X-Request-Id": given}) as reply:
            assert re.fullmatch(wanted, reply.headers["X-Request-Id"])


async def test_what_is_not_there_is_answered_as_json(panel: Panel) -> None:
    for method, path, status, key in (
        ("GET", "/nowhere", 404, "title"),
        ("POST", "/health/live", 405, "title"),
        ("PUT", "/api/v2", 400, "error"),
    ):
        async with panel.http.request(method, panel.url + path) as reply:
            assert reply.status == status
            assert reply.content_type == ("application/json" if key == "error" else "application/problem+json")
            assert key in await reply.json(content_type=None)
            assert "X-Request-Id" in reply.headers
