"""Lists over many months and many orders: read by index, in the months asked for alone, whatever is asked for."""

import itertools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, time, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from gateway.db.partitions import id_at
from gateway.orders.lists import store as orders
from gateway.orders.lists.model import Wanted
from gateway.orders.model import Dispatch
from gateway.orders.refills import store as refills
from gateway.orders.refills.model import Shown
from tests.support.long_past import (
    LIMIT,
    ORDERS,
    PAGES_MAX,
    PAGES_OF_NOTHING_MAX,
    STRAY,
    Past,
    list_orders,
    rolled_back,
    too_much,
)
from tests.support.months import FEW, HOT, MANY, RARE, RARE_SERVICE
from tests.support.reads import Measured

OF_MANY = {
    "completed": ORDERS,
    "failed": 2,
    1: ORDERS // 60,
    2: ORDERS // 60,
    RARE_SERVICE: 2,
    RARE: 2,
    HOT: ORDERS // 6,
}
"""How many orders of `MANY` each filter lets through, at most."""


@pytest.mark.parametrize("status", [None, "completed", "failed"])
@pytest.mark.parametrize("service", [None, 1, 2, RARE_SERVICE])
async def test_a_users_orders_are_found_by_index_with_every_filter(
    past: Past, status: str | None, service: int | None
) -> None:
    """Several filters at once, which may never meet, cost the rows of the one with the fewest."""
    faults = {}
    for link, when in itertools.product((None, RARE, HOT), past.times()):
        rows = sorted(OF_MANY[each] for each in (status, service, link) if each is not None)
        wanted = Wanted(user_id=MANY, status=status, service=service, link=link, most=LIMIT, **when)  # type: ignore[arg-type]
        found = await too_much(
            past, "orders", partial(list_orders, wanted), when, PAGES_MAX + (rows[0] if len(rows) > 1 else 0)
        )
        faults |= {str((link, when)): found} if found else {}
    assert faults == {}


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"status": "failed"},
        {"service": RARE_SERVICE},
        {"service": 999},
        {"link": RARE},
        {"link": HOT},
        {"dispatch": "unknown"},
        {"status": "failed", "service": 1},
    ],
)
async def test_operators_find_orders_of_all_users_by_index_too(past: Past, filters: dict[str, Any]) -> None:
    assert await too_much(past, "orders", partial(list_orders, Wanted(most=LIMIT, **filters))) == []


@pytest.mark.parametrize("status", [None, "completed", "failed", "pending"])
@pytest.mark.parametrize("dispatch", Dispatch)
async def test_operators_find_what_stands_at_a_point_whether_there_is_any_or_none(
    past: Past, status: str | None, dispatch: Dispatch
) -> None:
    """A few pages of each month; above that a month would be read through for what is not there."""
    read = partial(list_orders, Wanted(most=LIMIT, status=status, dispatch=dispatch.value))
    assert await too_much(past, "orders", read, pages_max=PAGES_OF_NOTHING_MAX) == []


@pytest.mark.parametrize("status", ["processing", "failed"])
async def test_operators_find_a_status_that_only_some_months_have(past: Past, status: str) -> None:
    for when in past.times():
        read = partial(list_orders, Wanted(most=LIMIT, status=status, **when))
        assert await too_much(past, "orders", read, when, PAGES_OF_NOTHING_MAX) == []


@pytest.mark.parametrize(
    "filters", [{}, {"user_id": MANY}, {"user_id": MANY, "status": "completed"}, {"link": HOT}, {"service": 1}]
)
async def test_a_page_that_this_and_the_last_months_fill_is_planned_for_no_other(
    past: Past, filters: dict[str, Any]
) -> None:
    """To plan a statement takes longer than to run it, once for each month that it names.

    A link is looked for by one plan of all months that is kept, and read in no other than these.
    """
    async with past.db.connection() as connection:
        measured: Any = Measured(connection)
        assert len(await orders.list_orders(measured, Wanted(most=LIMIT, **filters))) == LIMIT
    recent = past.partitions("orders", since=datetime.combine(past.months[-3], time(), UTC) + timedelta(days=1))
    met = measured.tables if "link" in filters else measured.planned
    assert {name for name in met if name.startswith("orders")} <= recent


