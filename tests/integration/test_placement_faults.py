"""Placements among faults: connections lost after the commit, and wallets that others hold."""

import asyncio

from gateway.accounts.people.changing import change_user
from gateway.accounts.people.model import UserEdit
from gateway.db.engine import Database
from gateway.errors import Unavailable
from gateway.orders.decisions import prepare
from gateway.orders.model import Dispatch
from gateway.orders.placement import Placement
from tests.support.factories import Shop, add_shop, draft, read_order, read_wallet
from tests.support.proxy import Break, wire_to


async def test_a_connection_lost_after_the_commit_was_answered_changes_nothing(db: Database, database_url: str) -> None:
    shop = await add_shop(db)
    async with wire_to(database_url) as (wire, url):
        far = await Database.open(url, size=2)
        wire.word, wire.broken = b"https://example.com/v/", Break.AFTER_ANSWER
        number = await Placement(far).place(shop.account, shop.service, draft())
        assert (wire.commits, wire.broken) == (1, Break.NEVER)
        again = await place_at_last(far, shop)
        await far.close()
    assert [(await read_order(db, n)).dispatch for n in (number, again)] == [Dispatch.QUEUED] * 2
    assert (await read_wallet(db, shop.account.wallet_id)).hold_amount == 4


async def place_at_last(db: Database, shop: Shop) -> int:
    """Once more where nothing was placed, as while the pool has not heard that its connection is lost."""
    try:
        return await Placement(db).place(shop.account, shop.service, draft())
    except Unavailable as lost:
        if lost.placed is not False:
            raise
    return await Placement(db).place(shop.account, shop.service, draft())


async def test_an_order_that_is_written_once_more_is_found_and_no_other_is_placed(db: Database) -> None:
    """As where a commit went through although it was taken for undone."""
    shop = await add_shop(db)
    placement = Placement(db)
    placing = prepare(shop.account, shop.service, draft())
    number = await placement.submit(placing)
    again, other = await asyncio.gather(
        placement.submit(placing), placement.place(shop.account, shop.service, draft()), return_exceptions=True
    )
    assert again == number
    assert isinstance(other, Unavailable)
    assert other.placed is False
    assert (await read_wallet(db, shop.account.wallet_id)).hold_amount == 2


async def test_a_locked_wallet_refuses_no_other_order_of_its_batch(db: Database) -> None:
    locked, free = await add_shop(db), await add_shop(db)
    placement = Placement(db)
    async with db.transaction() as other:
        await other.execute("SELECT FROM wallets WHERE id = $1 FOR UPDATE", locked.account.wallet_id)
        refused, number = await asyncio.gather(
            *(placement.place(shop.account, shop.service, draft()) for shop in (locked, free)), return_exceptions=True
        )
    assert isinstance(refused, Unavailable)
    assert refused.placed is False
    assert isinstance(number, int)
    assert (await read_order(db, number)).user_id == free.account.user_id
    assert (await read_wallet(db, locked.account.wallet_id)).hold_amount == 0


async def test_an_order_does_not_wait_for_whoever_changes_its_user(db: Database) -> None:
    shop = await add_shop(db)
    async with db.transaction() as operator:
        await change_user(operator, shop.account.user_id, UserEdit(role="admin"))
        async with asyncio.timeout(2):  # before it would have waited for a lock in vain
            assert await Placement(db).place(shop.account, shop.service, draft())
