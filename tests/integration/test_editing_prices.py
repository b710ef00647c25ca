"""Markups, terms of providers and prices of single users: what is for sale has its new price at once."""

from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from gateway.catalog.editing import prices
from gateway.catalog.editing.store import get_provider
from gateway.catalog.prices.model import CustomPrice, Markup
from gateway.catalog.prices.store import list_custom_prices, list_markups
from gateway.db.engine import Database
from gateway.errors import Conflict, NotFound
from gateway.providers.actions import set_api_key
from tests.support.factories import add_shop, add_user, begin_attempt, place_order
from tests.support.market import KEYRING, Market, listed, open_market

TEN, HUNDRED = Markup(Decimal(10), Decimal(0)), Markup(Decimal(100), Decimal("0.5"))


@pytest.fixture
async def market(db: Database) -> AsyncIterator[Market]:
    """Services 1 and 2 of North in the categories A and B, 3 of South in A; each costs 1."""
    async with open_market(db) as market:
        await market.add("North", listed(1, category="A"), listed(2, category="B"), markup="50")
        await market.add("South", listed(1, category="A"), markup="50")
        yield market


async def set_markup(market: Market, markup: Markup, **scope: Any) -> int:
    async with market.db.transaction() as tx:
        return await prices.set_markup(tx, markup, **scope)


async def drop_markup(market: Market, **scope: Any) -> int:
    async with market.db.transaction() as tx:
        return await prices.drop_markup(tx, **scope)


async def all_prices(market: Market) -> list[Decimal]:
    return [await market.price(number) for number in (1, 2, 3)]


async def test_the_most_special_markup_holds_at_once_and_through_a_sync(market: Market) -> None:
    assert await all_prices(market) == [Decimal("1.5")] * 3
    assert await set_markup(market, TEN, category="A") == 2
    assert await all_prices(market) == [Decimal("1.1"), Decimal("1.5"), Decimal("1.1")]
    assert await set_markup(market, HUNDRED, category="A", provider="South") == 1
    assert await all_prices(market) == [Decimal("1.1"), Decimal("1.5"), Decimal("2.5")]
    assert await set_markup(market, Markup(Decimal(-100), Decimal(7)), service=3) == 1
    assert await all_prices(market) == [Decimal("1.1"), Decimal("1.5"), Decimal(7)]
    for name in market.ids:
        assert (await market.sync(name)).changed == 0
    assert await drop_markup(market, service=3) == 1
    assert await drop_markup(market, category="A") == 1
    assert await drop_markup(market, category="A", provider="South") == 1
    assert await all_prices(market) == [Decimal("1.5")] * 3


async def test_markups_are_listed_with_what_they_are_of(market: Market) -> None:
    await set_markup(market, HUNDRED, category="A", provider="South")
    await set_markup(market, TEN, service=2)
    async with market.db.connection() as connection:
        rows = await list_markups(connection)
    assert {(row.provider, row.category, row.service, row.percent, row.fixed) for row in rows} == {
        (None, None, 2, 10, 0),
        ("North", None, None, 50, 0),
        ("South", "A", None, 100, Decimal("0.5")),
        ("South", None, None, 50, 0),
    }


@pytest.mark.parametrize(
    ("scope", "refusal"),
    [
        ({}, Conflict),
        ({"category": "A", "service": 1}, Conflict),
        ({"service": 1, "provider": "North"}, Conflict),
        ({"category": " "}, Conflict),
        ({"category": "A", "provider": "Nowhere"}, NotFound),
        ({"service": 99}, NotFound),
    ],
)
async def test_a_markup_of_nothing_is_refused(market: Market, scope: dict[str, Any], refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        await set_markup(market, TEN, **scope)


async def test_a_markup_that_is_not_there_cannot_be_dropped(market: Market) -> None:
    with pytest.raises(NotFound, match="markup"):
        await drop_markup(market, category="A")


async def test_a_markup_that_makes_a_price_too_high_changes_nothing(market: Market) -> None:
    with pytest.raises(Conflict, match="too high"):
        await set_markup(market, Markup(Decimal(10), Decimal(999_999_999_999)), service=1)
    assert await all_prices(market) == [Decimal("1.5")] * 3


# The terms of a provider ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "price"),
    [
        ({"markup_percent": Decimal(25)}, "1.25"),
        ({"markup_fixed": Decimal("0.25")}, "1.75"),
        ({"markup_fixed": Decimal(-5)}, "0"),
        ({"price_step": Decimal("0.4")}, "1.6"),
        ({"exchange_rate": Decimal("1.1")}, "1.65"),
        ({"exchange_rate": Decimal("0.00000001")}, "0.00000002"),
    ],
)
async def test_a_term_of_a_provider_makes_its_prices_anew_at_once(
    market: Market, changes: dict[str, Any], price: str
) -> None:
    await market.set_provider("North", **changes)
    assert await all_prices(market) == [Decimal(price), Decimal(price), Decimal("1.5")]
    assert (await market.sync("North")).changed == 0
    assert await all_prices(market) == [Decimal(price), Decimal(price), Decimal("1.5")]


async def test_a_floor_takes_off_what_earns_less_and_gives_it_back(market: Market) -> None:
    await market.set_provider("North", margin_floor_percent=Decimal(40))
    assert await market.on_sale() == [3]
    await market.set_provider("North", markup_percent=Decimal(100))
    assert await market.on_sale() == [1, 2, 3]
    await market.set_provider("North", markup_percent=Decimal(0))
    assert await market.on_sale() == [3]
    await market.set_provider("North", margin_floor_percent=None)
    assert await market.on_sale() == [1, 2, 3]