async def test_pages_go_on_through_months_that_nobody_made(past: Past, shared_database_url: str) -> None:
    """Before the first month, and behind the last: their orders are in the default partition."""
    admin = await asyncpg.connect(shared_database_url)
    async with rolled_back(admin):
        for moment in (past.months[0] - timedelta(days=70), past.months[-1] + timedelta(days=400)):
            await admin.execute(STRAY, id_at(datetime.combine(moment, time(), UTC)))
        before, pages, listed = None, 0, []
        while True:
            page = await orders.list_orders(admin, Wanted(user_id=FEW, most=4000, before=before))
            listed += [each.order.id for each in page]
            pages += 1
            if len(page) < 4000:
                break
            before = listed[-1]
        everything = await admin.fetch("SELECT id FROM orders WHERE user_id = $1 ORDER BY id DESC", FEW)
        assert await admin.fetchval("SELECT count(*) FROM orders_default") == 2
    await admin.close()
    assert listed == [row["id"] for row in everything]
    assert pages > 2


async def test_what_is_behind_all_that_was_looked_through_is_found(past: Past, shared_database_url: str) -> None:
    """No index has users and where their orders stand: so many are looked at, the rest is planned for."""
    newest = "SELECT id FROM orders WHERE user_id = $1 ORDER BY id DESC OFFSET $2 LIMIT $3"
    admin = await asyncpg.connect(shared_database_url)
    async with rolled_back(admin):
        others = [row["id"] for row in await admin.fetch(newest, MANY, 3, 2 * orders.LOOKED_THROUGH)]
        await admin.execute(
            "UPDATE orders SET dispatch = 'written_off', status = 'cancelled' WHERE id = ANY($1)", others
        )
        page = await orders.list_orders(admin, Wanted(user_id=MANY, dispatch="accepted", most=LIMIT))
        expected = [row["id"] for row in await admin.fetch(newest, MANY, 0, 3)]
        expected += [row["id"] for row in await admin.fetch(newest, MANY, 3 + len(others), LIMIT - 3)]
    await admin.close()
    assert [each.order.id for each in page] == expected


@pytest.mark.parametrize(
    "filters", [{}, {"status": "failed"}, {"service": 1}, {"dispatch": "unknown"}, {"provider_id": UUID(int=1)}]
)
async def test_operators_find_a_link_of_any_user_as_fast_as_he_does(past: Past, filters: dict[str, Any]) -> None:
    read = partial(list_orders, Wanted(most=LIMIT, link=RARE, **filters))
    assert await too_much(past, "orders", read, pages_max=PAGES_OF_NOTHING_MAX) == []


async def test_the_last_page_costs_no_more_than_the_first(past: Past) -> None:
    async with past.db.connection() as connection:
        before = await connection.fetchval(
            "SELECT id FROM orders WHERE user_id = $1 ORDER BY id LIMIT 1 OFFSET 30", MANY
        )
    wanted = Wanted(user_id=MANY, before=before, most=LIMIT)
    assert await too_much(past, "orders", partial(list_orders, wanted)) == []


@pytest.mark.parametrize("shown", [None, *Shown])
async def test_refills_are_found_by_index(past: Past, shown: Shown | None) -> None:
    def listed(order_id: UUID | None, before: UUID | None) -> Callable[[Any], Awaitable[Any]]:
        return lambda tx: refills.list_refills(tx, MANY, shown, order_id, before, LIMIT)

    async with past.db.connection() as connection:
        [order_id, before] = [
            row["id"]
            for row in await connection.fetch("SELECT id FROM orders WHERE user_id = $1 ORDER BY id LIMIT 2", MANY)
        ]
    for read in (listed(None, None), listed(order_id, None), listed(None, before)):
        assert await too_much(past, "refills", read) == []
