"""What is earned: turnover, cost and losses of orders that really ended."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from compat.status import UpstreamStatus
from compat.wire import Accepted, Unknown
from gateway.db.engine import Database
from gateway.dispatch.outcomes import give_up, record
from gateway.dispatch.store import find_unknown
from gateway.errors import Conflict
from gateway.orders.margin import store
from gateway.orders.margin.model import ROWS_MAX, By, Margin, check_days
from gateway.orders.model import Order
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import Reported
from tests.support.factories import Shop, add_shop, begin_attempt, place_order, read_order

TODAY = datetime.now(UTC).date()
COMPLETED = Reported("Completed", UpstreamStatus.COMPLETED)


@pytest.fixture
async def shop(db: Database) -> Shop:
    """Sells at 2, and buys at 1 in a currency of which one is worth 1.1 of ours."""
    shop = await add_shop(db, funds="1000")
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET exchange_rate = 1.1")
    return shop


async def ended(db: Database, shop: Shop, upstream_id: str, report: Reported, quantity: int = 1000) -> Order:
    order = await place_order(db, shop, quantity=quantity)
    await record(db, await begin_attempt(db, shop, order), Accepted(upstream_id), timedelta())
    async with db.transaction() as tx:
        await settle(tx, [Change(order.id, report)])
    return await read_order(db, order.number)


async def report(db: Database, by: By | None = None, since: date = TODAY, until: date = TODAY) -> list[Margin]:
    async with db.connection() as connection:
        found = await store.report(connection, by, since - timedelta(days=1), until + timedelta(days=1), ROWS_MAX)
    return [msgspec.structs.replace(row, name=None) for row in found]


def row(of: str | None = None, **values: object) -> Margin:
    amounts = {name: Decimal(str(value)) for name, value in values.items() if name in ("turnover", "cost", "losses")}
    counts = {name: int(str(value)) for name, value in values.items() if name in ("orders", "cost_unknown")}
    empty = Margin(
        of=of,
        name=None,
        currency="USD",
        orders=0,
        turnover=Decimal(0),
        cost=Decimal(0),
        cost_unknown=0,
        losses=Decimal(0),
    )
    return msgspec.structs.replace(empty, **amounts, **counts)


async def test_a_known_charge_is_the_cost_and_otherwise_the_delivered_share_of_what_was_expected(
    db: Database, shop: Shop
) -> None:
    await ended(db, shop, "a", msgspec.structs.replace(COMPLETED, charge=Decimal("1.02")))
    await ended(db, shop, "b", COMPLETED)
    await ended(db, shop, "c", Reported("Partial", UpstreamStatus.PARTIAL, remains=250))
    await ended(db, shop, "d", Reported("Partial", UpstreamStatus.PARTIAL, remains=250, charge=Decimal("0.8")))
    await ended(db, shop, "e", Reported("Canceled", UpstreamStatus.CANCELED))
    await ended(db, shop, "f", Reported("Canceled", UpstreamStatus.CANCELED, charge=Decimal("0.1")))
    [whole] = await report(db)
    cost = Decimal("1.122") + Decimal("1.1") + Decimal("0.825") + Decimal("0.88") + 0 + Decimal("0.11")
    assert whole == row(orders=6, turnover=7, cost=cost)
    assert (whole.margin, whole.margin_percent) == (Decimal("2.963"), Decimal("42.3286"))


async def test_what_has_not_ended_or_was_never_taken_is_left_out(db: Database, shop: Shop) -> None:
    await place_order(db, shop)
    await ended(db, shop, "a", Reported("In progress", UpstreamStatus.IN_PROGRESS, charge=Decimal(1)))
    assert await report(db) == []


async def test_losses_stand_apart_from_the_margin(db: Database, shop: Shop) -> None:
    order = await place_order(db, shop)
    await record(db, await begin_attempt(db, shop, order), Unknown("timed out"), timedelta())
    async with db.transaction() as tx:
        attempt = await find_unknown(tx, order.id)
        assert attempt is not None
        await give_up(tx, attempt, {"operator": "ops"})
    [whole] = await report(db)
    assert whole == row(losses="1.1")
    assert whole.margin_percent is None


async def test_an_order_whose_cost_nobody_knows_is_counted_and_not_taken_for_free(db: Database, shop: Shop) -> None:
    order = await ended(db, shop, "a", COMPLETED)
    async with db.transaction() as tx:
        await tx.execute("UPDATE orders SET cost = NULL WHERE id = $1", order.id)
    assert await report(db) == [row(orders=1, turnover=2, cost_unknown=1)]


async def test_a_report_has_a_row_for_each_service_provider_or_day(db: Database, shop: Shop) -> None:
    other = await add_shop(db)
    first = await ended(db, shop, "a", COMPLETED)
    await ended(db, other, "a", COMPLETED, 500)
    async with db.transaction() as tx:
        await tx.execute("UPDATE orders SET completed_at = '2026-01-31T23:59:59.999Z' WHERE id = $1", first.id)
        names = [
            await tx.fetchval("SELECT name FROM providers WHERE id = $1", each.provider_id) for each in (shop, other)
        ]
    since, until = date(2026, 2, 1), TODAY
    rows = [{"orders": 1, "turnover": 2, "cost": "1.1"}, {"orders": 1, "turnover": 1, "cost": "0.5"}]
    services = [str(each.service.number) for each in (shop, other)]
    assert await report(db, By.SERVICE, since, until) == [
        row(of, **values) for of, values in zip(services, rows, strict=True)
    ]
    by_provider = await report(db, By.PROVIDER, since, until)
    assert sorted(by_provider, key=str) == sorted(
        (row(of, **values) for of, values in zip(names, rows, strict=True)), key=str
    )
    assert [(line.of, line.orders) for line in await report(db, By.DAY, since, until)] == [
        (max(line.of or "" for line in await report(db, By.DAY)), 1),
        ("2026-01-31", 1),
    ]


async def test_a_report_by_service_has_all_of_a_large_catalogue(db: Database, shop: Shop) -> None:
    await ended(db, shop, "a", COMPLETED)
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO services SELECT (jsonb_populate_record(s, jsonb_build_object('id', uuid7(), 'number', n))).*"
            " FROM services s, generate_series(5001, 6200) n"
        )
        await tx.execute(
            "INSERT INTO orders SELECT (jsonb_populate_record(o, jsonb_build_object('id', uuid7(), 'number', s.number,"
            " 'service_id', s.id))).* FROM orders o, services s WHERE s.number > 5000"
        )
    assert len(await report(db, By.SERVICE)) == 1201


async def test_a_report_is_of_its_days_alone(db: Database, shop: Shop) -> None:
    order = await ended(db, shop, "a", COMPLETED)
    for moment, counted in (
        ("2026-02-01T00:00Z", True), ("2026-02-28T23:59:59Z", True),
        ("2026-01-31T23:59:59Z", False), ("2026-03-01T00:00Z", False),
    ):  # fmt: skip
        async with db.transaction() as tx:
            await tx.execute(f"UPDATE orders SET completed_at = '{moment}' WHERE id = $1", order.id)
            assert len(await store.report(tx, None, date(2026, 2, 1), date(2026, 2, 28), 10)) == counted


@pytest.mark.parametrize(("since", "until"), [("2026-02-02", "2026-02-01"), ("2025-01-01", "2026-01-02")])
def test_a_range_that_is_none_or_too_long_is_refused(since: str, until: str) -> None:
    with pytest.raises(Conflict):
        check_days(date.fromisoformat(since), date.fromisoformat(until))


async def test_the_runs_of_a_parent_are_counted_once(db: Database, shop: Shop) -> None:
    parent = await ended(db, shop, "a", COMPLETED, 3000)
    runs = [await ended(db, shop, name, COMPLETED) for name in ("b", "c")]
    async with db.transaction() as tx:
        await tx.execute("UPDATE orders SET is_parent = true WHERE id = $1", parent.id)
        await tx.execute("UPDATE orders SET parent_id = $1 WHERE id = ANY($2)", parent.id, [run.id for run in runs])
    assert await report(db) == [row(orders=2, turnover=6, cost="3.3")]
