"""Orders placed on a real PostgreSQL: many at once, and what is refused."""

import asyncio
from decimal import Decimal

import asyncpg
import msgspec
import pytest
from uuid_utils.compat import uuid7

from gateway.db.engine import Database
from gateway.errors import (
    GatewayError,
    InsufficientFunds,
    QuantityTooHigh,
    QuantityTooLow,
    ServiceDisabled,
    Unavailable,
    UnknownService,
)
from gateway.orders.model import Dispatch, Status
from gateway.orders.placement import Placement
from gateway.orders.replays.model import Replay
from tests.support.checks import assert_each_order_is_held_once
from tests.support.factories import (
    Shop,
    add_account,
    add_shop,
    draft,
    event_types,
    ledger_rows,
    place_order,
    read_order,
    read_wallet,
)
from tests.support.faults import eventually
from tests.support.garbage import gone_at_once

TWO = Decimal(2)


@pytest.fixture
async def shop(db: Database) -> Shop:
    """1000 pieces cost 2, and the account holds 100."""
    return await add_shop(db)


@pytest.fixture
def placement(db: Database) -> Placement:
    return Placement(db)


async def test_a_placed_order_is_queued_held_and_told(db: Database, shop: Shop, placement: Placement) -> None:
    number = await placement.place(shop.account, shop.service, draft(quantity=1500))
    order = await read_order(db, number)
    assert number == 100001
    assert (order.status, order.dispatch, order.quantity) == (Status.PENDING, Dispatch.QUEUED, 1500)
    assert (order.price, order.charge, order.currency) == (Decimal(3), Decimal(0), "USD")
    assert (order.user_id, order.service_id, order.provider_id) == (
        shop.account.user_id,
        shop.service.id,
        shop.provider_id,
    )
    assert await ledger_rows(db, order.id) == [("hold", Decimal(3))]
    assert await event_types(db, order.id) == ["order.created"]


async def test_many_at_once_are_each_placed_once(db: Database, shop: Shop, placement: Placement) -> None:
    numbers = await asyncio.gather(
        *(placement.place(shop.account, shop.service, draft(link=f"https://example.com/{n}")) for n in range(40))
    )
    assert len(set(numbers)) == 40
    await assert_each_order_is_held_once(db, shop, 40)
    for n in (0, 39):
        assert (await read_order(db, numbers[n])).link == f"https://example.com/{n}"


async def test_a_wallet_is_spent_to_the_last_order_it_covers(db: Database, placement: Placement) -> None:
    poor, rich = await add_shop(db, funds="9"), await add_shop(db, funds="100")
    outcomes = await asyncio.gather(
        *(placement.place(shop.account, shop.service, draft()) for _ in range(10) for shop in (poor, rich)),
        return_exceptions=True,
    )
    assert sum(isinstance(outcome, InsufficientFunds) for outcome in outcomes) == 6
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 14
    assert (await read_wallet(db, poor.account.wallet_id)).spendable == Decimal(1)
    assert (await read_wallet(db, rich.account.wallet_id)).spendable == Decimal(80)


async def test_processes_that_spend_from_one_wallet_never_overspend(db: Database, database_url: str) -> None:
    shop = await add_shop(db, funds="20")
    others = [await Database.open(database_url, size=2) for _ in range(3)]
    outcomes = await asyncio.gather(
        *(
            placement.place(shop.account, shop.service, draft())
            for placement in map(Placement, others)
            for _ in range(8)
        ),
        return_exceptions=True,
    )
    for other in others:
        await other.close()
    assert sum(isinstance(outcome, int) for outcome in outcomes) == 10
    assert {type(outcome) for outcome in outcomes} == {int, InsufficientFunds}
    assert (await read_wallet(db, shop.account.wallet_id)).spendable == 0


