"""What an operator sets of a service holds at once, and holds through syncs."""

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from gateway.catalog.editing import services
from gateway.db.engine import Database
from gateway.errors import Conflict, NotFound
from tests.support.faults import eventually
from tests.support.market import Market, listed, open_market


@pytest.fixture
async def market(db: Database) -> AsyncIterator[Market]:
    async with open_market(db) as market:
        await market.add("North", listed(1), listed(2), listed(3, type="Package"), markup="50")
        yield market


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({"name": "Hearts"}, ["name"]),
        ({"description": None}, ["description"]),
        ({"description": "slow\nand sure"}, ["description"]),
        ({"category": "Other things"}, ["category"]),
        ({"min_quantity": 20}, ["min_quantity"]),
        ({"max_quantity": 500, "min_quantity": 500}, ["max_quantity", "min_quantity"]),
        ({"price": Decimal("0.00000001")}, ["price"]),
        ({"platform": "web", "type": "views", "policy": "cheapest", "is_offered": False}, []),
    ],
)
async def test_what_is_set_holds_through_a_sync_that_changes_everything(
    market: Market, changes: dict[str, Any], kept: list[str]
) -> None:
    await market.set(1, **changes)
    everything = listed(1, name="A", desc="B", category="C", min="11", max="900", rate="1.1")
    market.lists("North", everything, listed(2), listed(3, type="Package"))
    await market.sync("North")
    after = await market.service(1)
    assert {name: getattr(after, name) for name in changes} == changes
    assert after.hand_set == kept
    followed = {"name": "A", "description": "B", "category": "C", "min_quantity": 11, "max_quantity": 900,
                "price": Decimal("1.65")}  # fmt: skip
    others = {name: value for name, value in followed.items() if name not in kept}
    assert {name: getattr(after, name) for name in others} == others


async def test_a_price_that_follows_again_is_made_anew_at_once(market: Market) -> None:
    await market.set(1, price=Decimal(9))
    await market.set_provider("North", markup_percent=Decimal(100))
    assert (await market.price(1), await market.price(2)) == (9, 2)
    await market.set(1, follow=frozenset({"price"}))
    assert (await market.price(1), (await market.service(1)).hand_set) == (2, [])


async def test_a_name_that_follows_again_comes_with_the_next_sync(market: Market) -> None:
    await market.set(1, name="Hearts", category="Mine")
    await market.set(1, follow=frozenset({"name"}))
    assert (await market.service(1)).name == "Hearts"
    await market.sync("North")
    after = await market.service(1)
    assert (after.name, after.category, after.hand_set) == ("Likes 1", "Mine", ["category"])


async def test_another_category_has_its_own_markup_at_once(market: Market) -> None:
    async with market.db.transaction() as tx:
        await tx.execute("INSERT INTO markups (category, percent) VALUES ('Dear', 900)")
    await market.set(1, category="Dear")
    assert (await market.price(1), await market.price(2)) == (10, Decimal("1.5"))


async def test_a_service_that_is_not_offered_is_off_and_comes_back(market: Market) -> None:
    await market.set(1, is_offered=False)
    assert await market.on_sale() == [2, 3]
    await market.sync("North")
    assert await market.on_sale() == [2, 3]
    await market.set(1, is_offered=True)
    assert await market.on_sale() == [1, 2, 3]


async def test_a_price_below_the_floor_takes_the_service_off_at_once(market: Market) -> None:
    await market.set_provider("North", margin_floor_percent=Decimal(10))
    said = await market.set(1, price=Decimal("1.05"))
    assert await market.on_sale() == [2, 3]
    assert said == ["it is offered and not on sale: its margin is below the floor"]
    await market.set(1, price=Decimal("1.2"))
    assert await market.on_sale() == [1, 2, 3]


async def test_what_is_hardly_meant_is_said_and_done(market: Market) -> None:
    assert await market.set(1, price=Decimal("0.9")) == ["the price is below the cost"]
    assert await market.set(1, min_quantity=1, max_quantity=5000) == [
        "no route takes fewer than 10: smaller orders would fail",
        "no route takes more than 1000: larger orders would fail",
    ]
    assert await market.set(1, min_quantity=10, max_quantity=1000) == []


@pytest.mark.parametrize(
    ("number", "changes", "words"),
    [
        (1, {"name": ""}, "name"),
        (1, {"name": "x" * 256}, "name"),
        (1, {"name": "two\nlines"}, "name"),
        (1, {"description": "a\x07bell"}, "description"),
        (1, {"min_quantity": 2000}, "min <= max"),
        (1, {"price": Decimal("-1")}, "price"),
        (1, {"price": Decimal("0.000000001")}, "8 decimal places"),
        (1, {"price": Decimal(10) ** 12}, "price"),
        (1, {"price": Decimal("NaN")}, "price"),
        (1, {"policy": "luck"}, "policy"),
        (1, {"name": "A", "follow": frozenset({"name"})}, "at once"),
        (1, {"follow": frozenset({"platform"})}, "does not follow"),
        (3, {"max_quantity": 5}, "one is ordered at a time"),
    ],
)
async def test_what_makes_no_sense_is_refused_and_changes_nothing(
    market: Market, number: int, changes: dict[str, Any], words: str
) -> None:
    before = await market.service(number)
    with pytest.raises(Conflict, match=words):
        await market.set(number, **changes)
    assert await market.service(number) == before


async def test_no_such_service_is_not_found(market: Market) -> None:
    with pytest.raises(NotFound, match="service 99"):
        await market.set(99, name="A")


async def test_what_is_set_while_a_sync_writes_is_not_lost(market: Market) -> None:
    """A sync holds its provider's row from before it reads the services until it is done."""
    market.lists("North", listed(1, name="Renamed", min="20"), listed(2), listed(3, type="Package"))
    holding, hold = asyncio.Event(), asyncio.Event()

    async def hold_the_provider() -> None:
        async with market.db.transaction() as tx:
            await tx.execute("SELECT FROM providers FOR NO KEY UPDATE")
            holding.set()
            await hold.wait()

    async def both_wait() -> bool:
        async with market.db.connection() as connection:
            count: int = await connection.fetchval("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
        return count == 2

    holder = asyncio.create_task(hold_the_provider())
    await holding.wait()
    edit = asyncio.create_task(market.set(1, name="Mine"))
    sync = asyncio.create_task(market.sync("North"))
    await eventually(both_wait)
    hold.set()
    await asyncio.gather(holder, edit, sync)
    after = await market.service(1)
    assert (after.name, after.min_quantity, after.hand_set) == ("Mine", 20, ["name"])


async def test_every_change_is_in_the_feed(market: Market) -> None:
    await market.set(1, price=Decimal(3), min_quantity=20)
    await market.set(1, is_offered=False)
    async with market.db.connection() as connection:
        rows = await connection.fetch("SELECT kind FROM catalog_changes WHERE number = 1 ORDER BY xid, id")
    assert [row["kind"] for row in rows] == ["new", "price", "limits", "off"]


async def test_a_service_is_shown_with_its_routes_and_prices_of_its_own(market: Market) -> None:
    async with market.db.snapshot() as tx:
        shown = await services.show_service(tx, 1)
    [(route, extra)] = shown.routes
    assert (route.provider_name, extra.is_source, extra.currency, shown.custom_prices) == ("North", True, "USD", 0)
    assert services.margin_of(shown.service.price, route) == Decimal("33.33")
