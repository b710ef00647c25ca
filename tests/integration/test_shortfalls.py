"""Orders of wallets that are known to be short: refused without a lock, and taken as soon as there is money."""

from decimal import Decimal

import msgspec
import pytest

from gateway.db.engine import Database
from gateway.errors import ActiveOrder, InsufficientFunds, SpendCapReached, Unavailable
from gateway.ledger import store as ledger
from gateway.ledger.model import EntryType, Reference, post
from gateway.orders.placement import Placement
from gateway.orders.shortfalls import Shortfalls
from tests.support.factories import Shop, add_shop, draft, read_wallet


@pytest.fixture
async def shop(db: Database) -> Shop:
    """1000 pieces cost 2, and the account holds 1."""
    return await add_shop(db, funds="1")


@pytest.fixture
async def placement(db: Database, shop: Shop) -> Placement:
    """It has seen that the wallet is short."""
    placement = Placement(db)
    with pytest.raises(InsufficientFunds):
        await placement.place(shop.account, shop.service, draft())
    return placement


async def pay_in(db: Database, shop: Shop, amount: int) -> None:
    wallet_id = shop.account.wallet_id
    async with db.transaction() as tx:
        wallet = (await ledger.lock(tx, [wallet_id]))[wallet_id]
        after, entry = post(wallet, EntryType.DEPOSIT, Decimal(amount), Reference("test", wallet_id, f"+{amount}"))
        await ledger.write(tx, [after], [entry])


async def test_a_second_refusal_waits_for_no_lock(db: Database, shop: Shop, placement: Placement) -> None:
    async with db.transaction() as tx:
        await ledger.lock(tx, [shop.account.wallet_id])
        for _ in range(3):
            with pytest.raises(InsufficientFunds):
                await placement.place(shop.account, shop.service, draft())


async def test_money_is_seen_as_soon_as_it_is_there(db: Database, shop: Shop, placement: Placement) -> None:
    await pay_in(db, shop, 1)
    assert await placement.place(shop.account, shop.service, draft()) == 100001
    with pytest.raises(InsufficientFunds):
        await placement.place(shop.account, shop.service, draft())
    assert (await read_wallet(db, shop.account.wallet_id)).spendable == 0


async def test_what_the_wallet_can_pay_is_placed(shop: Shop, placement: Placement) -> None:
    assert await placement.place(shop.account, shop.service, draft(quantity=500)) == 100001


async def test_what_is_refused_for_something_else_too_is_told_as_ever(
    db: Database, shop: Shop, placement: Placement
) -> None:
    assert await placement.place(shop.account, shop.service, draft(quantity=500))
    wary = msgspec.structs.replace(shop.account, refuse_duplicates=True)
    with pytest.raises(ActiveOrder):
        await placement.place(wary, shop.service, draft())
    async with db.transaction() as tx:
        await tx.execute("UPDATE api_keys SET daily_spend_cap = 1 WHERE id = $1", shop.account.key_id)
    capped = msgspec.structs.replace(shop.account, daily_spend_cap=Decimal(1))
    with pytest.raises(SpendCapReached):
        await placement.place(capped, shop.service, draft())


async def test_a_database_that_is_away_placed_nothing(shop: Shop, placement: Placement, db: Database) -> None:
    await db.close()
    with pytest.raises(Unavailable) as caught:
        await placement.place(shop.account, shop.service, draft())
    assert caught.value.placed is False


async def test_no_more_wallets_are_known_than_the_bound(db: Database, shop: Shop) -> None:
    shortfalls = Shortfalls(db, kept_max=1)
    shortfalls.note(shop.service.id)
    shortfalls.note(shop.account.wallet_id)
    assert not await shortfalls.still_short(shop.service.id, Decimal(2))
    assert await shortfalls.still_short(shop.account.wallet_id, Decimal(2))
    assert not await shortfalls.still_short(shop.account.wallet_id, Decimal(1))
    assert not await shortfalls.still_short(shop.account.wallet_id, Decimal(2))
