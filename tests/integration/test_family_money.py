"""What drip-feeds and subscriptions cost us: runs have their share, and a day with them adds up."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from compat.drafts import Draft
from compat.kinds import Kind
from gateway.db.engine import Database
from gateway.orders.margin import store as margin
from gateway.orders.model import Order, Status
from gateway.providers.money.days import store as days
from tests.support.factories import add_shop, read_order
from tests.support.families import accept, children_of, place, poll, said, subscription
from tests.support.upstream import Trade, open_trade


async def costs(db: Database, parent: Order) -> list[Decimal | None]:
    """Of its runs, by their numbers."""
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT cost FROM orders WHERE parent_id = $1 ORDER BY number", parent.id)
    return [row["cost"] for row in rows]


async def test_a_run_that_an_upstream_began_costs_its_share_in_our_currency(db: Database) -> None:
    shop = await add_shop(db)
    async with db.transaction() as tx:
        await tx.execute("UPDATE providers SET exchange_rate = 1.5")
    parent = await place(db, shop, subscription(posts=3), kind=Kind.SUBSCRIPTIONS)
    await accept(db, shop, parent, "s1")
    runs = {"c1": said("Completed", quantity=250, charge=Decimal("0.26")), "c2": said("Pending", quantity=1000)}
    await poll(db, shop, parent, said("Active", orders=("c1", "c2")), runs)
    assert await costs(db, parent) == [Decimal("0.375"), Decimal("1.5")]
    first, second = await children_of(db, parent)
    assert (first.upstream_charge, second.upstream_charge) == (Decimal("0.26"), None)
    assert (await read_order(db, parent.number)).upstream_charge is None


async def test_a_post_of_an_open_subscription_costs_the_same_however_many_were_paid_for_since(db: Database) -> None:
    shop = await add_shop(db)
    parent = await place(db, shop, subscription(posts=None), kind=Kind.SUBSCRIPTIONS)
    await accept(db, shop, parent, "s1")
    runs = {f"c{number}": said("Pending", charge=Decimal("0.4")) for number in range(7)}
    for known in (5, 7):
        await poll(db, shop, parent, said("Active", orders=tuple(runs)[:known]), runs)
    assert [child.quantity for child in await children_of(db, parent)] == [400] * 7
    assert await costs(db, parent) == [Decimal("0.4")] * 7


async def reckon_all(trade: Trade) -> tuple[Decimal, Decimal, Decimal]:
    """Charged, returned and difference between the first reading and the last, as if that had been a day."""
    day = datetime.now(UTC).date() - timedelta(days=2)
    await trade.sql(
        """
        WITH span AS (SELECT min(read_at) AS first, $1::date::timestamp AT TIME ZONE 'UTC' - interval '1 s' AS start
                        FROM balance_readings),
        attempts AS (UPDATE dispatch_attempts SET finished_at = finished_at - (first - start) FROM span),
        ended AS (UPDATE orders SET completed_at = completed_at - (first - start) FROM span)
        UPDATE balance_readings SET read_at = CASE WHEN read_at = first THEN start
                                              ELSE start + interval '1 day' END FROM span
        """,
        day,
    )
    async with trade.db.transaction() as tx:
        assert await days.reckon(tx, trade.provider_id, day)
        [row] = await days.list_days(tx, trade.provider_id, day, 2)
    assert row.charged is not None
    assert row.returned is not None
    assert row.difference is not None
    return row.charged, row.returned, row.difference


async def test_a_day_with_a_drip_feed_of_the_upstream_adds_up_and_its_runs_are_counted_once(db: Database) -> None:
    async with open_trade(db) as trade:
        await trade.sql("UPDATE service_routes SET dripfeed = true")
        await trade.learn()
        parent = await place(trade.db, trade.shop, Draft("https://example.com/p/1", 1001, {}, 2, 1), native=True)
        trade.simulator.faults.next("partial")
        async with trade.at_work():
            await trade.until(Status.PARTIAL, parent)
        await trade.learn()
        first, second = await children_of(trade.db, parent)
        assert [first.upstream_charge, second.upstream_charge] == [Decimal("0.4509"), Decimal("0.9009")]
        assert await reckon_all(trade) == (Decimal("1.8018"), Decimal("0.45"), 0)
        today = datetime.now(UTC).date()
        async with trade.db.connection() as connection:
            [whole] = await margin.report(connection, None, today - timedelta(days=3), today, 10)
        assert (whole.orders, whole.turnover, whole.cost) == (2, Decimal("3.004"), Decimal("1.3518"))
