"""A day of our account at a simulated panel: reconciled to the last digit, missing, or reckoned anew."""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest

from compat.status import UpstreamStatus
from gateway.errors import Conflict, Invalid
from gateway.orders.families.model import POSTS_AHEAD
from gateway.orders.model import Status
from gateway.providers.money.days.reconciling import Deposited, enter_deposit, reconcile_days
from gateway.providers.money.model import POSTS_CHARGED, Day
from tests.support.faults import eventually
from tests.support.provider_days import charges, midnight, missing, move_back, reckoned, report, trade
from tests.support.upstream import Trade

__all__ = ["trade"]


async def pay_in(trade: Trade, amount: str, reference: str, at: datetime | None = None) -> Deposited:
    """Known here; what the panel got is another thing."""
    async with trade.db.transaction() as tx:
        return await enter_deposit(tx, trade.provider_id, Decimal(amount), reference, at)


async def read_at(trade: Trade, when: datetime, balance: str) -> None:
    await trade.sql(
        "INSERT INTO balance_readings (provider_id, read_at, balance) VALUES ($1, $2, $3)",
        trade.provider_id,
        when,
        Decimal(balance),
    )


# A day that adds up --------------------------------------------------------------------------


async def test_a_day_with_deposits_partials_and_a_cancel_adds_up_to_the_last_digit(
    trade: Trade, root: asyncpg.Connection
) -> None:
    await trade.learn()
    await trade.trade(Status.COMPLETED, 1000, 1234, 57)
    trade.simulator.panel.pay_in(Decimal("25.5"))
    await pay_in(trade, "25.5", "invoice 1")
    trade.simulator.panel.pay_in(Decimal("-3.33333333"))
    await pay_in(trade, "-3.33333333", "taken out")
    for quantity in (1003, 777):
        trade.simulator.faults.next("partial")
        await trade.trade(Status.PARTIAL, quantity)
    trade.simulator.faults.next("cancel")
    await trade.trade(Status.CANCELLED, 4321)
    await trade.learn()
    day_before = await move_back(trade, root)
    assert await reconcile_days(trade.db) == 1
    balance = trade.simulator.panel.balance().balance
    charged = Decimal("0.9") * (1000 + 1234 + 57 + 1003 + 777 + 4321) / 1000
    returned = Decimal("0.9") * (501 + 388 + 4321) / 1000
    assert await reckoned(trade) == {
        day_before: Day(
            day=day_before,
            opening=Decimal(100),
            deposits=Decimal("22.16666667"),
            charged=charged,
            returned=returned,
            closing=balance,
            difference=Decimal(0),
        )
    }
    assert balance == 100 + Decimal("22.16666667") - charged + returned
    assert await charges(trade) == []
    assert await reconcile_days(trade.db) == 0, "a day is put down once"


async def test_what_happened_outside_the_readings_of_a_day_is_not_in_it(trade: Trade, root: asyncpg.Connection) -> None:
    await trade.trade(Status.COMPLETED, 500)
    await trade.learn()
    await trade.trade(Status.COMPLETED, 1000)
    await trade.learn()
    day_before = await move_back(trade, root)
    await reconcile_days(trade.db)
    day = (await reckoned(trade))[day_before]
    assert (day.charged, day.difference) == (Decimal("0.9"), 0)


async def test_what_an_upstream_takes_back_after_the_end_is_returned_on_that_day(
    trade: Trade, root: asyncpg.Connection
) -> None:
    [before] = await trade.trade(Status.COMPLETED, 1000)
    await trade.learn()
    [order] = await trade.trade(Status.COMPLETED, 1000)
    for taken_back in (before, order):
        await report(trade, taken_back, UpstreamStatus.PARTIAL, 250, "0.675")
        trade.simulator.panel.pay_in(Decimal("0.225"))
    await trade.learn()
    day_before = await move_back(trade, root)
    await reconcile_days(trade.db)
    day = (await reckoned(trade))[day_before]
    assert (day.charged, day.returned, day.difference) == (Decimal("0.9"), Decimal("0.45"), 0)


# Days that are missing, and those that are reckoned anew -------------------------------------


