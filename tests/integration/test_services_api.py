"""The lists of services over HTTP: everyone's own prices, tags, compression and the feed of changes."""

import gzip
from collections.abc import AsyncIterator, Mapping
from decimal import Decimal
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import msgspec
import pytest
import yarl

from gateway.catalog.prices import store as prices
from gateway.catalog.prices.model import CustomPrice
from gateway.db.engine import Database
from gateway.settings import Settings
from tests.support.faults import eventually
from tests.support.panel import Panel, issue, sell, settings_for
from tests.support.serving import running

LINK = "https://example.com/p/1"


@pytest.fixture
def settings(database_url: str, redis_url: str) -> Settings:
    return settings_for(database_url, redis_url)


@pytest.fixture
async def panel(db: Database, settings: Settings) -> AsyncIterator[Panel]:
    await sell(db, 1)
    await sell(db, 2)
    key = await issue(db)
    async with running(settings) as url, aiohttp.ClientSession() as http:
        yield Panel(http, url, key)


@pytest.fixture(scope="module")
async def standing(shared_database_url: str, redis_url: str) -> AsyncIterator[Panel]:
    """The same for all tests that only read or are refused."""
    db = await Database.open(shared_database_url)
    await sell(db, 1)
    await sell(db, 2)
    key = await issue(db)
    await db.close()
    async with running(settings_for(shared_database_url, redis_url)) as url, aiohttp.ClientSession() as http:
        yield Panel(http, url, key)


