"""Wallets that somebody holds for long: their own orders are refused, and others hardly wait for them."""

import asyncio

import asyncpg

from gateway.db.engine import Database
from gateway.errors import Unavailable
from gateway.orders.placement import BATCH_MAX, Placement
from tests.support.accounts import assert_ledger_is_clean
from tests.support.factories import add_account, add_shop, draft

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
