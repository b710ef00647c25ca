"""Money that an operator moves: once a reference, never beyond what there is, and proved with the rest."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from decimal import Decimal
from uuid import UUID

import asyncpg
import pytest

from compat.money import CENT, LIMIT
from compat.status import UpstreamStatus
from gateway.audit import store as audit
from gateway.audit.model import Actor
from gateway.db.engine import Database
from gateway.errors import AlreadyBooked, Conflict, InsufficientFunds, Invalid, ReferenceTaken
from gateway.ledger.booking import Booking, book
from gateway.ledger.verify import verify
from gateway.orders.model import Order, Status
from gateway.orders.refunds import refund_order
from gateway.orders.settlement import Change, settle
from gateway.orders.triggers import Claimed, Reported, WasAccepted
from tests.support.accounts import assert_ledger_is_clean
from tests.support.factories import Shop, add_shop, place_order, read_order, read_wallet

OPERATOR = Actor(kind="operator", name="ann", action="test").to_setting()


@pytest.fixture
async def shop(db: Database) -> AsyncIterator[Shop]:
    yield await add_shop(db)
    await assert_ledger_is_clean(db)


async def completed(db: Database, shop: Shop, quantity: int = 1000) -> Order:
    order = await place_order(db, shop, quantity=quantity)
    for trigger in (Claimed(), WasAccepted(f"u{order.number}"), Reported("Completed", UpstreamStatus.COMPLETED)):
        async with db.transaction() as tx:
            await settle(tx, [Change(order.id, trigger)])
    return await read_order(db, order.number)


@pytest.mark.parametrize(("booking", "change"), [("deposit", 5), ("withdraw", -5), ("fee", -5), ("refund", 5)])
async def test_a_booking_moves_the_balance_once_a_reference(
    db: Database, shop: Shop, booking: Booking, change: int
) -> None:
    before = await read_wallet(db, shop.account.wallet_id)
    async with db.transaction() as tx:
        _, entry = await book(tx, shop.account.wallet_id, booking, Decimal(5), reference="r 1", note="agreed")
    assert entry.metadata == {"reference": "r 1", "note": "agreed"}
    after = await read_wallet(db, shop.account.wallet_id)
    assert (after.balance - before.balance, after.hold_amount) == (change, before.hold_amount)
    with pytest.raises(AlreadyBooked):
        await in_its_own(db, shop.account.wallet_id, booking, "r 1")
    for none in (" r 1", "r 1\n", "", "  ", "r\u00a01", "x" * 81):
        with pytest.raises(Invalid):
            await in_its_own(db, shop.account.wallet_id, booking, none)
    for other in ("deposit", "withdraw", "fee", "refund"):
        if other != booking:
            await in_its_own(db, shop.account.wallet_id, other, "r 1")


async def in_its_own(db: Database, wallet_id: UUID, booking: Booking, reference: str) -> None:
    async with db.transaction() as tx:
        await book(tx, wallet_id, booking, Decimal(5), reference=reference)


@pytest.mark.parametrize("booking", ["withdraw", "fee"])
async def test_what_is_held_for_orders_is_not_paid_out(db: Database, shop: Shop, booking: Booking) -> None:
    await place_order(db, shop)
    wallet = await read_wallet(db, shop.account.wallet_id)
    with pytest.raises(InsufficientFunds):
        await one(db, shop.account.wallet_id, booking, wallet.spendable + Decimal("0.00000001"))
    await one(db, shop.account.wallet_id, booking, wallet.spendable)
    assert (await read_wallet(db, shop.account.wallet_id)).spendable == 0


async def one(db: Database, wallet_id: UUID, booking: Booking, amount: Decimal) -> None:
    async with db.transaction() as tx:
        await book(tx, wallet_id, booking, amount)


@pytest.mark.parametrize(
    "amount",
    ["0", "-0", "-1", "0.000000001", "1000000000000", "1E+20", "1E-30", "1E+400", "NaN", "sNaN", "Infinity"],
)
async def test_an_amount_that_is_none_is_refused(db: Database, shop: Shop, amount: str) -> None:
    with pytest.raises(Invalid, match="amount: it is above 0"):
        await one(db, shop.account.wallet_id, "fee", Decimal(amount))


async def test_pay_outs_at_once_never_overdraw(db: Database, shop: Shop) -> None:
    spendable = (await read_wallet(db, shop.account.wallet_id)).spendable
    each = spendable / 4
    outcomes = await asyncio.gather(
        *(one(db, shop.account.wallet_id, "withdraw", each) for _ in range(8)), return_exceptions=True
    )
    assert sum(outcome is None for outcome in outcomes) == 4
    assert {type(outcome) for outcome in outcomes if outcome is not None} == {InsufficientFunds}


async def test_a_pay_out_with_a_row_missing_is_found(db: Database, shop: Shop, database_url: str) -> None:
    await one(db, shop.account.wallet_id, "withdraw", Decimal(5))
    root = await asyncpg.connect(database_url)
    try:
        transaction = root.transaction()
        await transaction.start()
        await root.execute("SET LOCAL session_replication_role = replica")
        await root.execute("DELETE FROM ledger WHERE reference_type = 'payout' AND type = 'withdraw'")
        problems = await verify(root)  # type: ignore[arg-type]
        await transaction.rollback()
    finally:
        await root.close()
    assert any("a pay-out held 5.00000000 and withdrew 0 in 1 rows" in problem.what for problem in problems)


async def refund(db: Database, order: Order, amount: Decimal | None, reference: str) -> None:
    async with db.acting_as(OPERATOR).transaction() as tx:
        await refund_order(tx, order, amount, reference)


async def test_an_order_is_refunded_in_parts_and_never_beyond_what_it_cost(db: Database, shop: Shop) -> None:
    order = await completed(db, shop)
    before = await read_wallet(db, shop.account.wallet_id)
    third = (order.charge / 3).quantize(Decimal("0.00000001"))
    await refund(db, order, third, "r 1")
    with pytest.raises(AlreadyBooked, match="refund of"):
        await refund(db, order, third, "r 1")
    with pytest.raises(ReferenceTaken):
        await refund(db, order, None, "r 1")
    seen = await read_order(db, order.number)
    assert (seen.status, seen.charge) == (Status.REFUNDED, order.charge - third)
    assert seen.remains == order.quantity - int(seen.charge * order.quantity / order.price)
    with pytest.raises(Conflict, match="with a charge of"):
        await refund(db, order, order.charge, "r 2")
    await refund(db, order, None, "r 3")
    seen = await read_order(db, order.number)
    assert (seen.charge, seen.remains) == (0, order.quantity)
    assert (await read_wallet(db, shop.account.wallet_id)).balance - before.balance == order.price
    with pytest.raises(AlreadyBooked):
        await refund(db, order, None, "r 3")
    with pytest.raises(Conflict, match="refunded with a charge of 0"):
        await refund(db, order, None, "r 4")
    async with db.connection() as connection:
        lines = await audit.list_records(
            connection, object_type="orders", object_id=str(order.id), actor_user_id=None, before=None, most=9
        )
        events = await connection.fetchval("SELECT count(*) FROM events WHERE type = 'order.refunded'")
    assert (len(lines), events) == (2, 2)
    assert lines[0].after == {"status": "refunded", "charge": "0", "remains": 1000, "reference": "r 3"}


async def test_an_order_that_has_not_ended_is_not_refunded(db: Database, shop: Shop) -> None:
    order = await place_order(db, shop)
    with pytest.raises(Conflict, match="pending"):
        await refund(db, order, None, "r 1")


async def test_refunds_of_operator_and_upstream_at_once_are_never_more_than_was_paid(db: Database, shop: Shop) -> None:
    order = await completed(db, shop)
    before = (await read_wallet(db, shop.account.wallet_id)).balance

    async def takes_back() -> None:
        async with db.transaction() as tx:
            await settle(tx, [Change(order.id, Reported("Canceled", UpstreamStatus.CANCELED))])

    await asyncio.gather(
        *(refund(db, order, order.charge / 2, f"r {index}") for index in range(4)), takes_back(),
        return_exceptions=True,
    )  # fmt: skip
    assert (await read_wallet(db, shop.account.wallet_id)).balance - before == order.price
    assert (await read_order(db, order.number)).charge == 0


@pytest.mark.parametrize("booking", ["deposit", "withdraw", "fee", "refund"])
async def test_a_booking_again_is_told_from_other_money(db: Database, shop: Shop, booking: Booking) -> None:
    """Also where what is left would no longer cover it."""
    wallet_id = shop.account.wallet_id
    amount = (await read_wallet(db, wallet_id)).spendable
    async with db.transaction() as tx:
        _, entry = await book(tx, wallet_id, booking, amount, reference="r 1")
    with pytest.raises(AlreadyBooked, match=f"{booking} of 100 .entry {entry.id}") as same:
        async with db.transaction() as tx:
            await book(tx, wallet_id, booking, amount, reference="r 1", note="again")
    assert (same.value.entry, same.value.amount) == (entry.id, amount)
    with pytest.raises(ReferenceTaken, match="the reference r 1 stands for other money") as other:
        await in_its_own(db, wallet_id, booking, "r 1")
    assert (type(other.value), other.value.entry) == (ReferenceTaken, entry.id)


async def test_of_the_same_booking_at_once_one_is_booked_and_the_others_are_told(db: Database, shop: Shop) -> None:
    before = await read_wallet(db, shop.account.wallet_id)
    outcomes = await asyncio.gather(
        *(in_its_own(db, shop.account.wallet_id, "deposit", "r 1") for _ in range(8)), return_exceptions=True
    )
    assert Counter(type(outcome) for outcome in outcomes) == {type(None): 1, AlreadyBooked: 7}
    assert (await read_wallet(db, shop.account.wallet_id)).balance == before.balance + 5


@pytest.mark.parametrize("reference", ["", " ", "r ", " r", "r\n", "r\x7f", "\u0159", "r" * 81])
async def test_a_reference_that_may_be_read_in_two_ways_is_refused(db: Database, shop: Shop, reference: str) -> None:
    with pytest.raises(Invalid, match="reference: it is"):
        await in_its_own(db, shop.account.wallet_id, "deposit", reference)


@pytest.mark.parametrize("note", ["n" * 501, "a\0b", "a\udc80"])
async def test_a_note_that_cannot_be_kept_is_refused(db: Database, shop: Shop, note: str) -> None:
    with pytest.raises(Invalid, match="note: it is"):
        async with db.transaction() as tx:
            await book(tx, shop.account.wallet_id, "fee", Decimal(1), note=note)


@pytest.mark.parametrize("amount", ["0", "-1", "1e-9", "1e400", "NaN", "sNaN", "Infinity"])
async def test_a_refund_is_an_amount(db: Database, shop: Shop, amount: str) -> None:
    order = await completed(db, shop)
    with pytest.raises(Invalid, match="amount: it is above 0"):
        await refund(db, order, Decimal(amount), "r 1")


async def test_a_refund_that_the_wallet_cannot_hold_is_refused(db: Database, shop: Shop) -> None:
    order = await completed(db, shop)
    room = LIMIT - CENT - (await read_wallet(db, shop.account.wallet_id)).balance
    await one(db, shop.account.wallet_id, "deposit", room)
    with pytest.raises(Conflict, match="a wallet holds less"):
        await refund(db, order, None, "r 1")
