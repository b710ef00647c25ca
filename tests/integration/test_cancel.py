"""Cancelling on real rows: withdrawn before it is sent, forwarded after, and exactly one of both."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from compat.errors import Fault
from compat.kinds import Kind
from compat.status import UpstreamStatus
from compat.wire import Accepted, NotSent, Refused, Unknown
from gateway.db.engine import Database
from gateway.dispatch import store as dispatch
from gateway.dispatch.cancels import act_on_cancels
from gateway.dispatch.model import Attempt
from gateway.dispatch.outcomes import record
from gateway.dispatch.resolve import NotPlaced, Refund, resolve
from gateway.errors import CannotCancel
from gateway.orders.cancels.model import TRIES_MAX
from gateway.orders.model import Dispatch, Order, Status
from gateway.orders.triggers import Reported
from tests.integration.scripted_panel import open_panel
from tests.support.aftercare import Desk, lead_to, open_desk
from tests.support.factories import (
    add_account,
    add_provider,
    add_route,
    begin_attempt,
    event_types,
    ledger_rows,
    open_alerts,
    place_order,
    read_order,
    read_wallet,
)

TWO = Decimal(2)
HELD, RELEASED = ("hold", TWO), ("release", TWO)
CANCELED = Reported("Canceled", UpstreamStatus.CANCELED)
COMPLETED = Reported("Completed", UpstreamStatus.COMPLETED)


@pytest.fixture
async def desk(db: Database) -> AsyncIterator[Desk]:
    async with open_desk(db) as desk:
        yield desk


async def standing(desk: Desk, order: Order) -> tuple[Dispatch, Status]:
    now = await read_order(desk.db, order.number)
    return now.dispatch, now.status


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


# After it is sent ----------------------------------------------------------------------------


async def test_a_sent_order_is_cancelled_upstream_and_money_waits_for_its_status(desk: Desk) -> None:
    order = await desk.accepted()
    assert [await desk.cancel(order), await desk.cancel(order)] == [[None], [None]]
    desk.panel.answers["cancel"] = [{"order": 77, "cancel": 1}]
    await desk.act()
    assert desk.panel.called("cancel") == 1
    assert "77" in str(desk.panel.calls[-1])
    assert await desk.wish(order) == ("forwarded", None, 0)
    assert await standing(desk, order) == (Dispatch.ACCEPTED, Status.PROCESSING)
    assert await ledger_rows(desk.db, order.id) == [HELD]
    assert await desk.history(order) == ["CancelWanted", "CancelAnswered"]
    await desk.report(order, CANCELED)
    assert await ledger_rows(desk.db, order.id) == [HELD, RELEASED]
    assert await desk.cancel(order) == [None]
    assert await desk.act() == 0
    await desk.assert_books_are_clean()


async def test_a_refusal_of_the_upstream_is_kept_and_the_wish_may_be_said_again(desk: Desk) -> None:
    order = await desk.accepted()
    await desk.cancel(order)
    desk.panel.answers["cancel"] = [{"order": 77, "cancel": {"error": "Incorrect order ID"}}]
    await desk.act()
    assert await desk.wish(order) == ("refused", "Incorrect order ID", 0)
    assert await standing(desk, order) == (Dispatch.ACCEPTED, Status.PROCESSING)
    assert await desk.act() == 0
    assert await desk.cancel(order) == [None]
    desk.panel.answers["cancel"] = [{"order": 77, "cancel": 1}]
    await desk.act()
    assert await desk.wish(order) == ("forwarded", None, 0)


@pytest.mark.parametrize("status", [500, 200], ids=["broken", "unreadable"])
async def test_a_cancel_without_an_answer_is_asked_again_and_given_up_with_an_alert(desk: Desk, status: int) -> None:
    order = await desk.accepted()
    await desk.cancel(order)
    desk.panel.status = status
    desk.panel.answers["cancel"] = {"done": 77}
    await desk.act()
    state, reason, tries = await desk.wish(order) or ("", None, 0)
    assert (state, tries) == ("wanted", 1)
    assert reason
    assert await open_alerts(desk.db) == []
    await desk.sql("UPDATE cancellations SET tries = $1", TRIES_MAX - 1)
    await desk.act()
    assert (await desk.wish(order) or ("",))[0] == "failed"
    assert await open_alerts(desk.db) == ["cancel_unanswered"]
    assert await standing(desk, order) == (Dispatch.ACCEPTED, Status.PROCESSING)


async def test_a_cancel_that_was_not_answered_rests_before_it_is_asked_again(desk: Desk) -> None:
    order = await desk.accepted()
    await desk.cancel(order)
    desk.panel.status = 500
    await desk.sql("UPDATE cancellations SET tries = 5")
    await desk.act()
    rest = await desk.row("SELECT extract(epoch FROM next_try_at - updated_at)::float8 AS s FROM cancellations")
    assert rest["s"] == 32


async def test_a_wish_for_an_order_that_ended_meanwhile_is_void(desk: Desk) -> None:
    order = await desk.accepted()
    await desk.cancel(order)
    await desk.report(order, COMPLETED)
    await desk.act()
    assert await desk.wish(order) == ("void", "the order is completed", 0)
    assert desk.panel.called("cancel") == 0
    [refusal] = await desk.cancel(order)
    assert isinstance(refusal, CannotCancel)


async def test_two_workers_ask_for_a_cancel_once(desk: Desk) -> None:
    order = await desk.accepted()
    await desk.cancel(order)
    desk.panel.answers["cancel"] = [{"order": 77, "cancel": 1}]
    assert sorted(await asyncio.gather(*(act_on_cancels(desk.db, desk.upstreams) for _ in range(2)))) == [0, 1]
    assert desk.panel.called("cancel") == 1


async def test_many_wishes_go_in_one_call_and_only_to_their_own_provider(desk: Desk) -> None:
    orders = [await desk.accepted(str(upstream_id)) for upstream_id in range(1, 101)]
    await desk.cancel(*orders)
    async with open_panel() as other:
        await lead_to(desk, await add_provider(desk.db), other)
        desk.panel.answers["cancel"] = [{"order": number, "cancel": 1} for number in range(1, 101)]
        await desk.act()
        assert (desk.panel.called("cancel"), other.called("cancel")) == (1, 0)
    assert [await desk.wish(order) for order in orders] == [("forwarded", None, 0)] * 100


# Orphans -------------------------------------------------------------------------------------


async def written_off(desk: Desk) -> tuple[Order, UUID]:
    order = await place_order(desk.db, desk.shop)
    attempt = await begin_attempt(desk.db, desk.shop, order)
    await record(desk.db, attempt, Unknown("no answer"), timedelta())
    await resolve(desk.db, order.number, Refund(), "test")
    return order, attempt


async def test_what_turns_up_for_a_written_off_order_is_cancelled_upstream(desk: Desk) -> None:
    order, attempt = await written_off(desk)
    await record(desk.db, attempt, Accepted("88"), timedelta())
    assert await desk.wish(order) == ("wanted", None, 0)
    desk.panel.answers["cancel"] = [{"order": 88, "cancel": 1}]
    await desk.act()
    assert await desk.wish(order) == ("forwarded", None, 0)
    assert await standing(desk, order) == (Dispatch.WRITTEN_OFF, Status.CANCELLED)
    assert await ledger_rows(desk.db, order.id) == [HELD, RELEASED]
    assert await open_alerts(desk.db) == ["orphaned_upstream_order"]
    await desk.assert_books_are_clean()


async def test_an_orphans_id_that_is_another_orders_is_not_cancelled(desk: Desk) -> None:
    living = await desk.accepted("88")
    order, attempt = await written_off(desk)
    await record(desk.db, attempt, Accepted("88"), timedelta())
    await desk.act()
    assert await desk.wish(order) is None
    await desk.sql("INSERT INTO cancellations (order_id) VALUES ($1)", order.id)
    await desk.act()
    assert (await desk.wish(order) or ("",))[0] == "void"
    assert desk.panel.called("cancel") == 0
    assert await standing(desk, living) == (Dispatch.ACCEPTED, Status.PROCESSING)


async def test_a_wish_for_an_unknown_order_that_is_written_off_waits_for_an_orphan_no_longer(desk: Desk) -> None:
    order = await place_order(desk.db, desk.shop)
    attempt = await begin_attempt(desk.db, desk.shop, order)
    await record(desk.db, attempt, Unknown("no answer"), timedelta())
    await desk.cancel(order)
    await resolve(desk.db, order.number, Refund(), "test")
    await desk.act()
    assert (await desk.wish(order) or ("",))[0] == "void"
    await record(desk.db, attempt, Accepted("88"), timedelta())
    assert await desk.wish(order) == ("wanted", None, 0)
