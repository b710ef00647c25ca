"""Days that are over are added up; a report says the same whether one is or not, whatever changes meanwhile."""

from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest

from compat.status import UpstreamStatus
from compat.wire import Unknown
from gateway.db.engine import Database, Transaction
from gateway.dispatch.outcomes import give_up, record
from gateway.dispatch.store import find_unknown
from gateway.orders.margin import store
from gateway.orders.margin.adding_up import REST_S, add_up_days
from gateway.orders.margin.model import ROWS_MAX, By, Margin
from gateway.orders.model import Order
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import RefundGiven, Reported
from tests.integration.test_margin import COMPLETED, ended
from tests.support.factories import Shop, add_shop, begin_attempt, place_order, read_order

DAY = timedelta(days=1)
LONG_AGO = datetime.now(UTC).date() - 5 * DAY
"""Of when this module was read; tests hold whatever day it is by now."""
LATER = LONG_AGO + 9 * DAY


@pytest.fixture
async def shop(db: Database) -> Shop:
    """Sells at 2, and buys at 1 in a currency of which one is worth 1.1 of ours."""
    shop = await add_shop(db, funds="1000")
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET exchange_rate = 1.1")
    return shop


async def move(db: Database, order: Order, day: date) -> None:
    async with db.transaction() as tx:
        at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
        await tx.execute("UPDATE orders SET created_at = $2, completed_at = $2 WHERE id = $1", order.id, at)


async def all_reports(db: Database) -> list[list[Margin]]:
    """By all there is, of all days, of one, and of those from one on."""
    async with db.connection() as connection:
        return [
            await store.report(connection, by, since, until, ROWS_MAX)
            for by in (None, *By)
            for since, until in ((LONG_AGO, LATER), (LONG_AGO, LONG_AGO), (LONG_AGO + DAY, LATER))
        ]


async def whole(db: Database) -> Margin:
    async with db.connection() as connection:
        [found] = await store.report(connection, None, LONG_AGO, LATER, ROWS_MAX)
    return found


async def open_days(db: Database) -> list[date]:
    """Of those that were over a day ago."""
    async with db.connection() as connection:
        return await store.list_open(connection, REST_S + DAY.total_seconds(), ROWS_MAX)


async def noted(db: Database) -> list[date]:
    async with db.connection() as connection:
        return [row["day"] for row in await connection.fetch("SELECT day FROM margin_changes ORDER BY day")]


async def change_unseen(owner: asyncpg.Connection, order: Order) -> None:
    """Its charge, as no user can: without a note of it."""
    await owner.execute("SET session_replication_role = replica")
    await owner.execute("UPDATE orders SET charge = 0 WHERE id = $1", order.id)
    await owner.execute("RESET session_replication_role")


async def all_sorts(db: Database, shop: Shop) -> list[Order]:
    partial = Reported("Partial", UpstreamStatus.PARTIAL, remains=333)
    other = await add_shop(db, funds="1000")
    orders = [
        await ended(db, shop, "a", msgspec.structs.replace(COMPLETED, charge=Decimal("1.02"))),
        await ended(db, shop, "b", COMPLETED),
        await ended(db, shop, "c", partial, 1001),
        await ended(db, other, "d", msgspec.structs.replace(partial, charge=Decimal("0.8"))),
        await ended(db, shop, "e", Reported("Canceled", UpstreamStatus.CANCELED)),
        await ended(db, other, "f", Reported("Canceled", UpstreamStatus.CANCELED, charge=Decimal("0.1"))),
        unknown := await ended(db, shop, "g", COMPLETED),
        parent := await ended(db, shop, "h", COMPLETED, 3000),
        *(runs := [await ended(db, shop, name, COMPLETED) for name in ("i", "j")]),
        lost := await place_order(db, shop),
    ]
    await record(db, await begin_attempt(db, shop, lost), Unknown("timed out"), timedelta())
    async with db.transaction() as tx:
        attempt = await find_unknown(tx, lost.id)
        assert attempt is not None
        await give_up(tx, attempt, {"operator": "ops"})
        await tx.execute("UPDATE orders SET cost = NULL WHERE id = $1", unknown.id)
        await tx.execute("UPDATE orders SET is_parent = true WHERE id = $1", parent.id)
        await tx.execute("UPDATE orders SET parent_id = $1 WHERE id = ANY($2)", parent.id, [run.id for run in runs])
    return orders


