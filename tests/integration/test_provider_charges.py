"""What orders cost us at a simulated panel: its charges, costs in our currency, and losses."""

from datetime import timedelta
from decimal import Decimal

from compat.wire import Unknown
from gateway.dispatch.outcomes import give_up, record
from gateway.dispatch.store import find_unknown
from gateway.orders.model import Dispatch, Order, Status
from tests.support.factories import begin_attempt, read_order
from tests.support.provider_account import trade
from tests.support.upstream import Trade

__all__ = ["trade"]


async def charge(trade: Trade, order: Order) -> Decimal | None:
    return (await read_order(trade.db, order.number)).upstream_charge


async def test_the_charge_of_each_order_follows_what_its_upstream_says(trade: Trade) -> None:
    trade.simulator.panel.pay_in(Decimal(10))
    [done] = await trade.trade(Status.COMPLETED, 1000)
    trade.simulator.faults.next("partial")
    [partial] = await trade.trade(Status.PARTIAL, 1003)
    trade.simulator.faults.next("cancel")
    [cancelled] = await trade.trade(Status.CANCELLED, 1000)
    assert [await charge(trade, order) for order in (done, partial, cancelled)] == [
        Decimal("0.9"),
        Decimal("0.9027") * 502 / 1003,
        Decimal(0),
    ]


async def test_a_charge_in_another_currency_is_not_taken_for_one_in_ours(trade: Trade) -> None:
    await trade.sql("UPDATE providers SET currency = 'INR'")
    await trade.upstreams.refresh()
    [done] = await trade.trade(Status.COMPLETED, 1000)
    assert await charge(trade, done) is None


async def test_costs_are_kept_in_our_currency_by_the_rate_of_then(trade: Trade) -> None:
    await trade.sql("UPDATE providers SET exchange_rate = 1.5")
    [done] = await trade.trade(Status.COMPLETED, 1000)
    await trade.sql("UPDATE providers SET exchange_rate = 2")
    row = await trade.row(
        "SELECT o.cost, a.cost AS theirs FROM orders o JOIN dispatch_attempts a ON a.order_id = o.id WHERE o.id = $1",
        done.id,
    )
    assert (row["theirs"], row["cost"]) == (Decimal("0.9"), Decimal("1.35"))


async def test_a_loss_is_in_our_currency_and_one_that_no_row_can_hold_is_the_most_that_one_can(trade: Trade) -> None:
    await trade.sql("UPDATE providers SET exchange_rate = 1.5")
    losses = []
    for cost in (Decimal("0.9"), Decimal("900000000000")):
        order = await trade.order()
        attempt_id = await begin_attempt(trade.db, trade.shop, order)
        await trade.sql("UPDATE dispatch_attempts SET cost = $2 WHERE id = $1", attempt_id, cost)
        await record(trade.db, attempt_id, Unknown("timed out"), timedelta())
        async with trade.db.transaction() as tx:
            attempt = await find_unknown(tx, order.id)
            assert attempt is not None
            await give_up(tx, attempt, {"operator": "ops"})
        assert (await read_order(trade.db, order.number)).dispatch is Dispatch.WRITTEN_OFF
        losses.append((await trade.row("SELECT loss FROM dispatch_attempts WHERE id = $1", attempt_id))["loss"])
    assert losses == [Decimal("1.35"), Decimal("999999999999.99999999")]
