"""What a difference on a day of our account at a simulated panel tells, and which orders were charged too much."""

from decimal import Decimal

import asyncpg
import pytest

from compat.status import UpstreamStatus
from gateway.orders.model import Status
from gateway.providers.money.days.reconciling import reconcile_days
from tests.support.provider_days import charges, move_back, reckoned, report, trade
from tests.support.upstream import Trade

__all__ = ["trade"]


async def test_an_upstream_that_takes_more_than_its_price_list_says_is_shown(
    trade: Trade, root: asyncpg.Connection
) -> None:
    await trade.sql("UPDATE service_routes SET cost_per_1000 = 0.6")
    await trade.learn()
    [dear, small] = await trade.trade(Status.COMPLETED, 1000, 50)
    trade.simulator.faults.next("partial")
    [partial] = await trade.trade(Status.PARTIAL, 1000)
    await trade.learn()
    day_before = await move_back(trade, root)
    await reconcile_days(trade.db)
    day = (await reckoned(trade))[day_before]
    assert (day.charged, day.returned) == (Decimal("1.23"), Decimal("0.15"))
    assert day.difference == Decimal("-0.315"), "0.3 of the first, 0.015 of the second"
    assert [(row.number, row.expected, row.charged, row.difference) for row in await charges(trade)] == [
        (dear.number, Decimal("0.6"), Decimal("0.9"), Decimal("0.3")),
        (partial.number, Decimal("0.3"), Decimal("0.45"), Decimal("0.15")),
        (small.number, Decimal("0.03"), Decimal("0.045"), Decimal("0.015")),
    ]


async def test_money_that_is_gone_without_an_order_is_the_difference_and_no_order_is_named(
    trade: Trade, root: asyncpg.Connection
) -> None:
    await trade.learn()
    await trade.trade(Status.COMPLETED, 1000)
    trade.simulator.panel.pay_in(Decimal("-0.00000001"))
    await trade.learn()
    day_before = await move_back(trade, root)
    await reconcile_days(trade.db)
    assert (await reckoned(trade))[day_before].difference == Decimal("-0.00000001")
    assert await charges(trade) == []


@pytest.mark.parametrize(
    ("printed", "listed"),
    [("0.9", False), ("0.904", False), ("0.91", False), ("0.92", True), ("0.9090", True), ("0.5", False)],
)
async def test_a_charge_above_the_cost_by_less_than_the_places_it_is_printed_in_is_rounding(
    trade: Trade, printed: str, listed: bool
) -> None:
    [order, other] = await trade.trade(Status.COMPLETED, 1004, 1000)
    await trade.sql("UPDATE orders SET upstream_charge = NULL WHERE id = $1", other.id)
    await trade.sql("UPDATE orders SET upstream_charge = $2 WHERE id = $1", order.id, Decimal(printed))
    assert bool(await charges(trade)) is listed


async def test_a_cancelled_order_whose_charge_was_kept_is_listed(trade: Trade) -> None:
    trade.simulator.faults.next("cancel")
    [order] = await trade.trade(Status.CANCELLED, 1000)
    assert await charges(trade) == []
    await report(trade, order, UpstreamStatus.CANCELED, 1000, "0.9")
    assert [(row.expected, row.charged) for row in await charges(trade)] == [(Decimal(0), Decimal("0.9"))]
