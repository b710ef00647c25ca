"""Syncs of several providers at once: what they share is right afterwards, and none fails with another."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from gateway.catalog import store as catalog
from gateway.catalog.editing import routes
from gateway.catalog.editing.prices import set_markup
from gateway.catalog.prices.model import Markup
from gateway.catalog.sync import syncing
from gateway.catalog.sync.syncing import sync_due
from gateway.db.engine import Database
from tests.support.market import Market, listed, open_market

APART_S = 0.5
"""How long one sync waits for the other before it goes on alone."""
NORTH = [listed(1), listed(2), listed(3)]
SOUTH = [listed(11), listed(12), listed(13)]


@pytest.fixture
async def market(db: Database) -> AsyncIterator[Market]:
    """Service 1 can be bought as 1 of North, its source, and as 11 of South."""
    async with open_market(db) as market:
        await market.add("North", *NORTH)
        await market.add("South", *SOUTH)
        async with db.transaction() as tx:
            await routes.add_route(tx, 1, "South", "11", cost=Decimal(1))
        yield market


async def sync_both(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have written their routes, if they can, before either decides what is on sale."""
    written: list[str] = []
    together = asyncio.Event()
    refresh_sale = catalog.refresh_sale

    async def refresh_together(tx: Any, **scope: Any) -> None:
        written.append(str(scope))
        if len(written) == 2:
            together.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(together.wait(), APART_S)
        await refresh_sale(tx, **scope)

    monkeypatch.setattr(catalog, "refresh_sale", refresh_together)
    await asyncio.gather(market.sync("North"), market.sync("South"))


async def test_a_service_that_one_drops_while_the_other_lists_it_again_is_on_sale(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    market.lists("South", *SOUTH[1:])
    await market.sync("South")
    market.lists("North", *NORTH[1:])
    market.lists("South", *SOUTH)
    await sync_both(market, monkeypatch)
    assert 1 in await market.on_sale()


async def test_a_service_that_both_drop_is_off_sale(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    market.lists("North", *NORTH[1:])
    market.lists("South", *SOUTH[1:])
    await sync_both(market, monkeypatch)
    assert 1 not in await market.on_sale()


async def test_a_service_that_comes_back_below_its_floor_stays_off_and_fails_no_sync(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    await market.set_provider("North", margin_floor_percent=Decimal(5), price_guard_percent=Decimal(50))
    await market.set(1, price=Decimal("1.1"))
    market.lists("North", *NORTH[1:])
    market.lists("South", *SOUTH[1:])
    for name in market.ids:
        await market.sync(name)
    market.lists("North", listed(1, rate="1.4"), *NORTH[1:])
    market.lists("South", *SOUTH)
    await sync_both(market, monkeypatch)
    assert 1 not in await market.on_sale()
    assert (await market.service(1)).below_floor


async def make_due(db: Database) -> None:
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET sync_tried_at = now() - interval '1 day'")


async def test_a_sync_that_breaks_is_noted_and_breaks_no_other(
    db: Database, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = syncing._write

    async def break_north(tx: Any, provider_id: Any, *rest: Any, **named: Any) -> None:
        if provider_id == market.ids["North"]:
            raise RuntimeError("broken")
        await write(tx, provider_id, *rest, **named)

    monkeypatch.setattr(syncing, "_write", break_north)
    await make_due(db)
    assert await sync_due(db, market.upstreams, 60) == 1
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT name, sync_error FROM providers")
    noted = {row["name"]: row["sync_error"] for row in rows}
    assert noted["South"] is None
    assert "error of the gateway" in noted["North"]


async def test_a_price_that_a_markup_of_its_own_makes_too_high_takes_that_service_off_alone(
    db: Database, market: Market
) -> None:
    market.lists("North", listed(1), listed(2), listed(4, rate="900000000"))
    await market.sync("North")
    async with db.transaction() as tx:
        number: int = await tx.fetchval("SELECT number FROM services WHERE name = 'Likes 4'")
        await set_markup(tx, Markup(Decimal(99_900), Decimal(0)), service=number)
    market.lists("North", listed(1), listed(2, min="20"), listed(4, rate="1070000000"))
    result = await market.sync("North")
    assert (result.vanished, result.skipped) == (1, 1)
    assert (await market.service(2)).min_quantity == 20
    assert number not in await market.on_sale()
