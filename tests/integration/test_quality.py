"""Quality measured from real orders: what the worker counts, and what the API and the operator are told."""

import asyncio
import json
import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from statistics import quantiles
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import pytest

from compat.status import UpstreamStatus
from compat.wire import Accepted
from gateway.catalog.quality import store
from gateway.catalog.quality.board import QualityBoard
from gateway.catalog.quality.measuring import measure
from gateway.catalog.quality.model import RELATIVE_ERROR
from gateway.catalog.quality.reading import quality_of, summaries
from gateway.db.engine import Database
from gateway.dispatch.outcomes import record
from gateway.orders.model import Order
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import Reported
from tests.integration.test_cli import execute
from tests.support.factories import Shop, add_route, add_shop, begin_attempt, place_order, read_order
from tests.support.panel import Panel, issue, settings_for
from tests.support.serving import running

Row = tuple[int, int, int, int]
NOW = datetime.now(UTC)
NOON = NOW.replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
"""Of yesterday, so that no test crosses midnight."""


@pytest.fixture
async def shop(db: Database) -> Shop:
    return await add_shop(db, funds="10000")


async def count(db: Database) -> int:
    """One run without a rest after it."""
    return await measure(db, rest_s=0, share_max=1)


async def count_all(db: Database) -> int:
    """As `count`, as if never before: the times of `ended` lie before the last run."""
    async with db.transaction() as tx:
        await tx.execute("DELETE FROM quality_progress")
    return await count(db)


async def taken_order(db: Database, shop: Shop) -> Order:
    order = await place_order(db, shop)
    attempt = await begin_attempt(db, shop, order)
    await record(db, attempt, Accepted(f"up-{order.number}"), timedelta())
    return await read_order(db, order.number)


async def tell(db: Database, order: Order, status: UpstreamStatus, remains: int | None = None) -> None:
    async with db.transaction() as tx:
        await settle(tx, [Change(order.id, Reported(word=status.value, status=status, remains=remains))])


async def ended(
    db: Database,
    shop: Shop,
    status: UpstreamStatus = UpstreamStatus.COMPLETED,
    *,
    took_s: float = 600,
    started_s: float = 60,
    at: datetime = NOON,
) -> Order:
    """An order that was settled, with its times put to where the test wants them."""
    order = await taken_order(db, shop)
    await tell(db, order, UpstreamStatus.IN_PROGRESS)
    await tell(db, order, status, 400 if status is UpstreamStatus.PARTIAL else None)
    async with db.transaction() as tx:
        await tx.execute(
            "UPDATE dispatch_attempts SET finished_at = $2 WHERE order_id = $1",
            order.id,
            at - timedelta(seconds=took_s),
        )
        await tx.execute(
            "UPDATE orders SET completed_at = $2, started_at = $3 WHERE id = $1",
            order.id,
            at,
            at - timedelta(seconds=took_s - started_s),
        )
    return order


async def rows(db: Database) -> dict[tuple[UUID, str], Row]:
    async with db.connection() as connection:
        found = await connection.fetch("SELECT * FROM quality_days")
    return {
        (row["route_id"], str(row["day"])): (row["completed"], row["partial"], row["cancelled"], row["refills"])
        for row in found
    }


async def times_of(db: Database, order: Order) -> tuple[datetime | None, datetime | None]:
    async with db.connection() as connection:
        row = await connection.fetchrow("SELECT started_at, completed_at FROM orders WHERE id = $1", order.id)
    assert row is not None
    return row["started_at"], row["completed_at"]


async def test_an_order_started_when_its_upstream_first_said_in_progress(db: Database, shop: Shop) -> None:
    order = await taken_order(db, shop)
    await tell(db, order, UpstreamStatus.PENDING)
    assert await times_of(db, order) == (None, None)
    await tell(db, order, UpstreamStatus.IN_PROGRESS)
    started, _ = await times_of(db, order)
    assert started is not None
    await tell(db, order, UpstreamStatus.PROCESSING, 500)
    await tell(db, order, UpstreamStatus.IN_PROGRESS, 100)
    await tell(db, order, UpstreamStatus.COMPLETED)
    again, completed = await times_of(db, order)
    assert again == started
    assert completed is not None
    assert completed > started


@pytest.mark.parametrize(
    ("status", "remains", "started"),
    [
        (UpstreamStatus.COMPLETED, None, True),
        (UpstreamStatus.PARTIAL, 400, True),
        (UpstreamStatus.CANCELED, None, False),
        (UpstreamStatus.PARTIAL, 1000, False),
    ],
)
async def test_an_order_that_ended_started_only_if_something_was_delivered(
    db: Database, shop: Shop, status: UpstreamStatus, remains: int | None, started: bool
) -> None:
    order = await taken_order(db, shop)
    await tell(db, order, status, remains)
    begun, completed = await times_of(db, order)
    assert completed is not None
    assert (begun == completed) is started


async def test_orders_are_counted_by_route_day_and_outcome(db: Database, shop: Shop) -> None:
    for status in (UpstreamStatus.COMPLETED, UpstreamStatus.COMPLETED, UpstreamStatus.PARTIAL, UpstreamStatus.CANCELED):
        await ended(db, shop, status)
    other = await add_route(db, shop.service.id, shop.provider_id, provider_service_id="2")
    await ended(db, Shop(shop.account, shop.service, shop.provider_id, other), at=NOON - timedelta(days=3))
    await place_order(db, shop)
    await taken_order(db, shop)
    await count(db)
    assert await rows(db) == {
        (shop.route.id, str(NOON.date())): (2, 1, 1, 0),
        (other.id, str((NOON - timedelta(days=3)).date())): (1, 0, 0, 0),
    }


