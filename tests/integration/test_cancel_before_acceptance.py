"""Cancelling what no upstream has yet: withdrawn at once or as soon as it is back in the queue, never sent after."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from compat.errors import Fault
from compat.kinds import Kind
from compat.wire import Accepted, NotSent, Refused, Unknown
from gateway.dispatch import store as dispatch
from gateway.dispatch.model import Attempt
from gateway.dispatch.outcomes import record
from gateway.dispatch.resolve import NotPlaced, resolve
from gateway.errors import CannotCancel
from gateway.orders.model import Dispatch, Order, Status
from tests.support.aftercare import Desk, desk
from tests.support.cancelling import COMPLETED, HELD, RELEASED, TWO, standing
from tests.support.factories import (
    add_account,
    add_provider,
    add_route,
    begin_attempt,
    event_types,
    ledger_rows,
    place_order,
    read_wallet,
)

__all__ = ["desk"]


async def claimable(desk: Desk) -> list[int]:
    """Numbers of the orders that a dispatcher would take, also as stranded ones."""
    await desk.sql("UPDATE orders SET next_attempt_at = now()")
    async with desk.db.transaction() as tx:
        queued = await dispatch.claim_queued(tx, {desk.shop.provider_id: 10})
    async with desk.db.transaction() as tx:
        stranded = await dispatch.claim_stranded(tx, [], [], 10)
    assert {order.number for order, _ in queued} == {order.number for order, _ in stranded}
    return sorted(order.number for order, _ in queued)


# Before it is sent ---------------------------------------------------------------------------


async def test_a_queued_order_is_withdrawn_at_once_and_its_hold_released(desk: Desk) -> None:
    order = await place_order(desk.db, desk.shop)
    assert await desk.cancel(order) == [None]
    assert await standing(desk, order) == (Dispatch.WITHDRAWN, Status.CANCELLED)
    assert await ledger_rows(desk.db, order.id) == [HELD, RELEASED]
    assert await event_types(desk.db, order.id) == ["order.created", "order.cancelled"]
    assert await desk.wish(order) == ("withdrawn", None, 0)
    assert await claimable(desk) == []
    await desk.assert_books_are_clean()


async def test_asking_twice_is_answered_the_same_and_books_once(desk: Desk) -> None:
    order = await place_order(desk.db, desk.shop)
    assert [await desk.cancel(order), await desk.cancel(order)] == [[None], [None]]
    assert await ledger_rows(desk.db, order.id) == [HELD, RELEASED]
    assert await desk.history(order) == ["CancelWanted"]


async def test_many_orders_are_cancelled_together_each_with_its_answer(desk: Desk) -> None:
    first, second = await place_order(desk.db, desk.shop), await place_order(desk.db, desk.shop)
    sent = await desk.accepted()
    ended = await desk.ended(COMPLETED, "78")
    answers = await desk.cancel(first, ended, sent, second)
    assert [answer if answer is None else type(answer) for answer in answers] == [None, CannotCancel, None, None]
    wallet = await read_wallet(desk.db, desk.shop.account.wallet_id)
    assert wallet.hold_amount == TWO
    await desk.assert_books_are_clean()


async def test_a_strangers_order_is_left_out_and_stays(desk: Desk) -> None:
    order = await place_order(desk.db, desk.shop)
    stranger = await add_account(desk.db)
    assert await desk.cancel(order, user_id=stranger.user_id) == []
    assert await standing(desk, order) == (Dispatch.QUEUED, Status.PENDING)


async def test_a_service_without_cancel_refuses_it(desk: Desk) -> None:
    order = await place_order(desk.db, desk.shop)
    await desk.sql("UPDATE services SET cancel = false")
    [refusal] = await desk.cancel(order)
    assert isinstance(refusal, CannotCancel)
    assert await standing(desk, order) == (Dispatch.QUEUED, Status.PENDING)
    assert await desk.wish(order) is None


async def test_of_a_cancel_and_a_claim_at_once_exactly_one_wins(desk: Desk) -> None:
    orders = [await place_order(desk.db, desk.shop, quantity=100) for _ in range(20)]
    sent: set[UUID] = set()

    async def claim(order: Order) -> None:
        async with desk.db.transaction() as tx:
            found = await dispatch.claim_queued(tx, {desk.shop.provider_id: 1})
            attempts = [Attempt(uuid7(), one, Kind.DEFAULT, desk.shop.route) for one, _ in found]
            written = await dispatch.insert_attempts(tx, attempts, timedelta(seconds=60))
        sent.update(attempt.order.id for attempt in attempts if attempt.id in written)

    await asyncio.gather(*(work(order) for order in orders for work in (claim, desk.cancel)))
    withdrawn = {order.id for order in orders if (await standing(desk, order))[0] is Dispatch.WITHDRAWN}
    assert sent | withdrawn == {order.id for order in orders}
    assert not sent & withdrawn
    for order in orders:
        wish = await desk.wish(order)
        assert wish is not None
        assert wish[0] == ("withdrawn" if order.id in withdrawn else "wanted")
    await desk.assert_books_are_clean()


async def test_a_hundred_cancels_of_one_order_at_once_book_once(desk: Desk) -> None:
    order = await place_order(desk.db, desk.shop)
    answers = await asyncio.gather(*(desk.cancel(order) for _ in range(100)))
    assert answers == [[None]] * 100
    assert await ledger_rows(desk.db, order.id) == [HELD, RELEASED]
    await desk.assert_books_are_clean()


# While it is being sent ----------------------------------------------------------------------


async def test_a_wish_for_an_order_that_is_being_sent_is_stored_and_waits(desk: Desk) -> None:
    order = await place_order(desk.db, desk.shop)
    await begin_attempt(desk.db, desk.shop, order)
    assert [await desk.cancel(order), await desk.cancel(order)] == [[None], [None]]
    await desk.act()
    assert await standing(desk, order) == (Dispatch.SENDING, Status.PENDING)
    assert await desk.wish(order) == ("wanted", None, 0)
    assert await desk.history(order) == ["CancelWanted"]
    assert desk.panel.called("cancel") == 0


@pytest.mark.parametrize("row", ["2", "4", "8"])
async def test_an_order_that_comes_back_to_the_queue_is_withdrawn_and_never_sent_again(desk: Desk, row: str) -> None:
    await add_route(desk.db, desk.shop.service.id, await add_provider(desk.db))
    order = await place_order(desk.db, desk.shop)
    attempt = await begin_attempt(desk.db, desk.shop, order)
    await desk.cancel(order)
    match row:
        case "2":
            await record(desk.db, attempt, NotSent("no connection"), timedelta())
        case "4":
            await record(desk.db, attempt, Refused(Fault.ORDER, "Incorrect link"), timedelta())
        case _:
            await record(desk.db, attempt, Unknown("no answer"), timedelta())
            await resolve(desk.db, order.number, NotPlaced(), "test")
    assert await standing(desk, order) == (Dispatch.QUEUED, Status.PENDING)
    assert await claimable(desk) == []
    await desk.act()
    assert await standing(desk, order) == (Dispatch.WITHDRAWN, Status.CANCELLED)
    assert await desk.wish(order) == ("withdrawn", None, 0)
    assert await ledger_rows(desk.db, order.id) == [HELD, RELEASED]
    await desk.assert_books_are_clean()


@pytest.mark.parametrize("late", [False, True])
async def test_an_order_that_is_accepted_after_the_wish_is_cancelled_upstream(desk: Desk, late: bool) -> None:
    order = await place_order(desk.db, desk.shop)
    attempt = await begin_attempt(desk.db, desk.shop, order)
    if late:
        await record(desk.db, attempt, Unknown("no answer"), timedelta())
    await desk.cancel(order)
    await record(desk.db, attempt, Accepted("77"), timedelta())
    desk.panel.answers["cancel"] = [{"order": 77, "cancel": 1}]
    await desk.act()
    assert await desk.wish(order) == ("forwarded", None, 0)
    assert await ledger_rows(desk.db, order.id) == [HELD]


async def test_a_wish_for_an_order_that_failed_meanwhile_is_void(desk: Desk) -> None:
    order = await place_order(desk.db, desk.shop)
    attempt = await begin_attempt(desk.db, desk.shop, order)
    await desk.cancel(order)
    await record(desk.db, attempt, Refused(Fault.ORDER, "Incorrect link"), timedelta())
    await desk.act()
    assert await desk.wish(order) == ("void", "the order is failed", 0)
    assert await desk.act() == 0