async def test_a_wider_guard_lets_a_cost_in_with_the_next_sync(market: Market) -> None:
    market.lists("South", listed(1, category="A", rate="1.3"))
    await market.sync("South")
    assert (await market.price(3), await market.on_sale()) == (Decimal("1.5"), [1, 2])
    await market.set_provider("South", price_guard_percent=Decimal(30))
    await market.sync("South")
    assert (await market.price(3), await market.on_sale()) == (Decimal("1.95"), [1, 2, 3])


async def test_new_services_are_held_where_the_provider_says_so(market: Market) -> None:
    await market.set_provider("South", hold_new=True)
    market.lists("South", listed(1, category="A"), listed(2))
    await market.sync("South")
    assert await market.on_sale() == [1, 2, 3]
    assert not (await market.service(4)).is_offered


async def test_a_provider_that_is_off_sells_nothing_until_it_is_on(market: Market) -> None:
    await market.set_provider("North", is_active=False)
    assert await market.on_sale() == [3]
    await market.set_provider("North", is_active=True)
    assert await market.on_sale() == [1, 2, 3]


async def test_what_is_not_given_stays(market: Market) -> None:
    async with market.db.connection() as connection:
        before = await get_provider(connection, market.ids["North"])
    await market.set_provider("North", sends_per_second=Decimal("0.5"), max_in_flight=3, low_balance=Decimal(7))
    await market.set_provider("North", priority=4)
    async with market.db.connection() as connection:
        after = await get_provider(connection, market.ids["North"])
    changed = {name for name in after.__struct_fields__ if getattr(after, name) != getattr(before, name)}
    assert changed == {"sends_per_second", "max_in_flight", "low_balance", "priority"}


@pytest.mark.parametrize(
    "changes",
    [
        {"markup_percent": Decimal(-101)},
        {"markup_percent": Decimal("0.00001")},
        {"markup_fixed": Decimal(10) ** 12},
        {"price_step": Decimal(0)},
        {"exchange_rate": Decimal(0)},
        {"exchange_rate": Decimal("Infinity")},
        {"margin_floor_percent": Decimal(100)},
        {"price_guard_percent": Decimal(0)},
        {"sends_per_second": Decimal(-1)},
        {"max_in_flight": 0},
        {"api_endpoint": "ftp://panel.example"},
        {"dialect": "latin"},
    ],
    ids=str,
)
async def test_a_term_that_makes_no_sense_is_refused(market: Market, changes: dict[str, Any]) -> None:
    with pytest.raises(Conflict):
        await market.set_provider("North", **changes)


@pytest.mark.parametrize("what", ["key", "address", "priority"])
async def test_nothing_is_sent_again_to_another_account_or_panel(db: Database, market: Market, what: str) -> None:
    shop = await add_shop(db)
    market.ids["West"] = shop.provider_id
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET honours_extension = true WHERE id = $1", shop.provider_id)
    await begin_attempt(db, shop, await place_order(db, shop))
    if what == "key":
        async with db.transaction() as tx:
            await set_api_key(tx, KEYRING, shop.provider_id, "another")
    elif what == "address":
        await market.set_provider("West", api_endpoint="https://other.example/api/v2")
    else:
        await market.set_provider("West", priority=5, api_endpoint="http://127.0.0.1:1/api/v2")
    async with db.connection() as connection:
        replayable = await connection.fetchval("SELECT replayable FROM dispatch_attempts")
        honours = await connection.fetchval("SELECT honours_extension FROM providers WHERE id = $1", shop.provider_id)
    assert (replayable, honours) == ((True, True) if what == "priority" else (False, False))


# Prices of single users ----------------------------------------------------------------------


async def set_price(market: Market, user_id: UUID, custom: CustomPrice, service: int | None = None) -> list[str]:
    async with market.db.transaction() as tx:
        return await prices.set_custom_price(tx, user_id, custom, service)


async def test_prices_of_a_user_are_kept_and_listed_and_dropped(db: Database, market: Market) -> None:
    ann = await add_user(db, email="ann@example.com")
    assert await set_price(market, ann, CustomPrice(percent=Decimal(-10))) == []
    assert await set_price(market, ann, CustomPrice(price=Decimal("1.2")), 1) == []
    assert await set_price(market, ann, CustomPrice(price=Decimal("1.3")), 1) == []
    async with db.connection() as connection:
        rows = await list_custom_prices(connection, ann)
    assert [(row.service, row.price, row.percent, row.price_for_all) for row in rows] == [
        (None, None, -10, None),
        (1, Decimal("1.3"), None, Decimal("1.5")),
    ]
    async with db.transaction() as tx:
        await prices.drop_custom_price(tx, ann, 1)
        await prices.drop_custom_price(tx, ann, None)
        assert await list_custom_prices(tx) == []
        with pytest.raises(NotFound):
            await prices.drop_custom_price(tx, ann, None)


async def test_a_price_below_the_cost_is_allowed_and_said(db: Database, market: Market) -> None:
    ann = await add_user(db)
    said = await set_price(market, ann, CustomPrice(price=Decimal("0.99")), 2)
    assert said == ["1 services would be sold below their cost, the first of them 2"]
    assert await set_price(market, ann, CustomPrice(percent=Decimal(-50))) == [
        "3 services would be sold below their cost, the first of them 1"
    ]


@pytest.mark.parametrize(
    ("custom", "service"),
    [
        (CustomPrice(price=Decimal(1)), None),
        (CustomPrice(price=Decimal(-1)), 1),
        (CustomPrice(percent=Decimal("-100.5")), 1),
        (CustomPrice(percent=Decimal("0.12345")), None),
    ],
)
async def test_a_price_that_makes_no_sense_is_refused(
    db: Database, market: Market, custom: CustomPrice, service: int | None
) -> None:
    with pytest.raises(Conflict):
        await set_price(market, await add_user(db), custom, service)
