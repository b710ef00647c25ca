"""Wallets that somebody holds for long: their own orders are refused, and others hardly wait for them."""

import asyncio

import asyncpg

from gateway.db.engine import Database
from gateway.errors import Unavailable
from gateway.orders.placement import BATCH_MAX, Placement
from gateway.orders.replays.model import Replay
from tests.support.accounts import assert_ledger_is_clean
from tests.support.factories import add_account, add_shop, draft
from tests.support.processes import eventually

ANSWERED_WITHIN_S = 60.0
"""Each part waits for a lock for three seconds; in halves, a hundred parts would."""


async def test_a_held_wallet_with_many_orders_is_asked_for_once_for_all_of_them(
    db: Database, database_url: str
) -> None:
    held, free = await add_shop(db), await add_shop(db)
    also_held = await add_account(db)
    placement = Placement(db)
    holder = await asyncpg.connect(database_url)
    turn = [held.account, also_held, free.account, held.account]
    async with holder.transaction():
        await holder.execute(
            "SELECT FROM wallets WHERE id = ANY($1) FOR UPDATE", [held.account.wallet_id, also_held.wallet_id]
        )
        async with asyncio.timeout(ANSWERED_WITHIN_S):
            answers = await asyncio.gather(
                *(placement.place(turn[at % len(turn)], held.service, draft(quantity=100)) for at in range(BATCH_MAX)),
                return_exceptions=True,
            )
    await holder.close()
    for at, answer in enumerate(answers):
        if turn[at % len(turn)] is free.account:
            assert isinstance(answer, int)
        else:
            assert isinstance(answer, Unavailable)
            assert answer.placed is False
    numbers = [answer for answer in answers if isinstance(answer, int)]
    assert numbers == sorted(set(numbers))
    await assert_ledger_is_clean(db)


async def test_an_order_with_a_key_waits_for_its_wallet_as_long_as_any(db: Database, database_url: str) -> None:
    held = await add_shop(db)
    replay = Replay("key:k", b"h", 60)
    holder, watcher = await asyncpg.connect(database_url), await asyncpg.connect(database_url)

    async def has_waited_for_long() -> bool:
        waits: bool = await watcher.fetchval(
            "SELECT EXISTS (SELECT FROM pg_locks WHERE waitstart < now() - interval '1 second')"
        )
        return waits

    async with holder.transaction():
        await holder.execute("SELECT FROM wallets WHERE id = $1 FOR UPDATE", held.account.wallet_id)
        placing = asyncio.create_task(Placement(db).place(held.account, held.service, draft(quantity=100), replay))
        await eventually(has_waited_for_long, what="an order that waits", within_s=2.5)
    assert await placing > 0
    await holder.close()
    await watcher.close()
