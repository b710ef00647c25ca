"""The same request again: by its key, by its fields, and what happens when both arrive at once."""

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from uuid_utils.compat import uuid7

from gateway.accounts.model import Account
from gateway.db.engine import Database
from gateway.errors import ActiveOrder, IdempotencyMismatch, InsufficientFunds, Unavailable
from gateway.ledger.booking import deposit
from gateway.orders.placement import Placement
from gateway.orders.replays import store
from gateway.orders.replays.model import Replay, replay_of
from tests.support.accounts import assert_ledger_is_clean
from tests.support.factories import Shop, add_account, add_shop, draft, read_wallet
from tests.support.proxy import Break, wire_to

FIELDS = {"link": "https://example.com/v/1", "quantity": "1000"}


@pytest.fixture
async def shop(db: Database) -> Shop:
    return await add_shop(db)


@pytest.fixture
async def placement(db: Database) -> AsyncIterator[Placement]:
    placement = Placement(db)
    yield placement
    await placement.close()


def keyed(account: Account, key: str = "k1", **fields: str) -> Replay:
    replay = replay_of(account, "1", FIELDS | fields | {"idempotency_key": key})
    assert replay is not None
    return replay


async def count_orders(db: Database) -> int:
    async with db.connection() as connection:
        count: int = await connection.fetchval("SELECT count(*) FROM orders")
    return count


async def test_fifty_copies_at_once_through_two_processes_place_one_order(
    db: Database, database_url: str, shop: Shop, placement: Placement
) -> None:
    other_db = await Database.open(database_url)
    other = Placement(other_db)
    replay = keyed(shop.account)
    numbers = await asyncio.gather(
        *((placement if copy % 2 else other).place(shop.account, shop.service, draft(), replay) for copy in range(50))
    )
    await other.close()
    await other_db.close()
    assert len(set(numbers)) == 1
    assert await count_orders(db) == 1
    assert (await read_wallet(db, shop.account.wallet_id)).hold_amount == 2
    await assert_ledger_is_clean(db)


async def test_a_copy_later_is_answered_and_another_request_is_refused(shop: Shop, placement: Placement) -> None:
    first = await placement.place(shop.account, shop.service, draft(), keyed(shop.account))
    assert await placement.place(shop.account, shop.service, draft(), keyed(shop.account)) == first
    with pytest.raises(IdempotencyMismatch):
        await placement.place(shop.account, shop.service, draft(quantity=999), keyed(shop.account, quantity="999"))
    assert await placement.place(shop.account, shop.service, draft(), keyed(shop.account, "k2")) != first


async def test_a_batch_with_copies_and_others_answers_each(db: Database, shop: Shop, placement: Placement) -> None:
    same, other = keyed(shop.account), keyed(shop.account, quantity="999")
    outcomes = await asyncio.gather(
        placement.place(shop.account, shop.service, draft(), keyed(shop.account, "warm-up")),
        placement.place(shop.account, shop.service, draft(), same),
        placement.place(shop.account, shop.service, draft(), same),
        placement.place(shop.account, shop.service, draft(quantity=999), other),
        placement.place(shop.account, shop.service, draft()),
        return_exceptions=True,
    )
    assert outcomes[1] == outcomes[2]
    assert isinstance(outcomes[3], IdempotencyMismatch)
    assert len({outcomes[0], outcomes[1], outcomes[4]}) == 3
    assert await count_orders(db) == 3
    await assert_ledger_is_clean(db)


async def test_the_key_is_the_users_and_not_the_api_keys(db: Database, shop: Shop, placement: Placement) -> None:
    second = await add_account(db, user_id=shop.account.user_id, funds="0")
    stranger = await add_account(db)
    first = await placement.place(shop.account, shop.service, draft(), keyed(shop.account))
    assert await placement.place(second, shop.service, draft(), keyed(second)) == first
    assert await placement.place(stranger, shop.service, draft(), keyed(stranger)) != first


async def test_a_refused_order_keeps_no_key(db: Database, shop: Shop, placement: Placement) -> None:
    poor = await add_account(db, funds="0")
    replay = keyed(poor)
    with pytest.raises(InsufficientFunds):
        await placement.place(poor, shop.service, draft(), replay)
    async with db.transaction() as tx:
        await deposit(tx, poor.wallet_id, (await read_wallet(db, shop.account.wallet_id)).balance)
    assert await placement.place(poor, shop.service, draft(), replay) > 100_000