async def test_a_day_without_a_reading_at_its_ends_is_said_and_not_invented(trade: Trade) -> None:
    await read_at(trade, midnight(3) - timedelta(hours=3), "9")
    await read_at(trade, midnight(2) - timedelta(minutes=50), "8")
    await read_at(trade, midnight(1) - timedelta(minutes=1), "7")
    assert await reconcile_days(trade.db) == 1
    day = datetime.now(UTC).date()
    assert [row.opening for row in (await reckoned(trade)).values()] == [Decimal(8)]
    said = await missing(trade)
    assert day - timedelta(days=2) not in said
    assert said[day - timedelta(days=1)] == "no reading near its end"
    assert said[day - timedelta(days=3)] == "no reading near its start"
    assert day not in said, "a day that is not over is not missing"


async def test_days_without_a_worker_are_caught_up_on_for_a_month(trade: Trade) -> None:
    for days_ago in range(1, 36):
        await read_at(trade, midnight(days_ago) - timedelta(minutes=5), "5")
    assert await reconcile_days(trade.db) == 30
    assert await reconcile_days(trade.db) == 0


async def test_a_deposit_entered_late_is_in_the_day_in_which_it_was_made(trade: Trade) -> None:
    await read_at(trade, midnight(3) - timedelta(minutes=1), "5")
    await read_at(trade, midnight(2) - timedelta(minutes=1), "25")
    await read_at(trade, midnight(1) - timedelta(minutes=1), "25")
    await reconcile_days(trade.db)
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert [day.difference for day in (await reckoned(trade)).values()] == [0, 20]
    await pay_in(trade, "20", "invoice 7", midnight(3) + timedelta(hours=7))
    assert [(day.deposits, day.difference) for day in (await reckoned(trade)).values()] == [(0, 0), (20, 0)]
    assert yesterday not in await reckoned(trade)


@pytest.mark.parametrize("other", ["worker", "deposit"])
async def test_a_day_that_is_reckoned_twice_at_once_has_every_deposit(
    trade: Trade, root: asyncpg.Connection, other: str
) -> None:
    await read_at(trade, midnight(2) - timedelta(minutes=1), "5")
    await read_at(trade, midnight(1) - timedelta(minutes=1), "35")
    at = midnight(2) + timedelta(hours=7)
    second: Callable[[], Coroutine[Any, Any, object]] = {
        "worker": lambda: reconcile_days(trade.db),
        "deposit": lambda: pay_in(trade, "10", "invoice 8", at),
    }[other]

    async def is_waiting() -> bool:
        return bool(await root.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))

    async with trade.db.transaction() as tx:
        await enter_deposit(tx, trade.provider_id, Decimal(20), "invoice 7", at)
        task = asyncio.create_task(second())
        await eventually(is_waiting)
    await task
    [day] = (await reckoned(trade)).values()
    assert day.deposits == (20 if other == "worker" else 30)


async def test_a_deposit_is_entered_once_a_reference(trade: Trade) -> None:
    at = midnight(1)
    first = await pay_in(trade, "20", "invoice 7", at)
    again = [await pay_in(trade, "20", "invoice 7", at), await pay_in(trade, "20", "invoice 7")]
    assert first.entered
    assert [(deposit.entered, deposit.at) for deposit in again] == [(False, at), (False, at)]
    for amount, when in (("21", at), ("20", midnight(2))):
        with pytest.raises(Conflict, match="stands for 20"):
            await pay_in(trade, amount, "invoice 7", when)
    assert (await trade.row("SELECT count(*) AS n, sum(amount) AS sum FROM provider_deposits")) == {"n": 1, "sum": 20}


@pytest.mark.parametrize(
    ("amount", "reference", "later"),
    [("0", "x", 0), ("1e12", "x", 0), ("0.000000001", "x", 0), ("1", " ", 0), ("1", "x ", 0), ("1", "x", 60)],
)
async def test_what_is_no_deposit_is_refused(trade: Trade, amount: str, reference: str, later: float) -> None:
    with pytest.raises((Conflict, Invalid)):
        await pay_in(trade, amount, reference, datetime.now(UTC) + timedelta(minutes=later))
    assert (await trade.row("SELECT count(*) AS n FROM provider_deposits")) == {"n": 0}


def test_the_posts_that_an_open_subscription_is_charged_for_are_those_that_are_held() -> None:
    assert POSTS_CHARGED == POSTS_AHEAD
