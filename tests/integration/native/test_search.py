"""Searching services and refills: by words, by what they are, at the caller's own prices."""

from decimal import Decimal
from uuid import uuid4

import pytest

from gateway.catalog.prices import store as prices
from gateway.catalog.prices.model import CustomPrice
from gateway.db.engine import Database
from tests.support.native import Native, Standing

LINK = "https://example.com/p/1"


async def add_services(db: Database) -> None:
    """Seven more, numbers 11 to 17."""
    rows = [
        (11, "Instagram Followers real", "Instagram | Followers", "instagram", "followers", "0.5", True),
        (12, "Instagram Likes fast", "Instagram | Likes", "instagram", "likes", "0.1", False),
        (13, "TikTok Likes", "TikTok", "tiktok", "likes", "2", False),
        (14, "YouTube Views", "YouTube", "youtube", "views", "1.5", False),
        (15, "Подписчики Telegram", "Telegram", "telegram", "followers", "3", False),
        (17, "Likes/Views.Com 4K-HQ", "auto_drip", "web", "other", "5", False),
        (16, "100% 'quoted' & likes | !odd:*", "Odd", "other", "likes", "4", False),
    ]
    async with db.transaction() as tx:
        for number, name, category, platform, kind, price, refill in rows:
            service_id = await tx.fetchval(
                "INSERT INTO services (id, number, name, category, platform, type, price_per_1000, min_quantity,"
                " max_quantity, refill) VALUES ($1, $2, $3, $4, $5, $6, $7, 1, 1000, $8) RETURNING id",
                uuid4(), number, name, category, platform, kind, Decimal(price), refill,
            )  # fmt: skip
            await tx.execute(
                "INSERT INTO service_routes (id, service_id, provider_id, provider_service_id, cost_per_1000)"
                " SELECT $1, $2, id, $3, 0 FROM providers LIMIT 1",
                uuid4(), service_id, str(number),
            )  # fmt: skip


@pytest.fixture
async def stocked(db: Database, api: Native) -> Native:
    await add_services(db)
    return api


@pytest.fixture(scope="module")
async def shelf(standing: Standing) -> Native:
    """The same services, only to be looked at."""
    await add_services(standing.db)
    return standing.reseller


async def numbers(api: Native, query: str) -> list[int]:
    reply = await api("GET", f"/v1/services?{query}")
    assert reply.status == 200, reply.body
    return [service["number"] for service in reply.json()["data"]]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("q=instagram", [11, 12]),
        ("q=INSTAGRAM+lik", [12]),
        ("q=likes+instagram", [12]),
        ("q=followers+re", [11]),
        ("q=%D0%BF%D0%BE%D0%B4%D0%BF", [15]),
        ("q=%27quoted%27+%26+%7C+%21odd%3A%2A", [16]),
        ("q=%26%7C%21", []),
        ("q=views", [14, 17]),
        ("q=Likes%2FViews+4k", [17]),
        ("q=com+auto_dr", [17]),
        ("platform=tiktok", [13]),
        ("type=likes", [12, 13, 16]),
        ("category=Instagram+%7C+Likes", [12]),
        ("kind=Custom+Comments", [2]),
        ("min_price=1.5&max_price=2", [13, 14]),
        ("refill=true&platform=instagram", [1, 2, 11]),
        ("type=likes&limit=2", [12, 13]),
        ("type=likes&limit=2&after=13", [16]),
    ],
)
async def test_services_are_found(shelf: Native, query: str, expected: list[int]) -> None:
    assert await numbers(shelf, query) == expected


async def test_prices_are_the_callers_own(db: Database, stocked: Native) -> None:
    async with db.transaction() as tx:
        owner = await tx.fetchval("SELECT user_id FROM api_keys")
        service_id = await tx.fetchval("SELECT id FROM services WHERE number = 12")
        await prices.set_custom_price(tx, owner, service_id, CustomPrice(price=Decimal(9)))
    assert await numbers(stocked, "min_price=8") == [12]
    shown = (await stocked("GET", "/v1/services/12")).json()
    assert (shown["number"], shown["price"]) == (12, "9")


async def test_a_page_says_how_to_go_on(shelf: Native) -> None:
    page = (await shelf("GET", "/v1/services?limit=5")).json()
    assert (page["next"], page["has_more"]) == (13, True)
    rest = (await shelf("GET", "/v1/services?limit=5&after=13")).json()
    assert (rest["next"], rest["has_more"]) == (None, False)
    whole = (await shelf("GET", "/v1/services")).json()
    assert list(whole) == ["data"]
    assert whole["data"] == page["data"] + rest["data"]


async def test_what_is_not_sold_is_not_there(shelf: Native) -> None:
    answers = [await shelf("GET", f"/v1/services/{name}") for name in ("99", "x", "0", "1e1", "9" * 30, "%00")]
    assert {(answer.status, answer.body) for answer in answers} == {(404, answers[0].body)}


async def test_refills_are_listed_as_customers_are_told(db: Database, api: Native, other: Native) -> None:
    order = (await api("POST", "/v1/orders", {"service": 1, "link": LINK, "quantity": 100})).json()
    async with db.transaction() as tx:
        provider_id = await tx.fetchval("SELECT id FROM providers LIMIT 1")
        owner = await tx.fetchval("SELECT user_id FROM orders")
        for state, word in (("completed", None), ("rejected", None), ("refused", None), ("accepted", "In progress")):
            await tx.execute(
                "INSERT INTO refills (order_id, user_id, provider_id, external_order_id, state, upstream_status)"
                " VALUES ($1, $2, $3, '7', $4, $5)",
                order["id"], owner, provider_id, state, word,
            )  # fmt: skip
    listed = (await api("GET", f"/v1/refills?order={order['number']}")).json()["data"]
    assert sorted(refill["status"] for refill in listed) == ["completed", "in_progress", "rejected", "rejected"]
    for status, count in (("in_progress", 1), ("pending", 0), ("rejected", 2), ("completed", 1)):
        assert len((await api("GET", f"/v1/refills?status={status}")).json()["data"]) == count
    for name in (listed[0]["id"], listed[0]["number"]):
        assert (await api("GET", f"/v1/refills/{name}")).json() == listed[0]
    assert (await other("GET", "/v1/refills")).json()["data"] == []
    answers = [await other("GET", f"/v1/refills/{name}") for name in (listed[0]["id"], uuid4(), "x", 10**9)]
    assert {(answer.status, answer.body) for answer in answers} == {(404, answers[0].body)}
