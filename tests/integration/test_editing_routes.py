"""Routes by hand: another upstream for a service, costs that wait, pauses that end."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from gateway.catalog import store as catalog
from gateway.catalog.editing import routes
from gateway.catalog.prices import store as prices
from gateway.db.engine import Database
from gateway.errors import Conflict, NotFound
from tests.support.market import Market, listed, open_market


@pytest.fixture
async def market(db: Database) -> AsyncIterator[Market]:
    """Service 1 of North and service 2 of South, which is a package; both cost 1."""
    async with open_market(db) as market:
        await market.add("North", listed(1, min="5", max="500"), markup="50")
        await market.add("South", listed(7, type="Package"), listed(8, rate="2", min="20", max="200"), markup="50")
        yield market


async def add_route(market: Market, number: int, provider: str, there: str, cost: str = "2") -> list[str]:
    async with market.db.transaction() as tx:
        return await routes.add_route(tx, number, provider, there, cost=Decimal(cost))


async def set_route(market: Market, provider: str, there: str, **changes: Any) -> None:
    async with market.db.transaction() as tx:
        await routes.set_route(tx, 1, provider, there, **changes)


async def accept(market: Market, **which: Any) -> list[tuple[int, Decimal]]:
    async with market.db.transaction() as tx:
        return [(row.service, row.offered_cost) for row in await routes.accept_costs(tx, **which)]


async def test_another_route_has_the_limits_that_are_known_and_keeps_the_terms_of_the_source(market: Market) -> None:
    assert await add_route(market, 1, "South", "8") == ["the service's price is below the cost of this route"]
    [first, second] = await market.routes(1)
    assert (first.provider_name, second.provider_name) == ("North", "South")
    assert (second.cost_per_1000, second.min_quantity, second.max_quantity) == (2, 20, 200)
    market.lists("South", listed(7, type="Package"), listed(8, rate="2.1", min="30", max="300", name="Another"))
    await market.sync("South")
    [_, second] = await market.routes(1)
    assert (second.cost_per_1000, second.min_quantity, second.max_quantity) == (Decimal("2.1"), 30, 300)
    service = await market.service(1)
    assert (service.name, service.price, service.min_quantity) == ("Likes 1", Decimal("1.5"), 5)


async def test_a_route_to_what_no_list_has_told_yet_gets_its_limits_with_the_next_sync(market: Market) -> None:
    assert await add_route(market, 1, "South", "9", "1") == ["its limits are not known before the next sync"]
    [_, route] = await market.routes(1)
    assert (route.min_quantity, route.active) == (None, True)
    market.lists("South", listed(7, type="Package"), listed(8, rate="2"), listed(9, min="40"))
    result = await market.sync("South")
    [_, route] = await market.routes(1)
    assert (route.min_quantity, result.new) == (40, 0)


@pytest.mark.parametrize(
    ("number", "provider", "there", "cost", "refusal", "words"),
    [
        (1, "South", "7", "1", Conflict, "of type Package"),
        (1, "North", "1", "1", Conflict, "this route already"),
        (1, "South", "", "1", Conflict, "id of a service"),
        (1, "South", "8", "-1", Conflict, "cost"),
        (9, "South", "8", "1", NotFound, "service 9"),
        (1, "West", "8", "1", NotFound, "provider West"),
    ],
)
async def test_a_route_that_makes_no_sense_is_refused(
    market: Market, number: int, provider: str, there: str, cost: str, refusal: type[Exception], words: str
) -> None:
    with pytest.raises(refusal, match=words):
        await add_route(market, number, provider, there, cost)
    assert len(await market.routes(1)) == 1


async def test_a_service_is_on_sale_while_one_of_its_routes_is(market: Market) -> None:
    await add_route(market, 1, "South", "8")
    await set_route(market, "North", "1", is_active=False)
    assert 1 in await market.on_sale()
    await set_route(market, "South", "8", is_active=False)
    assert 1 not in await market.on_sale()
    await market.sync("North")
    assert 1 not in await market.on_sale()
    await set_route(market, "South", "8", is_active=True, priority=5, weight=3)
    assert 1 in await market.on_sale()
    [south, north] = await market.routes(1)
    assert (south.priority, south.weight, north.off) == (5, 3, "it is switched off")


async def test_a_service_that_lost_its_route_is_on_sale_by_a_new_one(market: Market) -> None:
    market.lists("North", listed(2))
    async with market.db.transaction() as tx:
        await tx.execute("UPDATE service_routes SET is_listed = false WHERE provider_service_id = '1'")
        await catalog.refresh_sale(tx, provider_id=market.ids["North"])
    assert 1 not in await market.on_sale()
    await add_route(market, 1, "South", "8")
    assert 1 in await market.on_sale()


async def test_a_route_to_what_became_another_kind_is_not_bought_from(market: Market) -> None:
    """A package would be bought, and paid, for each order of a few."""
    await add_route(market, 1, "South", "8")
    await market.sync("South")
    market.lists("South", listed(7, type="Package"), listed(8, rate="2", type="Package"))
    await market.sync("South")
    assert [(route.provider_name, route.off) for route in await market.routes(1)] == [
        ("North", None),
        ("South", "its provider does not list it"),
    ]
    assert await market.on_sale() == [1, 2]
    assert (await market.sync("South")).vanished == 0
    await market.set(3, is_offered=False)
    await market.sync("South")
    await market.set(3, is_offered=True)
    assert (await market.service(3)).kind == "Package", "taken over while nobody could order it"
    assert await market.on_sale() == [1, 2, 3]
    market.lists("South", listed(7, type="Package"), listed(8, rate="2"))
    await market.sync("South")
    assert [route.off for route in await market.routes(1)] == [None, None]


async def test_there_is_no_such_route(market: Market) -> None:
    with pytest.raises(NotFound, match="route of service 1"):
        await set_route(market, "South", "8", priority=1)


# Costs that wait -----------------------------------------------------------------------------


@pytest.fixture
async def moved(market: Market) -> Market:
    """The costs of services 1 and 3 went up by more than the guard."""
    market.lists("North", listed(1, min="5", max="500", rate="1.5"))
    market.lists("South", listed(7, type="Package"), listed(8, rate="4", min="20", max="200"))
    await market.sync("North")
    await market.sync("South")
    assert await market.on_sale() == [2]
    return market


async def test_costs_that_wait_are_listed_with_how_far_they_moved(moved: Market) -> None:
    async with moved.db.connection() as connection:
        rows = await routes.list_quarantined(connection)
        of_north = await routes.list_quarantined(connection, "North")
    assert [(row.service, row.provider, row.cost, row.offered_cost, row.is_on_sale) for row in rows] == [
        (1, "North", 1, Decimal("1.5"), False),
        (3, "South", 2, 4, False),
    ]
    assert of_north == rows[:1]


@pytest.mark.parametrize(
    ("which", "accepted"),
    [({"numbers": [1]}, [1]), ({"numbers": [1, 3]}, [1, 3]), ({"provider": "South"}, [3]), ({}, [1, 3])],
    ids=str,
)
async def test_what_is_accepted_is_sold_at_once_at_its_new_price(
    moved: Market, which: dict[str, Any], accepted: list[int]
) -> None:
    assert [number for number, _ in await accept(moved, **which)] == accepted
    assert await moved.on_sale() == sorted([2, *accepted])
    new = {1: Decimal("2.25"), 3: Decimal(6)}
    assert {number: await moved.price(number) for number in accepted} == {number: new[number] for number in accepted}
    for name in moved.ids:
        assert (await moved.sync(name)).changed == 0
    assert await moved.on_sale() == sorted([2, *accepted])


async def test_a_floor_holds_for_the_route_that_is_left(market: Market) -> None:
    """Service 1 is sold at 1.5; while its source waits for an operator it would be bought at 2 times the rate."""
    await add_route(market, 1, "South", "8")
    market.lists("North", listed(1, min="5", max="500", rate="3"))
    await market.sync("North")
    assert 1 in await market.on_sale(), "without a floor the operator has allowed it"
    await market.set_provider("North", margin_floor_percent=Decimal(10))
    assert 1 not in await market.on_sale()
    await market.set_provider("South", exchange_rate=Decimal("0.5"))
    assert 1 in await market.on_sale()
    await market.set_provider("South", exchange_rate=Decimal(1))
    market.lists("North", listed(1, min="5", max="500"))
    await market.sync("North")
    assert 1 in await market.on_sale(), "the source sells again"


async def test_an_accepted_cost_below_the_floor_stays_off(moved: Market) -> None:
    await moved.set_provider("North", markup_percent=Decimal(0), margin_floor_percent=Decimal(10))
    await accept(moved, numbers=[1])
    assert await moved.on_sale() == [2]
    assert (await moved.service(1)).below_floor


async def test_accepting_many_costs_makes_prices_anew_once_a_provider(
    moved: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The catalogue is locked meanwhile: once a service would hold up orders for minutes."""
    priced = prices.priced
    asked: list[dict[str, Any]] = []

    async def count(tx: Any, **scope: Any) -> list[prices.Priced]:
        asked.append(scope)
        return await priced(tx, **scope)

    monkeypatch.setattr(prices, "priced", count)
    moved.lists("North", listed(1, rate="1.5"), listed(9, rate="1"))
    await moved.sync("North")
    moved.lists("North", listed(1, rate="1.5"), listed(9, rate="2"))
    await moved.sync("North")
    assert len(await accept(moved, provider="North")) == 2
    assert len(asked) == 1


async def test_where_nothing_waits_there_is_nothing_to_accept(moved: Market) -> None:
    with pytest.raises(NotFound, match="service 2"):
        await accept(moved, numbers=[1, 2])
    assert await moved.on_sale() == [2]


# Pauses --------------------------------------------------------------------------------------


async def test_a_pause_of_a_route_is_ended(market: Market) -> None:
    await add_route(market, 1, "South", "8")
    async with market.db.transaction() as tx:
        for route in await market.routes(1):
            await catalog.pause_route(tx, route.id, "no funds there", 3600)
    async with market.db.transaction() as tx:
        assert await routes.resume_routes(tx, 1, "South") == 1
    assert [route.usable for route in await market.routes(1)] == [False, True]
    async with market.db.transaction() as tx:
        assert await routes.resume_routes(tx, 1) == 1
        assert await routes.resume_routes(tx, 1) == 0
    assert all(route.usable for route in await market.routes(1))