async def test_a_key_that_has_expired_stands_for_a_new_order(db: Database, shop: Shop, placement: Placement) -> None:
    first = await placement.place(shop.account, shop.service, draft(), keyed(shop.account))
    async with db.transaction() as tx:
        await tx.execute("UPDATE idempotency_keys SET expires_at = now() - interval '2 hours'")
    second = await placement.place(shop.account, shop.service, draft(), keyed(shop.account))
    assert second != first
    assert await placement.place(shop.account, shop.service, draft(), keyed(shop.account)) == second
    async with db.transaction() as tx:
        await tx.execute("UPDATE idempotency_keys SET expires_at = now() - interval '2 hours'")
        assert await store.purge(tx, 10) == 1


async def test_the_first_order_is_found_before_anything_is_refused(shop: Shop, placement: Placement) -> None:
    first = await placement.place(shop.account, shop.service, draft(), keyed(shop.account))
    assert await placement.find_replayed(shop.account.user_id, keyed(shop.account)) == first
    assert await placement.find_replayed(shop.account.user_id, keyed(shop.account, quantity="5")) is None
    assert await placement.find_replayed(shop.account.user_id, keyed(shop.account, "other")) is None


async def test_a_refusal_waits_for_a_first_order_that_is_being_written(
    db: Database, shop: Shop, placement: Placement
) -> None:
    """Which is answered with a 503 where it takes long, and never with a refusal of what may be placed."""
    replay, order_id = keyed(shop.account), uuid7()
    async with db.transaction() as tx:
        await store.claim(tx, {(shop.account.user_id, replay.key): (replay, order_id)})
        with pytest.raises(Unavailable):
            await placement.find_replayed(shop.account.user_id, replay)
    assert await placement.find_replayed(shop.account.user_id, keyed(shop.account, "free")) is None
    assert await placement.place(shop.account, shop.service, draft(), keyed(shop.account, "free")) > 100_000


@pytest.mark.parametrize("broken", [Break.BEFORE_COMMIT, Break.AFTER_COMMIT])
async def test_an_answer_lost_at_the_commit_places_no_second_order(
    db: Database, database_url: str, shop: Shop, broken: Break
) -> None:
    async with wire_to(database_url) as (wire, url):
        through = await Database.open(url)
        placement = Placement(through)
        wire.broken = broken
        replay = keyed(shop.account)
        outcomes = await asyncio.gather(
            *(placement.place(shop.account, shop.service, draft(), replay) for _ in range(3)), return_exceptions=True
        )
        lost = [outcome for outcome in outcomes if isinstance(outcome, Unavailable)]
        assert all(outcome.placed is False for outcome in lost)
        again = await placement.place(shop.account, shop.service, draft(), replay)
        assert {outcome for outcome in outcomes if isinstance(outcome, int)} <= {again}
        await placement.close()
        await through.close()
    assert await count_orders(db) == 1
    await assert_ledger_is_clean(db)


async def test_within_its_window_the_same_request_is_the_first_order(
    db: Database, shop: Shop, placement: Placement
) -> None:
    account = msgspec.structs.replace(shop.account, replay_window_s=120)
    assert replay_of(shop.account, "1", FIELDS) is None
    replay = replay_of(account, "1", FIELDS)
    numbers = await asyncio.gather(*(placement.place(account, shop.service, draft(), replay) for _ in range(5)))
    assert len(set(numbers)) == 1
    other = replay_of(account, "1", FIELDS | {"quantity": "999"})
    assert await placement.place(account, shop.service, draft(quantity=999), other) not in numbers
    async with db.transaction() as tx:
        await tx.execute("UPDATE idempotency_keys SET expires_at = now() - interval '1 second'")
    assert await placement.place(account, shop.service, draft(), replay) not in numbers


async def test_of_twenty_orders_for_one_link_at_once_one_is_active(
    db: Database, database_url: str, shop: Shop, placement: Placement
) -> None:
    account = msgspec.structs.replace(shop.account, refuse_duplicates=True)
    other_db = await Database.open(database_url)
    other = Placement(other_db)
    outcomes = await asyncio.gather(
        *((placement if copy % 2 else other).place(account, shop.service, draft()) for copy in range(20)),
        return_exceptions=True,
    )
    await other.close()
    await other_db.close()
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, ActiveOrder) for outcome in outcomes) == 19
    assert await placement.place(account, shop.service, draft(link="https://example.com/v/2")) > 100_000
    assert await placement.place(shop.account, shop.service, draft()) > 100_000, "another key does not mind"
    async with db.transaction() as tx:
        await tx.execute("UPDATE orders SET status = 'cancelled', remains = quantity")
    assert await placement.place(account, shop.service, draft()) > 100_000