@pytest.mark.parametrize(
    ("changes", "quantity", "refusal"),
    [
        ({"is_active": False}, 1000, ServiceDisabled),
        ({"provider_id": None}, 1000, ServiceDisabled),
        ({"currency": "EUR"}, 1000, UnknownService),
        ({"kind": None}, 1000, UnknownService),
        ({}, 1, QuantityTooLow),
        ({}, 10**9, QuantityTooHigh),
        ({"rate": Decimal(101)}, 1000, InsufficientFunds),
    ],
)
async def test_a_refusal_writes_nothing(
    db: Database,
    shop: Shop,
    placement: Placement,
    changes: dict[str, object],
    quantity: int,
    refusal: type[GatewayError],
) -> None:
    service = msgspec.structs.replace(shop.service, **changes)
    with pytest.raises(refusal):
        await placement.place(shop.account, service, draft(quantity=quantity))
    await assert_each_order_is_held_once(db, shop, 0)


async def test_the_whole_balance_can_be_spent_and_not_a_place_more(db: Database, placement: Placement) -> None:
    shop = await add_shop(db, funds="0.00000039", rate="0.00001")
    await placement.place(shop.account, shop.service, draft(quantity=20))
    with pytest.raises(InsufficientFunds):
        await placement.place(shop.account, shop.service, draft(quantity=20))
    await placement.place(shop.account, shop.service, draft(quantity=19))
    assert (await read_wallet(db, shop.account.wallet_id)).spendable == 0


async def test_a_service_that_is_gone_harms_only_its_own_order(db: Database, shop: Shop, placement: Placement) -> None:
    gone = msgspec.structs.replace(shop.service, id=shop.account.user_id)
    outcomes = await asyncio.gather(
        *(placement.place(shop.account, gone if n == 3 else shop.service, draft()) for n in range(8)),
        return_exceptions=True,
    )
    assert [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, int)] == [3]
    await assert_each_order_is_held_once(db, shop, 7)


async def test_one_users_order_is_paid_by_that_users_wallet(db: Database, shop: Shop, placement: Placement) -> None:
    other = await add_account(db, funds="50")
    await asyncio.gather(
        placement.place(shop.account, shop.service, draft()), placement.place(other, shop.service, draft())
    )
    assert (await read_wallet(db, other.wallet_id)).hold_amount == TWO
    assert (await read_wallet(db, shop.account.wallet_id)).hold_amount == TWO


async def test_new_orders_wake_the_dispatchers(db: Database, shop: Shop, database_url: str) -> None:
    heard: asyncio.Queue[str] = asyncio.Queue()
    listener = await asyncpg.connect(database_url)
    await listener.add_listener("orders_queued", lambda *news: heard.put_nowait(str(news[2])))
    await place_order(db, shop)
    async with asyncio.timeout(10):
        assert await heard.get() == "orders_queued"
    await listener.close()


# What refusals leave behind --------------------------------------------------------------------


async def no_batch_is_under_way() -> bool:
    await asyncio.sleep(0)  # a turn, in which the loop lets go of what has ended
    return not any(task.get_name().startswith("batch ") for task in asyncio.all_tasks())


@pytest.mark.parametrize("keyed", [False, True])
async def test_a_refusal_is_gone_with_its_answer(db: Database, placement: Placement, keyed: bool) -> None:
    """Also while somebody holds the wallet: refusals come in crowds."""
    poor, rich = await add_shop(db, funds="1"), await add_shop(db)

    async def refuse(shop: Shop, kind: type[GatewayError]) -> bool:
        replay = Replay(f"key:{uuid7()}", b"fields", 60) if keyed else None
        try:
            await placement.place(shop.account, shop.service, draft(), replay)
        except kind:  # not by pytest, which keeps what it saw
            return True
        return False

    async with db.transaction() as other:
        await other.execute("SELECT FROM wallets WHERE id = $1 FOR UPDATE", rich.account.wallet_id)
        for shop, kind in ((poor, InsufficientFunds), (rich, Unavailable)):
            with gone_at_once(GatewayError):
                assert await refuse(shop, kind)
                await eventually(no_batch_is_under_way)
