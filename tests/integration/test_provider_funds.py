"""Our money at a simulated panel: used up, and back again."""

import dataclasses
from decimal import Decimal
from typing import Any

import msgspec

from gateway.orders.model import Order, Status
from gateway.providers.money.balances import learn_short_balances
from tests.support.factories import add_route, add_service, open_alerts, place_order
from tests.support.faults import eventually
from tests.support.provider_account import trade
from tests.support.upstream import Trade

__all__ = ["trade"]


async def route(trade: Trade) -> dict[str, Any]:
    return await trade.row(
        "SELECT pause_cause, paused_reason, paused_until > now() AS resting, "
        "extract(epoch FROM paused_until - now())::float8 AS left_s FROM service_routes"
    )


async def is_paused(trade: Trade) -> bool:
    return (await route(trade))["pause_cause"] == "funds"


async def refuse_for_funds(trade: Trade, quantity: int = 3000) -> Order:
    """An order that the panel refused for want of money, which its dispatcher then put off."""
    order = await trade.order(quantity)
    async with trade.at_work():
        await eventually(lambda: is_paused(trade))
    await trade.sql("UPDATE orders SET next_attempt_at = now() + interval '20 s' WHERE dispatch = 'queued'")
    return order


async def is_due(trade: Trade, order: Order) -> bool:
    return bool((await trade.row("SELECT next_attempt_at <= now() AS due FROM orders WHERE id = $1", order.id))["due"])


async def test_a_route_rests_for_want_of_money_and_its_orders_go_out_once_the_money_is_back(trade: Trade) -> None:
    await trade.learn()
    order = await refuse_for_funds(trade)
    resting = await route(trade)
    assert (resting["pause_cause"], resting["resting"]) == ("funds", True)
    assert 3500 < resting["left_s"] <= 3600
    assert await open_alerts(trade.db) == ["provider_funds"]
    await learn_short_balances(trade.db, trade.upstreams)
    assert await is_paused(trade)
    assert not await is_due(trade, order)
    trade.simulator.panel.pay_in(Decimal(50))
    await learn_short_balances(trade.db, trade.upstreams)
    assert await route(trade) == {"pause_cause": None, "paused_reason": None, "resting": None, "left_s": None}
    assert await is_due(trade, order)
    assert await open_alerts(trade.db) == []
    async with trade.at_work():
        await trade.until(Status.COMPLETED, order)
    assert len(trade.simulator.panel.accepted) == 1


async def test_an_unchanged_balance_lifts_nothing_though_it_would_cover_an_order(trade: Trade) -> None:
    await trade.learn()
    trade.simulator.faults.next("not-enough-funds")
    await refuse_for_funds(trade, 1000)
    await trade.learn()
    assert await is_paused(trade)


async def test_a_balance_below_the_one_before_the_refusal_lifts_where_it_covers_a_waiting_order(trade: Trade) -> None:
    await trade.learn()
    await trade.trade(Status.COMPLETED, 1000)
    await refuse_for_funds(trade, 2000)
    trade.simulator.panel.pay_in(Decimal("0.6"))
    await trade.learn()
    assert await is_paused(trade), "1.7 does not cover 1.8"
    trade.simulator.panel.pay_in(Decimal("0.1"))
    await trade.learn()
    assert not await is_paused(trade), "1.8 is below the 2 of before, and covers it"


async def test_a_cent_that_covers_no_waiting_order_lifts_nothing(trade: Trade) -> None:
    await trade.learn()
    await refuse_for_funds(trade, 3000)
    trade.simulator.panel.pay_in(Decimal("0.01"))
    await trade.learn()
    assert await is_paused(trade)
    trade.simulator.panel.pay_in(Decimal("0.69"))
    await trade.learn()
    assert not await is_paused(trade), "2.7 covers it"


async def test_money_that_is_back_lifts_though_its_order_waits_no_more(trade: Trade) -> None:
    await trade.learn()
    await refuse_for_funds(trade, 3000)
    await trade.sql("UPDATE orders SET dispatch = 'refused', status = 'failed'")
    await trade.learn()
    assert await is_paused(trade)
    trade.simulator.panel.pay_in(Decimal("0.01"))
    await trade.learn()
    assert not await is_paused(trade)


async def test_each_service_of_a_provider_waits_for_the_money_that_its_own_orders_need(trade: Trade) -> None:
    await trade.learn()
    await refuse_for_funds(trade, 3000)
    other = msgspec.structs.replace(await add_service(trade.db), provider_id=trade.provider_id)
    dear = await add_route(trade.db, other.id, trade.provider_id, cost="5")
    await place_order(trade.db, dataclasses.replace(trade.shop, service=other, route=dear))
    await trade.sql(
        "UPDATE service_routes r SET paused_until = o.paused_until, paused_reason = o.paused_reason,"
        " pause_cause = o.pause_cause FROM service_routes o WHERE r.id = $1 AND o.id <> $1",
        dear.id,
    )
    trade.simulator.panel.pay_in(Decimal(1))
    await trade.learn()
    left = await trade.row("SELECT array_agg(id) AS ids FROM service_routes WHERE pause_cause = 'funds'")
    assert left == {"ids": [dear.id]}
    assert await open_alerts(trade.db) == ["provider_funds"]
    trade.simulator.panel.pay_in(Decimal(2))
    await trade.learn()
    assert await trade.row("SELECT id FROM service_routes WHERE pause_cause = 'funds'") == {}
    assert await open_alerts(trade.db) == []


async def test_money_that_is_back_lifts_no_other_pause(trade: Trade) -> None:
    await trade.learn()
    await refuse_for_funds(trade)
    await trade.sql("UPDATE service_routes SET pause_cause = 'operator'")
    trade.simulator.panel.pay_in(Decimal(50))
    await trade.learn()
    assert (await route(trade))["resting"]


async def test_an_order_put_aside_for_an_hour_is_not_woken(trade: Trade) -> None:
    await trade.learn()
    order = await refuse_for_funds(trade)
    await trade.sql("UPDATE orders SET next_attempt_at = now() + interval '1 hour'")
    trade.simulator.panel.pay_in(Decimal(50))
    await trade.learn()
    assert not await is_due(trade, order)


async def test_only_providers_with_a_route_that_rests_for_money_are_asked_again_soon(trade: Trade) -> None:
    before = trade.simulator.requests
    await learn_short_balances(trade.db, trade.upstreams)
    assert trade.simulator.requests == before
