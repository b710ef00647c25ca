"""Our balance at a simulated panel: read, kept, used up, and back again."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from compat.wire import Unknown
from gateway.db.engine import Database
from gateway.dispatch.outcomes import give_up, record
from gateway.dispatch.store import find_unknown
from gateway.orders.model import Dispatch, Order, Status
from gateway.providers import actions
from gateway.providers.money import store
from gateway.providers.money.balances import learn_short_balances, purge_readings
from gateway.providers.money.model import Account
from tests.integration.scripted_panel import open_panel
from tests.support.factories import (
    add_provider,
    add_route,
    add_service,
    begin_attempt,
    open_alerts,
    place_order,
    read_order,
)
from tests.support.faults import eventually
from tests.support.upstream import KEYRING, Trade, open_trade


@pytest.fixture
async def trade(db: Database) -> AsyncIterator[Trade]:
    async with open_trade(db, balance="2") as trade:
        yield trade


async def readings(trade: Trade) -> list[Decimal]:
    async with trade.db.connection() as connection:
        rows = await connection.fetch("SELECT balance FROM balance_readings ORDER BY read_at")
    return [row["balance"] for row in rows]


async def account(trade: Trade) -> Account:
    async with trade.db.connection() as connection:
        found = await store.find_account(connection, trade.provider_id)
    assert found is not None
    return found


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


# Readings ------------------------------------------------------------------------------------


async def test_a_reading_is_kept_when_it_changed_and_once_an_hour(trade: Trade) -> None:
    for _ in range(3):
        await trade.learn()
    assert await readings(trade) == [Decimal(2)]
    trade.simulator.panel.pay_in(Decimal("0.5"))
    await trade.learn()
    assert await readings(trade) == [Decimal(2), Decimal("2.5")]
    await trade.sql("UPDATE balance_readings SET read_at = read_at - interval '61 minutes'")
    await trade.learn()
    assert await readings(trade) == [Decimal(2), Decimal("2.5"), Decimal("2.5")]
    held = await account(trade)
    assert (held.balance, held.balance_at is not None) == (Decimal("2.5"), True)


async def test_a_reading_of_ninety_days_ago_is_deleted(trade: Trade) -> None:
    await trade.learn()
    await trade.sql(
        "INSERT INTO balance_readings (provider_id, balance, read_at) SELECT $1, 7, now() - make_interval(days => n) "
        "FROM generate_series(89, 92) n",
        trade.provider_id,
    )
    await purge_readings(trade.db)
    assert await readings(trade) == [Decimal(7), Decimal(2)]


async def test_the_days_left_are_the_balance_over_what_is_spent_a_day(trade: Trade) -> None:
    await trade.trade(Status.COMPLETED, 1000)
    await trade.learn()
    held = await account(trade)
    assert (held.balance, held.daily_spend, held.days_left) == (Decimal("1.1"), Decimal("0.9"), Decimal("1.2"))
    await trade.sql("UPDATE dispatch_attempts SET finished_at = finished_at - interval '3 days'")
    assert (await account(trade)).days_left == Decimal("3.7")
    await trade.sql("UPDATE dispatch_attempts SET finished_at = finished_at - interval '5 days'")
    assert (await account(trade)).days_left is None


async def test_a_balance_in_another_currency_is_not_taken_for_one_in_ours(trade: Trade) -> None:
    await trade.sql("UPDATE providers SET currency = 'INR'")
    await trade.upstreams.refresh()
    await trade.learn()
    assert await readings(trade) == []
    assert (await account(trade)).balance is None
    assert await open_alerts(trade.db) == ["provider_currency"]
    await trade.sql("UPDATE providers SET currency = 'USD'")
    await trade.upstreams.refresh()
    await trade.learn()
    assert await readings(trade) == [Decimal(2)]
    assert await open_alerts(trade.db) == []


async def test_a_provider_that_hangs_delays_no_others_reading(trade: Trade) -> None:
    async with open_panel() as hanging:
        hanging.gated = {"balance"}
        hanging.gate.clear()
        provider_id = await add_provider(trade.db, url=hanging.url)
        async with trade.db.transaction() as tx:
            await actions.set_api_key(tx, KEYRING, provider_id, "a key")
        await trade.upstreams.refresh()
        learning = asyncio.create_task(trade.learn())

        async def is_read() -> bool:
            return await readings(trade) == [Decimal(2)]

        await eventually(is_read)
        assert not learning.done()
        hanging.gate.set()
        await learning
    assert sorted(await readings(trade)) == [Decimal(1), Decimal(2)]


# Funds that are used up ----------------------------------------------------------------------


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


# Charges -------------------------------------------------------------------------------------


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