async def test_a_day_is_that_of_utc_whatever_the_session_says(db: Database, shop: Shop) -> None:
    midnight = NOON.replace(hour=0)
    await ended(db, shop, at=midnight)
    await ended(db, shop, at=midnight - timedelta(microseconds=1))
    async with db.transaction() as tx:
        await tx.execute("SET LOCAL TimeZone = 'Pacific/Kiritimati'")
        claim = await store.claim(tx)
        assert claim is not None
        for day in await store.days_touched(tx, claim, timedelta()):
            await store.count_day(tx, day)
    assert sorted(day for _, day in await rows(db)) == [
        str((midnight - timedelta(days=1)).date()),
        str(midnight.date()),
    ]


async def test_counting_again_changes_nothing(db: Database, shop: Shop) -> None:
    await ended(db, shop)
    await count(db)
    before = await everything(db)
    assert await count(db) == 0, "no order ended since"
    assert await count_all(db) == store.DAYS_BACK
    assert await everything(db) == before


async def everything(db: Database) -> list[dict[str, Any]]:
    async with db.connection() as connection:
        return [dict(row) for row in await connection.fetch("SELECT * FROM quality_days ORDER BY route_id, day")]


async def test_only_days_with_news_are_counted_again(db: Database, shop: Shop) -> None:
    await ended(db, shop, at=NOON - timedelta(days=5))
    await count(db)
    async with db.transaction() as tx:
        await tx.execute("UPDATE quality_days SET completed = 77")
    order = await taken_order(db, shop)
    await tell(db, order, UpstreamStatus.COMPLETED)
    _, completed = await times_of(db, order)
    assert completed is not None
    assert await count(db) == 1
    assert (await rows(db))[shop.route.id, str((NOON - timedelta(days=5)).date())] == (77, 0, 0, 0)
    assert (await rows(db))[shop.route.id, str(completed.date())] == (1, 0, 0, 0)


async def test_an_order_whose_transaction_outlived_a_run_is_counted_by_the_next(
    db: Database, shop: Shop, database_url: str
) -> None:
    order = await taken_order(db, shop)
    async with db.transaction() as tx:
        await settle(tx, [Change(order.id, Reported(word="Completed", status=UpstreamStatus.COMPLETED))])
        await count(db)
        assert await rows(db) == {}
    await count(db)
    assert list((await rows(db)).values()) == [(1, 0, 0, 0)]


async def test_what_was_taken_back_and_refilled_later_changes_the_day_on_which_it_ended(
    db: Database, shop: Shop
) -> None:
    first, second = await ended(db, shop), await ended(db, shop)
    await count(db)
    assert list((await rows(db)).values()) == [(2, 0, 0, 0)]
    await tell(db, first, UpstreamStatus.PARTIAL, 300)
    await count(db)
    assert list((await rows(db)).values()) == [(1, 1, 0, 0)]
    await tell(db, first, UpstreamStatus.CANCELED)
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO refills (order_id, user_id, provider_id, external_order_id) VALUES ($1, $2, $3, '7')",
            second.id,
            second.user_id,
            shop.provider_id,
        )
    await count(db)
    assert list((await rows(db)).values()) == [(1, 0, 1, 1)]


async def test_two_workers_at_once_count_every_order_once(db: Database, shop: Shop) -> None:
    for _ in range(5):
        await ended(db, shop)
    await asyncio.gather(*(count(db) for _ in range(6)))
    await count(db)
    assert list((await rows(db)).values()) == [(5, 0, 0, 0)]


async def test_a_worker_leaves_a_run_under_way_to_the_other(db: Database, shop: Shop) -> None:
    await ended(db, shop)
    async with db.transaction() as other:
        assert await store.lock(other)
        assert await count(db) == 0
    assert await rows(db) == {}
    assert await measure(db) == store.DAYS_BACK
    assert await measure(db) == 0, "not due yet"


async def test_a_run_that_failed_in_the_middle_is_made_good_by_the_next(
    db: Database, shop: Shop, database_url: str
) -> None:
    await ended(db, shop, at=NOON - timedelta(days=2))
    await ended(db, shop, at=NOON)
    root = await asyncpg.connect(database_url)
    await root.execute(f"ALTER TABLE quality_days ADD CONSTRAINT broken CHECK (day < DATE '{NOON.date()}') NOT VALID")
    with pytest.raises(asyncpg.CheckViolationError):
        await count(db)
    assert len(await rows(db)) == 1
    await root.execute("ALTER TABLE quality_days DROP CONSTRAINT broken")
    await root.close()
    assert await measured_at(db) < NOON - timedelta(days=2)
    await count(db)
    assert len(await rows(db)) == 2


async def measured_at(db: Database) -> datetime:
    async with db.connection() as connection:
        moment: datetime = await connection.fetchval("SELECT measured_at FROM quality_progress")
    return moment


async def test_a_run_that_failed_is_not_tried_again_without_a_rest(db: Database, shop: Shop, database_url: str) -> None:
    await ended(db, shop)
    root = await asyncpg.connect(database_url)
    await root.execute("ALTER TABLE quality_days ADD CONSTRAINT broken CHECK (completed = 0) NOT VALID")
    with pytest.raises(asyncpg.CheckViolationError):
        await measure(db)
    assert await measure(db) == 0
    await root.execute("UPDATE quality_progress SET due_at = now()")
    with pytest.raises(asyncpg.CheckViolationError):
        await measure(db)
    await root.close()


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
