"""Orders placed by one statement: what it writes is what a decision under the wallets' locks would have written."""

import asyncio
import random
from collections import Counter
from decimal import Decimal
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
import pytest
from uuid_utils.compat import uuid7

from gateway.db.engine import Database
from gateway.errors import InsufficientFunds
from gateway.ledger import store as ledger
from gateway.orders.decisions import Placing, decide, prepare
from gateway.orders.entering import store as entering
from gateway.orders.placement import Placement
from gateway.orders.store import NewOrder
from tests.support.accounts import assert_ledger_is_clean
from tests.support.factories import Shop, add_account, add_shop, draft, read_wallet
from tests.support.faults import eventually

LINES = """
SELECT wallet_id, wallet_seq, type, amount, balance_before, balance_after, hold_before, hold_after, reference_type,
       reference_id, description, metadata, user_id
  FROM ledger WHERE type = 'hold' ORDER BY wallet_id, wallet_seq
"""


async def add_shops(db: Database, choose: random.Random) -> list[Shop]:
    """Six wallets, poor and rich, some with a balance below which their users are to be told."""
    shops = [await add_shop(db, funds=str(choose.choice((1, 5, 20, 100))), rate="0.7") for _ in range(6)]
    async with db.transaction() as tx:
        for shop in shops:
            low = choose.choice((None, Decimal(1), Decimal(4), Decimal(50)))
            await tx.execute("UPDATE wallets SET low_balance = $2 WHERE id = $1", shop.account.wallet_id, low)
    return shops


def line_of(entry: Any) -> tuple[object, ...]:
    return (
        entry.wallet_id, entry.wallet_seq, entry.type, entry.amount, entry.balance_before, entry.balance_after,
        entry.hold_before, entry.hold_after, entry.reference.type, entry.reference.id, None, None, entry.user_id,
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
async def test_a_statement_writes_what_a_decision_would(db: Database, seed: int) -> None:
    choose = random.Random(seed)
    shops = await add_shops(db, choose)
    batch: list[Placing] = []
    for _ in range(choose.choice((1, 8, 30))):
        shop = choose.choice(shops)
        batch.append(prepare(shop.account, shop.service, draft(quantity=choose.randrange(10, 4000))))
    wallets = {shop.account.wallet_id: await read_wallet(db, shop.account.wallet_id) for shop in shops}
    decided = decide(batch, wallets)
    short = {
        each.wallet_id
        for each, outcome in zip(batch, decided.outcomes, strict=True)
        if not isinstance(outcome, NewOrder)
    }
    newly_low = {at for at, after in decided.wallets.items() if after.is_low and not wallets[at].is_low}
    covered = decided.wallets.keys() - short - newly_low

    async with db.connection() as connection:
        numbers = await entering.place_covered(connection, [(each.new, each.wallet_id) for each in batch])
        lines = [tuple(row) for row in await connection.fetch(LINES)]
        told = await connection.fetchval("SELECT count(*) FROM events WHERE type = 'balance.low'")

    assert numbers.keys() == {each.new.order.id for each in batch if each.wallet_id in covered}
    in_turn = [numbers[each.new.order.id] for each in batch if each.wallet_id in covered]
    assert in_turn == sorted(in_turn), "numbered in the order of the batch"
    expected = [line_of(entry) for entry in decided.entries if entry.wallet_id in covered]
    assert lines == sorted(expected, key=lambda line: (line[0], line[1]))
    for wallet_id, before in wallets.items():
        assert await read_wallet(db, wallet_id) == (decided.wallets[wallet_id] if wallet_id in covered else before)
    assert told == 0
    await assert_ledger_is_clean(db)


async def test_wallets_are_locked_by_their_ids_whatever_the_order_of_the_batch(
    db: Database, owner: asyncpg.Connection
) -> None:
    """As everybody locks them, so that nobody waits for one who waits for him."""
    shops = sorted([await add_shop(db) for _ in range(3)], key=lambda shop: shop.account.wallet_id, reverse=True)
    placing = [prepare(shop.account, shop.service, draft()) for shop in shops]
    wallet_ids = [each.wallet_id for each in placing]
    first = min(wallet_ids)

    async def place() -> dict[UUID, int]:
        async with db.connection() as connection:
            return await entering.place_covered(connection, [(each.new, each.wallet_id) for each in placing])

    async def waits() -> bool:
        return bool(await owner.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))

    async with db.transaction() as tx:
        await ledger.lock(tx, [first])
        placed = asyncio.create_task(place())
        await eventually(waits)
        async with db.transaction() as other:
            assert await ledger.lock_free(other, wallet_ids) == {*wallet_ids} - {first}
    assert len(await placed) == len(placing)


async def test_processes_that_spend_from_the_same_wallets_spend_each_to_its_last_order(
    db: Database, database_url: str
) -> None:
    """Statements that wait for each other's wallets look at what those left, whatever they saw when they began."""
    shop = await add_shop(db)
    accounts = [await add_account(db, funds="20") for _ in range(30)]
    processes = [await Database.open(database_url, size=3) for _ in range(3)]
    placements = [Placement(each) for each in processes]
    choose = random.Random(1)

    async def buy(placement: Placement, wallet: int) -> tuple[UUID, bool]:
        account = accounts[wallet]
        try:
            await placement.place(account, shop.service, draft())
        except InsufficientFunds:
            return account.wallet_id, False
        return account.wallet_id, True

    wanted = [(placement, wallet) for placement in placements for wallet in range(len(accounts)) for _ in range(5)]
    choose.shuffle(wanted)
    bought = Counter(await asyncio.gather(*(buy(*each) for each in wanted)))
    for each in processes:
        await each.close()
    assert bought == {
        (account.wallet_id, outcome): 10 - 5 * (not outcome) for account in accounts for outcome in (0, 1)
    }
    await assert_ledger_is_clean(db)


async def test_what_a_wallet_does_not_cover_together_is_decided_before_what_came_later(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await add_shop(db, funds="21", rate="1")
    placement, place_covered = Placement(db), entering.place_covered
    later: list[asyncio.Task[int]] = []

    def buy(quantity: int) -> asyncio.Task[int]:
        return asyncio.create_task(placement.place(shop.account, shop.service, draft(quantity=quantity)))

    async def and_then_one_comes(*wanted: Any) -> dict[UUID, int]:
        numbers = await place_covered(*wanted)
        if not later:
            later.append(buy(2000))
            await asyncio.sleep(0)
        return numbers

    monkeypatch.setattr(entering, "place_covered", and_then_one_comes)
    first, second = await asyncio.gather(buy(20_000), buy(5000), return_exceptions=True)
    (third,) = await asyncio.gather(*later, return_exceptions=True)
    assert isinstance(first, int)
    assert isinstance(second, InsufficientFunds)
    assert isinstance(third, InsufficientFunds)


async def test_of_what_is_not_covered_each_is_answered_for_itself_and_what_is_placed_stays_so(db: Database) -> None:
    shop, poor, rich = await add_shop(db), await add_account(db, funds="1"), await add_account(db)
    nobody = msgspec.structs.replace(poor, wallet_id=uuid7())
    placement = Placement(db)
    accounts = (shop.account, nobody, poor, rich, shop.account)
    outcomes = await asyncio.gather(
        *(placement.place(account, shop.service, draft()) for account in accounts), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [int, KeyError, InsufficientFunds, int, int]
    await assert_ledger_is_clean(db)
