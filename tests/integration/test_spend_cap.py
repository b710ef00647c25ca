"""A key's cap of the day: exact in one process and in many, and named rightly when an answer is lost."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import asyncpg
import msgspec
import pytest

from compat.drafts import Draft
from compat.kinds import Kind
from gateway.accounts.model import Account
from gateway.accounts.spending import store as spending
from gateway.db.engine import Database
from gateway.errors import ActiveOrder, InsufficientFunds, SpendCapReached, Unavailable
from gateway.orders.cancels.wishing import cancel_orders
from gateway.orders.placement import Placement
from gateway.orders.reading import OrderReader
from gateway.orders.replays.model import Replay
from gateway.worker import purge
from tests.support.factories import Shop, add_account, add_service, add_shop, draft, read_wallet
from tests.support.proxy import Break, wire_to

TWO = Decimal(2)
"""The price of one order here."""


@pytest.fixture
async def shop(db: Database) -> Shop:
    """The account holds 100 and may spend 10 a day, of which an order costs 2."""
    return await capped_shop(db, "10")


async def capped_shop(db: Database, cap: str, funds: str = "100") -> Shop:
    shop = await add_shop(db)
    account = await add_account(db, funds=funds, cap=Decimal(cap))
    return Shop(account, shop.service, shop.provider_id, shop.route)


@pytest.fixture
async def placement(db: Database) -> AsyncIterator[Placement]:
    placement = Placement(db)
    yield placement
    await placement.close()


async def spent(db: Database) -> dict[Any, Decimal]:
    async with db.connection() as connection:
        rows = await connection.fetch("SELECT api_key_id, spent FROM key_spending")
    return {row["api_key_id"]: row["spent"] for row in rows}


async def place(placement: Placement, shop: Shop, times: int, **fields: Any) -> Counter[str]:
    outcomes = await asyncio.gather(
        *(placement.place(shop.account, shop.service, draft(), **fields) for _ in range(times)), return_exceptions=True
    )
    return Counter(type(outcome).__name__ for outcome in outcomes)


async def test_the_cap_is_reached_and_never_passed(db: Database, shop: Shop, placement: Placement) -> None:
    assert await place(placement, shop, 8) == {"int": 5, "SpendCapReached": 3}
    assert await place(placement, shop, 1) == {"SpendCapReached": 1}
    assert await spent(db) == {shop.account.key_id: Decimal(10)}
    assert (await read_wallet(db, shop.account.wallet_id)).hold_amount == Decimal(10)


async def test_processes_that_spend_with_one_key_reach_its_cap_together(db: Database, database_url: str) -> None:
    """A second key of the same user has a cap of its own, and a third none."""
    shop = await capped_shop(db, "21", funds="1000")
    owner = shop.account.user_id
    other = Shop(await add_account(db, funds="0", user_id=owner, cap=Decimal(8)), *rest(shop))
    free = Shop(await add_account(db, funds="0", user_id=owner), *rest(shop))
    processes = [await Database.open(database_url, size=2) for _ in range(3)]
    placements = [Placement(process) for process in processes]
    outcomes = await asyncio.gather(
        *(place(placement, each, 12) for placement in placements for each in (shop, other, free))
    )
    for placement, process in zip(placements, processes, strict=True):
        await placement.close()
        await process.close()
    mine, others, frees = (sum(outcomes[n::3], Counter()) for n in range(3))
    assert mine == {"int": 10, "SpendCapReached": 26}
    assert others == {"int": 4, "SpendCapReached": 32}
    assert frees == {"int": 36}
    assert await spent(db) == {shop.account.key_id: Decimal(20), other.account.key_id: Decimal(8)}
    assert (await read_wallet(db, shop.account.wallet_id)).hold_amount == TWO * 50


def rest(shop: Shop) -> tuple[Any, ...]:
    return shop.service, shop.provider_id, shop.route


async def test_a_key_without_a_cap_asks_for_nothing_more(
    db: Database, database_url: str, shop: Shop, placement: Placement
) -> None:
    owner = await asyncpg.connect(database_url)
    await owner.execute("REVOKE ALL ON key_spending FROM gateway_service")
    await owner.close()
    free = Shop(await add_account(db), *rest(shop))
    assert await place(placement, free, 3) == {"int": 3}
    assert await place(placement, shop, 1) == {"InsufficientPrivilegeError": 1}


async def test_what_the_wallet_refuses_is_not_counted(db: Database, placement: Placement) -> None:
    shop = await capped_shop(db, "10", funds="3")
    assert await place(placement, shop, 3) == {"int": 1, "InsufficientFunds": 2}
    assert await spent(db) == {shop.account.key_id: TWO}


async def test_the_same_request_again_counts_once(db: Database, shop: Shop, placement: Placement) -> None:
    replay = Replay("key:1", b"x" * 32, 3600)
    for _ in range(2):
        assert await place(placement, shop, 4, replay=replay) == {"int": 4}
    assert await spent(db) == {shop.account.key_id: TWO}


async def test_a_replay_of_what_was_placed_is_answered_though_the_cap_is_reached(
    db: Database, shop: Shop, placement: Placement
) -> None:
    replay = Replay("key:1", b"x" * 32, 3600)
    first = await placement.place(shop.account, shop.service, draft(), replay)
    await place(placement, shop, 4)
    assert await placement.place(shop.account, shop.service, draft(), replay) == first
    refused = Replay("key:2", b"y" * 32, 3600)
    with pytest.raises(SpendCapReached):
        await placement.place(shop.account, shop.service, draft(), refused)
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM idempotency_keys") == 1


async def test_a_cancel_does_not_give_back_what_was_spent(db: Database, shop: Shop, placement: Placement) -> None:
    async with db.transaction() as tx:
        await tx.execute("UPDATE services SET cancel = true")
    number = await placement.place(shop.account, shop.service, draft())
    await cancel_orders(db, OrderReader(db), shop.account.user_id, [number])
    assert (await read_wallet(db, shop.account.wallet_id)).hold_amount == 0
    assert await spent(db) == {shop.account.key_id: TWO}


async def test_a_drip_feed_counts_once_with_all_its_runs(db: Database, shop: Shop, placement: Placement) -> None:
    drip = Draft("https://example.com/v/1", 1000, {}, runs=4, interval_minutes=10)
    await placement.place(shop.account, shop.service, drip)
    assert await spent(db) == {shop.account.key_id: TWO * 4}
    with pytest.raises(SpendCapReached):
        await placement.place(shop.account, shop.service, drip)


async def test_another_day_begins_with_nothing_spent(db: Database, shop: Shop, placement: Placement) -> None:
    await place(placement, shop, 5)
    async with db.transaction() as tx:
        await tx.execute("UPDATE key_spending SET day = day - 1")
    assert await place(placement, shop, 6) == {"int": 5, "SpendCapReached": 1}


async def test_the_cap_of_the_row_holds_where_that_of_the_account_is_old(
    db: Database, shop: Shop, placement: Placement
) -> None:
    async with db.transaction() as tx:
        await tx.execute("UPDATE api_keys SET daily_spend_cap = 4 WHERE id = $1", shop.account.key_id)
    assert await place(placement, shop, 4) == {"int": 2, "SpendCapReached": 2}


async def test_days_long_over_are_deleted(db: Database, shop: Shop, placement: Placement) -> None:
    await place(placement, shop, 1)
    async with db.transaction() as tx:
        await tx.execute(
            "INSERT INTO key_spending SELECT api_key_id, day - n FROM key_spending, generate_series(1, 1200) n"
        )
    await purge(db, spending.purge)
    async with db.connection() as connection:
        assert await connection.fetchval("SELECT array_agg(day) FROM key_spending") == await connection.fetchval(
            "SELECT array_agg(((now() AT TIME ZONE 'UTC')::date - n)::date ORDER BY n) FROM generate_series(0, $1) n",
            spending.KEPT_DAYS,
        )


# Answers lost at the commit ------------------------------------------------------------------


async def test_each_refusal_keeps_its_name_when_the_answer_to_the_commit_is_lost(
    db: Database, database_url: str
) -> None:
    """One batch: placed, beyond the cap, beyond the wallet, and beside an active order."""
    shop = await capped_shop(db, "2")
    poor = await add_account(db, funds="3")
    wary = msgspec.structs.replace(await add_account(db), refuse_duplicates=True)
    async with wire_to(database_url) as (wire, url):
        far = await Database.open(url, size=4, acquire_timeout_s=5)
        placement = Placement(far)
        await placement.place(poor, shop.service, draft())
        wire.broken = Break.AFTER_COMMIT
        buyers: list[Account] = [shop.account, shop.account, poor, wary, wary]
        no_plain_one = {poor: Replay("key:k", b"fields", 60)}
        places = [placement.place(each, shop.service, draft(), no_plain_one.get(each)) for each in buyers]
        outcomes = await asyncio.gather(*places, return_exceptions=True)
        await placement.close()
        await far.close()
    assert [type(outcome) for outcome in outcomes] == [int, SpendCapReached, InsufficientFunds, int, ActiveOrder]
    assert wire.broken is Break.NEVER
    assert await spent(db) == {shop.account.key_id: TWO}


async def test_a_commit_that_never_arrived_counts_nothing(db: Database, shop: Shop, database_url: str) -> None:
    async with wire_to(database_url) as (wire, url):
        far = await Database.open(url, size=4, acquire_timeout_s=5)
        placement = Placement(far)
        wire.broken = Break.BEFORE_COMMIT
        with pytest.raises(Unavailable) as failure:
            await placement.place(shop.account, shop.service, draft())
        assert failure.value.placed is False
        assert await spent(db) == {}
        await placement.close()
        await far.close()


async def test_a_subscription_counts_what_it_holds_at_first(db: Database, shop: Shop, placement: Placement) -> None:
    service = await add_service(db, kind=Kind.SUBSCRIPTIONS, provider_id=shop.provider_id, rate="1")
    post = Draft("https://example.com/a", 100, {"username": "a", "min": "100", "max": "100"}, runs=5, least=100)
    await placement.place(shop.account, service, post)
    assert await spent(db) == {shop.account.key_id: Decimal("0.5")}