class Got(msgspec.Struct):
    """A whole reply."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


async def get(panel: Panel, path: str, key: str | None = None, **headers: str) -> Got:
    headers = {"Authorization": f"Bearer {key or panel.key}", **headers}
    async with panel.http.get(yarl.URL(f"{panel.url}{path}", encoded=True), headers=headers) as reply:
        return Got(reply.status, reply.headers, await reply.read())


async def owner_of(db: Database, key_number: int = 0) -> UUID:
    async with db.connection() as connection:
        owner: UUID = await connection.fetchval(
            "SELECT user_id FROM api_keys ORDER BY created_at OFFSET $1 LIMIT 1", key_number
        )
    return owner


async def service_id(db: Database, number: int) -> UUID:
    async with db.connection() as connection:
        found: UUID = await connection.fetchval("SELECT id FROM services WHERE number = $1", number)
    return found


async def until_rates(panel: Panel, expected: dict[int, str]) -> None:
    async def seen() -> bool:
        return {row["service"]: row["rate"] for row in await panel("services")} == expected

    await eventually(seen)


async def test_a_reseller_sees_and_pays_his_own_prices(db: Database, panel: Panel) -> None:
    other = Panel(panel.http, panel.url, await issue(db))
    async with db.transaction() as tx:
        owner = await owner_of(db)
        await prices.set_custom_price(tx, owner, await service_id(db, 1), CustomPrice(price=Decimal("0.5")))
        await prices.set_custom_price(tx, owner, None, CustomPrice(percent=Decimal(-10)))
    await until_rates(panel, {1: "0.50", 2: "0.81"})
    await until_rates(other, {1: "0.90", 2: "0.90"})
    for client, charge in ((panel, "0.05"), (other, "0.09")):
        order = (await client("add", service=1, link=LINK, quantity=100))["order"]
        assert (await client("status", order=order))["charge"] == charge
    listed = (await get(panel, "/v1/services")).json()
    assert [row["price"] for row in listed["data"]] == ["0.5", "0.81"]


async def test_those_with_equal_prices_are_sent_the_same_bytes(db: Database, panel: Panel) -> None:
    keys = [await issue(db), await issue(db)]
    async with db.transaction() as tx:
        for number in (1, 2):
            await prices.set_custom_price(tx, await owner_of(db, number), None, CustomPrice(percent=Decimal(5)))
    clients = [Panel(panel.http, panel.url, key) for key in keys]
    for client in clients:
        await until_rates(client, {1: "0.945", 2: "0.945"})
    tags = [(await get(panel, "/v1/services", key)).headers["ETag"] for key in (panel.key, *keys)]
    assert tags[1] == tags[2] != tags[0]


async def test_a_list_that_is_known_is_not_sent_again(db: Database, panel: Panel) -> None:
    first = await get(panel, "/v1/services")
    tag = first.headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await get(panel, "/v1/services", **{"If-None-Match": known})
        assert (again.status, again.body, again.headers["ETag"]) == (304, b"", tag)
    async with db.transaction() as tx:
        await tx.execute("UPDATE services SET price_per_1000 = 1 WHERE number = 1")
    await until_rates(panel, {1: "1.00", 2: "0.90"})
    changed = await get(panel, "/v1/services", **{"If-None-Match": tag})
    assert changed.status == 200
    assert changed.headers["ETag"] != tag


@pytest.mark.parametrize("native", [True, False])
async def test_a_list_is_compressed_for_those_who_take_that(standing: Panel, native: bool) -> None:
    async def ask(accept: str) -> tuple[bytes, str | None]:
        headers = {"Accept-Encoding": accept, "Authorization": f"Bearer {standing.key}"}
        async with aiohttp.ClientSession(auto_decompress=False) as raw:
            form = None if native else {"key": standing.key, "action": "services"}
            path = "/v1/services" if native else "/api/v2"
            async with raw.request(
                "GET" if native else "POST", standing.url + path, data=form, headers=headers
            ) as reply:
                return await reply.read(), reply.headers.get("Content-Encoding")

    plain, packed = await ask("identity"), await ask("gzip, deflate")
    assert (plain[1], packed[1]) == (None, "gzip")
    assert gzip.decompress(packed[0]) == plain[0]


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer nonsense", "Basic abc", "yb_x"])
async def test_without_a_key_nothing_is_shown(standing: Panel, authorization: str) -> None:
    for path in ("/v1/services", "/v1/services/changes"):
        async with standing.http.get(f"{standing.url}{path}", headers={"Authorization": authorization}) as reply:
            assert (reply.status, reply.content_type) == (401, "application/problem+json")
            assert reply.headers["WWW-Authenticate"] == "Bearer"
            assert await reply.json() == {
                "type": "/problems/invalid-key", "title": "The API key is not valid", "status": 401
            }  # fmt: skip


async def test_requests_are_counted_on_both_apis_together(db: Database, panel: Panel) -> None:
    key = await issue(db, tier="basic")
    statuses = [(await get(panel, "/v1/services", key)).status for _ in range(3)]
    limited = Panel(panel.http, panel.url, key)
    assert statuses == [200] * 3
    assert [await limited("balance") for _ in range(2)] == [
        {"balance": "100", "currency": "USD", "idempotency": True}
    ] * 2
    refused = await get(panel, "/v1/services", key)
    assert (refused.status, refused.json()["type"]) == (429, "/problems/too-many-requests")
    assert int(refused.headers["Retry-After"]) > 0


async def changes(panel: Panel, since: str, **query: Any) -> dict[str, Any]:
    reply = await get(
        panel, "/v1/services/changes?" + "&".join(f"{k}={v}" for k, v in {"since": since, **query}.items())
    )
    assert reply.status == 200, reply.body
    found: dict[str, Any] = reply.json()
    return found


async def test_what_changed_is_read_on_from_where_one_was(db: Database, panel: Panel) -> None:
    start = await changes(panel, "")
    assert [(row["service"], row["kind"]) for row in start["data"]] == [(1, "new"), (2, "new")]
    assert (await changes(panel, start["next"])) == {"data": [], "next": start["next"], "has_more": False}
    for statement in (
        "UPDATE services SET price_per_1000 = 1.5 WHERE number = 1",
        "UPDATE services SET max_quantity = 99 WHERE number = 2",
        "UPDATE services SET is_active = false WHERE number = 1",
        "UPDATE services SET is_active = true WHERE number = 1",
        "UPDATE services SET name = 'Other' WHERE number = 1",
    ):
        async with db.transaction() as tx:
            await tx.execute(statement)
    first = await changes(panel, start["next"], limit=2)
    assert [(row["service"], row["kind"]) for row in first["data"]] == [(1, "price"), (2, "limits")]
    assert (first["data"][0]["before"]["price"], first["data"][0]["after"]["price"]) == ("0.9", "1.5")
    assert first["has_more"]
    rest = await changes(panel, first["next"])
    assert [(row["service"], row["kind"]) for row in rest["data"]] == [(1, "off"), (1, "on")]
    assert not rest["has_more"]


async def test_changes_are_shown_at_the_readers_prices_and_in_his_currency(db: Database, panel: Panel) -> None:
    await sell(db, 3, currency="EUR")
    async with db.transaction() as tx:
        await prices.set_custom_price(tx, await owner_of(db), None, CustomPrice(percent=Decimal(100)))
    await until_rates(panel, {1: "1.80", 2: "1.80"})
    assert [(row["service"], row["after"]["price"]) for row in (await changes(panel, ""))["data"]] == [
        (1, "1.8"),
        (2, "1.8"),
    ]


async def test_a_change_that_commits_late_is_not_missed(db: Database, panel: Panel, database_url: str) -> None:
    start = (await changes(panel, ""))["next"]
    slow = await asyncpg.connect(database_url)
    transaction = slow.transaction()
    await transaction.start()
    await slow.execute("UPDATE services SET price_per_1000 = 2 WHERE number = 1")
    async with db.transaction() as tx:
        await tx.execute("UPDATE services SET price_per_1000 = 3 WHERE number = 2")
    early = await changes(panel, start)
    assert early["data"] == [], "what comes before it is not there yet"
    await transaction.commit()
    await slow.close()
    late = await changes(panel, early["next"])
    assert [row["service"] for row in late["data"]] == [1, 2]


async def test_since_may_be_a_time(standing: Panel) -> None:
    assert len((await changes(standing, "2020-01-01T00:00:00Z"))["data"]) == 2
    assert (await changes(standing, "2100-01-01T00:00:00%2B02:00"))["data"] == []


@pytest.mark.parametrize(
    "since",
    [
        "yesterday",
        "1.2.3",
        "9.99999999999999999999",
        "2020-01-01T00:00:00",
        "0001-01-01T00:00:00%2B14:00",
        "9999-12-31T23:59:59-14:00",
        "%00",
    ],
)
async def test_another_since_is_refused_clearly(standing: Panel, since: str) -> None:
    reply = await get(standing, f"/v1/services/changes?since={since}")
    assert (reply.status, reply.headers["Content-Type"]) == (422, "application/problem+json")
    assert reply.json()["errors"][0]["path"] == "query.since"