async def test_reports_say_the_same_once_days_are_added_up(db: Database, shop: Shop) -> None:
    for place, order in enumerate(await all_sorts(db, shop)):
        await move(db, order, LONG_AGO + (place % 3) * DAY)
    before = await all_reports(db)
    assert before[0][0].orders > 8
    assert before[0][0].losses > 0
    assert before[0][0].cost_unknown == 1
    assert await add_up_days(db) > 3
    assert await open_days(db) == []
    assert await all_reports(db) == before


async def test_a_day_that_is_added_up_is_read_no_more(db: Database, shop: Shop, owner: asyncpg.Connection) -> None:
    order = await ended(db, shop, "a", COMPLETED)
    await move(db, order, LONG_AGO)
    await add_up_days(db)
    await change_unseen(owner, order)
    assert (await whole(db)).turnover == 2


async def test_a_change_of_what_ended_long_ago_shows_at_once_and_is_added_up_next(
    db: Database, shop: Shop, owner: asyncpg.Connection
) -> None:
    order, other = await ended(db, shop, "a", COMPLETED), await ended(db, shop, "b", COMPLETED)
    await move(db, order, LONG_AGO)
    await move(db, other, LONG_AGO)
    await add_up_days(db)
    async with db.transaction() as tx:
        await settle(tx, [Change(order.id, RefundGiven(Decimal(1), "r"))])
    assert (await read_order(db, order.number)).charge == 1
    assert (await whole(db)).turnover == 3
    assert await open_days(db) == [LONG_AGO]
    await add_up_days(db)
    assert LONG_AGO not in await noted(db)
    await change_unseen(owner, other)
    assert (await whole(db)).turnover == 3


async def test_an_order_that_is_moved_to_another_day_leaves_the_one_it_was_in(db: Database, shop: Shop) -> None:
    order = await ended(db, shop, "a", COMPLETED)
    await move(db, order, LONG_AGO)
    await add_up_days(db)
    await move(db, order, LONG_AGO + DAY)
    async with db.connection() as connection:
        assert await store.report(connection, None, LONG_AGO, LONG_AGO, ROWS_MAX) == []
    assert (await whole(db)).orders == 1
    await add_up_days(db)
    async with db.connection() as connection:
        assert await store.report(connection, None, LONG_AGO, LONG_AGO, ROWS_MAX) == []
    assert (await whole(db)).orders == 1


@pytest.mark.parametrize("is_added_up_before", [False, True])
async def test_a_change_that_commits_after_its_day_was_added_up_is_not_lost(
    db: Database, shop: Shop, is_added_up_before: bool
) -> None:
    order = await ended(db, shop, "a", COMPLETED)
    await move(db, order, LONG_AGO)
    if is_added_up_before:
        await add_up_days(db)
        await move(db, order, LONG_AGO)
    async with db.transaction() as tx:
        await tx.execute("UPDATE orders SET charge = 1 WHERE id = $1", order.id)
        assert await add_up_days(db) > 0
        assert (await whole(db)).turnover == 2
    assert (await whole(db)).turnover == 1
    assert await open_days(db) == [LONG_AGO]
    await add_up_days(db)
    assert await open_days(db) == []
    assert (await whole(db)).turnover == 1


class Between:
    """A connection, before each of whose statements another session commits a change."""

    def __init__(self, tx: Transaction, change: Callable[[], Awaitable[None]]) -> None:
        self._tx, self._change = tx, change

    async def fetchval(self, *args: Any) -> Any:
        await self._change()
        return await self._tx.fetchval(*args)

    async def execute(self, *args: Any, **options: Any) -> Any:
        await self._change()
        return await self._tx.execute(*args, **options)


