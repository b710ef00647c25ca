"""Our balance at a simulated panel: read, kept, and how long it lasts."""

import asyncio
from decimal import Decimal

from gateway.orders.model import Status
from gateway.providers import actions
from gateway.providers.money import store
from gateway.providers.money.balances import purge_readings
from gateway.providers.money.model import Account
from tests.integration.scripted_panel import open_panel
from tests.support.factories import add_provider, open_alerts
from tests.support.faults import eventually
from tests.support.provider_account import trade
from tests.support.upstream import KEYRING, Trade

__all__ = ["trade"]


async def readings(trade: Trade) -> list[Decimal]:
    async with trade.db.connection() as connection:
        rows = await connection.fetch("SELECT balance FROM balance_readings ORDER BY read_at")
    return [row["balance"] for row in rows]


async def account(trade: Trade) -> Account:
    async with trade.db.connection() as connection:
        found = await store.find_account(connection, trade.provider_id)
    assert found is not None
    return found


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
