"""Quality measured from real orders: what the API and the operator are told of it."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from statistics import quantiles
from uuid import UUID

import aiohttp
import pytest

from compat.status import UpstreamStatus
from gateway.catalog.quality import store
from gateway.catalog.quality.board import QualityBoard
from gateway.catalog.quality.model import RELATIVE_ERROR, Counts, merge
from gateway.catalog.quality.reading import quality_of, summaries
from gateway.db.engine import Database
from tests.integration.test_cli import execute
from tests.support.factories import Shop, add_route, add_shop
from tests.support.measured import NOON, NOW, count, count_all, ended, rows, shop
from tests.support.panel import Panel, issue, settings_for
from tests.support.serving import running

__all__ = ["shop"]


async def test_the_times_of_many_orders_are_told_within_the_stated_error(db: Database, shop: Shop) -> None:
    chosen = random.Random(7)
    finishes = [chosen.lognormvariate(8, 1.5) for _ in range(40)]
    for number, took_s in enumerate(finishes):
        await ended(db, shop, took_s=took_s, started_s=took_s / 4, at=NOON - timedelta(days=number % 4))
    await count(db)
    async with db.connection() as connection:
        told = (await summaries(connection))[shop.service.id]
        [service] = await quality_of(connection)
    assert told == service.summary == service.routes[0].summary
    assert (told.orders, told.completed_share) == (40, 1.0)
    ranked = sorted(finishes)
    for value, rank in ((told.finish_median_s, 20), (told.finish_p90_s, 36)):
        assert value == pytest.approx(ranked[rank - 1], rel=RELATIVE_ERROR + 0.005)
    for value, rank in ((told.start_median_s, 20), (told.start_p90_s, 36)):
        assert value == pytest.approx(ranked[rank - 1] / 4, rel=RELATIVE_ERROR + 0.005)
    assert quantiles(finishes)  # the sample is not degenerate


async def test_a_window_ends_where_it_says_and_nothing_is_said_under_ten(db: Database, shop: Shop) -> None:
    today = NOW.replace(hour=0, minute=0, second=1)
    for _ in range(10):
        await ended(db, shop, at=today - timedelta(days=7))
    for _ in range(9):
        await ended(db, shop, at=today - timedelta(days=6))
    await count(db)
    async with db.connection() as connection:
        assert await summaries(connection, 7) == {}
        month = await summaries(connection, 30)
        [week] = await quality_of(connection, 7, shop.service.number)
        assert await quality_of(connection, 7, 99_999) == []
    assert month[shop.service.id].orders == 19
    assert week.summary is None
    assert [route.summary for route in week.routes] == [None]


async def test_days_of_long_ago_are_forgotten(db: Database, shop: Shop) -> None:
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO quality_days (route_id, service_id, day) SELECT $1, $2, current_date - n FROM "
            "generate_series(80, 120) n",
            shop.route.id,
            shop.service.id,
        )
    await count(db)
    assert len(await rows(db)) == store.DAYS_KEPT - 80


async def test_the_board_gives_another_mapping_only_where_something_changed(db: Database, shop: Shop) -> None:
    board = QualityBoard()
    await board.refresh(db)
    assert (board.summaries, board.average_times) == ({}, {})
    for _ in range(10):
        await ended(db, shop, took_s=4800)
    await count(db)
    await board.refresh(db)
    before = board.summaries, board.average_times
    assert before[0][shop.service.id].orders == 10
    assert before[1] == {shop.service.id: "1 hour 18 minutes"}
    await board.refresh(db)
    assert (board.summaries is before[0], board.average_times is before[1]) == (True, True)
    await ended(db, shop, took_s=4800)
    await count_all(db)
    await board.refresh(db)
    assert (board.summaries is before[0], board.average_times is before[1]) == (False, True)


@pytest.fixture
async def panel(db: Database, shop: Shop, database_url: str, redis_url: str) -> AsyncIterator[Panel]:
    for _ in range(10):
        await ended(db, shop, took_s=60)
    other = await add_shop(db)
    for _ in range(9):
        await ended(db, other, took_s=60)
    await count(db)
    key = await issue(db)
    async with running(settings_for(database_url, redis_url)) as url, aiohttp.ClientSession() as http:
        yield Panel(http, url, key)


async def test_both_apis_show_an_average_time_and_say_nothing_under_ten_orders(panel: Panel) -> None:
    for _ in range(100):
        measured, silent = await panel("services")
        if "average_time" in measured:
            break
        await asyncio.sleep(0.05)
    assert measured["average_time"] == "1 minute"
    assert "average_time" not in silent
    headers = {"Authorization": f"Bearer {panel.key}"}
    async with panel.http.get(f"{panel.url}/v1/services", headers=headers) as reply:
        native, native_silent = (await reply.json())["data"]
    assert native["average_time"] == "1 minute"
    assert (native["quality"]["orders"], native["quality"]["completed_share"]) == (10, 1.0)
    assert (native_silent["average_time"], native_silent["quality"]) == (None, None)


async def test_what_is_told_of_a_provider_is_the_sum_over_its_routes(db: Database, shop: Shop) -> None:
    """Whose histograms are of different lengths, over days of which some have none."""
    other = await add_route(db, shop.service.id, shop.provider_id, provider_service_id="second")
    routes = [shop, Shop(shop.account, shop.service, shop.provider_id, other)]
    for back, route, status, took_s in (
        (0, 0, UpstreamStatus.COMPLETED, 3),
        (0, 1, UpstreamStatus.COMPLETED, 90_000),
        (2, 0, UpstreamStatus.PARTIAL, 700),
        (2, 1, UpstreamStatus.COMPLETED, 0.5),
        (5, 1, UpstreamStatus.CANCELED, 40),
    ):
        await ended(db, routes[route], status, took_s=took_s, started_s=0.2, at=NOON - timedelta(days=back))
    await count(db)
    async with db.connection() as connection:
        parts = (await store.totals(connection, "route_id", 30)).values()
        told = await store.total_of_provider(connection, shop.provider_id, 30)
        assert (told, told.orders, len(parts)) == (merge(parts), 5, 2)
        assert (await store.total_of_provider(connection, shop.provider_id, 4)).orders == 4
        assert await store.total_of_provider(connection, UUID(int=1), 30) == Counts()


async def test_the_operator_sees_services_and_their_routes(db: Database, shop: Shop, database_url: str) -> None:
    other = await add_route(db, shop.service.id, shop.provider_id, provider_service_id="second")
    for _ in range(9):
        await ended(db, shop, took_s=30, started_s=5)
    for _ in range(3):
        await ended(db, Shop(shop.account, shop.service, shop.provider_id, other), UpstreamStatus.CANCELED)
    await count(db)
    environ = {"GATEWAY_DATABASE_URL": database_url}
    [told] = json.loads((await execute("service", "quality", "--days", "7", "--json", **environ)).out)
    assert (told["number"], told["days"]) == (shop.service.number, 7)
    assert told["summary"]["orders"] == 12
    assert told["summary"]["completed_share"] == 0.75
    assert told["summary"]["finish_median_s"] is None
    assert [(route["provider_service_id"], route["summary"]) for route in told["routes"]] == [
        ("1", None),
        ("second", None),
    ]

    await ended(db, shop, took_s=30, started_s=5)
    await count_all(db)
    table = await execute("service", "quality", str(shop.service.number), **environ)
    heading, service, first, second = table.out.splitlines()
    assert heading.split()[:4] == ["NUMBER", "NAME", "ROUTE", "ORDERS"]
    assert service.split()[-8:] == ["5", "seconds", "58", "seconds", "28", "seconds", "28", "seconds"], "within 5 %"
    assert "100.0%" in first
    assert second.split()[-2:] == ["under", "10"]
    short = await execute("service", "quality", **environ)
    assert len(short.out.splitlines()) == 3, "nothing is said of the second route"
    unknown = await execute("service", "quality", "99999", **environ)
    assert (unknown.code, unknown.err.count("\n")) == (1, 1)