async def test_a_change_that_commits_between_any_two_statements_of_adding_up_is_not_lost(
    db: Database, shop: Shop, owner: asyncpg.Connection
) -> None:
    order = await ended(db, shop, "a", COMPLETED)
    await move(db, order, LONG_AGO)
    charges = iter(range(100, 200))

    async def change() -> None:
        await owner.execute("UPDATE orders SET charge = $2 WHERE id = $1", order.id, Decimal(next(charges)) / 100)

    async with db.transaction() as tx:
        assert await store.lock(tx)
        assert await store.add_up(Between(tx, change), LONG_AGO)  # type: ignore[arg-type]
    assert (await whole(db)).turnover == (await read_order(db, order.number)).charge == Decimal("1.03")
    await add_up_days(db)
    assert (await whole(db)).turnover == Decimal("1.03")


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
@pytest.mark.parametrize("at", ["00:00:00", "23:59:59.999999"])
async def test_a_change_is_noted_for_the_day_of_utc_whatever_the_session_says(
    db: Database, shop: Shop, owner: asyncpg.Connection, zone: str, at: str
) -> None:
    """From a day to none, and from none to a day, too; another order keeps the day."""
    order = await ended(db, shop, "a", COMPLETED)
    await move(db, await ended(db, shop, "b", COMPLETED), LONG_AGO)
    moment = f"{LONG_AGO} {at}+00"
    await owner.execute(f"SET TimeZone = '{zone}'")
    await owner.execute(f"UPDATE orders SET completed_at = '{moment}' WHERE id = $1", order.id)
    for changed, reported in (
        ("charge = 1", 3),
        ("completed_at = NULL", 2),
        (f"completed_at = '{moment}', charge = 0.5", Decimal("2.5")),
    ):
        await add_up_days(db)
        await owner.execute(f"UPDATE orders SET {changed} WHERE id = $1", order.id)
        [found] = await store.report(owner, None, LONG_AGO, LONG_AGO, ROWS_MAX)
        assert found.turnover == reported


async def test_orders_that_are_put_in_as_ended_or_taken_out_by_hand_are_noted(
    db: Database, shop: Shop, owner: asyncpg.Connection
) -> None:
    order = await ended(db, shop, "a", COMPLETED)
    await move(db, order, LONG_AGO)
    await add_up_days(db)
    await owner.execute(
        "INSERT INTO orders "
        "SELECT (jsonb_populate_record(o, jsonb_build_object('id', uuid7(), 'number', 7))).* FROM orders o"
    )
    assert (await whole(db)).orders == 2
    await add_up_days(db)
    await owner.execute("DELETE FROM orders WHERE number = 7")
    assert (await whole(db)).orders == 1


async def test_a_change_is_noted_whoever_makes_it_and_wherever_he_looks_for_tables(
    db: Database, shop: Shop, owner: asyncpg.Connection
) -> None:
    await move(db, await ended(db, shop, "a", COMPLETED), LONG_AGO)
    await add_up_days(db)
    async with owner.transaction():
        await owner.execute(
            "CREATE ROLE somebody; GRANT SELECT, UPDATE ON orders TO somebody; "
            "GRANT USAGE ON SCHEMA public TO somebody; "
            "SET LOCAL search_path = pg_catalog; SET LOCAL ROLE somebody"
        )
        await owner.execute("UPDATE public.orders SET charge = 1")
        await owner.execute("RESET ROLE; RESET search_path; DROP OWNED BY somebody; DROP ROLE somebody")
    assert (await whole(db)).turnover == 1


async def test_an_order_of_no_provider_is_in_no_report(db: Database, shop: Shop) -> None:
    """None is accepted without one, but by hand."""
    order = await ended(db, shop, "a", COMPLETED)
    await move(db, order, LONG_AGO)
    async with db.transaction() as tx:
        await tx.execute("UPDATE orders SET provider_id = NULL WHERE id = $1", order.id)
    assert not any(await all_reports(db))
    assert await add_up_days(db) > 0
    assert not any(await all_reports(db))
